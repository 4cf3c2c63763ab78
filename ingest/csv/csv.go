// Package csv reads tables in text form (CSV, TSV and their kin): every row is a
// document of its own, with a line for each column that names it.
//
// The separator, and whether the first row holds the names of the columns, are
// found out. A [Config] says which columns are id, title, text and metadata;
// without one, columns called id and title are these, and all others are text.
// Memory is bounded by the longest row where the file is UTF-8. A [Processor]
// is immutable and safe for concurrent use.
package csv

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/tabular"
)

// MediaType is the media type of documents from tables.
const MediaType = "text/csv"

// A Config says what the columns are. The zero value finds out.
type Config struct {
	// ID and Title name columns.
	ID    string `yaml:"id"`
	Title string `yaml:"title"`
	// Text names the columns that make the text; empty means all others.
	Text []string `yaml:"text"`
	// Metadata names columns whose values can be filtered by, as text.
	Metadata []string `yaml:"metadata"`
}

// Validate checks the values.
func (c Config) Validate() error {
	for _, list := range [...]struct {
		key   string
		names []string
	}{{"text", c.Text}, {"metadata", c.Metadata}} {
		if slices.Contains(list.names, "") {
			return fmt.Errorf("%s: an empty name; allowed are names of columns", list.key)
		}
	}
	return nil
}

// Processor reads tables. Make one with New.
type Processor struct{ config Config }

var _ ingest.Processor = (*Processor)(nil)

// New returns a processor.
func New(config Config) *Processor { return &Processor{config} }

// Name implements [ingest.Processor].
func (*Processor) Name() string { return "csv" }

// Match implements [ingest.Processor]: the name, or three rows of the same
// three columns.
func (*Processor) Match(name string, head []byte) ingest.Confidence {
	if ingest.IsBinary(head) || ingest.Kind(head) != "" {
		return ingest.NoMatch
	}
	switch ingest.Extension(name) {
	case ".csv", ".tsv", ".tab":
		return ingest.Likely
	case "":
		if _, columns, rows := dialect(head); columns >= 3 && rows >= 3 {
			return ingest.Fallback
		}
	}
	return ingest.NoMatch
}

// dialect returns the separator that cuts the first rows into the most columns
// of the same number.
func dialect(head []byte) (comma rune, columns, rows int) {
	if len(head) == ingest.HeadBytes {
		head = head[:max(0, bytes.LastIndexByte(head, '\n'))] // the last row is not whole
	}
	comma = ','
	for _, candidate := range [...]rune{',', ';', '\t', '|'} {
		r := newReader(bytes.NewReader(head), candidate)
		width, n := 0, 0
		for ; n < tabular.Peek; n++ {
			row, err := r.Read()
			if err != nil {
				break
			}
			if n > 0 && len(row) != width {
				width = 0
				break
			}
			width = len(row)
		}
		if width > columns && width > 1 {
			comma, columns, rows = candidate, width, n
		}
	}
	return comma, columns, rows
}

func newReader(r io.Reader, comma rune) *csv.Reader {
	c := csv.NewReader(r)
	c.Comma, c.LazyQuotes, c.FieldsPerRecord = comma, true, -1
	return c
}

// Process implements [ingest.Processor].
func (p *Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	head := make([]byte, ingest.HeadBytes)
	n, _ := content.ReadAt(head, 0)
	head = head[:n]
	var in io.Reader = content
	if bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")) {
		if _, err := content.Seek(3, io.SeekStart); err != nil {
			return err
		}
		head = head[3:]
	} else if !startsUTF8(head) {
		// Other encodings need the whole text to be told.
		text, err := ingest.ReadText(content, sink.MaxDocumentBytes())
		if err != nil {
			return err
		}
		in, head = strings.NewReader(text.Text), []byte(text.Text[:min(len(text.Text), ingest.HeadBytes)])
	}
	comma, _, _ := dialect(head)
	if ingest.Extension(file.ID) == ".tsv" {
		comma = '\t'
	}
	budget := &budgetReader{r: in, limit: sink.MaxDocumentBytes()}
	t := &table{config: p.config, file: file, sink: sink, reader: newReader(budget, comma), budget: budget}
	return t.read(ctx)
}

// startsUTF8 reports whether the first bytes of a file are UTF-8, but for a
// character that is cut off at the end.
func startsUTF8(head []byte) bool {
	for i := 0; i < utf8.UTFMax && len(head) == ingest.HeadBytes && !utf8.Valid(head); i++ {
		head = head[:len(head)-1]
	}
	return utf8.Valid(head) && bytes.IndexByte(head, 0) < 0
}

