package bleve

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/blevesearch/vellum"
	zap "github.com/blevesearch/zapx/v17"
	"github.com/golang/snappy"
)

func init() { scorch.RegisterSegmentPlugin(&segmentPlugin{ZapPlugin: &zap.ZapPlugin{}}, true) }

// segmentPlugin makes segments in zap's format, byte by byte as zap makes them
// (TestSegmentsAreZaps), but from what was analysed already: without a map for
// each passage and field, without doc values and positions that nobody asks for,
// and in the order of keys, so that a document lies beside its passages. All
// else (opening, merging) is zap's.
type segmentPlugin struct {
	*zap.ZapPlugin
	writers sync.Pool // of *segmentWriter
}

// New implements [scorch.SegmentPlugin].
func (p *segmentPlugin) New(documents []index.Document) (segment.Segment, uint64, error) {
	return p.NewUsing(documents, nil)
}

// NewUsing implements [scorch.SegmentPlugin].
func (p *segmentPlugin) NewUsing(documents []index.Document, config map[string]any) (segment.Segment, uint64, error) {
	records := make([]*record, len(documents))
	for i, d := range documents {
		r, ok := d.(*record)
		if !ok {
			return p.ZapPlugin.NewUsing(documents, config)
		}
		records[i] = r
	}
	if len(records) == 0 || len(records) > math.MaxInt32 {
		return p.ZapPlugin.NewUsing(documents, config)
	}
	slices.SortFunc(records, compareRecords)
	w, _ := p.writers.Get().(*segmentWriter)
	if w == nil {
		w = &segmentWriter{}
	}
	made, err := w.write(records, config)
	if err != nil {
		return nil, 0, fmt.Errorf("make a segment of %d records: %w", len(records), err)
	}
	size := uint64(len(w.out))
	// The segment has it, and another may have the writer.
	w.out = nil
	p.writers.Put(w)
	return made, size, nil
}

// MergeUsing implements [scorch.SegmentPlugin]. It runs in scorch's background,
// where a mapped file that was cut short would end the process.
func (p *segmentPlugin) MergeUsing(segments []segment.Segment, drops []*roaring.Bitmap, path string, stop chan struct{},
	stats segment.StatsReporter, config map[string]any) (numbers [][]uint64, size uint64, err error) {
	err = guard(func() (err error) {
		numbers, size, err = p.ZapPlugin.MergeUsing(segments, drops, path, stop, stats, config)
		return err
	})
	return numbers, size, err
}

// compareRecords puts a document before its passages and these in their order.
func compareRecords(a, b *record) int { return cmp.Compare(a.key[1:], b.key[1:]) }

// segmentWriter writes one segment after the other. What it keeps between them
// is memory.
type segmentWriter struct {
	out     []byte
	records []*record

	inverted inverted
	compact  []byte // a stored record
	body     []byte // frequencies and lengths of a term
	ends     []int
	bitmap   *roaring.Bitmap
	bits     bytes.Buffer
	fst      bytes.Buffer
	builder  *vellum.Builder
}

// segmentField is a field that a segment has.
type segmentField struct {
	name    string
	options index.FieldIndexingOptions
	// each calls add with the terms of a record, how often it has them, and the
	// length that is kept beside, all 0 if the field skips them.
	each func(r *record, add func(term string, count, length int))
}

// segmentFields returns the fields that the records have: the key first, the
// others sorted by name, as zap numbers them.
func segmentFields(records []*record) []segmentField {
	fields := []segmentField{{fieldID, optionsID, func(r *record, add func(string, int, int)) { add(r.key, 1, 1) }}}
	if slices.ContainsFunc(records, func(r *record) bool { return len(r.filter) > 0 }) {
		fields = append(fields, segmentField{fieldFilter, optionsFilter, func(r *record, add func(string, int, int)) {
			for _, term := range r.filter {
				add(term, 0, 0)
			}
		}})
	}
	fields = append(fields, segmentField{fieldRecord, optionsRecord, func(*record, func(string, int, int)) {}})
	if slices.ContainsFunc(records, func(r *record) bool { return r.passage }) {
		fields = append(fields, segmentField{fieldText, optionsText, func(r *record, add func(string, int, int)) {
			for i := range r.text {
				add(r.text[i].term, int(r.text[i].count), r.length)
			}
		}})
	}
	return fields
}

