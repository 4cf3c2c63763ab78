package bleve

import (
	"bytes"
	"slices"
)

// candidate is a passage that is scored.
type candidate struct {
	score   float64
	segment int
	record  uint64
	// key is the passage's key, read only when equal scores must be ordered.
	key []byte
}

// topK keeps the best candidates in a heap with the worst on top.
type topK struct {
	k        int
	segments []searched
	heap     []candidate
	// err is the first failure to read a key.
	err error
}

func newTopK(k int, segments []searched) *topK {
	return &topK{k: k, segments: segments}
}

// offer takes a candidate if it is among the best so far.
func (t *topK) offer(c candidate) error {
	if len(t.heap) < t.k {
		t.heap = append(t.heap, c)
		t.up(len(t.heap) - 1)
		return t.err
	}
	if c.score < t.heap[0].score {
		return nil
	}
	if t.before(&c, &t.heap[0]) {
		t.heap[0] = c
		t.down()
	}
	return t.err
}

// up and down restore the heap after its last or its first candidate changed.
// They are written out because container/heap, through its interface, took most
// of the time that a query spent on scoring.
func (t *topK) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t.before(&t.heap[parent], &t.heap[i]) {
			return
		}
		t.heap[parent], t.heap[i] = t.heap[i], t.heap[parent]
		i = parent
	}
}

func (t *topK) down() {
	for i := 0; ; {
		worst := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.before(&t.heap[worst], &t.heap[child]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		t.heap[worst], t.heap[i] = t.heap[i], t.heap[worst]
		i = worst
	}
}

// worst returns the score below which no candidate is taken.
func (t *topK) worst() float64 {
	if len(t.heap) < t.k {
		return -1
	}
	return t.heap[0].score
}

// ranked returns the candidates, best first. The heap is used up.
func (t *topK) ranked() ([]candidate, error) {
	slices.SortFunc(t.heap, func(a, b candidate) int {
		if t.before(&a, &b) {
			return -1
		}
		if t.before(&b, &a) {
			return 1
		}
		return 0
	})
	return t.heap, t.err
}

// before reports whether a ranks before b: by falling score, then by document
// id and position, which is the order of the keys.
func (t *topK) before(a, b *candidate) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	if f := t.segments[a.segment].flat; f != nil && a.segment == b.segment {
		return f.rank(a.record) < f.rank(b.record)
	}
	return bytes.Compare(t.key(a), t.key(b)) < 0
}

func (t *topK) key(c *candidate) []byte {
	if c.key == nil {
		key, err := t.segments[c.segment].Segment().DocID(c.record)
		if err != nil && t.err == nil {
			t.err = err
		}
		c.key = bytes.Clone(key)
	}
	return c.key
}
