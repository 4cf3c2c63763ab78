package elastic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

// commitTries is how often a commit is begun when other processes commit at the
// same time.
const commitTries = 12

// maxDead is how many dead revisions may pile up because slow readers still need
// them; then writers wait.
const maxDead = 20_000

// lock waits until no other call of this process changes the index.
func (x *Index) lock(ctx context.Context) (unlock func(), err error) {
	end, err := x.begin(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case x.writer <- struct{}{}:
		return func() { <-x.writer; end() }, nil
	case <-ctx.Done():
		end()
		return nil, ctx.Err()
	}
}

// Upsert implements [retriever.Indexer]. Documents that are refused (invalid,
// with a metadata value of another type than the field has, or not accepted by
// the server) do not keep the others out: the error joins one
// [retriever.DocumentError] for each refused document. After any other error
// some of the documents may be stored, each one whole.
func (x *Index) Upsert(ctx context.Context, entries []retriever.Entry) error {
	unlock, err := x.lock(ctx)
	if err != nil {
		return x.fail("write to", err)
	}
	defer unlock()
	var faults []error
	for len(entries) > 0 {
		n := x.groupSize(entries)
		refused, err := x.upsertGroup(ctx, entries[:n])
		faults = append(faults, refused...)
		if err != nil {
			faults = append(faults, err)
			break
		}
		entries = entries[n:]
	}
	if len(faults) > 0 {
		return x.fail("write to", errors.Join(faults...))
	}
	return nil
}

// groupSize returns how many of the entries go into the next commit.
func (x *Index) groupSize(entries []retriever.Entry) int {
	bytes, documents := 0, 0
	for i, e := range entries {
		bytes += len(e.Document.Text)
		documents += 1 + len(e.Passages)
		if i > 0 && (documents > x.config.BulkDocuments || bytes > x.config.BulkBytes) {
			return i
		}
	}
	return len(entries)
}

func (x *Index) upsertGroup(ctx context.Context, entries []retriever.Entry) (refused []error, err error) {
	now := time.Now()
	valid := make([]*prepared, 0, len(entries))
	for i := range entries {
		p, err := prepare(&entries[i], now)
		if err != nil {
			refused = append(refused, &retriever.DocumentError{DocumentID: entries[i].Document.ID, Err: err})
			continue
		}
		valid = append(valid, p)
	}
	var more []error
	err = x.retryConflicts(ctx, func() error {
		var err error
		more, err = x.commitDocuments(ctx, valid)
		return err
	})
	return append(refused, more...), err
}

// retryConflicts runs a change again if another process committed meanwhile.
func (x *Index) retryConflicts(ctx context.Context, change func() error) error {
	for try := 1; ; try++ {
		err := x.claim(ctx)
		if err == nil {
			err = change()
		}
		if err == nil {
			return nil
		}
		// What was begun is never committed; its numbers become a hole.
		x.epoch = 0
		if !esclient.Conflict(err) {
			return err
		}
		if try == commitTries {
			return fmt.Errorf("%w, which commits all the time; its changes and these cannot both go on: %w", retriever.ErrLocked, err)
		}
		if err := x.client.Pause(ctx, try, 0); err != nil {
			return err
		}
		if err := x.refreshView(ctx); err != nil {
			return err
		}
	}
}

// view returns the current view; only for the writer, which decides what is
// removed from the server.
func (x *Index) view() *view {
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	return x.current
}

// claim makes this process the one whose commits count, unless it is already.
func (x *Index) claim(ctx context.Context) error {
	if x.epoch != 0 && x.view().Epoch == x.epoch {
		return nil
	}
	if err := x.refreshView(ctx); err != nil {
		return err
	}
	from := x.view()
	next := from.clone()
	next.nextEpoch(time.Now())
	v, err := x.writeState(ctx, from, next)
	if err != nil {
		return err
	}
	if err := x.install(v); err != nil {
		return err
	}
	x.epoch, x.number = v.Epoch, firstOf(v.Epoch)
	x.purged = map[string]bool{}
	return x.removeAbandoned(ctx, v)
}

