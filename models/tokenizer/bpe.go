package tokenizer

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
)

// bpe is byte-level byte pair encoding: the bytes of a word are merged pair by
// pair, the pair of the lowest rank first, of equal ones the leftmost.
type bpe struct {
	words        *wordTable // entries as raw bytes
	bytes        [256]int32
	merges       mergeTable
	ignoreMerges bool
}

// byteOf inverts the mapping of bytes to printable characters by which
// byte-level vocabularies are written.
func byteOf(r rune) (byte, bool) {
	switch {
	case r >= '!' && r <= '~', r >= 0xA1 && r <= 0xAC, r >= 0xAE && r <= 0xFF:
		return byte(r), true
	case r < 0x100 || r > 0x143:
		return 0, false
	case r < 0x121:
		return byte(r - 0x100), true
	case r < 0x143:
		return byte(r - 0x121 + 0x7F), true
	}
	return 0xAD, true
}

// rawBytes returns the bytes that an entry stands for; ok is false for an entry
// that no text can give.
func rawBytes(token string) (raw string, ok bool) {
	var b strings.Builder
	for _, r := range token {
		c, ok := byteOf(r)
		if !ok {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

func newBPE(spec modelSpec) (*bpe, error) {
	var options struct {
		dropout        *float64
		prefix, suffix *string
		ignoreMerges   bool
	}
	for name, value := range map[string]any{
		"dropout": &options.dropout, "continuing_subword_prefix": &options.prefix,
		"end_of_word_suffix": &options.suffix, "ignore_merges": &options.ignoreMerges,
	} {
		if err := spec.option(name, value); err != nil {
			return nil, err
		}
	}
	switch {
	case options.dropout != nil && *options.dropout != 0:
		return nil, unsupported("model.dropout")
	case options.prefix != nil && *options.prefix != "":
		return nil, unsupported("model.continuing_subword_prefix")
	case options.suffix != nil && *options.suffix != "":
		return nil, unsupported("model.end_of_word_suffix")
	}
	m := &bpe{ignoreMerges: options.ignoreMerges, merges: newMergeTable(len(spec.merges))}
	size := 0
	for _, e := range spec.vocabulary {
		size += len(e.token)
	}
	ids := newWordTable(len(spec.vocabulary), size)
	m.words = newWordTable(len(spec.vocabulary), size)
	for i := range m.bytes {
		m.bytes[i] = -1
	}
	for _, e := range spec.vocabulary {
		ids.add(e.token, e.id)
		raw, ok := rawBytes(e.token)
		if !ok {
			continue
		}
		m.words.add(raw, e.id)
		if len(raw) == 1 {
			m.bytes[raw[0]] = e.id
		}
	}
	for b, id := range m.bytes {
		if id < 0 {
			return nil, unsupported("model.vocab without an entry for the byte 0x%02X", b)
		}
	}
	for rank, pair := range spec.merges {
		left, ok1 := ids.get(pair[0])
		right, ok2 := ids.get(pair[1])
		merged, ok3 := ids.get(pair[0] + pair[1])
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("model.merges: %q and %q, or both together, are not in the vocabulary", pair[0], pair[1])
		}
		m.merges.add(left, right, int32(rank), merged)
	}
	return m, nil
}

// A mergeTable says what two neighbours become, and how soon.
type mergeTable struct {
	slots []mergeSlot
	shift uint
}

type mergeSlot struct {
	pair   uint64 // one more than the pair; 0 marks a free slot
	rank   int32
	merged int32
}

func newMergeTable(n int) mergeTable {
	size := bits.Len(uint(n*2 | 15))
	return mergeTable{make([]mergeSlot, 1<<size), uint(64 - size)}
}

func (t *mergeTable) slot(left, right int32) *mergeSlot {
	pair := uint64(left)<<32 | uint64(uint32(right)) + 1
	mask := uint64(len(t.slots) - 1)
	for at := mixHash(pair*hashBase) >> t.shift; ; at = (at + 1) & mask {
		if slot := &t.slots[at]; slot.pair == pair || slot.pair == 0 {
			return slot
		}
	}
}

func (t *mergeTable) add(left, right, rank, merged int32) {
	*t.slot(left, right) = mergeSlot{uint64(left)<<32 | uint64(uint32(right)) + 1, rank, merged}
}

const noMerge = 1<<31 - 1

func (t *mergeTable) get(left, right int32) (rank, merged int32) {
	if slot := t.slot(left, right); slot.pair != 0 {
		return slot.rank, slot.merged
	}
	return noMerge, 0
}

// A wordCache remembers how short words were cut. It belongs to one scratch, so
// it needs no lock.
type wordCache struct{ entries [1 << 12]cachedWord }

const (
	cachedBytes  = 24
	cachedTokens = 6
)

type cachedWord struct {
	key   [cachedBytes / 8]uint64
	ids   [cachedTokens]int32
	sizes [cachedTokens]uint8
	size  uint8 // bytes of the word, 0 in an empty entry
	n     uint8
}

func (c *wordCache) entry(word []byte) (entry *cachedWord, key [cachedBytes / 8]uint64) {
	var padded [cachedBytes]byte
	copy(padded[:], word)
	for i := range key {
		key[i] = binary.LittleEndian.Uint64(padded[8*i:])
	}
	hash := mixHash(key[0]*hashBase + key[1]*hashMix + key[2] + uint64(len(word)))
	return &c.entries[hash>>(64-12)], key
}

// A symbol is a part of a word that is being merged.
type symbol struct {
	id         int32
	size       int32 // bytes
	rank       int32 // of merging it with the next one
	merged     int32 // what it becomes
	prev, next int32
}

func (m *bpe) cut(word []byte, origin []int32, s *scratch) {
	if len(word) > cachedBytes {
		for _, x := range m.merge(word, s) {
			s.emit(x.id, origin[:x.size])
			origin = origin[x.size:]
		}
		return
	}
	if s.cache == nil {
		s.cache = new(wordCache)
	}
	e, key := s.cache.entry(word)
	if e.key != key || int(e.size) != len(word) {
		symbols := m.merge(word, s)
		if len(symbols) > cachedTokens {
			for _, x := range symbols {
				s.emit(x.id, origin[:x.size])
				origin = origin[x.size:]
			}
			return
		}
		e.key, e.size, e.n = key, uint8(len(word)), uint8(len(symbols))
		for i, x := range symbols {
			e.ids[i], e.sizes[i] = x.id, uint8(x.size)
		}
	}
	for i := range e.n {
		size := int(e.sizes[i])
		s.emit(e.ids[i], origin[:size])
		origin = origin[size:]
	}
}

// merge returns the tokens of a word; they are valid until the next call.
func (m *bpe) merge(word []byte, s *scratch) []symbol {
	symbols := s.symbols[:0]
	if m.ignoreMerges {
		if id, ok := m.words.find(word, hashOf(word)); ok {
			s.symbols = append(symbols, symbol{id: id, size: int32(len(word))})
			return s.symbols
		}
	}
	for i, b := range word {
		symbols = append(symbols, symbol{id: m.bytes[b], size: 1, rank: noMerge, prev: int32(i) - 1, next: int32(i) + 1})
	}
	for i := range len(symbols) - 1 {
		symbols[i].rank, symbols[i].merged = m.merges.get(symbols[i].id, symbols[i+1].id)
	}
	s.symbols = symbols
	if len(word) > maxScan {
		m.mergeByHeap(symbols, s)
	} else {
		return m.mergeByScan(symbols)
	}
	out := symbols[:0]
	for _, x := range symbols {
		if x.size > 0 {
			out = append(out, x)
		}
	}
	return out
}

// maxScan is the length up to which looking at all pairs for every merge is
// faster than keeping them in a heap.
const maxScan = 48

func (m *bpe) mergeByScan(symbols []symbol) []symbol {
	for {
		best, rank := -1, int32(noMerge)
		for i := range symbols {
			if symbols[i].rank < rank {
				best, rank = i, symbols[i].rank
			}
		}
		if best < 0 {
			return symbols
		}
		x := &symbols[best]
		x.id, x.size = x.merged, x.size+symbols[best+1].size
		symbols = append(symbols[:best+1], symbols[best+2:]...)
		x.rank = noMerge
		if best+1 < len(symbols) {
			x.rank, x.merged = m.merges.get(x.id, symbols[best+1].id)
		}
		if best > 0 {
			left := &symbols[best-1]
			left.rank, left.merged = m.merges.get(left.id, x.id)
		}
	}
}

// mergeByHeap marks the symbols that were merged into another with size 0.
func (m *bpe) mergeByHeap(symbols []symbol, s *scratch) {
	n := int32(len(symbols))
	h := mergeHeap(s.heap[:0])
	for i := range symbols {
		if symbols[i].rank != noMerge {
			h.push(symbols[i].rank, int32(i))
		}
	}
	for len(h) > 0 {
		rank, at := h.pop()
		x := &symbols[at]
		if x.size == 0 || x.rank != rank {
			continue // it has been merged since
		}
		gone := &symbols[x.next]
		x.id, x.size, x.next = x.merged, x.size+gone.size, gone.next
		gone.size = 0
		x.rank = noMerge
		if x.next < n {
			symbols[x.next].prev = at
			if x.rank, x.merged = m.merges.get(x.id, symbols[x.next].id); x.rank != noMerge {
				h.push(x.rank, at)
			}
		}
		if x.prev >= 0 {
			left := &symbols[x.prev]
			if left.rank, left.merged = m.merges.get(left.id, x.id); left.rank != noMerge {
				h.push(left.rank, x.prev)
			}
		}
	}
	s.heap = h
}

// A mergeHeap orders pairs by rank, then by place.
type mergeHeap []uint64

func (h *mergeHeap) push(rank, at int32) {
	*h = append(*h, uint64(rank)<<32|uint64(at))
	x := *h
	for i := len(x) - 1; i > 0; {
		parent := (i - 1) / 2
		if x[parent] <= x[i] {
			return
		}
		x[parent], x[i] = x[i], x[parent]
		i = parent
	}
}

func (h *mergeHeap) pop() (rank, at int32) {
	x := *h
	top := x[0]
	last := len(x) - 1
	x[0] = x[last]
	x = x[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(x) {
			break
		}
		if child+1 < len(x) && x[child+1] < x[child] {
			child++
		}
		if x[i] <= x[child] {
			break
		}
		x[i], x[child] = x[child], x[i]
		i = child
	}
	*h = x
	return int32(top >> 32), int32(uint32(top))
}
