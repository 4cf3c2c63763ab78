package elastic

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/needle-search/needle/retriever"
)

// atMoment runs a call that reads everything.
func (x *Index) atMoment(ctx context.Context, read func(*moment) error) error {
	end, err := x.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	m, err := x.pin(ctx)
	if err != nil {
		return err
	}
	defer m.release(ctx)
	return read(m)
}

// Verify implements [retriever.Verifier]: it puts every document together from
// its passages, and looks for passages that belong to none.
func (x *Index) Verify(ctx context.Context) error {
	err := x.atMoment(ctx, func(m *moment) error {
		passages, stop := iter.Pull2(m.scan(ctx, kindPassage))
		defer stop()
		var faults []error
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("%w: %w", retriever.ErrCorrupt, fmt.Errorf(format, args...)))
		}
		next, err, more := passages()
		for f, scanErr := range m.scan(ctx, kindDocument) {
			if scanErr != nil {
				return scanErr
			}
			record, decodeErr := decode[documentRecord](f)
			if decodeErr != nil {
				faults = append(faults, decodeErr)
				continue
			}
			// Both scans are in the same order, so what comes before this
			// document belongs to none.
			for ; more && err == nil && next.Source.Document < f.Source.Document; next, err, more = passages() {
				fault("passage %d of %q belongs to no document", next.Source.Ordinal, next.Source.Document)
			}
			text, n := textBuilder{gaps: record.Gaps}, 0
			var textErr error
			for ; more && err == nil && next.Source.Document == f.Source.Document; next, err, more = passages() {
				if next.Source.Revision != f.Source.Revision || next.Source.Ordinal != n {
					fault("document %q: passage %d of revision %s, want passage %d of %s", f.Source.Document, next.Source.Ordinal, next.Source.Revision, n, f.Source.Revision)
				}
				if textErr == nil {
					textErr = text.addFound(next)
				}
				n++
			}
			if err != nil {
				return err
			}
			if textErr == nil {
				_, textErr = text.finish(record.Runes)
			}
			if n != record.Passages {
				fault("document %q has %d passages, want %d", f.Source.Document, n, record.Passages)
			} else if textErr != nil {
				fault("document %q: %w", f.Source.Document, textErr)
			}
		}
		for ; more && err == nil; next, err, more = passages() {
			fault("passage %d of %q belongs to no document", next.Source.Ordinal, next.Source.Document)
		}
		if err != nil {
			return err
		}
		return errors.Join(faults...)
	})
	if err != nil {
		return x.fail("verify", err)
	}
	return nil
}
