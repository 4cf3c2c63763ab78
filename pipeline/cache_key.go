package pipeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/retriever"
)

// A cacheKey is everything that a value depends on besides index and
// generation, hashed.
type cacheKey [sha256.Size]byte

// in places a key in an index and a generation of it.
func (k cacheKey) in(kind string, index, generation uint64) string {
	b := make([]byte, 0, len(kind)+16+len(k))
	b = append(b, kind...)
	b = binary.BigEndian.AppendUint64(b, index)
	b = binary.BigEndian.AppendUint64(b, generation)
	return string(append(b, k[:]...))
}

// newCacheKey hashes parts so that no two lists of parts look the same.
func newCacheKey(parts ...any) cacheKey {
	var b []byte
	for _, part := range parts {
		text := fmt.Sprint(part)
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	return sha256.Sum256(b)
}

// key is what the hits of a retrieval depend on. It is false for a filter that
// has no canonical form.
func (r retrieval) key() (cacheKey, bool) {
	filter := ""
	if r.filter != nil {
		data, err := json.Marshal(r.filter)
		if err != nil {
			return cacheKey{}, false
		}
		// JSON writes a time as it writes a string, and they filter otherwise.
		filter = string(data) + filterTypes(*r.filter)
	}
	groups := slices.Compact(slices.Sorted(slices.Values(r.access.Groups)))
	return newCacheKey(r.text, r.topK, filter, r.explain, r.access.AllGroups, len(groups), fmt.Sprintf("%q", groups)), true
}

func filterTypes(f retriever.Filter) string {
	types := fmt.Sprintf("(%T%T%T%T%T", f.Equals, f.GT, f.GTE, f.LT, f.LTE)
	for _, v := range f.In {
		types += fmt.Sprintf("%T", v)
	}
	for _, inner := range slices.Concat(f.And, f.Or) {
		types += filterTypes(inner)
	}
	if f.Not != nil {
		types += filterTypes(*f.Not)
	}
	return types + ")"
}

// answerKey is what an answer depends on: what its candidates do, the model
// and every option. A budget is none of them, since only what was read to the
// end is stored. The configuration does not change while a pipeline is open.
func (p *Pipeline) answerKey(m *loadedModel, r retrieval, request Request) (cacheKey, bool) {
	candidates, ok := r.key()
	return newCacheKey(string(candidates[:]), m.ref.Name, m.ref.Hash, m.ref.Precision, m.calibrated, p.EmbeddingHash(),
		cmp.Or(request.TopK, p.config.Reader.TopK), cmp.Or(request.OffsetUnit, CodePoints), request.IncludeRejected, request.Explain), ok
}

// exclusive reports whether the generation that an index tells without being
// asked for anything is its newest.
func exclusive(index retriever.Index) bool {
	x, ok := index.(retriever.Exclusive)
	return ok && x.Exclusive()
}

// cachedTokens returns what cuts passages of one retrieval, through the cache.
func (p *Pipeline) cachedTokens(m *loadedModel, found retrieved) func(passage retriever.Passage) models.Tokens {
	if p.cache == nil {
		return nil
	}
	tokenizer := m.reader.Tokenizer()
	return func(passage retriever.Passage) models.Tokens {
		key := newCacheKey(m.ref.Hash, passage.DocumentID, passage.Text)
		if v, ok := p.cache.text(found.index, key); ok {
			if tokens, ok := v.(models.Tokens); ok {
				return tokens
			}
		}
		tokens := tokenizer.Tokenize(passage.Text)
		p.cache.putText(found.index, found.Generation, passage.DocumentID, key, tokens, int64(12*tokens.Len()+64))
		return tokens
	}
}

// copyResult gives a caller a result that it may change.
func copyResult(r *Result) *Result {
	c := *r
	c.Answers = slices.Clone(r.Answers)
	c.Rejected = slices.Clone(r.Rejected)
	c.Candidates = slices.Clone(r.Candidates)
	c.Warnings = slices.Clone(r.Warnings)
	c.TimingsMS = make(map[string]float64, 2)
	return &c
}

// The sizes are estimates: texts as they are, and about what the rest takes.
func resultSize(r *Result) int64 {
	n := 1000 + len(r.Question)
	for _, a := range slices.Concat(r.Answers, r.Rejected) {
		n += 600 + len(a.Text) + len(a.Context) + len(a.Title) + len(a.DocumentID) + len(a.Source.URI)
	}
	for _, c := range r.Candidates {
		n += 600 + len(c.Text) + len(c.Title) + len(c.PassageID) + len(c.DocumentID) + metadataSize(c.Metadata) + 100*len(c.Terms)
	}
	return int64(n)
}

func hitsSize(hits []retriever.Hit) int64 {
	n := 200
	for _, h := range hits {
		n += 500 + len(h.Text) + len(h.Title) + len(h.DocumentID) + len(h.Source.URI) + metadataSize(h.Metadata) + 100*len(h.Explanation)
	}
	return int64(n)
}

func metadataSize(m map[string]any) int {
	n := 0
	for key, v := range m {
		n += 100 + len(key)
		switch v := v.(type) {
		case string:
			n += len(v)
		case []string:
			for _, s := range v {
				n += 16 + len(s)
			}
		}
	}
	return n
}

func entryIDs(entries []retriever.Entry) []string {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.Document.ID
	}
	return ids
}