// A table is one file that is being read.
type table struct {
	config Config
	file   ingest.File
	sink   ingest.Sink
	reader *csv.Reader
	budget *budgetReader

	header         []string
	id, title      int
	text, metadata []int
	count          int
}

type row struct {
	line  int
	cells []string
}

func (t *table) next() (row, error) {
	t.budget.left = t.budget.limit
	cells, err := t.reader.Read()
	if err != nil {
		return row{}, err
	}
	line, _ := t.reader.FieldPos(0)
	return row{line, cells}, nil
}

func (t *table) read(ctx context.Context) error {
	var first []row
	var peek [][]string
	var end error
	for len(first) < tabular.Peek && end == nil {
		var r row
		if r, end = t.next(); end == nil {
			first, peek = append(first, r), append(peek, r.cells)
		}
	}
	if len(first) == 0 {
		if errors.Is(end, io.EOF) {
			return ingest.ErrEmpty
		}
		return end
	}
	if t.named(first[0].cells) || tabular.HasHeader(peek) {
		t.header = first[0].cells
		first = first[1:]
	}
	if err := t.columns(); err != nil {
		return err
	}
	for _, r := range first {
		if err := t.document(r); err != nil {
			return err
		}
	}
	for end == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		var r row
		if r, end = t.next(); end == nil {
			if err := t.document(r); err != nil {
				return err
			}
		}
	}
	if !errors.Is(end, io.EOF) {
		return end
	}
	return nil
}

// named reports whether a row holds a column that the configuration names.
func (t *table) named(cells []string) bool {
	names := append(slices.Concat(t.config.Text, t.config.Metadata), t.config.ID, t.config.Title)
	return slices.ContainsFunc(names, func(name string) bool { return name != "" && find(cells, name) >= 0 })
}

func find(header []string, name string) int {
	return slices.IndexFunc(header, func(label string) bool { return strings.EqualFold(ingest.CleanLine(label), name) })
}

// columns finds the columns by their names.
func (t *table) columns() error {
	var missing []string
	column := func(name, usual string) int {
		at := find(t.header, name)
		if name == "" {
			return find(t.header, usual)
		}
		if at < 0 {
			missing = append(missing, strconv.Quote(name))
		}
		return at
	}
	t.id, t.title = column(t.config.ID, "id"), column(t.config.Title, "title")
	for _, name := range t.config.Text {
		t.text = append(t.text, column(name, ""))
	}
	for _, name := range t.config.Metadata {
		t.metadata = append(t.metadata, column(name, ""))
	}
	if len(missing) > 0 {
		return fmt.Errorf("it has no column %s, which ingest.csv names; it has %.200q", strings.Join(missing, ", "), t.header)
	}
	return nil
}

// document makes a document of a row.
func (t *table) document(r row) error {
	t.count++
	cell := func(at int) string {
		if at < 0 || at >= len(r.cells) {
			return ""
		}
		return r.cells[at]
	}
	var doc ingest.Extracted
	doc.Line = r.line
	doc.Source = t.file.Source(MediaType)
	id := ingest.CleanLine(cell(t.id))
	if id == "" {
		id = "row-" + strconv.Itoa(t.count)
	}
	doc.ID = t.file.ID + "#" + id
	doc.Title = ingest.CleanLine(cell(t.title))
	out := ingest.Builder{MaxBytes: t.sink.MaxDocumentBytes()}
	switch {
	case len(t.text) == 1:
		out.Lines(cell(t.text[0]))
	case len(t.text) > 1:
		for _, at := range t.text {
			out.Row(tabular.Label(t.label(at), []string{cell(at)})...)
		}
	default:
		for at := range r.cells {
			if at != t.id && (at != t.title || t.config.Title == "") {
				out.Row(tabular.Label(t.label(at), []string{cell(at)})...)
			}
		}
	}
	if out.Len() == 0 {
		return nil // a row without text, such as one of separators only
	}
	for i, at := range t.metadata {
		doc.SetMeta(t.config.Metadata[i], cell(at))
	}
	fallback := t.file.Title() + ", row " + strconv.Itoa(t.count)
	out.Fill(&doc, fallback)
	return t.sink.Document(doc)
}

func (t *table) label(at int) []string {
	if at < 0 || at >= len(t.header) {
		return nil
	}
	return t.header[at : at+1]
}

// A budgetReader bounds one row, which a quote that does not end would make as
// long as the file.
type budgetReader struct {
	r           io.Reader
	limit, left int64
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: one row has more than %d bytes; is there a quote that does not end?", ingest.ErrTooLarge, b.limit)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
