package odf

import (
	"context"
	"strconv"
	"strings"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/packed"
	"github.com/needle-search/needle/ingest/internal/tabular"
)

// A reader turns the content of one file into text.
type reader struct {
	ctx            context.Context
	xml            *packed.XML
	out            *ingest.Builder
	slides, sheets int
	breaks         int // of pages, in texts
	pending        int // of them, before the next paragraph
	notes          []string
	sheet          bool // tables are the sheets of a workbook
}

// maxRepeat bounds what a row or cell stands for: programs write the empty rest
// of a sheet as one cell that is repeated a million times.
const maxRepeat = 1000

func (r *reader) read() error {
	err := r.xml.Each(func(packed.Element) error {
		return r.xml.Each(func(e packed.Element) error {
			if e.Name != "body" {
				return r.xml.Skip()
			}
			return r.xml.Each(func(e packed.Element) error {
				r.sheet = e.Name == "spreadsheet"
				if e.Name == "text" {
					r.out.Page()
				}
				return r.blocks(0)
			}, nil)
		}, nil)
	}, nil)
	for i, note := range r.notes {
		r.out.Paragraph("[" + strconv.Itoa(i+1) + "] " + note)
	}
	return err
}

// blocks reads paragraphs, lists, tables and slides.
func (r *reader) blocks(depth int) error {
	return r.xml.Each(func(e packed.Element) error {
		switch e.Name {
		case "h":
			level, err := strconv.Atoi(e.Attr("outline-level"))
			if err != nil || level < 1 || level > 10 {
				level = 1
			}
			text, err := r.text()
			r.breakPages()
			r.out.Heading(level, text)
			return err
		case "p":
			text, err := r.text()
			r.paragraph(text)
			return err
		case "list":
			return r.list(depth, e)
		case "table":
			return r.table(e)
		case "page":
			r.slides++
			r.out.Page()
			return r.slide()
		case "soft-page-break":
			r.breaks++
			r.pending++
			return r.xml.Skip()
		case "tracked-changes", "annotation", "forms", "sequence-decls", "variable-decls", "user-field-decls", "named-expressions", "database-ranges", "calculation-settings", "content-validations", "settings", "desc", "title":
			return r.xml.Skip()
		}
		return r.blocks(depth) // sections, indexes, frames, text boxes, groups
	}, nil)
}

func (r *reader) breakPages() {
	for ; r.pending > 0; r.pending-- {
		r.out.Page()
	}
}

func (r *reader) paragraph(text string) {
	r.breakPages()
	if strings.Contains(text, "\n") {
		r.out.Lines(text)
		return
	}
	r.out.Paragraph(text)
}

// slide reads a page of a presentation. The frame of the title makes a section.
func (r *reader) slide() error {
	return r.xml.Each(func(e packed.Element) error {
		if e.Name == "frame" && e.Attr("class") == "title" {
			var parts []string
			err := r.gather(&parts)
			r.out.Heading(1, strings.Join(parts, " "))
			return err
		}
		if e.Name == "notes" {
			return r.speaker()
		}
		switch e.Name {
		case "forms", "animations", "par", "annotation":
			return r.xml.Skip()
		case "p":
			text, err := r.text()
			r.paragraph(text)
			return err
		case "list":
			return r.list(0, e)
		case "table":
			return r.table(e)
		}
		return r.slide()
	}, nil)
}

// speaker reads the notes of a slide, without the picture of the slide itself.
func (r *reader) speaker() error {
	return r.xml.Each(func(e packed.Element) error {
		if e.Name == "page-thumbnail" || e.Attr("class") == "page-number" {
			return r.xml.Skip()
		}
		return r.blocks(0)
	}, nil)
}

// list reads a list. Its numbers are not in the content; items get a dash.
func (r *reader) list(depth int, _ packed.Element) error {
	return r.xml.Each(func(e packed.Element) error {
		if e.Name != "list-item" && e.Name != "list-header" {
			return r.xml.Skip()
		}
		first := true
		return r.xml.Each(func(e packed.Element) error {
			switch e.Name {
			case "p", "h":
				text, err := r.text()
				r.breakPages()
				marker := ""
				if first && ingest.CleanLine(text) != "" {
					marker, first = "-", false
				}
				if marker == "" {
					text = "  " + text
				}
				if e.Name == "h" {
					r.out.Heading(max(1, depth+1), text)
					return err
				}
				r.out.Item(depth, marker, text)
				return err
			case "list":
				return r.list(depth+1, e)
			case "soft-page-break":
				r.breaks++
				r.pending++
				return r.xml.Skip()
			}
			return r.blocks(depth)
		}, nil)
	}, nil)
}

