// Package html reads web pages (HTML and XHTML), each as one document.
//
// Of a page its content is taken: what the page marks as main, or else all but
// navigation, headers, footers, forms and blocks that are little more than
// links. Headings become sections; tables keep a line a row, lists their
// marks, preformatted text its lines. Title, author, dates, description and
// language come from the head of the page.
//
// The encoding is the one that a byte order mark, the page or its bytes state.
// A page that is too long or nested too deep for a tree is read as a flow of
// tags, without looking for its content; memory is bounded either way.
//
// A [Processor] is immutable and safe for concurrent use.
package html

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html"

	"github.com/needle-search/needle/ingest"
)

// MediaType is the media type of documents from web pages.
const MediaType = "text/html"

// Processor reads web pages. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "html" }

// Match implements [ingest.Processor]: by the first tag, and by a usual name if
// there is any tag.
func (Processor) Match(name string, head []byte) ingest.Confidence {
	if ingest.IsBinary(head) {
		return ingest.NoMatch
	}
	head = bytes.ReplaceAll(head, []byte{0}, nil) // UTF-16
	start := bytes.ToLower(skipProlog(head))
	for _, tag := range []string{"<!doctype html", "<html", "<head", "<body"} {
		if bytes.HasPrefix(start, []byte(tag)) {
			return ingest.Certain
		}
	}
	switch ingest.Extension(name) {
	case ".html", ".htm", ".xhtml", ".xht":
		if bytes.IndexByte(head, '<') >= 0 {
			return ingest.Likely
		}
	}
	return ingest.NoMatch
}

// skipProlog skips what may stand before the first tag: a byte order mark,
// white space, comments and the declarations of XML.
func skipProlog(head []byte) []byte {
	for {
		for _, mark := range []string{"\xEF\xBB\xBF", "\xFE\xFF", "\xFF\xFE"} {
			head = bytes.TrimPrefix(head, []byte(mark))
		}
		head = bytes.TrimLeft(head, " \t\r\n")
		var end string
		switch {
		case bytes.HasPrefix(head, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(head, []byte("<?")):
			end = "?>"
		default:
			return head
		}
		at := bytes.Index(head, []byte(end))
		if at < 0 {
			return head
		}
		head = head[at+len(end):]
	}
}

// treeBytes is the longest page that is made into a tree, which takes some
// twenty times as much memory.
const treeBytes = 8 << 20

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	if content.Size() > sink.MaxDocumentBytes() {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed; split it, or raise limits.max_document_bytes", ingest.ErrTooLarge, content.Size(), sink.MaxDocumentBytes())
	}
	data := make([]byte, content.Size())
	if n, err := content.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if n < len(data) {
		return ingest.ErrChanged
	}
	text, encoding, err := decode(data)
	if err != nil {
		return err
	}
	doc := ingest.Extracted{}
	doc.ID = file.ID
	doc.Source = file.Source(MediaType)
	doc.SetMeta(ingest.MetaEncoding, encoding)
	w := writer{builder: ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}}
	if root, err := tree(text); err == nil {
		readHead(root, &doc)
		w.page(root)
	} else {
		w.flow(ctx, text)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.builder.Err(); err != nil {
		return err
	}
	w.builder.Fill(&doc, file.Title())
	if strings.TrimSpace(doc.Text) == "" {
		return ingest.ErrEmpty
	}
	return sink.Document(doc)
}

var errTree = errors.New("no tree")

func tree(text string) (*html.Node, error) {
	if len(text) > treeBytes {
		return nil, errTree
	}
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return nil, errors.Join(errTree, err)
	}
	return root, nil
}
