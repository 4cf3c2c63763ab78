package bleve

import (
	"context"
	"fmt"
	"iter"

	"github.com/blevesearch/bleve/v2/index/scorch"

	"github.com/needle-search/needle/retriever"
)

var (
	_ retriever.Snapshotter = (*Index)(nil)
	_ retriever.EntryReader = (*Index)(nil)
)

// Entry implements [retriever.EntryReader].
func (x *Index) Entry(ctx context.Context, id string) (entry retriever.Entry, err error) {
	err = x.withView(ctx, func(v view) error {
		segment, n, ok, err := v.locate(documentKey(id))
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: %q", retriever.ErrDocumentNotFound, id)
		}
		_, data, err := stored(segment, n)
		if err != nil {
			return err
		}
		r, err := decodeDocument(data)
		if err != nil {
			return err
		}
		entry, err = entryOf(ctx, segment, id, r)
		return err
	})
	if err != nil {
		return retriever.Entry{}, x.fail("read from", err)
	}
	return entry, nil
}

// snapshot is a view that outlives the call that took it.
type snapshot struct {
	index *Index
	view  view
	stats retriever.Statistics
	// end lets the index be closed; nil once the snapshot is closed.
	end func()
}

// Snapshot implements [retriever.Snapshotter]. It costs nothing but the disk
// space of what is replaced while it is open.
func (x *Index) Snapshot(ctx context.Context) (retriever.Snapshot, error) {
	s, err := x.pin(ctx)
	if err != nil {
		return nil, x.fail("read from", err)
	}
	return s, nil
}

func (x *Index) pin(ctx context.Context) (*snapshot, error) {
	end, err := x.begin(ctx)
	if err != nil {
		return nil, err
	}
	pinned, err := x.snapshot()
	if err != nil {
		end()
		return nil, err
	}
	current, err := decodeState(pinned.Internal()[stateKey])
	if err != nil {
		_ = pinned.Close()
		end()
		return nil, err
	}
	s := &snapshot{index: x, view: view{pinned, current}, end: end}
	s.stats = x.statistics(s.view)
	return s, nil
}

// Stats implements [retriever.Snapshot].
func (s *snapshot) Stats() retriever.Statistics { return s.stats }

// Entries implements [retriever.Snapshot].
func (s *snapshot) Entries(ctx context.Context) iter.Seq2[retriever.Entry, error] {
	return func(yield func(retriever.Entry, error) bool) {
		stopped := false
		err := s.entries(ctx, func(e retriever.Entry) bool {
			stopped = !yield(e, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(retriever.Entry{}, s.index.fail("read from", err))
		}
	}
}

func (s *snapshot) entries(ctx context.Context, each func(retriever.Entry) bool) error {
	if s.end == nil {
		return retriever.ErrClosed
	}
	var ids *idReader
	err := guard(func() (err error) {
		ids, err = s.view.idsAfter("")
		return err
	})
	if err != nil {
		return err
	}
	for {
		var entry *retriever.Entry
		// The caller runs outside the guard, which would hide its faults.
		err := guard(func() (err error) {
			entry, err = s.next(ctx, ids)
			return err
		})
		if err != nil || entry == nil {
			return err
		}
		if !each(*entry) {
			return nil
		}
	}
}

// next returns the next document, or nil at the end. The dictionary still names
// documents that were deleted.
func (s *snapshot) next(ctx context.Context, ids *idReader) (*retriever.Entry, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, there, err := ids.next()
		if err != nil || !there {
			return nil, err
		}
		segment, n, ok, err := s.view.locate(documentKey(id))
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		_, data, err := stored(segment, n)
		if err != nil {
			return nil, err
		}
		r, err := decodeDocument(data)
		if err != nil {
			return nil, err
		}
		e, err := entryOf(ctx, segment, id, r)
		if err != nil {
			return nil, err
		}
		return &e, nil
	}
}

// entryOf puts a stored document together as it was given.
func entryOf(ctx context.Context, segment *scorch.SegmentSnapshot, id string, r *documentRecord) (retriever.Entry, error) {
	text, err := documentText(ctx, segment, id, r)
	if err != nil {
		return retriever.Entry{}, err
	}
	e := retriever.Entry{Document: r.document(id, text), ContentHash: r.Hash, Passages: make([]retriever.Passage, 0, r.Passages)}
	for ordinal := range r.Passages {
		n, ok, err := locateIn(segment, passageKey(id, ordinal))
		if err == nil && !ok {
			err = fmt.Errorf("%w: document %q: passage %d is missing", retriever.ErrCorrupt, id, ordinal)
		}
		if err != nil {
			return retriever.Entry{}, err
		}
		_, data, err := stored(segment, n)
		if err != nil {
			return retriever.Entry{}, err
		}
		p, err := decodePassage(data)
		if err != nil {
			return retriever.Entry{}, err
		}
		e.Passages = append(e.Passages, retriever.Passage{
			DocumentID: id, Ordinal: ordinal, Start: p.Start, End: p.End, Page: p.Page,
			PageBreaks: retriever.PageBreaks(r.Pages, p.Start, p.End), PageStart: retriever.PageStart(r.Pages, p.Start), Headings: p.Headings, Text: p.text(),
		})
	}
	return e, nil
}

// Close implements [retriever.Snapshot].
func (s *snapshot) Close() error {
	if s.end == nil {
		return nil
	}
	err := s.view.Close()
	s.end()
	s.end = nil
	if err != nil {
		return s.index.fail("read from", err)
	}
	return nil
}
