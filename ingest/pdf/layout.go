package pdf

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// A box is a place on a page in points, y upwards.
type box struct{ left, right, bottom, top float64 }

func (b box) join(c box) box {
	return box{min(b.left, c.left), max(b.right, c.right), min(b.bottom, c.bottom), max(b.top, c.top)}
}

func (b box) height() float64 { return b.top - b.bottom }
func (b box) width() float64  { return b.right - b.left }

// A gap is white space within a line, before the byte at of its text.
type gap struct {
	at          int
	left, right float64
}

// A line is text on one base line, white space normalised. A hyphen at its end
// that PDFium took for one of hyphenation is breakMark.
type line struct {
	box
	text string
	gaps []gap
}

// A page is what was read of one page.
type page struct {
	width, height float64
	lines         []line
	painted       bool // there are pictures or paths
}

// wideGap is how much white space, in heights of the line, sets two cells or
// columns apart rather than two words of justified text.
const wideGap = 1.2

// columnLines is how many lines must have a gap in common, with text on both
// sides, to be two columns that the file holds line by line.
const columnLines = 6

// columnText is how many characters a line has on either side on average, if
// the sides are columns and not cells of a table.
const columnText = 18

// order returns the lines of a page in reading order. PDFium gives them in the
// order of the file, which is the reading order in all but those files that
// hold two columns line by line; there the lines are cut.
func order(lines []line) []line {
	var out []line
	for from := 0; from < len(lines); {
		to, left, right := columns(lines[from:])
		if to == 0 {
			out = append(out, lines[from])
			from++
			continue
		}
		var first, second []line
		for _, l := range lines[from : from+to] {
			a, b := l.cut(left, right)
			if a.text != "" {
				first = append(first, a)
			}
			if b.text != "" {
				second = append(second, b)
			}
		}
		// Either column may be two columns itself.
		out = append(out, order(first)...)
		out = append(out, order(second)...)
		from += to
	}
	return out
}

// columns tells how many lines from the first on share a gutter, and where
// that is; 0 if the first line begins no columns.
func columns(lines []line) (n int, left, right float64) {
	for _, g := range lines[0].gaps {
		if n, left, right = gutter(lines, g); n > 0 {
			return n, left, right
		}
	}
	return 0, 0, 0
}

func gutter(lines []line, g gap) (n int, left, right float64) {
	left, right = g.left, g.right
	var s sides
	for i, l := range lines {
		if i > 0 && l.top > lines[i-1].top+l.height() {
			break // it goes up again: another column or frame begins
		}
		// A line of one side only says that the other column is shorter here.
		if l.right > left+1 && l.left < right-1 {
			hit := false
			for _, h := range l.gaps {
				lo, hi := max(left, h.left), min(right, h.right)
				if hi-lo < 4 {
					continue
				}
				left, right, hit = lo, hi, true
				s.add(l, h)
				break
			}
			if !hit {
				break
			}
		}
		n = i + 1
	}
	if s.columns(n) {
		return n, left, right
	}
	return 0, 0, 0
}

// sides collects what stands on either side of a gutter.
type sides struct {
	before, after int       // characters
	ends          []float64 // where the text on the left ends
	start         float64   // where the leftmost of it starts
}

func (s *sides) add(l line, g gap) {
	if len(s.ends) == 0 || l.left < s.start {
		s.start = l.left
	}
	s.ends = append(s.ends, g.left)
	s.before += utf8.RuneCountInString(l.text[:g.at])
	s.after += utf8.RuneCountInString(l.text[g.at:])
}

// columns reports whether n lines are two columns rather than a table: there
// are enough of them, with enough text, and most fill the left column.
func (s *sides) columns(n int) bool {
	crossed := len(s.ends)
	if crossed < columnLines || 2*crossed < n || min(s.before, s.after) < columnText*crossed {
		return false
	}
	full := 0
	enough := s.start + 0.75*(slices.Max(s.ends)-s.start)
	for _, end := range s.ends {
		if end >= enough {
			full++
		}
	}
	return 3*full >= 2*crossed
}

// cut cuts a line at a gutter.
func (l line) cut(left, right float64) (a, b line) {
	middle := (left + right) / 2
	if l.right <= middle {
		return l, line{}
	}
	if l.left >= middle {
		return line{}, l
	}
	for i, g := range l.gaps {
		if g.left <= middle && middle <= g.right {
			a, b = l, l
			a.text, a.right, a.gaps = strings.TrimSpace(l.text[:g.at]), g.left, l.gaps[:i]
			b.text, b.left, b.gaps = strings.TrimSpace(l.text[g.at:]), g.right, nil
			for _, h := range l.gaps[i+1:] {
				b.gaps = append(b.gaps, gap{h.at - g.at - (len(l.text) - g.at - len(b.text)), h.left, h.right})
			}
			return a, b
		}
	}
	return l, line{}
}

// cells cuts the text of a line at its gaps.
func (l line) cells() []string {
	cells := make([]string, 0, len(l.gaps)+1)
	from := 0
	for _, g := range l.gaps {
		cells = append(cells, strings.TrimSpace(l.text[from:g.at]))
		from = g.at
	}
	return append(cells, strings.TrimSpace(l.text[from:]))
}

// bodyHeight returns the height of most text of a file, in half points, and
// the greatest of those that occur as headings, in order.
func bodyHeight(pages []page) (body int, larger []int) {
	count := map[int]int{}
	for _, p := range pages {
		for _, l := range p.lines {
			count[halfPoints(l.height())] += len(l.text)
		}
	}
	most := 0
	for height, n := range count {
		if n > most || n == most && height < body {
			body, most = height, n
		}
	}
	for height := range count {
		if isHeadingHeight(height, body) {
			larger = append(larger, height)
		}
	}
	slices.Sort(larger)
	slices.Reverse(larger)
	return body, larger
}

func halfPoints(height float64) int { return int(math.Round(height * 2)) }

func isHeadingHeight(height, body int) bool { return body > 0 && 100*height >= 115*body }

// headingLevel returns the level of a heading by its height: heights that
// differ by little are one level.
func headingLevel(height int, larger []int) int {
	level := 1
	for i, h := range larger {
		if i > 0 && 100*larger[i-1] > 106*h {
			level++
		}
		if h <= height {
			break
		}
	}
	return min(level, 6)
}
