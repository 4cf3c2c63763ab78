package bleve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/blevesearch/bleve/v2/index/scorch"

	"github.com/needle-search/needle/retriever"
)

var _ retriever.VectorStore = (*Index)(nil)

// vectorSet is the vectors of one model and what is known of the documents that
// lack some. Which ones those are is kept in step with the commits, so that
// nothing has to look through the index after a small change.
type vectorSet struct {
	file *vectorFile
	// writing is held by what changes the file.
	writing sync.Mutex

	mu sync.Mutex
	// generation is the last commit that dirty knows of.
	generation uint64
	// dirty holds documents that may have passages without a vector, and how
	// many at most.
	dirty map[string]int
	// scan says that documents after the one named scanned must be looked
	// through, because the set does not know them.
	scan    bool
	scanned string
	// again says that too much changed during the scan to be remembered.
	again bool

	// What VectorCoverage reads without waiting.
	missing  atomic.Int64
	scanning atomic.Bool
}

// maxDirty bounds how many documents are remembered one by one; beyond it the
// index is looked through.
const maxDirty = 20_000

// publish makes the state known to VectorCoverage; mu must be held.
func (s *vectorSet) publish() {
	sum := 0
	for _, n := range s.dirty {
		sum += n
	}
	s.missing.Store(int64(sum))
	s.scanning.Store(s.scan)
}

// vectorSet returns the vectors of a model, opened on first use.
func (x *Index) vectorSet(ctx context.Context, model string) (s *vectorSet, err error) {
	if model == "" || len(model) > maxModelName {
		return nil, fmt.Errorf("%w: the model's name has %d bytes; allowed are 1 to %d", retriever.ErrInvalidVector, len(model), maxModelName)
	}
	x.vectorLock.Lock()
	s = x.vectorSets[model]
	x.vectorLock.Unlock()
	if s != nil {
		return s, nil
	}
	err = x.withView(ctx, func(v view) error {
		x.vectorLock.Lock()
		defer x.vectorLock.Unlock()
		if s = x.vectorSets[model]; s != nil {
			return nil
		}
		s, err = x.openVectorSet(v, model)
		return err
	})
	return s, err
}

// openVectorSet opens the vectors of a model; vectorLock must be held.
func (x *Index) openVectorSet(v view, model string) (*vectorSet, error) {
	file, err := openVectorFile(vectorPath(x.path, model), model)
	if err != nil {
		return nil, err
	}
	s := &vectorSet{file: file, dirty: map[string]int{}, scan: true}
	note, ok := readVectorNote(file.path)
	// A commit that finished before now has not told this set.
	current := v.state.Generation == x.generation.Load()
	if ok && current && note.Generation == v.state.Generation && note.Vectors <= file.length() {
		s.generation, s.scan = note.Generation, false
		maps.Copy(s.dirty, note.Dirty)
	}
	s.publish()
	if x.vectorSets == nil {
		x.vectorSets = map[string]*vectorSet{}
	}
	x.vectorSets[model] = s
	return s, nil
}

// withVectors runs a call on the vectors of a model. The view is taken after the
// set was opened, so that it shows what the set was not told.
func (x *Index) withVectors(ctx context.Context, model string, do func(view, *vectorSet) error) error {
	s, err := x.vectorSet(ctx, model)
	if err != nil {
		return err
	}
	return x.withView(ctx, func(v view) error { return do(v, s) })
}

// noteCommit tells the sets what a commit changed.
func (x *Index) noteCommit(c *change, generation uint64) {
	x.vectorLock.Lock()
	defer x.vectorLock.Unlock()
	for _, s := range x.vectorSets {
		s.mu.Lock()
		for id, o := range c.final {
			if o.after == nil {
				delete(s.dirty, id)
			} else {
				s.dirty[id] = len(o.after.passages)
			}
		}
		if len(s.dirty) > maxDirty {
			clear(s.dirty)
			s.again = s.scan
			s.scan = true
		}
		s.generation = max(s.generation, generation)
		s.publish()
		s.mu.Unlock()
	}
}

// MissingVectors implements [retriever.VectorStore].
func (x *Index) MissingVectors(ctx context.Context, model string, limit int) ([]retriever.Hit, error) {
	var hits []retriever.Hit
	for more := true; more && len(hits) == 0; {
		// Each step has a view of its own: documents change meanwhile.
		err := x.withVectors(ctx, model, func(v view, s *vectorSet) (err error) {
			if hits, more, err = s.missingOfDirty(ctx, v, limit); err != nil || more || len(hits) > 0 {
				return err
			}
			if more, err = s.scanOn(ctx, v); err != nil || more {
				return err
			}
			return s.complete(ctx, v)
		})
		if err != nil {
			return nil, x.fail("read vectors of", err)
		}
	}
	return hits, nil
}

