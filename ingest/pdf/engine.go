package pdf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klippa-app/go-pdfium"
	pdfiumerrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"

	"github.com/needle-search/needle/ingest"
)

// A document is what was read of a file.
type document struct {
	info  info
	pages []page
	bare  []int // the pages (from 1) that show something but hold no text
}

func (d *document) empty() bool {
	for _, p := range d.pages {
		if len(p.lines) > 0 {
			return false
		}
	}
	return true
}

// maxPages bounds what a file may claim.
const maxPages = 1_000_000

// read reads all pages of a file in a sandbox.
func (e *engine) read(ctx context.Context, content *io.SectionReader, maxBytes int64) (*document, error) {
	box, err := e.take(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{}
	var doc *document
	err = box.use(ctx, content.Size(), func(instance pdfium.Pdfium) error {
		r.pdfium = instance
		doc, err = r.document(ctx, content, maxBytes)
		return err
	})
	e.put(box)
	if err != nil && r.source.err != nil {
		return nil, r.source.err // the disk, not the file
	}
	return doc, err
}

// A source hands the content to PDFium, which does not pass errors on.
type source struct {
	*io.SectionReader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.SectionReader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && s.err == nil {
		s.err = err
	}
	return n, err
}

// A reader reads one file. It is used by one goroutine.
type reader struct {
	pdfium pdfium.Pdfium
	handle references.FPDF_DOCUMENT
	source source
}

func (r *reader) document(ctx context.Context, content *io.SectionReader, maxBytes int64) (*document, error) {
	r.source.SectionReader = content
	opened, err := r.pdfium.OpenDocument(&requests.OpenDocument{FileReader: &r.source, FileReaderSize: content.Size()})
	switch {
	case errors.Is(err, pdfiumerrors.ErrPassword), errors.Is(err, pdfiumerrors.ErrSecurity):
		return nil, ErrEncrypted
	case err != nil:
		return nil, fmt.Errorf("%w (%s)", ErrMalformed, reason(err))
	}
	r.handle = opened.Document
	count, err := r.pdfium.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: r.handle})
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", ErrMalformed, reason(err))
	}
	if count.PageCount > maxPages {
		return nil, fmt.Errorf("%w: %d pages, at most %d are allowed", ingest.ErrTooLarge, count.PageCount, maxPages)
	}
	defer func() {
		_, _ = r.pdfium.FPDF_CloseDocument(&requests.FPDF_CloseDocument{Document: r.handle})
	}()
	doc := &document{info: r.info()}
	size := int64(0)
	failed := 0
	for i := range count.PageCount {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := r.page(i)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			// A page that is broken is empty; that all are is a fault.
			failed++
		}
		for _, l := range p.lines {
			size += int64(len(l.text))
		}
		if size > maxBytes {
			return nil, fmt.Errorf("%w: more than %d bytes of text; split it, or raise limits.max_document_bytes", ingest.ErrTooLarge, maxBytes)
		}
		if len(p.lines) == 0 && p.painted {
			doc.bare = append(doc.bare, i+1)
		}
		doc.pages = append(doc.pages, p)
	}
	if failed > 0 && failed == count.PageCount {
		return nil, fmt.Errorf("%w (no page could be read)", ErrMalformed)
	}
	return doc, nil
}

// reason shortens an error of PDFium, which may hold a stack of WebAssembly.
func reason(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	if _, text, ok := strings.Cut(line, ": "); ok && len(line) < 40 {
		line = text
	}
	return line
}

// page reads one page. Errors leave it empty.
func (r *reader) page(index int) (page, error) {
	var p page
	loaded, err := r.pdfium.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: r.handle, Index: index})
	if err != nil {
		return p, err
	}
	defer func() { _, _ = r.pdfium.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: loaded.Page}) }()
	ref := requests.Page{ByReference: &loaded.Page}
	if size, err := r.pdfium.FPDF_GetPageSizeByIndex(&requests.FPDF_GetPageSizeByIndex{Document: r.handle, Index: index}); err == nil {
		p.width, p.height = size.Width, size.Height
	}
	rotation := 0
	if got, err := r.pdfium.FPDFPage_GetRotation(&requests.FPDFPage_GetRotation{Page: ref}); err == nil {
		rotation = int(got.PageRotation)
	}
	text, err := r.pdfium.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: ref})
	if err != nil {
		return p, err
	}
	defer func() {
		_, _ = r.pdfium.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: text.TextPage})
	}()
	t := textPage{pdfium: r.pdfium, ref: text.TextPage, turn: turner(rotation, p.width, p.height)}
	if err := t.load(); err != nil {
		return p, err
	}
	p.lines = t.lines()
	if len(p.lines) == 0 {
		if objects, err := r.pdfium.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: ref}); err == nil {
			p.painted = objects.Count > 0
		}
	}
	return p, nil
}

