package bleve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	segment "github.com/blevesearch/scorch_segment_api/v2"
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

// buildFlat writes the flat file of a segment to path. The file appears there
// whole or not at all; it is not synced, because a damaged one is noticed and
// made anew.
func buildFlat(ctx context.Context, path string, s segment.Segment, segmentCRC uint32) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), prefixUnfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = writeFlat(ctx, file, s, segmentCRC)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// prefixUnfinished starts the names of flat files that are being written.
const prefixUnfinished = ".writing-"

func writeFlat(ctx context.Context, file *os.File, s segment.Segment, segmentCRC uint32) error {
	if _, err := file.Write(make([]byte, flatHeaderSize)); err != nil {
		return err
	}
	w := newFlatWriter(file)
	if err := copyPostings(ctx, w, s); err != nil {
		return err
	}
	parents, ranks, err := family(ctx, s)
	if err != nil {
		return err
	}
	header, err := w.finish(segmentCRC, parents, ranks)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(header.encode(), 0)
	return err
}

// copyPostings copies the scored postings of a segment, those of deleted
// records too: deletions come and go without the segment's file changing.
func copyPostings(ctx context.Context, w *flatWriter, s segment.Segment) error {
	dictionary, err := s.Dictionary(fieldText)
	if err != nil {
		return err
	}
	terms := dictionary.AutomatonIterator(nil, nil, nil)
	var postings segment.PostingsList
	var iterator segment.PostingsIterator
	for {
		entry, err := terms.Next()
		if err != nil || entry == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		term := []byte(entry.Term)
		if postings, err = dictionary.PostingsList(term, nil, postings); err != nil {
			return err
		}
		iterator = postings.Iterator(true, true, false, iterator)
		for {
			posting, err := iterator.Next()
			if err != nil {
				return err
			}
			if posting == nil {
				break
			}
			length, ok := posting.(lengthKnower)
			if !ok {
				return fmt.Errorf("segment of type %T does not know the length of a passage", s)
			}
			tf, n := posting.Frequency(), length.NormUint64()
			if posting.Number() >= noRecord || tf > math.MaxUint32 || n > math.MaxUint32 {
				return errors.New("a posting is too large")
			}
			w.add(uint32(posting.Number()), uint32(tf), uint32(n))
		}
		if err := w.end(term); err != nil {
			return err
		}
	}
}

// family returns for each record of a segment the record of its document and
// its place in the order of keys.
func family(ctx context.Context, s segment.Segment) (parents, ranks []uint32, err error) {
	dictionary, err := s.Dictionary(fieldID)
	if err != nil {
		return nil, nil, err
	}
	parents, ranks = make([]uint32, s.Count()), make([]uint32, s.Count())
	// The keys of documents and those of passages are in the same order, and the
	// documents come first. The document of a key may be there twice: as it was
	// before and as it is now.
	type document struct {
		id     []byte
		record uint32
	}
	var documents []document
	keys := dictionary.AutomatonIterator(nil, nil, nil)
	var postings segment.PostingsList
	var iterator segment.PostingsIterator
	next, rank := 0, uint32(0)
	for {
		entry, err := keys.Next()
		if err != nil || entry == nil {
			return parents, ranks, err
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		key := []byte(entry.Term)
		if postings, err = dictionary.PostingsList(key, nil, postings); err != nil {
			return nil, nil, err
		}
		id := key[1:]
		if key[0] == passagePrefix[0] {
			id = id[:max(0, bytes.IndexByte(id, 0))]
			for next < len(documents) && bytes.Compare(documents[next].id, id) < 0 {
				next++
			}
		}
		rank++
		iterator = postings.Iterator(false, false, false, iterator)
		for {
			posting, err := iterator.Next()
			if err != nil {
				return nil, nil, err
			}
			if posting == nil {
				break
			}
			n := posting.Number()
			ranks[n], parents[n] = rank, noRecord
			switch {
			case key[0] == documentPrefix[0]:
				parents[n] = uint32(n)
				documents = append(documents, document{bytes.Clone(id), uint32(n)})
			case next < len(documents) && bytes.Equal(documents[next].id, id) &&
				(next+1 == len(documents) || !bytes.Equal(documents[next+1].id, id)):
				parents[n] = documents[next].record
			}
		}
	}
}
