// Package docx reads documents of Word (Office Open XML), each as one document.
//
// Kept are the paragraphs in order, headings as sections, lists with their
// numbers, tables with one line a row, text boxes, footnotes and endnotes, and
// what tracked changes would leave. Left out are headers, footers, comments
// and pictures. Pages are known where Word has saved where they broke.
//
// No well-kept library reads the format, so this works on its XML. A
// [Processor] is immutable and safe for concurrent use.
package docx

import (
	"context"
	"io"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/ooxml"
	"github.com/needle-search/needle/ingest/internal/packed"
)

// MediaType is the media type of documents from DOCX files.
const MediaType = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

// Processor reads DOCX files. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "docx" }

// Match implements [ingest.Processor].
func (Processor) Match(name string, head []byte) ingest.Confidence {
	return ooxml.Match(name, head, "word/", ".docx", ".docm", ".dotx", ".dotm")
}

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	z, err := packed.OpenZip(content)
	if err != nil {
		return err
	}
	main, err := ooxml.Main(ctx, z, "word/document.xml")
	if err != nil {
		return err
	}
	var doc ingest.Extracted
	doc.ID = file.ID
	doc.Source = file.Source(MediaType)
	pages := ooxml.Properties(ctx, z, &doc)
	r := &reader{ctx: ctx, zip: z, out: &ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}}
	if err := r.read(main); err != nil {
		return err
	}
	if err := r.out.Err(); err != nil {
		return err
	}
	r.out.Fill(&doc, file.Title())
	if r.breaks == 0 {
		doc.Pages = nil
	}
	doc.SetMeta(ingest.MetaPages, max(pages, int64(len(doc.Pages))))
	if doc.Text == "" {
		return ingest.ErrEmpty
	}
	return sink.Document(doc)
}