// gather collects the paragraphs of an element.
func (r *reader) gather(parts *[]string) error {
	return r.xml.Each(func(e packed.Element) error {
		switch e.Name {
		case "p", "h":
			text, err := r.text()
			if text = ingest.CleanLine(text); text != "" {
				*parts = append(*parts, text)
			}
			return err
		case "annotation", "desc", "title":
			return r.xml.Skip()
		}
		return r.gather(parts)
	}, nil)
}

func (r *reader) table(e packed.Element) error {
	r.breakPages()
	if e.Attr("is-sub-table") == "true" {
		return r.xml.Skip()
	}
	started := !r.sheet
	if r.sheet {
		r.sheets++
		r.out.Page()
	}
	writer := tabular.Writer{Out: r.out}
	plain := func(cells []string) { r.out.Row(cells...) }
	labelled := func(cells []string) {
		if !started {
			r.out.Heading(1, e.Attr("name"))
			started = true
		}
		writer.Row(cells)
	}
	emit := plain
	if r.sheet {
		emit = labelled
	}
	err := r.rows(emit)
	if r.sheet {
		writer.End()
	}
	r.out.EndTable()
	r.breakPages()
	return err
}

func (r *reader) rows(emit func([]string)) error {
	return r.xml.Each(func(e packed.Element) error {
		switch e.Name {
		case "table-row":
			if err := r.ctx.Err(); err != nil {
				return err
			}
			var cells []string
			if err := r.cells(&cells); err != nil {
				return err
			}
			if strings.TrimSpace(strings.Join(cells, "")) == "" {
				return nil
			}
			for range repeat(e.Attr("number-rows-repeated")) {
				emit(cells)
				if r.out.Err() != nil {
					break
				}
			}
			return nil
		case "table-header-rows", "table-rows", "table-row-group":
			return r.rows(emit)
		case "soft-page-break":
			r.breaks++
			r.pending++
		}
		return r.xml.Skip()
	}, nil)
}

func (r *reader) cells(cells *[]string) error {
	return r.xml.Each(func(e packed.Element) error {
		if e.Name != "table-cell" && e.Name != "covered-table-cell" {
			return r.xml.Skip()
		}
		var parts []string
		if err := r.gather(&parts); err != nil {
			return err
		}
		text := strings.Join(parts, " ")
		for range repeat(e.Attr("number-columns-repeated")) {
			if len(*cells) >= 1<<14 {
				break
			}
			*cells = append(*cells, text)
		}
		return nil
	}, nil)
}

func repeat(value string) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 1
	}
	return min(n, maxRepeat)
}

// text reads the text of a paragraph.
func (r *reader) text() (string, error) {
	var b strings.Builder
	add := func(s string) {
		// Line breaks in the source are white space.
		b.WriteString(strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(s))
	}
	var inner func(packed.Element) error
	inner = func(e packed.Element) error {
		switch e.Name {
		case "s":
			n := repeat(e.Attr("c"))
			b.WriteString(strings.Repeat(" ", n))
		case "tab":
			b.WriteByte('\t')
		case "line-break":
			b.WriteByte('\n')
		case "soft-page-break":
			r.breaks++
			r.pending++
		case "annotation", "annotation-end", "desc", "title", "ruby-text":
		case "note":
			note, err := r.note()
			r.notes = append(r.notes, note)
			b.WriteString("[" + strconv.Itoa(len(r.notes)) + "]")
			return err
		case "frame", "custom-shape", "g":
			var parts []string
			err := r.gather(&parts)
			if len(parts) > 0 {
				b.WriteString(" " + strings.Join(parts, " ") + " ")
			}
			return err
		default:
			return r.xml.Each(inner, add)
		}
		return r.xml.Skip()
	}
	err := r.xml.Each(inner, add)
	return b.String(), err
}

// note reads a footnote or endnote; its own number is counted anew.
func (r *reader) note() (string, error) {
	var parts []string
	err := r.xml.Each(func(e packed.Element) error {
		if e.Name != "note-body" {
			return r.xml.Skip()
		}
		return r.gather(&parts)
	}, nil)
	return strings.Join(parts, " "), err
}
