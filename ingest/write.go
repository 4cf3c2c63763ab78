package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/needle-search/needle/retriever"
)

// A writer brings batches into an index, one after the other.
type writer struct {
	ingester *Ingester
	recorder *recorder
	index    Target
}

// write stores what is new or changed in a batch. Only an error that concerns
// the whole index is returned.
func (w writer) write(ctx context.Context, batch []item) error {
	ids := make([]string, len(batch))
	for i, it := range batch {
		ids[i] = it.ID
	}
	infos, err := w.index.Infos(ctx, ids)
	if err != nil {
		return fmt.Errorf("look up %d documents: %w", len(ids), err)
	}
	var entries []retriever.Entry
	var items []item
	var outcomes []Outcome
	for _, it := range batch {
		info, known := infos[it.ID]
		if known && info.ContentHash == it.hash {
			w.recorder.document(it.ID, Unchanged, info.Passages)
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		outcome := Added
		if known {
			outcome = Updated
		}
		entries = append(entries, retriever.Entry{Document: it.Document, Passages: w.ingester.splitter.Split(it.Extracted), ContentHash: it.hash})
		items = append(items, it)
		outcomes = append(outcomes, outcome)
	}
	if len(entries) == 0 {
		return nil
	}
	err = w.index.Upsert(ctx, entries)
	if err == nil {
		for i, e := range entries {
			w.recorder.document(e.Document.ID, outcomes[i], len(e.Passages))
			w.recorder.language(e.Document.Language)
		}
		return nil
	}
	if len(entries) == 1 {
		return w.refuse(ctx, items[0], err)
	}
	if stops(ctx, err) {
		return err
	}
	return w.writeSingly(ctx, entries, items, outcomes)
}

// maxStrange is how many documents in a row may fail for a reason that is not
// theirs before the index as a whole is taken to be broken.
const maxStrange = 8

// writeSingly finds the documents for which a batch was refused by writing
// each on its own; writing one that is stored already does no harm.
func (w writer) writeSingly(ctx context.Context, entries []retriever.Entry, items []item, outcomes []Outcome) error {
	strange := 0
	for i, e := range entries {
		err := w.index.Upsert(ctx, entries[i:i+1])
		if err == nil {
			strange = 0
			w.recorder.document(e.Document.ID, outcomes[i], len(e.Passages))
			w.recorder.language(e.Document.Language)
			continue
		}
		if !refused(err) {
			strange++
		}
		if strange >= min(maxStrange, len(entries)) {
			return err
		}
		if err := w.refuse(ctx, items[i], err); err != nil {
			return err
		}
	}
	return nil
}

// refuse notes that a document was not stored, or returns the error if it
// concerns more than the document.
func (w writer) refuse(ctx context.Context, it item, err error) error {
	if stops(ctx, err) {
		return err
	}
	w.recorder.fault(Fault{Path: it.path, Line: it.Line, DocumentID: it.ID, Reason: err.Error(), Err: err})
	return nil
}

// refused reports whether an error is about a document.
func refused(err error) bool {
	return errors.Is(err, retriever.ErrInvalidDocument) || errors.Is(err, retriever.ErrFieldConflict)
}

// stops reports whether an error makes going on pointless.
func stops(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	for _, fatal := range [...]error{
		context.Canceled, context.DeadlineExceeded,
		retriever.ErrNoSpace, retriever.ErrClosed, retriever.ErrLocked,
		retriever.ErrCorrupt, retriever.ErrVersion, retriever.ErrIndexNotFound,
	} {
		if errors.Is(err, fatal) {
			return true
		}
	}
	return false
}
