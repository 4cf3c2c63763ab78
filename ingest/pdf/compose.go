package pdf

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/needle-search/needle/ingest"
)

// headingRunes is how long a heading may be.
const headingRunes = 200

// compose writes the pages as paragraphs, headings and rows.
func compose(b *ingest.Builder, pages []page) {
	drop := furniture(pages)
	for i := range pages {
		kept := pages[i].lines[:0:0]
		for j, l := range pages[i].lines {
			if !drop[i][j] {
				kept = append(kept, l)
			}
		}
		pages[i].lines = order(kept)
	}
	c := composer{builder: b, words: vocabulary(pages)}
	c.body, c.larger = bodyHeight(pages)
	for _, p := range pages {
		c.page(p)
	}
	c.flush()
}

type composer struct {
	builder *ingest.Builder
	words   map[string]struct{}
	body    int
	larger  []int

	pending []line // the paragraph that is being collected
	turned  int    // the page starts before this line of pending; 0: none
}

func (c *composer) page(p page) {
	if len(p.lines) == 0 {
		c.flush()
		c.builder.Page()
		return
	}
	// A sentence may go on from page to page. Only then does the page start
	// within a paragraph.
	if n := len(c.pending); n > 0 && c.turned == 0 && goesOn(c.pending[n-1], p.lines[0]) {
		c.turned = n
	} else {
		c.flush()
		c.builder.Page()
	}
	width := textWidth(p.lines)
	for i, l := range p.lines {
		if len(l.gaps) > 0 {
			c.flush()
			c.builder.Row(l.cells()...)
			continue
		}
		if n := len(c.pending); n > 0 && !(i == 0 && c.turned == n) && !sameParagraph(c.pending, l, width) {
			c.flush()
		}
		if n := len(c.pending); n > 0 && isHeadingHeight(halfPoints(l.height()), c.body) != isHeadingHeight(halfPoints(c.pending[0].height()), c.body) {
			c.flush()
		}
		c.pending = append(c.pending, l)
	}
}

// flush writes the paragraph that was collected.
func (c *composer) flush() {
	if len(c.pending) == 0 {
		return
	}
	lines, turned := c.pending, c.turned
	c.pending, c.turned = nil, 0
	if turned > 0 {
		head, glue := c.joint(c.join(lines[:turned]), lines[turned].text)
		c.builder.Paragraph(withoutMarks(head))
		c.builder.PageWithin(glue)
		c.builder.Paragraph(withoutMarks(c.join(lines[turned:])))
		return
	}
	text := withoutMarks(c.join(lines))
	height := halfPoints(lines[0].height())
	if isHeadingHeight(height, c.body) && utf8.RuneCountInString(text) <= headingRunes && hasLetter(text) {
		c.builder.Heading(headingLevel(height, c.larger), text)
		return
	}
	if marker, rest, ok := cutMarker(text); ok {
		c.builder.Item(0, marker, rest)
		return
	}
	c.builder.Paragraph(text)
}

// goesOn reports whether the text of a line goes on in the first line of the
// next page.
func goesOn(last, first line) bool {
	r, _ := utf8.DecodeRuneInString(first.text)
	if !similar(last.height(), first.height()) || len(first.gaps) > 0 || !unicode.IsLower(r) {
		return false
	}
	end, _ := utf8.DecodeLastRuneInString(last.text)
	return !unicode.Is(unicode.Sentence_Terminal, end) && end != ':'
}

func similar(a, b float64) bool { return a <= 1.12*b && b <= 1.12*a }

// sameParagraph reports whether a line goes on with the paragraph of those
// before it.
func sameParagraph(before []line, l line, width float64) bool {
	last := before[len(before)-1]
	pitch := last.bottom - l.bottom
	if !similar(last.height(), l.height()) || pitch < 0.5*l.height() || pitch > 1.75*l.height() {
		return false
	}
	if n := len(before); n > 1 && pitch > 1.25*(before[n-2].bottom-last.bottom)+0.5 {
		return false
	}
	if _, _, ok := cutMarker(l.text); ok {
		return false
	}
	first, _ := utf8.DecodeRuneInString(l.text)
	if unicode.IsLower(first) || strings.HasSuffix(last.text, string(breakMark)) {
		return true
	}
	// A line that ends early ends its paragraph; what matters is whether the
	// first word of the next one would have fitted.
	word, _, _ := strings.Cut(l.text, " ")
	room := width - last.width()
	if n := utf8.RuneCountInString(l.text); n > 0 {
		return room < l.width()*float64(utf8.RuneCountInString(word)+2)/float64(n)+0.06*width
	}
	return true
}

// textWidth returns how wide the lines of a page are that are not cut short.
func textWidth(lines []line) float64 {
	width := 0.0
	for _, l := range lines {
		width = max(width, l.width())
	}
	return width
}

func hasLetter(text string) bool { return strings.ContainsFunc(text, unicode.IsLetter) }

// cutMarker cuts the mark of an item of a list.
func cutMarker(text string) (marker, rest string, ok bool) {
	first, rest, found := strings.Cut(text, " ")
	if !found || rest == "" {
		return "", text, false
	}
	switch first {
	case "•", "●", "◦", "○", "▪", "■", "‣", "·", "\uf0b7", "\uf0a7":
		return "-", rest, true
	case "-", "–", "*":
		return "-", rest, true
	}
	digits := strings.TrimLeft(first, "0123456789")
	if n := len(first) - len(digits); n > 0 && n <= 3 && (digits == "." || digits == ")") {
		return first, rest, true
	}
	return "", text, false
}
