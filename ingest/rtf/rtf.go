// Package rtf reads files in the Rich Text Format, each as one document.
//
// Kept are paragraphs, headings (by their style or outline level) as sections,
// list numbers, tables with one line a row, footnotes, and characters in any of
// the code pages that the format knows. Left out are headers, footers,
// comments, pictures and embedded objects. No well-kept library reads the
// format, so the reader is our own. A [Processor] is immutable and safe for
// concurrent use.
package rtf

import (
	"bufio"
	"bytes"
	"context"
	"io"

	"github.com/needle-search/needle/ingest"
)

// MediaType is the media type of documents from RTF files.
const MediaType = "application/rtf"

// Processor reads RTF files. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "rtf" }

// Match implements [ingest.Processor].
func (Processor) Match(_ string, head []byte) ingest.Confidence {
	if bytes.HasPrefix(head, []byte(`{\rtf`)) {
		return ingest.Certain
	}
	return ingest.NoMatch
}

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	p := newParser(ctx, bufio.NewReaderSize(content, 64<<10), sink.MaxDocumentBytes())
	p.doc.ID = file.ID
	p.doc.Source = file.Source(MediaType)
	if err := p.parse(); err != nil {
		return err
	}
	if err := p.out.Err(); err != nil {
		return err
	}
	p.out.Fill(&p.doc, file.Title())
	if p.doc.Text == "" {
		return ingest.ErrEmpty
	}
	return sink.Document(p.doc)
}
