package tokenizer

import "math/bits"

// A wordTable finds the id of a string by a polynomial hash over its bytes, so
// that the hash of any part of a word follows from the hashes of two of its
// prefixes. It holds no pointers but its own, which keeps it out of the way of
// the garbage collector.
type wordTable struct {
	slots []wordSlot
	shift uint
	// filter has one bit for every hash value modulo its size: most strings
	// that are no entry are refused without touching the slots.
	filter      []uint64
	filterShift uint
	arena       []byte
	longest     int // bytes of the longest entry
}

type wordSlot struct {
	tag    uint32
	id     int32
	offset uint32
	size   uint32 // 0 marks a free slot; the empty string is never looked up
}

const (
	hashBase = 0x9E3779B97F4A7C15
	hashMix  = 0xD6E8FEB86659FD93
)

// hashNext extends the hash of a prefix by one byte.
func hashNext(hash uint64, b byte) uint64 { return hash*hashBase + uint64(b) + 1 }

func hashOf[S string | []byte](s S) uint64 {
	hash := uint64(0)
	for i := range len(s) {
		hash = hashNext(hash, s[i])
	}
	return hash
}

func mixHash(hash uint64) uint64 {
	hash ^= hash >> 32
	hash *= hashMix
	return hash ^ hash>>29
}

// newWordTable returns a table with room for entries with a sum of bytes.
func newWordTable(entries, bytes int) *wordTable {
	size := bits.Len(uint(entries*2 | 15))
	t := &wordTable{
		slots:       make([]wordSlot, 1<<size),
		shift:       uint(64 - size),
		filter:      make([]uint64, 1<<max(size-3, 0)),
		filterShift: uint(64 - size - 3),
		arena:       make([]byte, 0, bytes),
	}
	return t
}

// add puts an entry into the table; the last id of equal entries counts.
func (t *wordTable) add(entry string, id int32) {
	if entry == "" {
		return
	}
	mixed := mixHash(hashOf(entry))
	bit := mixed >> t.filterShift
	t.filter[bit>>6] |= 1 << (bit & 63)
	mask := uint64(len(t.slots) - 1)
	for at := mixed >> t.shift; ; at = (at + 1) & mask {
		slot := &t.slots[at]
		if slot.size == 0 {
			*slot = wordSlot{uint32(mixed), id, uint32(len(t.arena)), uint32(len(entry))}
			t.arena = append(t.arena, entry...)
			t.longest = max(t.longest, len(entry))
			return
		}
		if slot.tag == uint32(mixed) && t.entry(slot) == entry {
			slot.id = id
			return
		}
	}
}

func (t *wordTable) entry(slot *wordSlot) string {
	return string(t.arena[slot.offset : slot.offset+slot.size])
}

// find returns the id of a string whose hash is known.
func (t *wordTable) find(s []byte, hash uint64) (id int32, ok bool) {
	mixed := mixHash(hash)
	bit := mixed >> t.filterShift
	if t.filter[bit>>6]&(1<<(bit&63)) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for at := mixed >> t.shift; ; at = (at + 1) & mask {
		slot := &t.slots[at]
		if slot.size == 0 {
			return 0, false
		}
		if slot.tag == uint32(mixed) && int(slot.size) == len(s) &&
			string(t.arena[slot.offset:slot.offset+slot.size]) == string(s) {
			return slot.id, true
		}
	}
}

func (t *wordTable) get(s string) (id int32, ok bool) { return t.find([]byte(s), hashOf(s)) }

// prefixPowers returns hashBase to the power of 0 ... n.
func prefixPowers(n int) []uint64 {
	powers := make([]uint64, n+1)
	powers[0] = 1
	for i := range n {
		powers[i+1] = powers[i] * hashBase
	}
	return powers
}
