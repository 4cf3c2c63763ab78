// Package jsonl reads JSON Lines: one document a line.
//
//	{"id": "p-17", "title": "Paris", "text": "Paris is ...", "metadata": {"year": 1889}}
//
// See [ingest.DecodeDocument] for the keys. A line that cannot be taken is a
// fault with its number, and so is one whose id was there before; the other
// lines go in. Memory is bounded by the
// longest line. A [Processor] is immutable and safe for concurrent use.
package jsonl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/needle-search/needle/ingest"
)

// MediaType is the media type of documents whose record does not name one.
const MediaType = "application/jsonl"

// Processor reads JSON Lines. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "jsonl" }

// Match implements [ingest.Processor]. A first line that is a whole JSON object
// is JSON Lines under any name; under the usual names a broken line is one,
// too, so that its fault can be told.
func (Processor) Match(name string, head []byte) ingest.Confidence {
	if ingest.IsBinary(head) {
		return ingest.NoMatch
	}
	named := false
	switch ingest.Extension(name) {
	case ".jsonl", ".ndjson", ".jsonlines":
		named = true
	}
	start := bytes.TrimLeft(bytes.TrimPrefix(head, mark), " \t\r\n")
	if !bytes.HasPrefix(start, []byte("{")) {
		if named {
			return ingest.Likely
		}
		return ingest.NoMatch
	}
	if named {
		return ingest.Certain
	}
	line, _, found := bytes.Cut(start, []byte("\n"))
	if found || len(head) < ingest.HeadBytes {
		var record struct {
			ID, Text json.RawMessage
		}
		if json.Unmarshal(line, &record) == nil && (record.ID != nil || record.Text != nil) {
			return ingest.Likely
		}
		return ingest.NoMatch
	}
	// The first line is longer than what can be seen of it.
	if bytes.HasPrefix(line, []byte(`{"id"`)) || bytes.HasPrefix(line, []byte(`{"text"`)) {
		return ingest.Likely
	}
	return ingest.NoMatch
}

var mark = []byte("\xEF\xBB\xBF")

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	lines := lineReader{r: bufio.NewReaderSize(content, 64<<10), limit: sink.MaxDocumentBytes()}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, number, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ingest.ErrTooLarge):
			sink.Fault(number, err)
			continue
		case err != nil:
			return fmt.Errorf("line %d: %w", number, err)
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, mark)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		doc, err := ingest.DecodeDocument(line)
		if err != nil {
			sink.Fault(number, err)
			continue
		}
		if doc.Source.URI == "" {
			doc.Source.URI = file.Path
			doc.Source.ModifiedAt = file.ModTime
			if doc.Source.MediaType == "" {
				doc.Source.MediaType = MediaType
			}
		}
		if err := sink.Document(ingest.Extracted{Document: doc, Line: number}); err != nil {
			return err
		}
	}
}

// A lineReader reads lines of bounded length.
type lineReader struct {
	r      *bufio.Reader
	limit  int64
	number int
	buffer []byte
}

// next returns the next line and its number. A line that is too long is
// skipped without being kept and gives [ingest.ErrTooLarge]. The line is valid
// until the next call.
func (l *lineReader) next() ([]byte, int, error) {
	l.number++
	l.buffer = l.buffer[:0]
	length := int64(0)
	for {
		part, err := l.r.ReadSlice('\n')
		length += int64(len(part))
		if length <= l.limit {
			l.buffer = append(l.buffer, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, l.number, err
		case err != nil && length == 0:
			return nil, l.number, io.EOF
		case length > l.limit:
			// Give the memory back: one such line may be all there is.
			l.buffer = nil
			return nil, l.number, fmt.Errorf("%w: the line has %d bytes, at most %d are allowed", ingest.ErrTooLarge, length, l.limit)
		}
		return l.buffer, l.number, nil
	}
}
