package tokenizer

// A byteTrie maps strings to numbers. Its edges are in a hash table, which is
// quick to build for the 250,000 entries of a multilingual vocabulary.
type byteTrie struct {
	root [256]int32
	// edges hold the parent in 32 bits, the byte in 8 and the child in 24; 0
	// marks a free slot.
	edges  []uint64
	shift  uint
	used   int
	values []int32 // by node, -1 where no string ends
}

// maxNodes is how many nodes the edges have room for.
const maxNodes = 1 << 24

func newByteTrie() byteTrie {
	t := byteTrie{values: []int32{-1}}
	t.resize(10)
	return t
}

func (t *byteTrie) resize(bits uint) {
	before := t.edges
	t.edges, t.shift = make([]uint64, 1<<bits), 64-bits
	for _, e := range before {
		if e != 0 {
			t.edges[t.slot(e>>24)] = e
		}
	}
}

// slot returns where the edge with a key is, or belongs.
func (t *byteTrie) slot(key uint64) uint64 {
	mask := uint64(len(t.edges) - 1)
	at := key * hashBase >> t.shift
	for t.edges[at] != 0 && t.edges[at]>>24 != key {
		at = (at + 1) & mask
	}
	return at
}

// child returns the node below, 0 if there is none.
func (t *byteTrie) child(node int32, b byte) int32 {
	if node == 0 {
		return t.root[b]
	}
	return int32(t.edges[t.slot(uint64(node)<<8|uint64(b))] & (maxNodes - 1))
}

// add reports whether there was room.
func (t *byteTrie) add(s string, value int32) bool {
	node := int32(0)
	for i := range len(s) {
		next := t.child(node, s[i])
		if next == 0 {
			if len(t.values) == maxNodes {
				return false
			}
			next = int32(len(t.values))
			t.values = append(t.values, -1)
			t.link(node, s[i], next)
		}
		node = next
	}
	if node != 0 {
		t.values[node] = value
	}
	return true
}

func (t *byteTrie) link(parent int32, b byte, child int32) {
	if parent == 0 {
		t.root[b] = child
		return
	}
	if t.used++; t.used*2 > len(t.edges) {
		t.resize(64 - t.shift + 1)
	}
	key := uint64(parent)<<8 | uint64(b)
	t.edges[t.slot(key)] = key<<24 | uint64(child)
}

func (t *byteTrie) get(s []byte) (int32, bool) {
	node := int32(0)
	for _, b := range s {
		if node = t.child(node, b); node == 0 {
			return 0, false
		}
	}
	return t.values[node], t.values[node] >= 0
}
