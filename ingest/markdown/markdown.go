// Package markdown reads Markdown files (CommonMark with tables, task lists,
// strikethrough, footnotes and definition lists), each as one document.
//
// The text of the document is what a reader sees: markup is gone, paragraphs
// are one line each, lists keep their bullets, tables one line a row, code its
// lines. Sections carry the titles of the headings above them. YAML front
// matter becomes metadata; of its keys, title, language (or lang) and groups
// set the fields of the document instead.
//
// A [Processor] is safe for concurrent use.
package markdown

import (
	"context"
	"io"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"github.com/needle-search/needle/ingest"
)

// MediaType is the media type of documents from Markdown.
const MediaType = "text/markdown"

// Processor reads Markdown. Make one with New.
type Processor struct{ parser parser.Parser }

var _ ingest.Processor = (*Processor)(nil)

// New returns a processor.
func New() *Processor {
	return &Processor{parser: goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote, extension.DefinitionList)).Parser()}
}

// Name implements [ingest.Processor].
func (*Processor) Name() string { return "markdown" }

// Match implements [ingest.Processor]. Any text is valid Markdown, so the name
// decides.
func (*Processor) Match(name string, head []byte) ingest.Confidence {
	switch ingest.Extension(name) {
	case ".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdx":
		if !ingest.IsBinary(head) {
			return ingest.Likely
		}
	}
	return ingest.NoMatch
}

// Process implements [ingest.Processor].
func (p *Processor) Process(_ context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	read, err := ingest.ReadText(content, sink.MaxDocumentBytes())
	if err != nil {
		return err
	}
	matter, body := cutFrontMatter(read.Text)
	var doc ingest.Extracted
	doc.ID = file.ID
	doc.Source = file.Source(MediaType)
	if err := matter.apply(&doc.Document); err != nil {
		return err
	}
	source := []byte(body)
	w := writer{source: source}
	w.blocks(p.parser.Parse(text.NewReader(source)))
	doc.Text, doc.Sections = strings.TrimRight(w.out.String(), "\n"), w.sections
	if strings.TrimSpace(doc.Text) == "" {
		return ingest.ErrEmpty
	}
	if doc.Title == "" {
		doc.Title = w.title
	}
	if doc.Title == "" {
		doc.Title = file.Title()
	}
	return sink.Document(doc)
}

// heading notes the start of a section and the title. Headings in quotes and
// lists are part of these and start nothing.
func (w *writer) heading(n *ast.Heading) {
	title := strings.Join(strings.Fields(w.inline(n)), " ")
	if title == "" {
		return
	}
	w.startBlock()
	if w.depth == 1 {
		w.section(n.Level, title)
	}
	w.write(title)
	w.endBlock()
}

func (w *writer) section(level int, title string) {
	if w.title == "" || level == 1 && w.titleLevel > 1 {
		w.title, w.titleLevel = title, level
	}
	for len(w.stack) > 0 && w.stack[len(w.stack)-1].level >= level {
		w.stack = w.stack[:len(w.stack)-1]
	}
	w.stack = append(w.stack, open{level, title})
	headings := make([]string, len(w.stack))
	for i, h := range w.stack {
		headings[i] = h.title
	}
	w.sections = append(w.sections, ingest.Section{Start: w.runes, Headings: headings})
}