// write makes a segment of the records, in their order.
func (w *segmentWriter) write(records []*record, config map[string]any) (segment.Segment, error) {
	w.records = records
	defer func() { w.records = nil }()
	fields := segmentFields(records)
	size := 0
	for _, r := range records {
		size += len(r.key) + len(r.stored) + 4*len(r.text) + 32
	}
	// The segment keeps it.
	w.out = make([]byte, 0, size)
	storedAt := w.storedRecords(slices.IndexFunc(fields, func(f segmentField) bool { return f.name == fieldRecord }))
	addresses := make([]uint64, len(fields))
	for i, f := range fields {
		var err error
		if addresses[i], err = w.postings(f); err != nil {
			return nil, err
		}
	}
	fieldsAt := w.fieldList(fields, addresses)
	stats, _ := config[segment.StatsKey].(*segment.Stats)
	if stats == nil {
		stats = &segment.Stats{}
	}
	return zap.InitSegmentBase(w.out, crc32.ChecksumIEEE(w.out), zap.DefaultChunkMode, uint64(len(records)), storedAt, fieldsAt, config, stats)
}

func (w *segmentWriter) uvarints(numbers ...uint64) {
	for _, n := range numbers {
		w.out = binary.AppendUvarint(w.out, n)
	}
}

// storedRecords writes what is stored of the records, and where each lies; number
// is that of the field. It returns the place of the latter.
func (w *segmentWriter) storedRecords(number int) uint64 {
	offsets := make([]uint64, len(w.records))
	var head []byte
	for i, r := range w.records {
		offsets[i] = uint64(len(w.out))
		if room := snappy.MaxEncodedLen(len(r.stored)); cap(w.compact) < room {
			w.compact = make([]byte, room)
		}
		compact := snappy.Encode(w.compact[:cap(w.compact)], r.stored)
		// The length of the key, then of each value its field, type, offset,
		// length and number of array positions.
		head = head[:0]
		for _, n := range [...]uint64{uint64(len(r.key)), uint64(number), storedType, 0, uint64(len(r.stored)), 0} {
			head = binary.AppendUvarint(head, n)
		}
		w.uvarints(uint64(len(head)), uint64(len(r.key)+len(compact)))
		w.out = append(w.out, head...)
		w.out = append(w.out, r.key...)
		w.out = append(w.out, compact...)
	}
	at := uint64(len(w.out))
	for _, offset := range offsets {
		w.out = binary.BigEndian.AppendUint64(w.out, offset)
	}
	w.uvarints(0) // records within records
	return at
}

// notThere stands for no doc values.
const notThere = math.MaxUint64

// postings writes the postings and the dictionary of a field, and returns the
// place of what leads there.
func (w *segmentWriter) postings(f segmentField) (uint64, error) {
	w.inverted.fill(w.records, f)
	w.fst.Reset()
	var err error
	if w.builder == nil {
		w.builder, err = vellum.New(&w.fst, nil)
	} else {
		err = w.builder.Reset(&w.fst)
	}
	if err != nil {
		return 0, err
	}
	for _, n := range w.inverted.order {
		start, end := w.inverted.starts[n], w.inverted.starts[n+1]
		at, err := w.term(w.inverted.postings[start:end])
		if err != nil {
			return 0, err
		}
		if err := w.builder.Insert([]byte(w.inverted.terms[n]), at); err != nil {
			return 0, err
		}
	}
	if err := w.builder.Close(); err != nil {
		return 0, err
	}
	dictionaryAt := uint64(len(w.out))
	w.uvarints(uint64(w.fst.Len()))
	w.out = append(w.out, w.fst.Bytes()...)
	at := uint64(len(w.out))
	w.uvarints(notThere, notThere, dictionaryAt)
	return at, nil
}

// chunkPostings is for how many postings of a term there is a chunk more.
const chunkPostings = 1024

