package api

import (
	"hash/maphash"
	"slices"
	"sync"

	"github.com/needle-search/needle/retriever"
)

// documentLocks keep the check of a conditional write and the write itself in
// one piece. Every write takes the locks of its documents: a conditional one
// for itself, others together. A document shares its lock with others, of which
// there may be many more than locks.
type documentLocks struct {
	seed    maphash.Seed
	stripes [256]sync.RWMutex
}

func (l *documentLocks) stripe(index, id string) int {
	return int(maphash.String(l.seed, index+"\x00"+id) % uint64(len(l.stripes)))
}

// exclusive locks one document until the function that it returns is called.
func (l *documentLocks) exclusive(index, id string) (unlock func()) {
	m := &l.stripes[l.stripe(index, id)]
	m.Lock()
	return m.Unlock
}

// sharedIDs locks documents against conditional writes.
func (l *documentLocks) sharedIDs(index string, ids []string) (unlock func()) {
	numbers := make([]int, len(ids))
	for i, id := range ids {
		numbers[i] = l.stripe(index, id)
	}
	// All take the locks in one order, so nobody waits for ever.
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	for _, n := range numbers {
		l.stripes[n].RLock()
	}
	return func() {
		for _, n := range numbers {
			l.stripes[n].RUnlock()
		}
	}
}

func (l *documentLocks) shared(index string, documents []retriever.Document) (unlock func()) {
	ids := make([]string, len(documents))
	for i, d := range documents {
		ids[i] = d.ID
	}
	return l.sharedIDs(index, ids)
}
