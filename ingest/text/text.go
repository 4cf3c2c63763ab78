// Package text reads plain text files, each as one document.
//
// The text is kept verbatim, so offsets hold in the file too; only a byte order
// mark is left out. Unicode is read in all its forms, and other encodings where
// the bytes give them away; their name is in the metadata.
// A [Processor] is immutable and safe for concurrent use.
package text

import (
	"context"
	"io"

	"github.com/needle-search/needle/ingest"
)

// MediaType is the media type of documents from plain text.
const MediaType = "text/plain"

// Processor reads plain text. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "text" }

// Match implements [ingest.Processor]: everything that is text fits, unless it
// is of a format that is written in text but not meant to be read as such.
func (Processor) Match(name string, head []byte) ingest.Confidence {
	if ingest.IsBinary(head) || ingest.Kind(head) != "" {
		return ingest.NoMatch
	}
	switch ingest.Extension(name) {
	case ".txt", ".text", ".log":
		return ingest.Likely
	}
	return ingest.Fallback
}

// Process implements [ingest.Processor].
func (Processor) Process(_ context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	read, err := ingest.ReadText(content, sink.MaxDocumentBytes())
	if err != nil {
		return err
	}
	var doc ingest.Extracted
	doc.ID = file.ID
	doc.Title = file.Title()
	doc.Text = read.Text
	doc.Source = file.Source(MediaType)
	doc.Source.Verbatim = true
	doc.Source.TextOffset = read.Offset
	doc.SetMeta(ingest.MetaEncoding, read.Encoding)
	return sink.Document(doc)
}