// turner maps places of a page that is shown turned by quarters to what a
// reader sees.
func turner(quarters int, width, height float64) func(box) box {
	switch quarters & 3 {
	case 1:
		return func(b box) box {
			return box{left: b.bottom, right: b.top, bottom: height - b.right, top: height - b.left}
		}
	case 2:
		return func(b box) box {
			return box{left: width - b.right, right: width - b.left, bottom: height - b.top, top: height - b.bottom}
		}
	case 3:
		return func(b box) box {
			return box{left: width - b.top, right: width - b.bottom, bottom: b.left, top: b.right}
		}
	}
	return func(b box) box { return b }
}

// A textPage gives the lines of a page. Every call into the sandbox costs some
// microseconds, so only those places are asked for that matter.
type textPage struct {
	pdfium pdfium.Pdfium
	ref    references.FPDF_TEXTPAGE
	turn   func(box) box

	text   string
	direct bool // the index of a UTF-16 unit is the index of its character
}

func (t *textPage) load() error {
	count, err := t.pdfium.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: t.ref})
	if err != nil || count.Count == 0 {
		return err
	}
	text, err := t.pdfium.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: t.ref, Count: count.Count})
	if err != nil {
		return err
	}
	t.text = strings.TrimRight(text.Text, "\x00")
	units := 0
	for _, r := range t.text {
		units += utf16.RuneLen(r)
	}
	t.direct = units == count.Count
	return nil
}

// breakMark is what PDFium writes for a hyphen at the end of a line, and then
// goes on without a line break.
const breakMark = '\uFFFE'

// lines cuts the text of the page into lines and finds their places.
func (t *textPage) lines() []line {
	var lines []line
	unit := 0 // UTF-16 units before rest
	for rest := t.text; rest != ""; {
		end := strings.IndexAny(rest, "\r\n"+string(breakMark))
		raw, next := rest, ""
		switch {
		case end < 0:
		case strings.HasPrefix(rest[end:], "\r\n"):
			raw, next = rest[:end], rest[end+2:]
		case strings.HasPrefix(rest[end:], string(breakMark)):
			cut := end + utf8.RuneLen(breakMark)
			raw, next = rest[:cut], rest[cut:]
		default:
			raw, next = rest[:end], rest[end+1:]
		}
		if l, ok := t.line(raw, unit); ok {
			lines = append(lines, l)
		}
		for _, r := range rest[:len(rest)-len(next)] {
			unit += utf16.RuneLen(r)
		}
		rest = next
	}
	return lines
}

// line finds the place of one line and the wide gaps in it.
func (t *textPage) line(raw string, unit int) (line, bool) {
	var l line
	first, last := -1, -1
	type candidate struct{ before, after, at int }
	var spaces []candidate
	var text strings.Builder
	u, previous, blanks := unit, -1, 0
	for _, r := range raw {
		here := u
		u += utf16.RuneLen(r)
		if r == ' ' || r == '\t' || r == '\u00a0' {
			blanks++
			continue
		}
		if r == 0 {
			continue
		}
		if previous >= 0 && blanks > 0 {
			if blanks > 2 || t.generated(here-1) {
				spaces = append(spaces, candidate{previous, here, text.Len()})
			}
			text.WriteByte(' ')
		}
		blanks = 0
		if first < 0 {
			first = here
		}
		last, previous = here, here
		text.WriteRune(r)
	}
	if l.text = text.String(); strings.Trim(l.text, " "+string(breakMark)) == "" {
		return l, false
	}
	l.box = t.box(first)
	if end := t.box(last); last != first && end != (box{}) {
		l.box = l.box.join(end)
	}
	for _, s := range spaces {
		before, after := t.box(s.before), t.box(s.after)
		if before == (box{}) || after == (box{}) {
			continue
		}
		// Letters of the other direction run from right to left.
		x0, x1 := before.right, after.left
		if x0 > x1 {
			x0, x1 = after.right, before.left
		}
		if x1-x0 > wideGap*max(1, l.height()) {
			l.gaps = append(l.gaps, gap{at: s.at, left: x0, right: x1})
		}
	}
	return l, true
}

func (t *textPage) index(unit int) int {
	if t.direct {
		return unit
	}
	got, err := t.pdfium.FPDFText_GetCharIndexFromTextIndex(&requests.FPDFText_GetCharIndexFromTextIndex{TextPage: t.ref, NTextIndex: unit})
	if err != nil || got.CharIndex < 0 {
		return unit
	}
	return got.CharIndex
}

func (t *textPage) generated(unit int) bool {
	got, err := t.pdfium.FPDFText_IsGenerated(&requests.FPDFText_IsGenerated{TextPage: t.ref, Index: t.index(unit)})
	return err == nil && got.IsGenerated
}

func (t *textPage) box(unit int) box {
	got, err := t.pdfium.FPDFText_GetLooseCharBox(&requests.FPDFText_GetLooseCharBox{TextPage: t.ref, Index: t.index(unit)})
	if err != nil {
		return box{}
	}
	r := got.Rect
	return t.turn(box{left: float64(r.Left), right: float64(r.Right), bottom: float64(r.Bottom), top: float64(r.Top)})
}
