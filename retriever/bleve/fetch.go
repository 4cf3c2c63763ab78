package bleve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/retriever"
)

// document returns the record of a passage's document.
func (s *searched) document(passage uint64, id string) (uint64, bool, error) {
	if s.flat != nil {
		if n, ok := s.flat.parent(passage); ok {
			return n, true, nil
		}
	}
	return locateIn(s.SegmentSnapshot, documentKey(id))
}

// fetchAtOnce is how many hits one goroutine reads.
const fetchAtOnce = 50

// fetch reads what is stored of the hits, and of each document once.
func fetch(ctx context.Context, segments []searched, candidates []candidate) ([]retriever.Hit, error) {
	hits := make([]retriever.Hit, len(candidates))
	documents := &heads{known: map[string]*documentHead{}}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	first := min(fetchAtOnce, len(candidates))
	for from := first; from < len(candidates); from += fetchAtOnce {
		to := min(from+fetchAtOnce, len(candidates))
		group.Go(func() error {
			return guard(func() error { return fetchPart(ctx, segments, candidates[from:to], hits[from:to], documents) })
		})
	}
	// The first part is read here, so that a short list needs no goroutine. The
	// others must have ended before a damaged file makes this one give up.
	err := guard(func() error { return fetchPart(ctx, segments, candidates[:first], hits[:first], documents) })
	if err := errors.Join(err, group.Wait()); err != nil {
		return nil, err
	}
	return hits, nil
}

// heads remembers the documents of a query's hits.
type heads struct {
	lock  sync.Mutex
	known map[string]*documentHead
}

func (h *heads) get(id string) *documentHead {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.known[id]
}

func (h *heads) put(id string, d *documentHead) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.known[id] = d
}

func fetchPart(ctx context.Context, segments []searched, candidates []candidate, hits []retriever.Hit, documents *heads) error {
	for i, c := range candidates {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := segments[c.segment].SegmentSnapshot
		key, data, err := stored(s, c.record)
		if err != nil {
			return err
		}
		id, ordinal, err := splitPassageKey(key)
		if err != nil {
			return err
		}
		p, err := decodePassage(data)
		if err != nil {
			return err
		}
		d := documents.get(id)
		if d == nil {
			// One batch wrote both, so they lie in the same segment.
			n, ok, err := segments[c.segment].document(c.record, id)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("%w: document %q is missing, but passage %d of it is there", retriever.ErrCorrupt, id, ordinal)
			}
			if _, data, err = stored(s, n); err != nil {
				return err
			}
			if d, err = decodeHead(data); err != nil {
				return err
			}
			documents.put(id, d)
		}
		hits[i] = retriever.Hit{
			Passage: retriever.Passage{
				DocumentID: id, Ordinal: ordinal, Start: p.Start, End: p.End, Page: p.Page,
				PageBreaks: retriever.PageBreaks(d.Pages, p.Start, p.End), PageStart: retriever.PageStart(d.Pages, p.Start), Headings: p.Headings, Text: p.text(),
			},
			Title: d.Title, Source: d.Source, Metadata: d.metadata(),
			Scores: retriever.Scores{BM25: c.score},
		}
	}
	return nil
}

// documentHead is the part of a document's record that hits show.
type documentHead struct {
	Title    string                           `json:"title"`
	Metadata map[string]retriever.StoredValue `json:"metadata"`
	Source   retriever.Source                 `json:"source"`
	Pages    []int                            `json:"pages"`
}

func decodeHead(data []byte) (*documentHead, error) {
	var h documentHead
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, fmt.Errorf("%w: document record: %w", retriever.ErrCorrupt, err)
	}
	return &h, nil
}

func (h *documentHead) metadata() map[string]any { return retriever.DecodeMetadata(h.Metadata) }