// missingOfDirty returns passages without a vector of the documents that are
// remembered, and forgets those that have none. With more and no hits it wants
// to be called again.
func (s *vectorSet) missingOfDirty(ctx context.Context, v view, limit int) (hits []retriever.Hit, more bool, err error) {
	s.mu.Lock()
	ids := make([]string, 0, min(limit, len(s.dirty)))
	for id := range s.dirty {
		if len(ids) == limit {
			more = true
			break
		}
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		found, err := s.lacking(ctx, v, id)
		if err != nil {
			return nil, false, err
		}
		more = !s.recount(v, id, len(found)) || more
		if hits = append(hits, found...); len(hits) >= limit {
			return hits[:limit], true, nil
		}
	}
	return hits, more, nil
}

// recount stores how many passages of a document lack a vector in a view. It
// returns false if the document may have changed since.
func (s *vectorSet) recount(v view, id string, missing int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.dirty[id]; !ok {
		return true
	}
	if s.generation > v.state.Generation {
		return false
	}
	if missing == 0 {
		delete(s.dirty, id)
	} else {
		s.dirty[id] = missing
	}
	s.publish()
	return true
}

// lacking returns the passages of a document that have no vector.
func (s *vectorSet) lacking(ctx context.Context, v view, id string) ([]retriever.Hit, error) {
	var hits []retriever.Hit
	err := v.eachPassage(ctx, id, func(d *documentRecord, ordinal int, p passageRecord) {
		if !s.file.has(keyOf(d.Title, p.text())) {
			hits = append(hits, retriever.Hit{
				Passage: retriever.Passage{
					DocumentID: id, Ordinal: ordinal, Start: p.Start, End: p.End, Page: p.Page, Headings: p.Headings, Text: p.text(),
				},
				Title: d.Title, Source: d.Source, Metadata: d.metadata(),
			})
		}
	})
	return hits, err
}

// eachPassage visits the passages of a document, none if it is not there.
func (v view) eachPassage(ctx context.Context, id string, visit func(d *documentRecord, ordinal int, p passageRecord)) error {
	segment, n, ok, err := v.locate(documentKey(id))
	if err != nil || !ok {
		return err
	}
	_, data, err := stored(segment, n)
	if err != nil {
		return err
	}
	d, err := decodeDocument(data)
	if err != nil {
		return err
	}
	for ordinal := range d.Passages {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := passageIn(segment, id, ordinal)
		if err != nil {
			return err
		}
		visit(d, ordinal, p)
	}
	return nil
}

func passageIn(segment *scorch.SegmentSnapshot, id string, ordinal int) (passageRecord, error) {
	n, ok, err := locateIn(segment, passageKey(id, ordinal))
	if err == nil && !ok {
		err = fmt.Errorf("%w: document %q: passage %d is missing", retriever.ErrCorrupt, id, ordinal)
	}
	if err != nil {
		return passageRecord{}, err
	}
	_, data, err := stored(segment, n)
	if err != nil {
		return passageRecord{}, err
	}
	return decodePassage(data)
}

// scanChunk is how many documents one step of a scan looks at.
const scanChunk = 256

