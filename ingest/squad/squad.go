// Package squad reads the JSON files of the SQuAD data sets (1.1 and 2.0) as
// documents: every paragraph is one, titled like its article. The questions are
// left to package eval.
//
// A [Processor] is immutable and safe for concurrent use; memory is bounded by
// the longest article.
package squad

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"

	"github.com/needle-search/needle/ingest"
)

// MediaType is the media type of documents from SQuAD files.
const MediaType = "application/json"

// Processor reads SQuAD files. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// DocumentID returns the id of a paragraph's document. Articles and paragraphs
// are counted from 0, as in the file.
func DocumentID(fileID string, article, paragraph int) string {
	return fmt.Sprintf("%s#%d/%d", fileID, article, paragraph)
}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "squad" }

// Match implements [ingest.Processor]: an object with a list "data" of objects
// that start like articles.
func (Processor) Match(_ string, head []byte) ingest.Confidence {
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(head, mark)))
	if toData(decoder) != nil {
		return ingest.NoMatch
	}
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return ingest.NoMatch
	}
	if key, err := decoder.Token(); err != nil || key != "title" && key != "paragraphs" {
		return ingest.NoMatch
	}
	return ingest.Certain
}

var (
	mark      = []byte("\xEF\xBB\xBF")
	errNoData = errors.New(`it has no list "data" of articles`)
)

// toData moves the decoder behind the bracket that opens the list "data".
func toData(decoder *json.Decoder) error {
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return errors.Join(errNoData, err)
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		if key == "data" {
			if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
				return errors.Join(errNoData, err)
			}
			return nil
		}
		var skipped json.RawMessage
		if err := decoder.Decode(&skipped); err != nil {
			return err
		}
	}
	return errNoData
}

type article struct {
	Title      string `json:"title"`
	Paragraphs []struct {
		Context string `json:"context"`
	} `json:"paragraphs"`
}

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	budget := &budgetReader{r: transform.NewReader(content, encoding.UTF8Validator), limit: sink.MaxDocumentBytes()}
	budget.reset()
	head := make([]byte, len(mark))
	n, err := io.ReadFull(budget, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return describe(err, 0, content.Size())
	}
	decoder := json.NewDecoder(io.MultiReader(bytes.NewReader(bytes.TrimPrefix(head[:n], mark)), budget))
	if err := toData(decoder); err != nil {
		return describe(err, decoder.InputOffset(), content.Size())
	}
	found := false
	for i := 0; decoder.More(); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		budget.reset()
		var a article
		var mismatch *json.UnmarshalTypeError
		if err := decoder.Decode(&a); errors.As(err, &mismatch) {
			found = true
			sink.Fault(0, fmt.Errorf("article %d: %s is %s, want %s", i, mismatch.Field, mismatch.Value, mismatch.Type))
			continue
		} else if err != nil {
			return fmt.Errorf("article %d: %w", i, describe(err, decoder.InputOffset(), content.Size()))
		}
		for j, p := range a.Paragraphs {
			found = true
			if strings.TrimSpace(p.Context) == "" {
				sink.Fault(0, fmt.Errorf("article %d (%q), paragraph %d has no context", i, a.Title, j))
				continue
			}
			var doc ingest.Extracted
			doc.ID = DocumentID(file.ID, i, j)
			// Titles in these data sets have underscores for spaces.
			doc.Title = strings.ReplaceAll(a.Title, "_", " ")
			doc.Text = p.Context
			doc.Source = file.Source(MediaType)
			if err := sink.Document(doc); err != nil {
				return err
			}
		}
	}
	// More is false at the end of the list and where the file breaks off.
	if token, err := decoder.Token(); err != nil || token != json.Delim(']') {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return describe(err, decoder.InputOffset(), content.Size())
	}
	if !found {
		return ingest.ErrEmpty
	}
	return nil
}

// describe says where in a file of so many bytes an error is; offset is what
// was read without one.
func describe(err error, offset, size int64) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, encoding.ErrInvalidUTF8):
		return fmt.Errorf("%w after byte %d", ingest.ErrEncoding, offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("broken JSON: the file breaks off after byte %d", size)
	case errors.As(err, &syntax):
		return fmt.Errorf("broken JSON at byte %d: %w", syntax.Offset, err)
	}
	return err
}

// A budgetReader bounds what the decoder may read for one article, which it
// keeps in memory.
type budgetReader struct {
	r     io.Reader
	limit int64
	left  int64
}

func (b *budgetReader) reset() { b.left = b.limit }

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: one article has more than %d bytes", ingest.ErrTooLarge, b.limit)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
