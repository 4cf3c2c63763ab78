package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// splitter returns what cuts documents into passages that fit the reader. The
// tokenizer is opened on first use when there is no reader.
func (p *Pipeline) splitter() (*ingest.Splitter, error) {
	if m := p.slot.peek(); m != nil {
		return p.splitterFor(m)
	}
	p.tokenizerOnce.Do(func() {
		bundle, err := p.selection.open(p.config.registry)
		if err != nil {
			p.tokenizerErr = err
			return
		}
		p.bundleLanguages = bundle.Manifest.Languages
		p.tokenizer, p.tokenizerErr = p.config.registry.OpenTokenizer(bundle)
	})
	if p.tokenizerErr != nil {
		return nil, p.tokenizerErr
	}
	return ingest.NewSplitter(p.config.Split, p.tokenizer)
}

// splitterFor is splitter for the passages of one request.
func (p *Pipeline) splitterFor(m *loadedModel) (*ingest.Splitter, error) {
	return ingest.NewSplitter(p.config.Split, m.reader.Tokenizer())
}

// Put adds or replaces documents; see [Service]. Documents whose content hash
// is stored already are left alone. Refused documents do not keep the others
// out; other errors, such as [retriever.ErrNoSpace], end the call, and what was
// stored until then stays.
func (p *Pipeline) Put(ctx context.Context, index string, documents []retriever.Document) ([]PutResult, error) {
	splitter, err := p.splitter()
	if err != nil {
		return nil, err
	}
	target, err := p.indexOrCreate(ctx, index)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(documents))
	for i, d := range documents {
		ids[i] = d.ID
	}
	known, err := target.Infos(ctx, ids)
	if err != nil {
		return nil, p.cause(ctx, err)
	}
	var refused []error
	refuse := func(i int, err error) {
		refused = append(refused, &DocumentError{Position: i, ID: documents[i].ID, Err: err})
	}
	results := make([]*PutResult, len(documents))
	entries := make([]retriever.Entry, 0, len(documents))
	positions := make([]int, 0, len(documents)) // of the entries
	seen := make(map[string]bool, len(documents))
	for i, d := range documents {
		result, entry, err := p.prepare(splitter, d, known)
		if err == nil && seen[d.ID] {
			err = fmt.Errorf("%w: document %q is given twice", retriever.ErrInvalidDocument, d.ID)
		}
		if err != nil {
			refuse(i, err)
			continue
		}
		seen[d.ID] = true
		results[i] = &result
		if result.Status != Unchanged {
			entries, positions = append(entries, entry), append(positions, i)
		}
	}
	err = upsert(ctx, target, entries, func(n int, err error) {
		results[positions[n]] = nil
		if err != nil {
			refuse(positions[n], err)
		}
	})
	if err != nil {
		refused = append(refused, p.cause(ctx, err))
	}
	stored := make([]PutResult, 0, len(documents))
	for _, r := range results {
		if r != nil {
			r.Generation = target.Generation()
			stored = append(stored, *r)
		}
	}
	return stored, errors.Join(refused...)
}

// upsert stores the entries at once, since every commit waits for the disk. The
// function failed is told of every entry that is not known to be stored, with
// the reason if it was refused for what it is; the error is nil if all were.
func upsert(ctx context.Context, target retriever.Indexer, entries []retriever.Entry, failed func(n int, err error)) error {
	if len(entries) == 0 {
		return nil
	}
	err := target.Upsert(ctx, entries)
	if err == nil {
		return nil
	}
	refused, only := retriever.RefusedDocuments(err)
	reasons := make(map[string]error, len(refused))
	for _, r := range refused {
		reasons[r.DocumentID] = r
	}
	for n, entry := range entries {
		if reason, ok := reasons[entry.Document.ID]; ok {
			failed(n, reason)
		} else if !only {
			failed(n, nil)
		}
	}
	if only {
		return nil
	}
	return err
}

func (p *Pipeline) prepare(splitter *ingest.Splitter, d retriever.Document, known map[string]retriever.DocumentInfo) (PutResult, retriever.Entry, error) {
	if err := d.Validate(); err != nil {
		return PutResult{}, retriever.Entry{}, err
	}
	if n := int64(len(d.Text)); n > int64(p.limits().MaxDocumentBytes) {
		return PutResult{}, retriever.Entry{}, fmt.Errorf("%w: document %q has %d bytes of text; limits.max_document_bytes allows %v",
			retriever.ErrInvalidDocument, d.ID, n, p.limits().MaxDocumentBytes)
	}
	entry := retriever.Entry{Document: d, ContentHash: ingest.ContentHash(ingest.Extracted{Document: d}, splitter.Fingerprint())}
	result := PutResult{ID: d.ID, Status: Created}
	if info, ok := known[d.ID]; ok {
		if info.ContentHash == entry.ContentHash {
			return PutResult{ID: d.ID, Status: Unchanged, Passages: info.Passages}, entry, nil
		}
		result.Status = Updated
	}
	entry.Passages = splitter.Split(ingest.Extracted{Document: d})
	result.Passages = len(entry.Passages)
	return result, entry, nil
}

