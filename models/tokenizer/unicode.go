package tokenizer

import "unicode/utf8"

// A runeRange is an inclusive range of code points.
type runeRange struct{ low, high rune }

func inRanges(ranges []runeRange, r rune) bool {
	low, high := 0, len(ranges)
	for low < high {
		middle := int(uint(low+high) >> 1)
		switch {
		case r < ranges[middle].low:
			high = middle
		case r > ranges[middle].high:
			low = middle + 1
		default:
			return true
		}
	}
	return false
}

// eachRecord goes through a generated table of records: a key, the characters
// that belong to it, and a NUL.
func eachRecord(table string, visit func(key rune, values string)) {
	for table != "" {
		key, size := utf8.DecodeRuneInString(table)
		end := size
		for table[end] != 0 {
			end++
		}
		visit(key, table[size:end])
		table = table[end+1:]
	}
}

// Hangul syllables are decomposed by arithmetic (Unicode 3.12, Conjoining Jamo
// Behavior).
const (
	hangulBase  = 0xAC00
	hangulEnd   = 0xD7A4
	leadBase    = 0x1100
	vowelBase   = 0x1161
	tailBase    = 0x11A7
	leadCount   = 19
	vowelCount  = 21
	tailCount   = 28
	hangulCount = leadCount * vowelCount * tailCount
)

// decomposeHangul returns the two or three letters of a syllable; n says how
// many there are.
func decomposeHangul(r rune) (letters [3]rune, n int) {
	index := r - hangulBase
	letters[0] = leadBase + index/(vowelCount*tailCount)
	letters[1] = vowelBase + index%(vowelCount*tailCount)/tailCount
	if tail := index % tailCount; tail != 0 {
		letters[2] = tailBase + tail
		return letters, 3
	}
	return letters, 2
}

// A runeTable holds a value for every code point. Code points with equal pages
// share them until one is changed.
type runeTable struct {
	index  [0x110000 >> pageBits]uint16
	pages  [][pageSize]uint32
	shared []bool
}

const (
	pageBits = 8
	pageSize = 1 << pageBits
)

// newRuneTable returns a table in which every code point has the value 0.
func newRuneTable() *runeTable {
	return &runeTable{pages: make([][pageSize]uint32, 1, 256), shared: append(make([]bool, 0, 256), true)}
}

func (t *runeTable) get(r rune) uint32 {
	return t.pages[t.index[uint32(r)>>pageBits]][r&(pageSize-1)]
}

func (t *runeTable) set(r rune, value uint32) {
	at := &t.index[r>>pageBits]
	if t.shared[*at] {
		t.pages = append(t.pages, t.pages[*at])
		t.shared = append(t.shared, false)
		*at = uint16(len(t.pages) - 1)
	}
	t.pages[*at][r&(pageSize-1)] = value
}

// setRanges gives all code points of the ranges one value.
func (t *runeTable) setRanges(ranges []runeRange, value uint32) {
	whole := uint16(0)
	for _, x := range ranges {
		for r := x.low; r <= x.high; {
			if r&(pageSize-1) != 0 || r+pageSize-1 > x.high {
				t.set(r, value)
				r++
				continue
			}
			if whole == 0 {
				var page [pageSize]uint32
				for i := range page {
					page[i] = value
				}
				t.pages = append(t.pages, page)
				t.shared = append(t.shared, true)
				whole = uint16(len(t.pages) - 1)
			}
			t.index[r>>pageBits] = whole
			r += pageSize
		}
	}
}
