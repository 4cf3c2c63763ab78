package workload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// checkpoint lets the writers rest, keeps what the askers are told meanwhile,
// stops these too, looks at what the server holds, and compares everything with
// the oracle.
func (r *run) checkpoint(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if err := r.server.complete(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	clear(r.recorded)
	r.mu.Unlock()
	r.recording.Store(true)
	if err := r.server.pause(ctx, r.Steady); err != nil {
		return err
	}
	r.traffic.Lock()
	defer r.traffic.Unlock()
	r.recording.Store(false)
	// Samples are of one model, because the other one takes other memory.
	r.swap(ctx, 0)
	if err := r.look(ctx, true); err != nil {
		return err
	}
	if err := r.stored(ctx); err != nil {
		return err
	}
	if err := r.follow(ctx); err != nil {
		return err
	}
	r.report.Checkpoints++
	return r.consult(ctx)
}

// stored reads every document and holds it against the ledger.
func (r *run) stored(ctx context.Context) error {
	for n, f := range r.facts {
		last, sure := r.ledger.last(n)
		if !sure {
			continue // its write failed, which was noted
		}
		d, err := r.server.client.Document(ctx, "", f.id())
		r.report.Documents++
		switch {
		case last.absent && errors.Is(err, retriever.ErrDocumentNotFound):
		case err != nil && !errors.Is(err, retriever.ErrDocumentNotFound):
			return fmt.Errorf("workload: %w", err)
		case last.absent:
			r.wrong("stored", fmt.Errorf("%s was deleted and is there", f.id()))
		case err != nil:
			r.wrong("stored", fmt.Errorf("%s was written and is not there", f.id()))
		case d.Text != f.text(last.version):
			r.wrong("stored", fmt.Errorf("%s holds %q, want version %d", f.id(), clip(d.Text), last.version))
		}
	}
	return nil
}

// follow gives the oracle what the server has, one document at a time.
func (r *run) follow(ctx context.Context) error {
	c := r.oracle.client
	for n, f := range r.facts {
		last, sure := r.ledger.last(n)
		if !sure {
			d, err := r.server.client.Document(ctx, "", f.id())
			if err != nil && !errors.Is(err, retriever.ErrDocumentNotFound) {
				return fmt.Errorf("workload: %w", err)
			}
			if last.absent = err != nil; !last.absent {
				version, _ := d.Metadata["version"].(int64)
				last.version = int(version)
			}
		}
		var err error
		if last.absent {
			_, err = c.Delete(ctx, "", []string{f.id()})
		} else {
			_, err = c.Put(ctx, "", []retriever.Document{f.document(last.version)})
		}
		if err != nil {
			return fmt.Errorf("workload: write to the oracle: %w", err)
		}
	}
	return r.oracle.complete(ctx)
}

// consult asks the oracle what the askers asked.
func (r *run) consult(ctx context.Context) error {
	r.mu.Lock()
	recorded := maps.Clone(r.recorded)
	r.mu.Unlock()
	for i, hash := range r.models {
		var ids []string
		for _, id := range slices.Sorted(maps.Keys(recorded)) {
			if recorded[id].model == hash {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			continue
		}
		if _, err := r.oracle.use(ctx, r.use(i)); err != nil {
			return err
		}
		// Spread over all that was asked.
		for k := 0; k < len(ids); k += max(1, len(ids)/r.Compare) {
			if err := r.compare(ctx, recorded[ids[k]]); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare asks the oracle. Its vectors may be a moment behind what its index
// says, and then it says so.
func (r *run) compare(ctx context.Context, one recording) error {
	var result *pipeline.Result
	for result == nil || result.VectorCoverage != nil {
		var err error
		if result, err = r.oracle.client.Ask(ctx, one.request); err != nil {
			return fmt.Errorf("workload: ask the oracle: %w", err)
		}
		if result.VectorCoverage != nil {
			if err := r.oracle.pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		}
	}
	r.same("asked while nobody wrote", one.model, one.answer, func(int) string { return canonical(result) })
	return nil
}