// commitDocuments writes valid documents and makes them count, all at once. It
// returns an error for each document that was refused.
func (x *Index) commitDocuments(ctx context.Context, documents []*prepared) ([]error, error) {
	from := x.view()
	fields := from.clone().Fields
	var refused []error
	latest := map[string]*prepared{} // the last version of each document counts
	for _, p := range documents {
		if err := typesFit(fields, p); err != nil {
			refused = append(refused, &retriever.DocumentError{DocumentID: p.id, Err: err})
			continue
		}
		maps.Copy(fields, p.types)
		latest[p.id] = p
	}
	if len(latest) == 0 {
		return refused, nil
	}
	accepted := make([]*prepared, 0, len(latest))
	for _, p := range documents {
		if latest[p.id] == p {
			accepted = append(accepted, p)
		}
	}
	replaced, err := x.revisions(ctx, from, slices.Collect(maps.Keys(latest)))
	if err != nil {
		return nil, err
	}
	x.number++
	faults, err := x.store(ctx, accepted, x.number)
	if err != nil {
		return nil, err
	}
	next := from.clone()
	stored := 0
	for i, p := range accepted {
		if faults[i] != nil {
			refused = append(refused, &retriever.DocumentError{DocumentID: p.id, Err: faults[i]})
			// The part of it that the server took must not be seen.
			next.Dead = append(next.Dead, revision{revisionOf(p.id, x.number), len(p.passages)})
			continue
		}
		stored++
		maps.Copy(next.Fields, p.types)
		if old, ok := replaced[p.id]; ok {
			next.Dead = append(next.Dead, old)
		}
	}
	if stored == 0 {
		x.epoch = 0 // what was stored in part becomes part of a hole
		return refused, nil
	}
	next.Committed = x.number
	return refused, x.commit(ctx, from, next, true)
}

// typesFit reports whether a document's metadata has the types that the fields
// have already. The error wraps ErrFieldConflict.
func typesFit(fields map[string]retriever.FieldType, p *prepared) error {
	var conflicts []string
	for name, typ := range p.types {
		if known, ok := fields[name]; ok && known != typ {
			conflicts = append(conflicts, fmt.Sprintf("%q is a %s in this index, not a %s", name, known, typ))
		}
	}
	if len(conflicts) == 0 {
		return nil
	}
	slices.Sort(conflicts)
	return fmt.Errorf("%w: document %q: %s", retriever.ErrFieldConflict, p.id, conflicts)
}

// revisions returns the valid revisions of documents, absent ones left out.
func (x *Index) revisions(ctx context.Context, v *view, ids []string) (map[string]revision, error) {
	list := make(map[string]revision, len(ids))
	err := x.records(ctx, v, ids, func(f *found, r *documentRecord) {
		list[f.Source.Document] = revision{f.Source.Revision, r.Passages}
	})
	return list, err
}

// commit replaces the state. With written, documents were stored for it.
func (x *Index) commit(ctx context.Context, from *view, next state, written bool) error {
	// Purged revisions vanish from searches with a refresh, and from the state
	// after it.
	if written || len(x.purged) > scanSize {
		if err := x.refresh(ctx); err != nil {
			return err
		}
		next.Dead = slices.DeleteFunc(next.Dead, func(r revision) bool { return x.purged[r.Name] })
		clear(x.purged)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	next.Generation++
	v, err := x.writeState(ctx, from, next)
	if err != nil {
		return err
	}
	if err := x.install(v); err != nil {
		return err
	}
	x.purge(ctx, v)
	return nil
}

func (x *Index) refresh(ctx context.Context) error {
	return x.client.do(ctx, request{method: http.MethodPost, path: "/" + x.concrete + "/_refresh"}, nil)
}

// Delete implements [retriever.Indexer].
func (x *Index) Delete(ctx context.Context, ids []string) (int, error) {
	unlock, err := x.lock(ctx)
	if err != nil {
		return 0, x.fail("delete from", err)
	}
	defer unlock()
	deleted := 0
	for part := range slices.Chunk(ids, scanSize) {
		n := 0
		err := x.retryConflicts(ctx, func() error {
			from := x.view()
			doomed, err := x.revisions(ctx, from, part)
			if err != nil || len(doomed) == 0 {
				return err
			}
			next := from.clone()
			for _, id := range slices.Sorted(maps.Keys(doomed)) {
				next.Dead = append(next.Dead, doomed[id])
			}
			n = len(doomed)
			return x.commit(ctx, from, next, false)
		})
		if err != nil {
			return deleted, x.fail("delete from", err)
		}
		deleted += n
	}
	return deleted, nil
}