// term writes the postings of a term: frequencies and lengths in chunks of equal
// ranges of records, then the records. It returns the place of what leads there.
func (w *segmentWriter) term(postings []occurrence) (uint64, error) {
	chunkSize := len(w.records) / (len(postings)/chunkPostings + 1)
	if chunkSize == 0 {
		return 0, fmt.Errorf("%d postings in %d records", len(postings), len(w.records))
	}
	w.body, w.ends = w.body[:0], w.ends[:0]
	if w.bitmap == nil {
		w.bitmap = roaring.New()
	}
	w.bitmap.Clear()
	for _, p := range postings {
		for chunk := int(p.record) / chunkSize; len(w.ends) < chunk; {
			w.ends = append(w.ends, len(w.body))
		}
		// The lowest bit says whether there are positions.
		w.body = binary.AppendUvarint(w.body, uint64(p.count)<<1)
		if p.count > 0 {
			w.body = binary.AppendUvarint(w.body, uint64(p.length))
		}
		w.bitmap.Add(p.record)
	}
	for chunks := (len(w.records)-1)/chunkSize + 1; len(w.ends) < chunks; {
		w.ends = append(w.ends, len(w.body))
	}
	bodyAt := uint64(len(w.out))
	w.uvarints(uint64(len(w.ends)))
	for _, end := range w.ends {
		w.uvarints(uint64(end))
	}
	w.out = append(w.out, w.body...)
	at := uint64(len(w.out))
	w.uvarints(bodyAt, 0) // no positions
	w.bits.Reset()
	if _, err := w.bitmap.WriteTo(&w.bits); err != nil {
		return 0, err
	}
	w.uvarints(uint64(w.bits.Len()))
	w.out = append(w.out, w.bits.Bytes()...)
	return at, nil
}

// fieldList writes the fields and returns the place of their list.
func (w *segmentWriter) fieldList(fields []segmentField, addresses []uint64) uint64 {
	offsets := make([]uint64, len(fields))
	for i, f := range fields {
		offsets[i] = uint64(len(w.out))
		w.uvarints(uint64(len(f.name)))
		w.out = append(w.out, f.name...)
		w.uvarints(uint64(f.options), 1) // one section: the postings
		w.out = binary.BigEndian.AppendUint16(w.out, zap.SectionInvertedTextIndex)
		w.out = binary.BigEndian.AppendUint64(w.out, addresses[i])
	}
	at := uint64(len(w.out))
	w.uvarints(uint64(len(fields)))
	for _, offset := range offsets {
		w.out = binary.BigEndian.AppendUint64(w.out, offset)
	}
	return at
}

// occurrence is one record's part in a term.
type occurrence struct{ record, count, length uint32 }

// inverted holds the postings of one field, by term.
type inverted struct {
	numbers map[string]uint32
	terms   []string // by number
	order   []uint32 // numbers in the order of terms
	last    []uint32 // by number: the last record that has the term, one more
	// starts is where the postings of a term begin; one entry more.
	starts   []uint32
	next     []uint32
	postings []occurrence
	// seen has the terms of all records, one after the other, with repetitions.
	seen []uint32
}

// repeated marks a term that its record had before.
const repeated = math.MaxUint32

// fill turns the terms of records into the records of terms.
func (v *inverted) fill(records []*record, f segmentField) {
	if v.numbers == nil {
		v.numbers = map[string]uint32{}
	}
	clear(v.numbers)
	clear(v.terms) // they keep texts in memory
	v.terms, v.last, v.starts, v.seen = v.terms[:0], v.last[:0], v.starts[:0], v.seen[:0]
	for i, r := range records {
		f.each(r, func(term string, _, _ int) {
			n, ok := v.numbers[term]
			if !ok {
				n = uint32(len(v.terms))
				v.numbers[term] = n
				v.terms, v.last, v.starts = append(v.terms, term), append(v.last, 0), append(v.starts, 0)
			}
			if v.last[n] == uint32(i+1) {
				v.seen = append(v.seen, repeated)
				return
			}
			v.last[n] = uint32(i + 1)
			v.starts[n]++
			v.seen = append(v.seen, n)
		})
	}
	sum := uint32(0)
	for n, count := range v.starts {
		v.starts[n] = sum
		sum += count
	}
	v.next = append(v.next[:0], v.starts...)
	v.starts = append(v.starts, sum)
	v.postings = slices.Grow(v.postings[:0], int(sum))[:sum]
	at := 0
	for i, r := range records {
		f.each(r, func(_ string, count, length int) {
			n := v.seen[at]
			at++
			if n == repeated {
				return
			}
			v.postings[v.next[n]] = occurrence{uint32(i), uint32(count), uint32(length)}
			v.next[n]++
		})
	}
	v.order = v.order[:0]
	for n := range v.terms {
		v.order = append(v.order, uint32(n))
	}
	slices.SortFunc(v.order, func(a, b uint32) int { return cmp.Compare(v.terms[a], v.terms[b]) })
}
