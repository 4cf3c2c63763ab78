package bleve

import (
	"encoding/binary"
	"math/bits"
)

// windowRecords is how many records are scored at a time: few enough for their
// sums to stay in the fastest cache.
const (
	windowRecords = 4096
	windowWords   = windowRecords / 64
)

// window holds the sums of a stretch of records. It is all zero between uses.
type window struct {
	sums    [windowRecords]float64
	touched [windowWords]uint64
}

// flatCursor walks through the postings of one term, chunk by chunk.
type flatCursor struct {
	flat   *flat
	term   flatTerm
	norms  []float64
	model  bm25
	weight float64
	// next is the next entry of the chunk directory, or the next posting of a
	// term that is not chunked.
	next int
	// The chunk at hand: a list of 32-bit postings with a position in it, or a
	// bitmap with ranks and codes. Both are nil where the term does not occur.
	chunk              uint32
	list               []byte
	words, ranks, tail []byte
	own                []byte // the list of a term that is not chunked
}

func (c *flatCursor) chunkEntry(i int) (id, count, offset uint32) {
	e := c.term.data[2*c.term.frontier+i*chunkEntrySize:]
	return binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:]), binary.LittleEndian.Uint32(e[8:])
}

// load goes to a chunk. Chunks must be visited in rising order.
func (c *flatCursor) load(chunk uint32) {
	c.chunk, c.list, c.words = chunk, nil, nil
	if c.term.chunks == 0 {
		c.loadSparse(chunk)
		return
	}
	for ; c.next < c.term.chunks; c.next++ {
		id, count, offset := c.chunkEntry(c.next)
		if id > chunk {
			return
		}
		if id < chunk {
			continue
		}
		body := c.term.data[offset:]
		if count < bitmapFrom {
			c.list = body[:4*count]
			return
		}
		c.words, body = body[:8*chunkWords], body[8*chunkWords:]
		c.ranks, body = body[:2*chunkWords], body[2*chunkWords:]
		c.tail = body[:2*count]
		return
	}
}

// loadSparse gathers the postings of a term that is not chunked.
func (c *flatCursor) loadSparse(chunk uint32) {
	count := int(c.term.count)
	records := c.term.data[2*c.term.frontier:]
	codes := records[4*count:]
	c.own = c.own[:0]
	for ; c.next < count; c.next++ {
		record := binary.LittleEndian.Uint32(records[4*c.next:])
		if record>>chunkBits > chunk {
			break
		}
		if record>>chunkBits == chunk {
			code := uint32(binary.LittleEndian.Uint16(codes[2*c.next:]))
			c.own = binary.LittleEndian.AppendUint32(c.own, record<<chunkBits|code)
		}
	}
	c.list = c.own
}

// nextChunk returns the next chunk from that at hand on in which the term
// occurs, or false.
func (c *flatCursor) nextChunk(from uint32) (uint32, bool) {
	if c.term.chunks == 0 {
		count := int(c.term.count)
		records := c.term.data[2*c.term.frontier:]
		for i := c.next; i < count; i++ {
			if id := binary.LittleEndian.Uint32(records[4*i:]) >> chunkBits; id >= from {
				return id, true
			}
		}
		return 0, false
	}
	for i := c.next; i < c.term.chunks; i++ {
		if id, _, _ := c.chunkEntry(i); id >= from {
			return id, true
		}
	}
	return 0, false
}

// share returns the term's share in the score of a record of the chunk with a
// code.
func (c *flatCursor) share(low, code uint32) (float64, error) {
	if int(code) < len(c.norms) {
		return c.weight * c.norms[code], nil
	}
	tf, length, err := c.flat.escaped(c.term.number, c.chunk<<chunkBits|low)
	return c.weight * c.model.norm(uint64(tf), uint64(length)), err
}

// accumulate adds the term's shares to a window that starts at first, a record
// number within the chunk. The windows of a chunk must be visited in rising
// order.
func (c *flatCursor) accumulate(w *window, first uint32) error {
	if c.words != nil {
		return c.accumulateBitmap(w, first)
	}
	list, end := c.list, (first+windowRecords)<<chunkBits-1
	if first+windowRecords == chunkRecords {
		end = 1<<32 - 1
	}
	norms, weight := c.norms, c.weight
	for ; len(list) >= 4; list = list[4:] {
		posting := binary.LittleEndian.Uint32(list)
		if posting > end {
			break
		}
		low, code := posting>>chunkBits, posting&0xffff
		if low < first {
			continue
		}
		var share float64
		if int(code) < len(norms) {
			share = weight * norms[code]
		} else {
			var err error
			if share, err = c.share(low, code); err != nil {
				return err
			}
		}
		i := low % windowRecords
		w.sums[i] += share
		w.touched[i/64] |= 1 << (i % 64)
	}
	c.list = list
	return nil
}

func (c *flatCursor) accumulateBitmap(w *window, first uint32) error {
	at := first / 64
	words := c.words[8*at : 8*(at+windowWords)]
	codes := c.tail[2*int(binary.LittleEndian.Uint16(c.ranks[2*at:])):]
	norms, weight := c.norms, c.weight
	for n := range w.touched {
		word := binary.LittleEndian.Uint64(words[8*n:])
		w.touched[n] |= word
		sums := w.sums[64*n : 64*n+64 : 64*n+64]
		for ; word != 0; word &= word - 1 {
			i := bits.TrailingZeros64(word)
			code := uint32(binary.LittleEndian.Uint16(codes))
			codes = codes[2:]
			if int(code) < len(norms) {
				sums[i&63] += weight * norms[code]
				continue
			}
			share, err := c.share(first+uint32(64*n+i), code)
			if err != nil {
				return err
			}
			sums[i&63] += share
		}
	}
	return nil
}

// seek returns the term's share in the score of one record of the chunk, 0 if
// the record does not have the term. Records must be asked for in rising order.
func (c *flatCursor) seek(low uint32) (float64, error) {
	if c.words != nil {
		at := low / 64
		word := binary.LittleEndian.Uint64(c.words[8*at:])
		if word>>(low%64)&1 == 0 {
			return 0, nil
		}
		rank := int(binary.LittleEndian.Uint16(c.ranks[2*at:])) + bits.OnesCount64(word&(1<<(low%64)-1))
		return c.share(low, uint32(binary.LittleEndian.Uint16(c.tail[2*rank:])))
	}
	c.skip(low)
	if len(c.list) < 4 {
		return 0, nil
	}
	posting := binary.LittleEndian.Uint32(c.list)
	if posting>>chunkBits != low {
		return 0, nil
	}
	return c.share(low, posting&0xffff)
}

// skip moves the list to the first posting at or after a record, in steps that
// double and then halve.
func (c *flatCursor) skip(low uint32) {
	list, target := c.list, low<<chunkBits
	n := len(list) / 4
	if n == 0 || binary.LittleEndian.Uint32(list) >= target {
		return
	}
	// The posting at before is too low, the one at after is not, or is none.
	before, step := 0, 1
	for before+step < n && binary.LittleEndian.Uint32(list[4*(before+step):]) < target {
		before += step
		step *= 2
	}
	after := min(before+step, n)
	for before+1 < after {
		middle := (before + after) / 2
		if binary.LittleEndian.Uint32(list[4*middle:]) < target {
			before = middle
		} else {
			after = middle
		}
	}
	c.list = list[4*after:]
}
