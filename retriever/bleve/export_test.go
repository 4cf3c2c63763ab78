package bleve

import (
	"math"
	"time"
)

// SetClock replaces the wall clock. No write may be under way.
func (x *Index) SetClock(now func() time.Time) { x.now = now }

// FlatFolder is where an index keeps its flat files.
const FlatFolder = flatFolder

// SetFlatRecords says from how many records on a segment gets a flat file.
func (x *Index) SetFlatRecords(n uint64) { x.flats.records.Store(n) }

// NoFlat makes SetFlatRecords switch flat files off.
const NoFlat = math.MaxUint64

// OpenFlats returns how many flat files are open.
func (x *Index) OpenFlats() int {
	x.flats.lock.Lock()
	defer x.flats.lock.Unlock()
	return len(x.flats.open)
}
