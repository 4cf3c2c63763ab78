package bleve

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// flatWriter writes a flat file, term by term in rising order.
type flatWriter struct {
	out    *bufio.Writer
	sum    uint32
	offset uint64

	// The term at hand.
	records  []uint32
	codes    []uint16
	frontier frontier

	terms, strings []byte
	pairs          []pair
	codeOf         map[pair]uint16
	// known is codeOf for the pairs that nearly all postings have, one more
	// than the code, 0 for none.
	known   [knownFrequencies * knownLengths]uint16
	escapes []escape
	buffer  []byte
}

const (
	knownFrequencies = 16
	knownLengths     = 1024
)

// pair is what a posting's share in a score depends on.
type pair struct{ tf, length uint32 }

func newFlatWriter(w io.Writer) *flatWriter {
	f := &flatWriter{codeOf: map[pair]uint16{}, offset: flatHeaderSize}
	f.out = bufio.NewWriterSize(writerFunc(func(b []byte) (int, error) {
		f.sum = crc32.Update(f.sum, crcTable, b)
		return w.Write(b)
	}), 1<<20)
	return f
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// write writes; bufio keeps the first error for Flush.
func (f *flatWriter) write(b []byte) {
	_, _ = f.out.Write(b)
	f.offset += uint64(len(b))
}

// add adds a posting of the term at hand. Records must rise.
func (f *flatWriter) add(record, tf, length uint32) {
	f.records = append(f.records, record)
	f.codes = append(f.codes, f.code(record, pair{tf, length}))
	f.frontier.add(pair{tf, length})
}

func (f *flatWriter) code(record uint32, p pair) uint16 {
	small := p.tf < knownFrequencies && p.length < knownLengths
	slot := p.tf*knownLengths + p.length
	if small && f.known[slot] != 0 {
		return f.known[slot] - 1
	}
	code, ok := f.codeOf[p]
	switch {
	case ok:
		return code
	case len(f.pairs) == escapeCode:
		f.escapes = append(f.escapes, escape{uint32(len(f.terms) / termEntrySize), record, p.tf, p.length})
		return escapeCode
	}
	code = uint16(len(f.pairs))
	f.pairs = append(f.pairs, p)
	f.codeOf[p] = code
	if small {
		f.known[slot] = code + 1
	}
	return code
}

// end ends the term at hand.
func (f *flatWriter) end(term []byte) error {
	if len(f.records) == 0 {
		return nil
	}
	if len(f.strings)+len(term) > math.MaxUint32 {
		return errors.New("its terms have more than 4 GiB")
	}
	head := f.buffer[:0]
	best := f.frontier.pairs()
	for _, p := range best {
		code, ok := f.codeOf[p]
		if !ok {
			code = escapeCode
		}
		head = binary.LittleEndian.AppendUint16(head, code)
	}
	start, chunks := f.offset, 0
	var body []byte
	if len(f.records) <= sparseUpTo {
		body = f.sparse(head)
	} else {
		var err error
		if body, chunks, err = f.chunked(head); err != nil {
			return err
		}
	}
	f.write(body)
	f.buffer = body
	f.entry(uint32(len(f.records)), start, len(best), chunks)
	f.strings = append(f.strings, term...)
	f.records, f.codes = f.records[:0], f.codes[:0]
	f.frontier.reset()
	return nil
}

func (f *flatWriter) entry(count uint32, offset uint64, frontier, chunks int) {
	f.terms = binary.LittleEndian.AppendUint32(f.terms, uint32(len(f.strings)))
	f.terms = binary.LittleEndian.AppendUint32(f.terms, count)
	f.terms = binary.LittleEndian.AppendUint64(f.terms, offset)
	f.terms = binary.LittleEndian.AppendUint32(f.terms, uint32(frontier))
	f.terms = binary.LittleEndian.AppendUint32(f.terms, uint32(chunks))
}

func (f *flatWriter) sparse(b []byte) []byte {
	for _, record := range f.records {
		b = binary.LittleEndian.AppendUint32(b, record)
	}
	for _, code := range f.codes {
		b = binary.LittleEndian.AppendUint16(b, code)
	}
	return b
}

// chunked appends the directory and the chunks of the term at hand.
func (f *flatWriter) chunked(b []byte) ([]byte, int, error) {
	type stretch struct{ from, to int }
	var parts []stretch
	for i, record := range f.records {
		if i == 0 || record>>chunkBits != f.records[i-1]>>chunkBits {
			parts = append(parts, stretch{from: i})
		}
		parts[len(parts)-1].to = i + 1
	}
	directory := len(b)
	b = append(b, make([]byte, len(parts)*chunkEntrySize)...)
	for i, part := range parts {
		if len(b) > math.MaxUint32 {
			return nil, 0, errors.New("a term has more than 4 GiB of postings")
		}
		e := b[directory+i*chunkEntrySize:]
		binary.LittleEndian.PutUint32(e, f.records[part.from]>>chunkBits)
		binary.LittleEndian.PutUint32(e[4:], uint32(part.to-part.from))
		binary.LittleEndian.PutUint32(e[8:], uint32(len(b)))
		records, codes := f.records[part.from:part.to], f.codes[part.from:part.to]
		if len(records) < bitmapFrom {
			for j, record := range records {
				b = binary.LittleEndian.AppendUint32(b, record<<chunkBits|uint32(codes[j]))
			}
			continue
		}
		b = appendBitmap(b, records, codes)
	}
	return b, len(parts), nil
}

func appendBitmap(b []byte, records []uint32, codes []uint16) []byte {
	var words [chunkWords]uint64
	var ranks [chunkWords]uint16
	for _, record := range records {
		low := record % chunkRecords
		words[low/64] |= 1 << (low % 64)
		if low/64+1 < chunkWords {
			ranks[low/64+1]++
		}
	}
	for _, word := range words {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	sum := uint16(0)
	for _, n := range ranks {
		sum += n
		b = binary.LittleEndian.AppendUint16(b, sum)
	}
	for _, code := range codes {
		b = binary.LittleEndian.AppendUint16(b, code)
	}
	return b
}

// finish writes what comes after the postings and returns the header and the
// file's checksum, which are left to the caller to write.
func (f *flatWriter) finish(segmentCRC uint32, parents, ranks []uint32) (flatHeader, error) {
	h := flatHeader{
		SegmentCRC: segmentCRC, Records: uint32(len(parents)), Terms: uint32(len(f.terms) / termEntrySize),
		Codes: uint32(len(f.pairs)), Escapes: uint32(len(f.escapes)),
	}
	h.TermsAt = f.offset
	f.entry(0, 0, 0, 0)
	f.write(f.terms)
	h.StringsAt = f.offset
	f.write(f.strings)
	h.CodesAt = f.offset
	numbers := func(list ...uint32) {
		b := f.buffer[:0]
		for _, n := range list {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
		f.write(b)
	}
	for _, p := range f.pairs {
		numbers(p.tf, p.length)
	}
	h.EscapesAt = f.offset
	for _, e := range f.escapes {
		numbers(e.term, e.record, e.tf, e.length)
	}
	h.ParentsAt = f.offset
	numbers(parents...)
	h.RanksAt = f.offset
	numbers(ranks...)
	h.Size = f.offset + 4
	if err := f.out.Flush(); err != nil {
		return h, err
	}
	sum := crc32.Update(f.sum, crcTable, h.encode())
	f.write(binary.LittleEndian.AppendUint32(nil, sum))
	return h, f.out.Flush()
}

// frontier gathers the pairs of a term that no other pair beats in both
// frequency and length.
type frontier struct {
	// shortest holds the shortest length of each frequency, one more, 0 for
	// none.
	shortest [knownFrequencies]uint32
	rare     map[uint32]uint32
}

func (f *frontier) reset() {
	f.shortest = [knownFrequencies]uint32{}
	clear(f.rare)
}

func (f *frontier) add(p pair) {
	if p.tf < knownFrequencies {
		if n := &f.shortest[p.tf]; *n == 0 || p.length < *n-1 {
			*n = p.length + 1
		}
		return
	}
	if f.rare == nil {
		f.rare = map[uint32]uint32{}
	}
	if n, ok := f.rare[p.tf]; !ok || p.length < n {
		f.rare[p.tf] = p.length
	}
}

func (f *frontier) pairs() []pair {
	var all, best []pair
	for tf, n := range f.shortest {
		if n > 0 {
			all = append(all, pair{uint32(tf), n - 1})
		}
	}
	for tf, length := range f.rare {
		all = append(all, pair{tf, length})
	}
	slices.SortFunc(all, func(a, b pair) int { return int(b.tf) - int(a.tf) })
	for _, p := range all {
		if len(best) == 0 || p.length < best[len(best)-1].length {
			best = append(best, p)
		}
	}
	return best
}
