package pipeline

import (
	"context"
	"errors"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// A SweepReport says what [Pipeline.Sweep] removed.
type SweepReport struct {
	// Expired counts records whose time had passed.
	Expired int
	// Erased counts documents that are gone and whose feedback still held text.
	Erased int
}

// sweepBatch is how many documents are looked up at once.
const sweepBatch = 500

// Sweep removes what has expired from the store, and what feedback still holds
// of documents that are gone. A deletion erases at once; this finishes one that a
// crash cut off between the index and the store, and covers documents that went
// with a restored or swapped index. An index that cannot be read is left alone.
func (p *Pipeline) Sweep(ctx context.Context) (report SweepReport, err error) {
	err = p.withStore(ctx, func(s *store.Store) error {
		var err error
		if report.Expired, err = s.Sweep(ctx); err != nil {
			return err
		}
		names, err := p.backend.Names(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			n, err := p.sweepIndex(ctx, s, name)
			report.Erased += n
			if errors.Is(err, retriever.ErrIndexNotFound) {
				continue // dropped since
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return report, err
}

// sweepIndex erases the feedback about documents that an index does not hold.
func (p *Pipeline) sweepIndex(ctx context.Context, s *store.Store, name string) (erased int, err error) {
	var ids []string
	last := ""
	err = s.EachFeedback(ctx, name, func(f store.Feedback) error {
		// Feedback comes in order of documents.
		if f.Erased || f.DocumentID == "" || f.DocumentID == last {
			return nil
		}
		last = f.DocumentID
		ids = append(ids, f.DocumentID)
		return nil
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	target, err := p.index(ctx, name)
	if err != nil {
		return 0, err
	}
	for len(ids) > 0 {
		batch := ids[:min(sweepBatch, len(ids))]
		ids = ids[len(batch):]
		known, err := target.Infos(ctx, batch)
		if err != nil {
			return erased, p.cause(ctx, err)
		}
		var gone []string
		for _, id := range batch {
			if _, ok := known[id]; !ok {
				gone = append(gone, id)
			}
		}
		if len(gone) == 0 {
			continue
		}
		if err := s.EraseDocuments(ctx, name, gone); err != nil {
			return erased, err
		}
		erased += len(gone)
	}
	return erased, nil
}
