package bleve

import (
	"encoding/json"
	"maps"
	"time"

	index "github.com/blevesearch/bleve_index_api"

	"github.com/needle-search/needle/retriever"
)

// commitLoop is the only writer of the index. It gathers the requests that wait
// and writes them as one batch, so that concurrent writers share an fsync.
func (x *Index) commitLoop() {
	defer x.committer.Done()
	for first := range x.commits {
		group := []*request{first}
		size := first.size()
	gather:
		for size < groupBytes {
			select {
			case r, ok := <-x.commits:
				if !ok {
					break gather
				}
				group = append(group, r)
				size += r.size()
			default:
				break gather
			}
		}
		err := x.commit(group)
		for _, r := range group {
			r.err = err
			close(r.done)
		}
	}
}

// commit writes the requests in one batch and returns when it is on disk. If
// that fails, nothing of it is stored.
func (x *Index) commit(group []*request) error {
	e, err := x.writable()
	if err != nil {
		return err
	}
	var b *index.Batch
	var next *state
	var c *change
	err = guard(func() error {
		snapshot, err := e.snapshot()
		if err != nil {
			return err
		}
		defer snapshot.Close()
		current, err := decodeState(snapshot.Internal()[stateKey])
		if err != nil {
			return err
		}
		c = &change{view: view{snapshot, current}, fields: maps.Clone(current.Fields), final: map[string]*outcome{}}
		if c.stored, err = c.view.finder(); err != nil {
			return err
		}
		for _, r := range group {
			if err := c.apply(x, r); err != nil {
				return err
			}
		}
		b, next, err = c.batch(x.now().UTC(), x.generation.Load())
		return err
	})
	if err != nil || b == nil {
		return err
	}
	if err := e.batch(b); err != nil {
		// Readers may have seen the failed state under this generation, so no
		// other state may ever bear it.
		x.generation.Store(next.Generation)
		x.rollBack()
		return err
	}
	x.generation.Store(next.Generation)
	x.noteCommit(c, next.Generation)
	return nil
}

// writable returns the engine, opened again if a roll-back could not.
func (x *Index) writable() (*engine, error) {
	x.engineLock.Lock()
	defer x.engineLock.Unlock()
	return x.reopen()
}

// reopen opens the engine if it is not open; engineLock must be held.
func (x *Index) reopen() (*engine, error) {
	if x.engine == nil {
		e, err := openEngine(storePath(x.path), x.config.LockTimeout)
		if err != nil {
			return nil, err
		}
		x.engine = e
	}
	return x.engine, nil
}

// rollBack closes the engine and opens it again as it is on disk. A scorch
// whose write failed would go on trying to write what was refused already.
// Calls that begin meanwhile wait; readers keep the snapshots that they hold.
func (x *Index) rollBack() {
	x.engineLock.Lock()
	defer x.engineLock.Unlock()
	// An error of closing what has failed already tells nothing new.
	_ = x.engine.close()
	x.engine = nil
	// If this fails too, the next write tries again and reports it.
	_, _ = x.reopen()
}

// outcome is what becomes of one document in a commit.
type outcome struct {
	before *documentRecord // nil if the index does not hold it
	after  *prepared       // nil if it is deleted
}

// change collects what a commit does to the index.
type change struct {
	view   view
	stored *finder
	fields map[string]retriever.FieldType
	final  map[string]*outcome
	// touched says that the state is written even if no record changes, declared
	// that fields were added to it.
	touched, declared bool
}

// outcome returns the state of a document at this point of the commit.
func (c *change) outcome(id string) (o *outcome, there bool, err error) {
	if o, ok := c.final[id]; ok {
		return o, o.after != nil, nil
	}
	before, err := c.stored.document(id)
	if err != nil {
		return nil, false, err
	}
	o = &outcome{before: before}
	c.final[id] = o
	return o, before != nil, nil
}

func (c *change) apply(x *Index, r *request) error {
	c.touched = c.touched || r.touch
	if r.rewrite != "" {
		if err := c.rewrite(x, r.rewrite); err != nil {
			return err
		}
	}
	if err := c.declare(r.declare); err != nil {
		r.refused = append(r.refused, err)
	}
	for _, id := range r.deletes {
		o, there, err := c.outcome(id)
		if err != nil {
			return err
		}
		if there {
			r.deleted++
		}
		o.after = nil
	}
	for _, p := range r.upserts {
		if err := c.typesFit(p); err != nil {
			r.refused = append(r.refused, &retriever.DocumentError{DocumentID: p.id, Err: err})
			continue
		}
		o, _, err := c.outcome(p.id)
		if err != nil {
			return err
		}
		if c.fields == nil {
			c.fields = map[string]retriever.FieldType{}
		}
		maps.Copy(c.fields, p.types)
		o.after = p
	}
	return nil
}

// batch makes the batch of all changes, or none if nothing changes.
func (c *change) batch(now time.Time, generation uint64) (*index.Batch, *state, error) {
	next := *c.view.state
	next.Fields = c.fields
	b := index.NewBatch()
	for id, o := range c.final {
		keep := 0
		if o.after != nil {
			r, err := o.after.documentRecord(now)
			if err != nil {
				return nil, nil, err
			}
			b.Update(r)
			for _, passage := range o.after.passages {
				b.Update(passage)
			}
			keep = len(o.after.passages)
			next.Documents++
			next.Passages += uint64(keep)
			next.Terms += o.after.document.Terms
		}
		if o.before == nil {
			continue
		}
		if o.after == nil {
			b.Delete(documentKey(id))
		}
		for ordinal := keep; ordinal < o.before.Passages; ordinal++ {
			b.Delete(passageKey(id, ordinal))
		}
		next.Documents--
		next.Passages -= uint64(o.before.Passages)
		next.Terms -= o.before.Terms
	}
	if len(b.IndexOps) == 0 && !c.declared {
		if !c.touched {
			return nil, nil, nil
		}
		if generation > next.Generation {
			next.Generation = generation + 1
		}
		b, err := stateBatch(&next)
		return b, &next, err
	}
	next.Generation = max(next.Generation, generation) + 1
	data, err := json.Marshal(&next)
	if err != nil {
		return nil, nil, err
	}
	b.SetInternal([]byte(stateKey), data)
	return b, &next, nil
}
