package pipeline

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/store"
)

// ErrNoStore says that no kind of store is registered.
var ErrNoStore = errors.New("no store is registered")

// OpenStoreDriver opens the records of a data directory.
type OpenStoreDriver func(ctx context.Context, dataDir string) (store.Driver, error)

// A StoreOpener is a [RetrieverConfig] that keeps keys, feedback and the like
// beside its indexes instead of in the data directory, so that several servers
// share them.
type StoreOpener interface {
	OpenStore(ctx context.Context) (store.Driver, error)
}

// SetStore registers what opens the store of a data directory.
func (r *Registry) SetStore(open OpenStoreDriver) { r.store = open }

// OpenStore opens the store that belongs to the retriever: that of the data
// directory, or the retriever's own. Errors are [ErrNoStore] and those of
// package store, such as [store.ErrLocked] while a server holds the directory.
func (c *Config) OpenStore(ctx context.Context) (*store.Store, error) {
	var driver store.Driver
	var err error
	switch opener, own := c.Retriever.Options.(StoreOpener); {
	case own:
		driver, err = opener.OpenStore(ctx)
	case c.registry != nil && c.registry.store != nil:
		driver, err = c.registry.store(ctx, c.Data)
	default:
		return nil, ErrNoStore
	}
	if err != nil {
		return nil, err
	}
	return store.New(driver), nil
}

// Shared reports whether indexes and records lie on a server that others may
// use too, instead of in the data directory.
func (c *Config) Shared() bool {
	_, own := c.Retriever.Options.(StoreOpener)
	return own
}

// storeHandle opens the store for as long as it is needed: a server holds it,
// a command opens it for a moment, because one process at a time can have the
// file.
type storeHandle struct {
	mu   sync.Mutex
	held *store.Store
}

// Store opens the store and holds it until the pipeline is closed.
func (p *Pipeline) Store(ctx context.Context) (*store.Store, error) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if p.store.held == nil {
		opened, err := p.config.OpenStore(ctx)
		if err != nil {
			return nil, err
		}
		p.store.held = opened
	}
	return p.store.held, nil
}

// withStore calls a function with the store. Where none is registered nothing
// is done.
func (p *Pipeline) withStore(ctx context.Context, do func(*store.Store) error) (err error) {
	p.store.mu.Lock()
	held := p.store.held
	p.store.mu.Unlock()
	if held != nil {
		return do(held)
	}
	opened, err := p.config.OpenStore(ctx)
	if errors.Is(err, ErrNoStore) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	return do(opened)
}

func (h *storeHandle) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		return nil
	}
	return h.held.Close()
}

// eraseDocuments removes from the store what came out of documents that were
// deleted.
func (p *Pipeline) eraseDocuments(ctx context.Context, index string, ids []string) error {
	return p.withStore(ctx, func(s *store.Store) error {
		return s.EraseDocuments(ctx, cmp.Or(index, p.config.Index), ids)
	})
}

// erasingTarget erases what a sync deletes.
type erasingTarget struct {
	ingest.SyncTarget
	pipeline *Pipeline
	index    string
}

func (t erasingTarget) Delete(ctx context.Context, ids []string) (int, error) {
	n, err := t.SyncTarget.Delete(ctx, ids)
	if err != nil {
		return n, err
	}
	return n, t.pipeline.eraseDocuments(ctx, t.index, ids)
}
