package docx

import (
	"context"
	"strconv"
	"strings"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/ooxml"
	"github.com/needle-search/needle/ingest/internal/packed"
)

// A reader turns the parts of one file into text.
type reader struct {
	ctx    context.Context
	zip    *packed.Zip
	out    *ingest.Builder
	styles map[string]style
	lists  map[string][]level
	counts map[string][]int
	// breaks counts the page breaks that Word has saved; pending is how many of
	// them wait for the next paragraph.
	breaks, pending int
	notes           []string // ids of footnotes and endnotes in order
	inNotes         bool
}

// A paragraph is one that is being read.
type paragraph struct {
	style          string
	level, outline int
	list           numbering
	text           strings.Builder
	// boxes are paragraphs of text boxes that hang on this one.
	boxes []string
	// started says that text came before the next page break.
	started bool
	hidden  bool
}

func (r *reader) read(main string) error {
	relations, err := ooxml.Relations(r.ctx, r.zip, main)
	if err != nil {
		return err
	}
	parts := map[string]string{}
	for _, rel := range relations {
		if !rel.External {
			parts[rel.Type] = rel.Target
		}
	}
	if part, ok := parts["styles"]; ok {
		if err := r.readStyles(part); err != nil {
			return err
		}
	}
	if part, ok := parts["numbering"]; ok {
		if err := r.readNumbering(part); err != nil {
			return err
		}
	}
	x, done, err := r.zip.XML(r.ctx, main)
	if err != nil {
		return err
	}
	defer done()
	r.out.Page()
	if err := x.Each(func(packed.Element) error { return r.blocks(x, r.emit) }, nil); err != nil {
		return err
	}
	r.inNotes = true
	for _, kind := range [...]string{"footnotes", "endnotes"} {
		if part, ok := parts[kind]; ok {
			if err := r.readNotes(part, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// blocks reads paragraphs and tables.
func (r *reader) blocks(x *packed.XML, emit func(*paragraph)) error {
	return x.Each(func(e packed.Element) error {
		switch e.Name {
		case "p":
			p := &paragraph{}
			if err := r.paragraph(x, p); err != nil {
				return err
			}
			r.resolve(p)
			emit(p)
			for _, box := range p.boxes {
				emit(boxed(box))
			}
			return nil
		case "tbl":
			return r.table(x)
		case "body", "sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag", "Choice", "AlternateContent", "txbxContent":
			return r.blocks(x, emit)
		}
		return x.Skip()
	}, nil)
}

func boxed(text string) *paragraph {
	p := &paragraph{}
	p.text.WriteString(text)
	return p
}

// emit adds a paragraph to the text.
func (r *reader) emit(p *paragraph) {
	text := p.text.String()
	for ; r.pending > 0 && !p.started; r.pending-- {
		r.out.Page()
	}
	switch {
	case p.hidden:
	case p.level == titleLevel:
		r.out.Heading(0, text)
	case p.level > 0:
		r.out.Heading(p.level, text)
	case p.list.set && p.list.id != "0" && ingest.CleanLine(text) != "":
		r.out.Item(p.list.depth, r.marker(p.list), text)
	case strings.Contains(text, "\n"):
		r.out.Lines(text)
	default:
		r.out.Paragraph(text)
	}
	for ; r.pending > 0; r.pending-- {
		r.out.Page()
	}
}

func (r *reader) paragraph(x *packed.XML, p *paragraph) error {
	return x.Each(func(e packed.Element) error {
		switch e.Name {
		case "pPr":
			return r.properties(x, p)
		case "r":
			return r.run(x, p)
		case "del", "moveFrom", "rPr":
			return x.Skip()
		case "oMath", "oMathPara":
			text, err := x.Text()
			p.text.WriteString(text)
			return err
		default: // hyperlinks, fields, content controls, insertions
			return r.paragraph(x, p)
		}
	}, nil)
}

func (r *reader) properties(x *packed.XML, p *paragraph) error {
	return x.Each(func(e packed.Element) error {
		switch e.Name {
		case "pStyle":
			p.style = e.Attr("val")
		case "outlineLvl":
			if n, err := strconv.Atoi(e.Attr("val")); err == nil && n >= 0 && n < 9 {
				p.outline = n + 1
			}
		case "numPr":
			return x.Each(func(e packed.Element) error {
				p.list.set = true
				switch e.Name {
				case "ilvl":
					p.list.depth, _ = strconv.Atoi(e.Attr("val"))
				case "numId":
					p.list.id = e.Attr("val")
				}
				return x.Skip()
			}, nil)
		}
		return x.Skip()
	}, nil)
}

// run reads a stretch of text of one look.
func (r *reader) run(x *packed.XML, p *paragraph) error {
	hidden := false
	write := func(s string) {
		if !hidden {
			p.text.WriteString(s)
			p.started = p.started || strings.TrimSpace(s) != ""
		}
	}
	return x.Each(func(e packed.Element) error {
		switch e.Name {
		case "rPr":
			return x.Each(func(e packed.Element) error {
				if e.Name == "vanish" && ooxml.On(e.Attr("val")) {
					hidden = true
				}
				return x.Skip()
			}, nil)
		case "t":
			text, err := x.Text()
			write(text)
			return err
		case "tab":
			write("\t")
		case "br":
			if e.Attr("type") == "" || e.Attr("type") == "textWrapping" {
				write("\n")
			}
		case "cr":
			write("\n")
		case "noBreakHyphen":
			write("\u2011")
		case "lastRenderedPageBreak":
			if !r.inNotes {
				r.breaks++
				r.pending++
			}
		case "footnoteReference", "endnoteReference":
			id := strings.TrimSuffix(e.Name, "Reference") + e.Attr("id")
			r.notes = append(r.notes, id)
			write("[" + strconv.Itoa(len(r.notes)) + "]")
		case "AlternateContent", "Choice", "drawing", "pict", "object":
			return r.boxes(x, p)
		}
		return x.Skip()
	}, nil)
}

// boxes gathers the text boxes in a drawing. What stands there twice, for older
// programs, is taken once.
func (r *reader) boxes(x *packed.XML, p *paragraph) error {
	return x.Each(func(e packed.Element) error {
		switch e.Name {
		case "Fallback":
			return x.Skip()
		case "txbxContent":
			return r.blocks(x, func(inner *paragraph) {
				if text := inner.text.String(); strings.TrimSpace(text) != "" {
					p.boxes = append(p.boxes, text)
				}
			})
		}
		return r.boxes(x, p)
	}, nil)
}

// table reads a table, one line a row. A table in a cell is part of its text.
func (r *reader) table(x *packed.XML) error {
	err := r.rows(x, func(cells []string) { r.out.Row(cells...) })
	r.out.EndTable()
	for ; r.pending > 0; r.pending-- {
		r.out.Page()
	}
	return err
}

func (r *reader) rows(x *packed.XML, emit func([]string)) error {
	return x.Each(func(e packed.Element) error {
		switch e.Name {
		case "tr":
			var cells []string
			if err := r.cells(x, &cells); err != nil {
				return err
			}
			emit(cells)
			return nil
		case "sdt", "sdtContent", "ins", "customXml":
			return r.rows(x, emit)
		}
		return x.Skip()
	}, nil)
}

func (r *reader) cells(x *packed.XML, cells *[]string) error {
	return x.Each(func(e packed.Element) error {
		switch e.Name {
		case "tc":
			var parts []string
			if err := r.cell(x, &parts); err != nil {
				return err
			}
			*cells = append(*cells, strings.Join(parts, " "))
			return nil
		case "sdt", "sdtContent", "ins", "customXml":
			return r.cells(x, cells)
		}
		return x.Skip()
	}, nil)
}

func (r *reader) cell(x *packed.XML, parts *[]string) error {
	return x.Each(func(e packed.Element) error {
		switch e.Name {
		case "p":
			p := &paragraph{}
			if err := r.paragraph(x, p); err != nil {
				return err
			}
			*parts = append(append(*parts, p.text.String()), p.boxes...)
			return nil
		case "tbl":
			return r.rows(x, func(cells []string) { *parts = append(*parts, strings.Join(cells, " | ")) })
		case "tcPr":
			return x.Skip()
		}
		return r.cell(x, parts)
	}, nil)
}

// readNotes adds the footnotes or endnotes that the text refers to.
func (r *reader) readNotes(part, kind string) error {
	numbers := make(map[string]int, len(r.notes))
	for i, id := range r.notes {
		numbers[id] = i + 1
	}
	x, done, err := r.zip.XML(r.ctx, part)
	if err != nil {
		return packed.Optional(err)
	}
	defer done()
	return x.Each(func(packed.Element) error {
		return x.Each(func(e packed.Element) error {
			n, ok := numbers[strings.TrimSuffix(kind, "s")+e.Attr("id")]
			if !ok {
				return x.Skip()
			}
			var parts []string
			if err := r.cell(x, &parts); err != nil {
				return err
			}
			r.out.Paragraph("[" + strconv.Itoa(n) + "] " + strings.Join(parts, " "))
			return nil
		}, nil)
	}, nil)
}
