// Package mail reads e-mails: single ones (EML, RFC 5322 with MIME) as one
// document each, and mailboxes (MBOX) as one document a message.
//
// The text begins with who wrote to whom, when and about what; the body
// follows, the plain text where there is a choice. Attachments and mails in
// mails are processed as files of their own, with the id of the mail, "!/" and
// their name. Any charset is read that the mail declares. Encrypted mails are
// refused. A [Processor] is immutable and safe for concurrent use.
package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/needle-search/needle/ingest"
)

// The media types of documents from mails.
const (
	MediaType     = "message/rfc822"
	MboxMediaType = "application/mbox"
)

// Processor reads e-mails. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "mail" }

// Match implements [ingest.Processor]: a mail starts with header fields, among
// them some that only mails have; a mailbox with a line "From ".
func (Processor) Match(name string, head []byte) ingest.Confidence {
	if isSeparator(firstLine(head)) {
		return ingest.Certain
	}
	fields, known, origin := headerFields(head)
	switch {
	case known >= 3 || known >= 2 && origin:
		return ingest.Certain
	case fields > 0 && (ingest.Extension(name) == ".eml" || ingest.Extension(name) == ".mht"):
		return ingest.Likely
	}
	return ingest.NoMatch
}

func firstLine(head []byte) []byte {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// headerFields counts the fields at the start of a file, those that mails have,
// and says whether one of these is of mails only. Anything else than a field
// makes them none.
func headerFields(head []byte) (fields, known int, origin bool) {
	for line := range bytes.Lines(head) {
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		if fields > 0 && (text[0] == ' ' || text[0] == '\t') {
			continue
		}
		name, _, ok := strings.Cut(text, ":")
		if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			if len(line) > 0 && line[len(line)-1] != '\n' {
				break // the last line that can be seen is not whole
			}
			return 0, 0, false
		}
		fields++
		switch strings.ToLower(name) {
		case "received", "return-path", "message-id", "mime-version", "delivered-to", "dkim-signature":
			origin = true
			known++
		case "from", "to", "cc", "subject", "date", "reply-to", "content-type", "content-transfer-encoding", "in-reply-to", "references":
			known++
		}
	}
	return fields, known, origin
}

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	head := make([]byte, 512)
	n, _ := content.ReadAt(head, 0)
	if isSeparator(firstLine(head[:n])) {
		return processBox(ctx, file, content, sink)
	}
	m := &message{ctx: ctx, sink: sink, file: file, out: &ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}}
	m.doc.ID = file.ID
	m.doc.Source = file.Source(MediaType)
	return m.process(content)
}

// processBox reads the messages of a mailbox. Their ids are made of what the
// messages call themselves, so that they stay when others are deleted.
func processBox(ctx context.Context, file ingest.File, content io.Reader, sink ingest.Sink) error {
	box := newBox(content)
	seen := map[string]bool{}
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, body, err := box.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m := &message{ctx: ctx, sink: sink, file: file, out: &ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}}
		m.doc.Line = line
		m.doc.Source = file.Source(MboxMediaType)
		m.name = func(id string) {
			if id == "" || len(id) > 200 || seen[id] {
				id = strconv.Itoa(n)
			}
			seen[id] = true
			m.doc.ID = file.ID + "#" + id
			m.folder = strings.ReplaceAll(id, "/", "_") + "/"
		}
		if err := m.process(body); err != nil {
			var failed sinkError
			if errors.As(err, &failed) || ctx.Err() != nil {
				return err
			}
			sink.Fault(line, fmt.Errorf("message %d: %w", n, err))
		}
	}
}

// A sinkError is one that must end the processing of the file.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }
