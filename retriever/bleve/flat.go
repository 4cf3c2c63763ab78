package bleve

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/blevesearch/mmap-go"
)

// A flat file is a copy of one segment's scored postings in a shape that can be
// searched without decoding. It is derived from the segment, tied to it by the
// segment's checksum, and may vanish at any time: a segment without one is
// scored from the engine's own postings, to the same bits.
//
// All numbers are little endian.
//
//	header     magic, version, segment checksum, counts, section offsets
//	postings   for each term: frontier, chunk directory, chunks
//	terms      an entry of 24 bytes each, sorted by term, and a last one
//	strings    the terms, one after the other
//	codes      the distinct pairs (term frequency, length), 8 bytes each
//	escapes    postings whose pair has no code, 16 bytes each, sorted
//	parents    for each record the record of its document
//	ranks      for each record its place in the order of keys
//	checksum   CRC-32C of all between header and checksum, then the header
//
// A posting is a record number and the code of its pair, so that a query
// computes each pair's share of a score once and looks it up afterwards. Records
// are grouped in chunks of 65,536, as in a roaring bitmap: a chunk with few
// postings is a list of 16-bit record number and 16-bit code, a chunk with many
// is a bitmap with the rank before each of its words, and the codes in order. A
// term with few postings is not chunked.
//
// A frontier holds the codes of a term's pairs that no other pair of the term
// beats in both frequency and length. The best score of a term is among them
// whatever k1, b and the average length are.
const (
	flatMagic      = "NDLFLAT\n"
	flatVersion    = 1
	flatHeaderSize = 96
	termEntrySize  = 24
	chunkEntrySize = 12

	chunkBits    = 16
	chunkRecords = 1 << chunkBits
	chunkWords   = chunkRecords / 64
	// bitmapFrom is the number of postings from which a chunk is smaller as a
	// bitmap.
	bitmapFrom = (chunkWords*8 + chunkWords*2) / 2
	// sparseUpTo is the number of postings up to which a term is not chunked.
	sparseUpTo = 256
	// escapeCode stands for a pair that has no code.
	escapeCode = 0xffff
	// noRecord stands for no record.
	noRecord = 0xffffffff
)

// errStale reports a flat file that is not of this segment or not whole.
var errStale = errors.New("the flat file does not fit its segment")

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// flatHeader is the head of a flat file.
type flatHeader struct {
	SegmentCRC                                                 uint32
	Records, Terms, Codes, Escapes                             uint32
	TermsAt, StringsAt, CodesAt, EscapesAt, ParentsAt, RanksAt uint64
	Size                                                       uint64
}

func (h *flatHeader) encode() []byte {
	b := make([]byte, 0, flatHeaderSize)
	b = append(b, flatMagic...)
	for _, n := range [...]uint32{flatVersion, h.SegmentCRC, h.Records, h.Terms, h.Codes, h.Escapes} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	for _, n := range [...]uint64{h.TermsAt, h.StringsAt, h.CodesAt, h.EscapesAt, h.ParentsAt, h.RanksAt, h.Size} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return append(b, make([]byte, flatHeaderSize-len(b))...)
}

// decodeFlatHeader reads the head of a file of size bytes and checks that its
// sections lie in the file.
func decodeFlatHeader(b []byte, size uint64) (flatHeader, error) {
	var h flatHeader
	if len(b) < flatHeaderSize || string(b[:8]) != flatMagic || binary.LittleEndian.Uint32(b[8:]) != flatVersion {
		return h, errStale
	}
	for i, n := range [...]*uint32{&h.SegmentCRC, &h.Records, &h.Terms, &h.Codes, &h.Escapes} {
		*n = binary.LittleEndian.Uint32(b[12+4*i:])
	}
	for i, n := range [...]*uint64{&h.TermsAt, &h.StringsAt, &h.CodesAt, &h.EscapesAt, &h.ParentsAt, &h.RanksAt, &h.Size} {
		*n = binary.LittleEndian.Uint64(b[32+8*i:])
	}
	at := []uint64{
		flatHeaderSize, h.TermsAt, h.StringsAt, h.CodesAt, h.EscapesAt, h.ParentsAt, h.RanksAt, size - 4,
	}
	fits := h.Size == size && slices.IsSorted(at) && h.Codes <= escapeCode &&
		h.StringsAt-h.TermsAt == (uint64(h.Terms)+1)*termEntrySize &&
		h.EscapesAt-h.CodesAt == uint64(h.Codes)*8 && h.ParentsAt-h.EscapesAt == uint64(h.Escapes)*16 &&
		h.RanksAt-h.ParentsAt == uint64(h.Records)*4 && size-4-h.RanksAt == uint64(h.Records)*4
	if !fits {
		return h, errStale
	}
	return h, nil
}

// flat is an open flat file. It is safe for concurrent use until it is closed.
type flat struct {
	flatHeader
	data mmap.MMap

	terms, strings, codes, escapes, parents, ranks []byte

	// norms is the table of the model that was used last.
	norms atomic.Pointer[normTable]
	// users counts the queries that use the file, and one for the owner.
	users atomic.Int64
}

// normTable holds a model's value for each code.
type normTable struct {
	model  bm25
	values []float64
}

// openFlat maps the file at path if it is whole and that of the segment. Its
// error wraps errStale if it is not.
func openFlat(path string, segmentCRC uint32, records uint64) (_ *flat, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < flatHeaderSize+4 {
		return nil, errStale
	}
	data, err := mmap.Map(file, mmap.RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, data.Unmap())
		}
	}()
	f := &flat{data: data}
	if f.flatHeader, err = decodeFlatHeader(data, uint64(len(data))); err != nil {
		return nil, err
	}
	if f.SegmentCRC != segmentCRC || uint64(f.Records) != records {
		return nil, errStale
	}
	body := len(data) - 4
	sum := crc32.Checksum(data[flatHeaderSize:body], crcTable)
	if crc32.Update(sum, crcTable, data[:flatHeaderSize]) != binary.LittleEndian.Uint32(data[body:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errStale)
	}
	f.terms, f.strings = data[f.TermsAt:f.StringsAt], data[f.StringsAt:f.CodesAt]
	f.codes, f.escapes = data[f.CodesAt:f.EscapesAt], data[f.EscapesAt:f.ParentsAt]
	f.parents, f.ranks = data[f.ParentsAt:f.RanksAt], data[f.RanksAt:body]
	f.users.Store(1)
	return f, nil
}

// acquire reports whether the file may be used; release must follow if so.
func (f *flat) acquire() bool {
	for {
		n := f.users.Load()
		if n == 0 {
			return false
		}
		if f.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release ends a use; the last one unmaps the file.
func (f *flat) release() {
	if f.users.Add(-1) == 0 {
		// There is nothing to be done about a mapping that cannot be undone.
		_ = f.data.Unmap()
	}
}

// parent returns the record of a passage's document.
func (f *flat) parent(record uint64) (uint64, bool) {
	n := binary.LittleEndian.Uint32(f.parents[4*record:])
	return uint64(n), n != noRecord
}

// rank returns a record's place in the order of keys.
func (f *flat) rank(record uint64) uint32 { return binary.LittleEndian.Uint32(f.ranks[4*record:]) }

// pair returns the term frequency and length of a code.
func (f *flat) pair(code int) (tf, length uint32) {
	b := f.codes[8*code:]
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
}

// normsOf returns the model's value for each code.
func (f *flat) normsOf(model bm25) []float64 {
	if t := f.norms.Load(); t != nil && t.model == model {
		return t.values
	}
	t := &normTable{model: model, values: make([]float64, f.Codes)}
	for code := range t.values {
		tf, length := f.pair(code)
		t.values[code] = model.norm(uint64(tf), uint64(length))
	}
	f.norms.Store(t)
	return t.values
}

// flatTerm is a term's entry.
type flatTerm struct {
	number   uint32
	count    uint32
	data     []byte // from the frontier on
	frontier int    // number of codes
	chunks   int    // 0: not chunked
}

func (f *flat) stringOf(n int) []byte {
	e := f.terms[n*termEntrySize:]
	return f.strings[binary.LittleEndian.Uint32(e):binary.LittleEndian.Uint32(e[termEntrySize:])]
}

// term finds a term.
func (f *flat) term(text []byte) (flatTerm, bool) {
	n, ok := sort.Find(int(f.Terms), func(i int) int { return bytes.Compare(text, f.stringOf(i)) })
	if !ok {
		return flatTerm{}, false
	}
	e := f.terms[n*termEntrySize:]
	return flatTerm{
		number: uint32(n), count: binary.LittleEndian.Uint32(e[4:]), data: f.data[binary.LittleEndian.Uint64(e[8:]):f.TermsAt],
		frontier: int(binary.LittleEndian.Uint32(e[16:])), chunks: int(binary.LittleEndian.Uint32(e[20:])),
	}, true
}

// bound returns the most that the model's norm can be for the term. The slack
// is far above what rounding can add up to.
func (t *flatTerm) bound(norms []float64, model bm25) float64 {
	best := 0.0
	for i := range t.frontier {
		code := int(binary.LittleEndian.Uint16(t.data[2*i:]))
		if code >= len(norms) {
			best = model.k1 + 1
			continue
		}
		best = max(best, norms[code])
	}
	return best * (1 + 1e-9)
}

// escape is a posting whose pair has no code.
type escape struct{ term, record, tf, length uint32 }

func compareEscapes(a, b escape) int {
	return cmp.Or(cmp.Compare(a.term, b.term), cmp.Compare(a.record, b.record))
}

// escaped returns the pair of a posting that has no code.
func (f *flat) escaped(term, record uint32) (tf, length uint32, err error) {
	read := func(i int) escape {
		b := f.escapes[16*i:]
		return escape{
			binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]),
			binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:]),
		}
	}
	i, ok := sort.Find(int(f.Escapes), func(i int) int { return compareEscapes(escape{term: term, record: record}, read(i)) })
	if !ok {
		return 0, 0, fmt.Errorf("%w: a posting has no frequency", errStale)
	}
	e := read(i)
	return e.tf, e.length, nil
}