// scanOn looks through some more documents. It returns false at the end, when
// every document without vectors is remembered.
func (s *vectorSet) scanOn(ctx context.Context, v view) (more bool, err error) {
	s.mu.Lock()
	scan, after := s.scan, s.scanned
	s.mu.Unlock()
	if !scan {
		return false, nil
	}
	ids, err := v.documentIDs(ctx, after, scanChunk)
	if err != nil {
		return false, err
	}
	found := map[string]int{}
	for _, id := range ids {
		lacking, err := s.lacking(ctx, v, id)
		if err != nil {
			return false, err
		}
		if len(lacking) > 0 {
			found[id] = len(lacking)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range found {
		if _, ok := s.dirty[id]; !ok {
			s.dirty[id] = n
		}
	}
	switch {
	case len(ids) == scanChunk:
		s.scanned = ids[len(ids)-1]
	case s.again:
		s.again, s.scanned = false, ""
	default:
		// Commits that the view does not show are remembered in dirty.
		s.scan, s.scanned = false, ""
		s.generation = max(s.generation, v.state.Generation)
	}
	s.publish()
	return s.scan || len(s.dirty) > 0, nil
}

// documentIDs returns ids of documents in order, those of deleted ones included.
func (v view) documentIDs(ctx context.Context, after string, limit int) ([]string, error) {
	keys, err := v.idsAfter(after)
	if err != nil {
		return nil, err
	}
	var ids []string
	for len(ids) < limit {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, there, err := keys.next()
		if err != nil || !there {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// complete is called when no passage lacks a vector: it writes that down, and
// makes room when most of the file is of passages that are gone.
func (s *vectorSet) complete(ctx context.Context, v view) error {
	if err := s.writeNote(v.state.Generation); err != nil {
		return err
	}
	if s.file.length() <= 2*int(v.state.Passages)+4096 {
		return nil
	}
	return s.sweep(ctx, v)
}

// sweep removes the vectors of passages that are gone.
func (s *vectorSet) sweep(ctx context.Context, v view) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	live := make(map[vectorKey]bool, v.state.Passages)
	for after := ""; ; {
		ids, err := v.documentIDs(ctx, after, scanChunk)
		if err != nil {
			return err
		}
		for _, id := range ids {
			after = id
			err := v.eachPassage(ctx, id, func(d *documentRecord, _ int, p passageRecord) { live[keyOf(d.Title, p.text())] = true })
			if err != nil {
				return err
			}
		}
		if len(ids) < scanChunk {
			return s.file.retain(live)
		}
	}
}

// PutVectors implements [retriever.VectorStore].
func (x *Index) PutVectors(ctx context.Context, model string, passages []retriever.Hit, vectors [][]int8) error {
	if len(passages) != len(vectors) {
		return x.fail("write vectors of", fmt.Errorf("%w: there are %d for %d passages", retriever.ErrInvalidVector, len(vectors), len(passages)))
	}
	err := x.withVectors(ctx, model, func(_ view, s *vectorSet) error {
		keys := make([]vectorKey, len(passages))
		for i, p := range passages {
			keys[i] = keyOf(p.Title, p.Text)
		}
		s.writing.Lock()
		err := s.file.put(keys, vectors)
		s.writing.Unlock()
		return err
	})
	if err == nil {
		// On a view from after the write, so that the counts are not those of
		// documents that changed meanwhile.
		err = x.withVectors(ctx, model, func(v view, s *vectorSet) error {
			seen := map[string]bool{}
			for _, p := range passages {
				if seen[p.DocumentID] {
					continue
				}
				seen[p.DocumentID] = true
				lacking, err := s.lacking(ctx, v, p.DocumentID)
				if err != nil {
					return err
				}
				s.recount(v, p.DocumentID, len(lacking))
			}
			return nil
		})
	}
	if err != nil {
		return x.fail("write vectors of", err)
	}
	return nil
}

// Vectors implements [retriever.VectorStore].
func (x *Index) Vectors(ctx context.Context, model string, hits []retriever.Hit) ([][]int8, error) {
	vectors := make([][]int8, len(hits))
	err := x.withVectors(ctx, model, func(_ view, s *vectorSet) (err error) {
		for i, h := range hits {
			vectors[i], err = s.file.get(keyOf(h.Title, h.Text))
			if errors.Is(err, retriever.ErrCorrupt) {
				// It is as good as missing, and is made again.
				s.remember(h.DocumentID)
				err = nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, x.fail("read vectors of", err)
	}
	return vectors, nil
}

// VectorCoverage implements [retriever.VectorStore].
func (x *Index) VectorCoverage(ctx context.Context, model string) (retriever.VectorCoverage, error) {
	var coverage retriever.VectorCoverage
	err := x.withVectors(ctx, model, func(v view, s *vectorSet) error {
		coverage = s.coverage(v)
		return nil
	})
	if err != nil {
		return retriever.VectorCoverage{}, x.fail("read vectors of", err)
	}
	return coverage, nil
}

// remember marks a document as one that may lack vectors.
func (s *vectorSet) remember(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty[id] = max(s.dirty[id], 1)
	s.publish()
}

func (s *vectorSet) coverage(v view) retriever.VectorCoverage {
	passages := v.state.Passages
	missing := min(uint64(s.missing.Load()), passages)
	if s.scanning.Load() && passages > 0 {
		// Passages may share vectors, and some vectors may be of passages that
		// are gone, so this is an estimate; it never says complete.
		missing = max(missing, passages-min(passages, uint64(s.file.length())), 1)
	}
	return retriever.VectorCoverage{Passages: passages, Vectors: passages - missing}
}

// vectorStatistics describes the vectors of every model that the index has some
// of.
func (x *Index) vectorStatistics(ctx context.Context) ([]retriever.VectorStatistics, error) {
	files, err := vectorFiles(x.path)
	if err != nil {
		return nil, err
	}
	var list []retriever.VectorStatistics
	for _, path := range files {
		model, ok := modelOf(path)
		if !ok {
			continue
		}
		err := x.withVectors(ctx, model, func(v view, s *vectorSet) error {
			list = append(list, retriever.VectorStatistics{Model: model, VectorCoverage: s.coverage(v)})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}
