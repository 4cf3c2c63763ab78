package docx

import (
	"strconv"
	"strings"

	"github.com/needle-search/needle/ingest/internal/packed"
)

// A style is what matters of a paragraph style. Level is that of a heading,
// from 1, -1 for a document's title, 0 for neither.
type style struct {
	based string
	level int
	list  numbering
}

// A numbering says which list a paragraph belongs to and how deep.
type numbering struct {
	id    string
	depth int
	set   bool
}

// titleLevel stands above the headings.
const titleLevel = -1

// readStyles reads the part with the styles. Names are the same in every
// language; ids are not.
func (r *reader) readStyles(part string) error {
	x, done, err := r.zip.XML(r.ctx, part)
	if err != nil {
		return packed.Optional(err)
	}
	defer done()
	r.styles = map[string]style{}
	return x.Each(func(packed.Element) error {
		return x.Each(func(e packed.Element) error {
			if e.Name != "style" {
				return x.Skip()
			}
			id, s := e.Attr("styleId"), style{}
			err := x.Each(func(e packed.Element) error {
				switch e.Name {
				case "name":
					s.level = headingLevel(e.Attr("val"))
				case "basedOn":
					s.based = e.Attr("val")
				case "pPr":
					p := paragraph{}
					err := r.properties(x, &p)
					s.list = p.list
					if s.level == 0 && p.outline > 0 {
						s.level = p.outline
					}
					return err
				}
				return x.Skip()
			}, nil)
			r.styles[id] = s
			return err
		}, nil)
	}, nil)
}

func headingLevel(name string) int {
	name = strings.ToLower(name)
	if name == "title" {
		return titleLevel
	}
	if rest, ok := strings.CutPrefix(name, "heading "); ok {
		if n, err := strconv.Atoi(rest); err == nil && n >= 1 && n <= 9 {
			return n
		}
	}
	return 0
}

// resolve fills in what a paragraph has from its style and those that it is
// based on.
func (r *reader) resolve(p *paragraph) {
	id := p.style
	for range 20 { // styles may refer to each other in a ring
		s, ok := r.styles[id]
		if !ok {
			if id == p.style && p.level == 0 {
				// Without a part of styles the id is all there is.
				p.level = headingLevel(strings.Replace(strings.ToLower(id), "heading", "heading ", 1))
			}
			break
		}
		if p.level == 0 {
			p.level = s.level
		}
		if !p.list.set && s.list.set {
			p.list = s.list
		}
		id = s.based
	}
	if p.level == 0 && p.outline > 0 {
		p.level = p.outline
	}
}

// A level is how one level of a list counts.
type level struct {
	format, text string
	start        int
}

// readNumbering reads the part with the lists.
func (r *reader) readNumbering(part string) error {
	x, done, err := r.zip.XML(r.ctx, part)
	if err != nil {
		return packed.Optional(err)
	}
	defer done()
	abstract := map[string][]level{}
	r.lists = map[string][]level{}
	return x.Each(func(packed.Element) error {
		return x.Each(func(e packed.Element) error {
			switch e.Name {
			case "abstractNum":
				id := e.Attr("abstractNumId")
				levels := make([]level, 9)
				err := x.Each(func(e packed.Element) error {
					n, err := strconv.Atoi(e.Attr("ilvl"))
					if e.Name != "lvl" || err != nil || n < 0 || n >= len(levels) {
						return x.Skip()
					}
					l := &levels[n]
					l.start = 1
					return x.Each(func(e packed.Element) error {
						switch e.Name {
						case "start":
							if n, err := strconv.Atoi(e.Attr("val")); err == nil {
								l.start = n
							}
						case "numFmt":
							l.format = e.Attr("val")
						case "lvlText":
							l.text = e.Attr("val")
						}
						return x.Skip()
					}, nil)
				}, nil)
				abstract[id] = levels
				return err
			case "num":
				id := e.Attr("numId")
				return x.Each(func(e packed.Element) error {
					if e.Name == "abstractNumId" {
						r.lists[id] = abstract[e.Attr("val")]
					}
					return x.Skip()
				}, nil)
			}
			return x.Skip()
		}, nil)
	}, nil)
}

// marker counts on in a list and returns what stands before the item.
func (r *reader) marker(list numbering) string {
	levels := r.lists[list.id]
	if list.depth < 0 || list.depth >= len(levels) {
		return "-"
	}
	if r.counts == nil {
		r.counts = map[string][]int{}
	}
	counts := r.counts[list.id]
	if counts == nil {
		counts = make([]int, len(levels))
		r.counts[list.id] = counts
	}
	counts[list.depth]++
	clear(counts[list.depth+1:])
	l := levels[list.depth]
	switch l.format {
	case "bullet", "none", "":
		return "-"
	}
	text := l.text
	for i := range levels {
		n := levels[i].start + max(counts[i], 1) - 1
		text = strings.ReplaceAll(text, "%"+strconv.Itoa(i+1), number(levels[i].format, n))
	}
	return text
}

// number writes a number as a list does.
func number(format string, n int) string {
	switch format {
	case "lowerLetter", "upperLetter":
		if n < 1 || n > 26*20 {
			break
		}
		letter := strings.Repeat(string(rune('a'+(n-1)%26)), (n-1)/26+1)
		if format == "upperLetter" {
			letter = strings.ToUpper(letter)
		}
		return letter
	case "lowerRoman", "upperRoman":
		if n < 1 || n > 3999 {
			break
		}
		roman := ""
		for _, d := range [...]struct {
			value int
			text  string
		}{{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"}, {90, "xc"}, {50, "l"}, {40, "xl"}, {10, "x"}, {9, "ix"}, {5, "v"}, {4, "iv"}, {1, "i"}} {
			for ; n >= d.value; n -= d.value {
				roman += d.text
			}
		}
		if format == "upperRoman" {
			roman = strings.ToUpper(roman)
		}
		return roman
	}
	return strconv.Itoa(n)
}