// Document returns a stored document, or [retriever.ErrDocumentNotFound].
func (p *Pipeline) Document(ctx context.Context, index, id string) (retriever.Document, error) {
	target, err := p.index(ctx, index)
	if err != nil {
		return retriever.Document{}, err
	}
	return target.Document(ctx, id)
}

// MaxListLimit is the greatest limit of [Pipeline.List].
const MaxListLimit = 1000

// List returns up to limit documents with an id greater than after, by id.
func (p *Pipeline) List(ctx context.Context, index, after string, limit int) ([]retriever.DocumentInfo, error) {
	if limit < 1 || limit > MaxListLimit {
		return nil, fmt.Errorf("%w: limit: %d; allowed is 1 to %d", ErrInvalidRequest, limit, MaxListLimit)
	}
	target, err := p.index(ctx, index)
	if err != nil {
		return nil, err
	}
	return target.List(ctx, after, limit)
}

// Delete removes documents and returns how many were there.
func (p *Pipeline) Delete(ctx context.Context, index string, ids []string) (int, error) {
	target, err := p.index(ctx, index)
	if err != nil {
		return 0, err
	}
	n, err := target.Delete(ctx, ids)
	if err != nil {
		return n, err
	}
	return n, p.eraseDocuments(ctx, index, ids)
}

// Stats describes one index.
func (p *Pipeline) Stats(ctx context.Context, index string) (retriever.Statistics, error) {
	target, err := p.index(ctx, index)
	if err != nil {
		return retriever.Statistics{}, err
	}
	return target.Stats(ctx)
}

// Indexes describes all indexes in order of name.
func (p *Pipeline) Indexes(ctx context.Context) ([]retriever.Statistics, error) {
	all, err := p.backend.Names(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]retriever.Statistics, 0, len(all))
	for _, name := range all {
		stats, err := p.Stats(ctx, name)
		if errors.Is(err, retriever.ErrIndexNotFound) {
			continue // dropped since
		}
		if err != nil {
			return nil, err
		}
		list = append(list, stats)
	}
	return list, nil
}

// CreateIndex makes a new, empty index, or fails with [retriever.ErrIndexExists].
func (p *Pipeline) CreateIndex(ctx context.Context, index string) error {
	index = cmp.Or(index, p.config.Index)
	if err := retriever.ValidIndexName(index); err != nil {
		return err
	}
	free, err := p.pool.reserve(ctx, index)
	if err != nil {
		return err
	}
	defer free()
	p.pool.shrink(p.pool.limit - 1)
	created, err := p.backend.Create(ctx, index)
	if err != nil {
		return err
	}
	p.declareConfigured(ctx, index, created)
	pooled, err := p.pool.add(index, created)
	if err != nil {
		return err
	}
	p.pool.release(pooled)
	return nil
}

// DropIndex deletes an index and all it holds. Running requests on it finish
// first; later ones do not find it.
func (p *Pipeline) DropIndex(ctx context.Context, index string) error {
	index = cmp.Or(index, p.config.Index)
	if err := retriever.ValidIndexName(index); err != nil {
		return err
	}
	free, err := p.pool.reserve(ctx, index)
	if err != nil {
		return err
	}
	defer free()
	if err := p.pool.take(index)(); err != nil {
		return err
	}
	if err := p.backend.Drop(ctx, index); err != nil {
		return err
	}
	return errors.Join(removeSources(p.config.Data, index), p.withStore(ctx, func(s *store.Store) error { return s.EraseIndex(ctx, index) }))
}

// Verify reads everything that an index stores and reports what is wrong; see
// [retriever.Verifier].
func (p *Pipeline) Verify(ctx context.Context, index string) error {
	target, err := p.index(ctx, index)
	if err != nil {
		return err
	}
	return target.use(ctx, func(x retriever.Index) error {
		verifier, ok := x.(retriever.Verifier)
		if !ok {
			return p.unable("verified")
		}
		return verifier.Verify(ctx)
	})
}

// unable says that the retriever lacks an ability.
func (p *Pipeline) unable(what string) error {
	return fmt.Errorf("%w: a %s index cannot be %s", ErrInvalidRequest, p.config.Retriever.Type, what)
}
