package bleve

import (
	"slices"

	index "github.com/blevesearch/bleve_index_api"
)

// The fields of a stored record. There is no mapping: a record has exactly the
// fields that are built here.
const (
	fieldID     = "_id" // scorch's own: the record's key
	fieldText   = "t"   // passage: analysed terms of title and text
	fieldFilter = "f"   // passage: terms for filters and groups
	fieldRecord = "r"   // passage and document: the encoded record, only stored
)

// What is kept of each field.
const (
	optionsID     = index.IndexField | index.StoreField
	optionsText   = index.IndexField
	optionsFilter = index.IndexField | index.SkipFreqNorm
	optionsRecord = index.StoreField
)

// record is a passage or document on its way into the index. It is analysed
// before scorch sees it, because the number of terms must be known to write
// exact statistics into the same batch.
type record struct {
	key string
	// text has the terms that are scored, each once, and length is how many
	// there are with repetitions. Only passages have any.
	text    []termCount
	length  int
	passage bool
	// filter has the terms for filters and groups, perhaps some twice.
	filter []string
	stored []byte
	// keyed says that scorch has asked for the key as a field.
	keyed bool
}

var _ index.Document = (*record)(nil)

func (r *record) ID() string                                 { return r.key }
func (r *record) Size() int                                  { return len(r.stored) }
func (r *record) HasComposite() bool                         { return false }
func (r *record) VisitComposite(index.CompositeFieldVisitor) {}
func (r *record) NumPlainTextBytes() uint64                  { return uint64(len(r.stored)) }
func (r *record) StoredFieldsBytes() uint64                  { return uint64(len(r.stored)) }
func (r *record) Indexed() bool                              { return true }

// AddIDField adds the key as a field. Scorch calls it once a batch, also when a
// batch is tried again.
func (r *record) AddIDField() { r.keyed = true }

// VisitFields shows the record as scorch knows documents. Segments are made
// without it, see [segmentPlugin].
func (r *record) VisitFields(visit index.FieldVisitor) {
	if r.passage {
		visit(&field{name: fieldText, options: optionsText, terms: r.text, length: r.length})
	}
	visit(&field{name: fieldRecord, options: optionsRecord, value: r.stored})
	if len(r.filter) > 0 {
		terms := make([]termCount, len(r.filter))
		for i, term := range r.filter {
			terms[i].term = term
		}
		visit(&field{name: fieldFilter, options: optionsFilter, terms: terms, length: len(terms)})
	}
	if r.keyed {
		visit(&field{name: fieldID, options: optionsID, value: []byte(r.key), terms: []termCount{{r.key, 1}}, length: 1})
	}
}

// field is one analysed or stored field.
type field struct {
	name    string
	value   []byte
	options index.FieldIndexingOptions
	terms   []termCount
	length  int
}

var _ index.Field = (*field)(nil)

func (f *field) Name() string                        { return f.name }
func (f *field) Value() []byte                       { return f.value }
func (f *field) ArrayPositions() []uint64            { return nil }
func (f *field) EncodedFieldType() byte              { return storedType }
func (f *field) Analyze()                            {}
func (f *field) Options() index.FieldIndexingOptions { return f.options }
func (f *field) AnalyzedLength() int                 { return f.length }
func (f *field) NumPlainTextBytes() uint64           { return uint64(len(f.value)) }

func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies {
	frequencies := make(index.TokenFrequencies, len(f.terms))
	for _, t := range f.terms {
		entry := &index.TokenFreq{Term: []byte(t.term)}
		entry.SetFrequency(int(t.count))
		frequencies[t.term] = entry
	}
	return frequencies
}

// storedType marks stored values as text.
const storedType = 't'

// termCount is a term with the number of times that a passage has it.
type termCount struct {
	term  string
	count uint32
}

// termCounter counts the terms of one passage after the other. The zero value is
// ready for use.
type termCounter struct {
	places map[string]int
	counts []termCount
	length int
}

func (c *termCounter) add(term string) {
	c.length++
	if i, ok := c.places[term]; ok {
		c.counts[i].count++
		return
	}
	if c.places == nil {
		c.places = map[string]int{}
	}
	c.places[term] = len(c.counts)
	c.counts = append(c.counts, termCount{term, 1})
}

// keptPlaces bounds the table that is cleared for the next passage: clearing a
// table costs as much as it ever held.
const keptPlaces = 1 << 12

// take returns what was counted and begins anew.
func (c *termCounter) take() (counts []termCount, length int) {
	counts, length = slices.Clone(c.counts), c.length
	if len(c.places) > keptPlaces {
		c.places = nil
	}
	clear(c.places)
	c.counts, c.length = c.counts[:0], 0
	return counts, length
}
