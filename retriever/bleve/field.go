package bleve

import (
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

// record is a passage or document on its way into the index. Its fields are
// analysed before scorch sees them, because the number of terms must be known
// to write exact statistics into the same batch.
type record struct {
	key    string
	fields []index.Field
	size   int
}

var _ index.Document = (*record)(nil)

func (r *record) ID() string                                 { return r.key }
func (r *record) Size() int                                  { return r.size }
func (r *record) HasComposite() bool                         { return false }
func (r *record) VisitComposite(index.CompositeFieldVisitor) {}
func (r *record) NumPlainTextBytes() uint64                  { return uint64(r.size) }
func (r *record) StoredFieldsBytes() uint64                  { return uint64(r.size) }
func (r *record) Indexed() bool                              { return true }

func (r *record) VisitFields(visit index.FieldVisitor) {
	for _, f := range r.fields {
		visit(f)
	}
}

// AddIDField adds the key as a field. Scorch calls it once a batch, also when a
// batch is tried again.
func (r *record) AddIDField() {
	for _, f := range r.fields {
		if f.Name() == fieldID {
			return
		}
	}
	var terms termCounter
	terms.add(r.key)
	r.fields = append(r.fields, &field{
		name: fieldID, value: []byte(r.key), options: index.IndexField | index.StoreField,
		terms: terms.frequencies, length: 1,
	})
}

// field is one analysed or stored field.
type field struct {
	name    string
	value   []byte
	options index.FieldIndexingOptions
	terms   index.TokenFrequencies
	length  int
}

var _ index.Field = (*field)(nil)

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return f.value }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) Analyze()                                         {}
func (f *field) Options() index.FieldIndexingOptions              { return f.options }
func (f *field) AnalyzedLength() int                              { return f.length }
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.terms }
func (f *field) NumPlainTextBytes() uint64                        { return uint64(len(f.value)) }

// storedField returns a field that is kept but not searched.
func storedField(name string, value []byte) *field {
	return &field{name: name, value: value, options: index.StoreField}
}

// termCounter counts terms. The zero value is empty.
type termCounter struct {
	frequencies index.TokenFrequencies
	length      int
	// expected is about how many distinct terms there will be.
	expected int
	// spare holds entries that were allocated together.
	spare []index.TokenFreq
}

func (c *termCounter) add(term string) {
	if c.frequencies == nil {
		c.frequencies = make(index.TokenFrequencies, c.expected)
	}
	c.length++
	entry, ok := c.frequencies[term]
	if !ok {
		if len(c.spare) == 0 {
			c.spare = make([]index.TokenFreq, max(1, c.expected/2))
		}
		entry, c.spare = &c.spare[0], c.spare[1:]
		entry.Term = []byte(term)
		c.frequencies[term] = entry
	}
	entry.SetFrequency(entry.Frequency() + 1)
}

// textField returns the field that is scored.
func (c *termCounter) textField() *field {
	return &field{name: fieldText, options: index.IndexField, terms: c.frequencies, length: c.length}
}

// filterField returns a field of terms without frequencies.
func filterField(terms []string) *field {
	frequencies := make(index.TokenFrequencies, len(terms))
	for _, term := range terms {
		frequencies[term] = &index.TokenFreq{Term: []byte(term)}
	}
	return &field{name: fieldFilter, options: index.IndexField | index.SkipFreqNorm, terms: frequencies, length: len(terms)}
}
