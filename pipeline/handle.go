package pipeline

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/needle-search/needle/retriever"
)

// A handle is an index by its name: each call opens the index if it is not open
// and works on what has the name at that time. What only some indexes can do is
// reached through use.
type handle struct {
	pool *pool
	name string
}

var _ retriever.Index = (*handle)(nil)

// index returns an index that exists; an empty name means the configured one.
func (p *Pipeline) index(ctx context.Context, name string) (*handle, error) {
	h := &handle{pool: p.pool, name: cmp.Or(name, p.config.Index)}
	if err := retriever.ValidIndexName(h.name); err != nil {
		return nil, err
	}
	return h, h.use(ctx, func(retriever.Index) error { return nil })
}

// lease returns an open index itself for the whole of a request, which thereby
// works on one index whatever is swapped meanwhile. It stays open until release
// is called, which may be done more than once.
func (p *Pipeline) lease(ctx context.Context, name string) (index retriever.Index, release func(), err error) {
	name = cmp.Or(name, p.config.Index)
	if err := retriever.ValidIndexName(name); err != nil {
		return nil, nil, err
	}
	leased, release, err := p.pool.acquire(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return leased.Index, sync.OnceFunc(release), nil
}

// indexOrCreate is index for writes.
func (p *Pipeline) indexOrCreate(ctx context.Context, name string) (*handle, error) {
	index, err := p.index(ctx, name)
	if !errors.Is(err, retriever.ErrIndexNotFound) {
		return index, err
	}
	if err := p.CreateIndex(ctx, name); err != nil && !errors.Is(err, retriever.ErrIndexExists) {
		return nil, err
	}
	return p.index(ctx, name)
}

// use works with the open index itself, which stays open meanwhile. Writes must
// go through the handle's own methods.
func (h *handle) use(ctx context.Context, do func(retriever.Index) error) error {
	index, release, err := h.pool.acquire(ctx, h.name)
	if err != nil {
		return err
	}
	defer release()
	return do(index.Index)
}

// Retrieve implements [retriever.Retriever].
func (h *handle) Retrieve(ctx context.Context, query retriever.Query) (results retriever.Results, err error) {
	err = h.use(ctx, func(x retriever.Index) error {
		results, err = x.Retrieve(ctx, query)
		return err
	})
	return results, err
}

// Upsert implements [retriever.Indexer].
func (h *handle) Upsert(ctx context.Context, entries []retriever.Entry) error {
	return h.write(ctx, entryIDs(entries), func(x retriever.Index) error { return x.Upsert(ctx, entries) })
}

// Delete implements [retriever.Indexer].
func (h *handle) Delete(ctx context.Context, ids []string) (n int, err error) {
	err = h.write(ctx, ids, func(x retriever.Index) error {
		n, err = x.Delete(ctx, ids)
		return err
	})
	return n, err
}

// write changes documents. The gate is passed before the index is looked up, so
// that a write never lands in an index that a rebuild has just replaced.
func (h *handle) write(ctx context.Context, ids []string, do func(retriever.Index) error) error {
	gate := h.pool.gate(h.name)
	gate.writers.RLock()
	defer gate.writers.RUnlock()
	// After the change: a rebuild that copies a noted document must see it.
	defer gate.note(ids)
	return h.use(ctx, func(x retriever.Index) error {
		err := do(x)
		h.pool.cache.wrote(x, ids, err)
		return err
	})
}

// Document implements [retriever.Documents].
func (h *handle) Document(ctx context.Context, id string) (document retriever.Document, err error) {
	err = h.use(ctx, func(x retriever.Index) error {
		document, err = x.Document(ctx, id)
		return err
	})
	return document, err
}

// Infos implements [retriever.Documents].
func (h *handle) Infos(ctx context.Context, ids []string) (infos map[string]retriever.DocumentInfo, err error) {
	err = h.use(ctx, func(x retriever.Index) error {
		infos, err = x.Infos(ctx, ids)
		return err
	})
	return infos, err
}

// List implements [retriever.Documents].
func (h *handle) List(ctx context.Context, after string, limit int) (infos []retriever.DocumentInfo, err error) {
	err = h.use(ctx, func(x retriever.Index) error {
		infos, err = x.List(ctx, after, limit)
		return err
	})
	return infos, err
}

// Stats implements [retriever.Index].
func (h *handle) Stats(ctx context.Context) (stats retriever.Statistics, err error) {
	err = h.use(ctx, func(x retriever.Index) error {
		stats, err = x.Stats(ctx)
		return err
	})
	return stats, err
}

// Generation implements [retriever.Index]. It is that of the last time at which
// the index was open.
func (h *handle) Generation() uint64 { return h.pool.generation(h.name) }

// Close implements [retriever.Index]; the pool closes indexes.
func (h *handle) Close() error { return nil }
