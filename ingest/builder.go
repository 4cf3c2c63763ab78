package ingest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The metadata keys that processors use where their format knows the value, so
// that filters work across formats.
const (
	// MetaAuthor holds who wrote it: a string, or strings if there are several.
	MetaAuthor = "author"
	// MetaCreated and MetaModified hold times that the format itself states.
	MetaCreated  = "created"
	MetaModified = "modified"
	// MetaPages holds the number of pages, slides or sheets, an int64.
	MetaPages = "pages"
	// MetaEncoding names the encoding of a text file that is not Unicode.
	MetaEncoding = "encoding"
	// MetaSubject and MetaKeywords hold what the author filed it under.
	MetaSubject  = "subject"
	MetaKeywords = "keywords"
)

// SetMeta sets a value of the document's metadata unless it is empty: a string
// without text, an empty list, a zero number or time.
func (e *Extracted) SetMeta(key string, value any) {
	switch v := value.(type) {
	case string:
		v = CleanLine(v)
		if v == "" {
			return
		}
		value = v
	case []string:
		v = slices.DeleteFunc(slices.Clone(v), func(s string) bool { return CleanLine(s) == "" })
		if len(v) == 0 {
			return
		}
		for i := range v {
			v[i] = CleanLine(v[i])
		}
		value = v
	case int64:
		if v == 0 {
			return
		}
	case interface{ IsZero() bool }:
		if v.IsZero() {
			return
		}
	}
	if e.Metadata == nil {
		e.Metadata = map[string]any{}
	}
	e.Metadata[key] = value
}

// A Builder makes the text of a document out of the blocks of a format, in
// order, and keeps the offsets of headings and pages while it does. All text
// is cleaned; see [CleanLine]. Blocks are set apart by an empty line, rows and
// items of one list or table by a line break. The zero value is ready for use
// by one goroutine.
type Builder struct {
	// MaxBytes bounds the text; 0 means no bound. What comes after is dropped,
	// and Err tells.
	MaxBytes int64

	out      strings.Builder
	runes    int
	last     blockKind
	stack    []openHeading
	sections []Section
	pages    []int
	newPage  bool
	full     bool
	title    string
	level    int
}

type blockKind uint8

const (
	noBlock blockKind = iota
	paragraphBlock
	rowBlock
	itemBlock
)

type openHeading struct {
	level int
	title string
}

// Heading adds a heading and starts a section; level 1 is the outermost.
func (b *Builder) Heading(level int, title string) {
	title = CleanLine(title)
	if title == "" || b.full {
		return
	}
	b.begin(paragraphBlock)
	b.Section(level, title)
	b.write(title)
}

// Section starts a section at the current end of the text without adding its
// title, for titles that stand in the text already or nowhere.
func (b *Builder) Section(level int, title string) {
	title = CleanLine(title)
	if title == "" || b.full {
		return
	}
	if b.title == "" || level < b.level {
		b.title, b.level = title, level
	}
	for len(b.stack) > 0 && b.stack[len(b.stack)-1].level >= level {
		b.stack = b.stack[:len(b.stack)-1]
	}
	b.stack = append(b.stack, openHeading{level, title})
	headings := make([]string, len(b.stack))
	for i, h := range b.stack {
		headings[i] = h.title
	}
	if n := len(b.sections); n > 0 && b.sections[n-1].Start == b.runes {
		b.sections[n-1].Headings = headings
		return
	}
	b.sections = append(b.sections, Section{Start: b.runes, Headings: headings})
}

// Paragraph adds text that flows: its line breaks are white space.
func (b *Builder) Paragraph(text string) { b.block(paragraphBlock, "", CleanLine(text)) }

// Lines adds text whose lines matter, such as code, verse or an address.
func (b *Builder) Lines(text string) { b.block(paragraphBlock, "", CleanLines(text)) }

// Item adds an item of a list, depth counting from 0. The marker ("-", "1.")
// goes before it.
func (b *Builder) Item(depth int, marker, text string) {
	prefix := strings.Repeat("  ", max(0, min(depth, 20)))
	if marker != "" {
		prefix += marker + " "
	}
	b.block(itemBlock, prefix, CleanLine(text))
}

// Row adds a row of a table, its cells set apart by bars. Empty cells at the
// end are left out, and so is a row of nothing else.
func (b *Builder) Row(cells ...string) {
	clean := make([]string, len(cells))
	for i, cell := range cells {
		clean[i] = CleanLine(cell)
	}
	for len(clean) > 0 && clean[len(clean)-1] == "" {
		clean = clean[:len(clean)-1]
	}
	b.block(rowBlock, "", strings.Join(clean, " | "))
}

// EndTable sets the next row apart from those before, as the first one of
// another table.
func (b *Builder) EndTable() {
	if b.last == rowBlock || b.last == itemBlock {
		b.last = paragraphBlock
	}
}

// Page starts the next page. A format that has pages calls it before the text
// of each, the first included.
func (b *Builder) Page() {
	b.begin(noBlock)
	b.pages = append(b.pages, b.runes)
	b.newPage = b.out.Len() > 0
}

// PageWithin starts the next page within a paragraph: the text of the next block
// follows that of the last one, with nothing but the glue between them.
func (b *Builder) PageWithin(glue string) {
	b.write(glue)
	b.pages = append(b.pages, b.runes)
	b.newPage = true
}

// Pages returns how many pages were started.
func (b *Builder) Pages() int { return len(b.pages) }

// Len returns the length of the text so far, in bytes.
func (b *Builder) Len() int { return b.out.Len() }

// Err returns an error that wraps [ErrTooLarge] if text was dropped.
func (b *Builder) Err() error {
	if !b.full {
		return nil
	}
	return fmt.Errorf("%w: more than %d bytes of text; split it, or raise limits.max_document_bytes", ErrTooLarge, b.MaxBytes)
}

// Fill sets the text, the sections and the pages of a document, and its title
// if it has none: the first of the outermost headings, or else the fallback.
func (b *Builder) Fill(doc *Extracted, fallback string) {
	text := b.out.String()
	doc.Text = strings.TrimRight(text, "\n")
	// What an empty page at the end was set apart by is gone.
	end := b.runes - (len(text) - len(doc.Text))
	for i := len(b.pages) - 1; i >= 0 && b.pages[i] > end; i-- {
		b.pages[i] = end
	}
	for i := len(b.sections) - 1; i >= 0 && b.sections[i].Start > end; i-- {
		b.sections[i].Start = end
	}
	doc.Sections, doc.Pages = b.sections, b.pages
	if doc.Title = CleanLine(doc.Title); doc.Title == "" {
		doc.Title = b.title
	}
	if doc.Title == "" {
		doc.Title = fallback
	}
}

func (b *Builder) block(kind blockKind, prefix, text string) {
	if text == "" || b.full {
		return
	}
	b.begin(kind)
	b.write(prefix + text)
}

// begin sets the next block apart from the last one.
func (b *Builder) begin(kind blockKind) {
	if b.out.Len() > 0 && !b.full {
		switch {
		case b.newPage:
			// Page did it already.
		case kind == b.last && (kind == rowBlock || kind == itemBlock):
			b.write("\n")
		case b.last != noBlock:
			b.write("\n\n")
		}
	}
	b.newPage = false
	b.last = kind
}

func (b *Builder) write(s string) {
	if b.MaxBytes > 0 && int64(b.out.Len()+len(s)) > b.MaxBytes {
		b.full = true
		return
	}
	b.out.WriteString(s)
	b.runes += utf8.RuneCountInString(s)
}
