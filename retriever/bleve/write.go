package bleve

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/retriever"
)

// A group is what one batch writes at most: enough to make an fsync cheap a
// document, little enough to bound memory and the time that a reader of the
// result waits.
const (
	groupDocuments = 4096
	groupBytes     = 8 << 20
)

// Upsert implements [retriever.Indexer]. Documents that are refused (invalid,
// or with a metadata value of another type than the field has) do not keep the
// others out: the error joins one [retriever.DocumentError] for each refused
// document. After any other error some of the documents may be stored.
func (x *Index) Upsert(ctx context.Context, entries []retriever.Entry) error {
	end, err := x.begin(ctx)
	if err != nil {
		return x.fail("write to", err)
	}
	defer end()
	var (
		refused []error
		pending *request
	)
	// The next group is analysed while the one before is written.
	for len(entries) > 0 {
		n := groupSize(entries)
		documents, faults, err := x.prepareAll(ctx, entries[:n])
		refused = append(refused, faults...)
		entries = entries[n:]
		if waitErr := pending.wait(ctx, &refused); waitErr != nil {
			return x.fail("write to", waitErr)
		}
		if err != nil {
			return x.fail("write to", err)
		}
		if pending, err = x.submit(ctx, &request{upserts: documents}); err != nil {
			return x.fail("write to", err)
		}
	}
	if err := pending.wait(ctx, &refused); err != nil {
		return x.fail("write to", err)
	}
	if len(refused) > 0 {
		return x.fail("write to", errors.Join(refused...))
	}
	return nil
}

// Delete implements [retriever.Indexer].
func (x *Index) Delete(ctx context.Context, ids []string) (int, error) {
	end, err := x.begin(ctx)
	if err != nil {
		return 0, x.fail("delete from", err)
	}
	defer end()
	deleted := 0
	for len(ids) > 0 {
		n := min(len(ids), groupDocuments)
		r, err := x.submit(ctx, &request{deletes: ids[:n]})
		if err == nil {
			err = r.wait(ctx, nil)
		}
		if err != nil {
			return deleted, x.fail("delete from", err)
		}
		deleted += r.deleted
		ids = ids[n:]
	}
	return deleted, nil
}

// groupSize returns how many of the entries go into the next batch.
func groupSize(entries []retriever.Entry) int {
	bytes := 0
	for i, e := range entries {
		bytes += len(e.Document.Text)
		if i > 0 && (i == groupDocuments || bytes > groupBytes) {
			return i
		}
	}
	return len(entries)
}

// prepareAll analyses entries on all cores and returns those that may be
// stored, in order, and one error for each that may not.
func (x *Index) prepareAll(ctx context.Context, entries []retriever.Entry) ([]*prepared, []error, error) {
	documents := make([]*prepared, len(entries))
	faults := make([]error, len(entries))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range entries {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			p, err := prepare(&entries[i], x.analyzer)
			if err != nil {
				faults[i] = &retriever.DocumentError{DocumentID: entries[i].Document.ID, Err: err}
			}
			documents[i] = p
			return nil
		})
	}
	_ = group.Wait() // the functions return no error; see faults
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	var good []*prepared
	var refused []error
	for i := range entries {
		if faults[i] != nil {
			refused = append(refused, faults[i])
		} else {
			good = append(good, documents[i])
		}
	}
	return good, refused, nil
}

// request is one writer's share of a commit.
type request struct {
	upserts []*prepared
	deletes []string
	// rewrite names a document to be written again as it is; touch asks for a
	// commit even if nothing changes; declare adds fields.
	rewrite string
	touch   bool
	declare map[string]retriever.FieldType

	// The committer fills these before it closes done.
	refused []error
	deleted int
	err     error
	done    chan struct{}
}

func (r *request) size() int {
	n := len(r.deletes)
	for _, p := range r.upserts {
		n += p.size
	}
	return n
}

// submit hands a request to the committer.
func (x *Index) submit(ctx context.Context, r *request) (*request, error) {
	r.done = make(chan struct{})
	select {
	case x.commits <- r:
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// wait waits until the request is committed. A caller who gives up does not
// stop the commit: it may share it with others.
func (r *request) wait(ctx context.Context, refused *[]error) error {
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("gave up waiting, the change may still be stored: %w", ctx.Err())
	}
	if refused != nil {
		*refused = append(*refused, r.refused...)
	}
	return r.err
}
