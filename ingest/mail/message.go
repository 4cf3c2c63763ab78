package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	gomessage "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // charsets beside UTF-8
	gomail "github.com/emersion/go-message/mail"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/markup"
)

// maxParts and maxDepth bound the structure of a mail.
const (
	maxParts = 10_000
	maxDepth = 50
)

// A message is one that is being read.
type message struct {
	ctx  context.Context
	sink ingest.Sink
	file ingest.File
	out  *ingest.Builder
	doc  ingest.Extracted
	// name is told what the message calls itself; nil for single mails.
	name   func(id string)
	folder string // in front of the names of attachments

	plain, html []byte // of the body
	parts       int
	attachments int
	protected   bool
	date        time.Time
}

func (m *message) process(content io.Reader) error {
	entity, err := gomessage.ReadWithOptions(content, &gomessage.ReadOptions{MaxHeaderBytes: 1 << 20})
	if entity == nil {
		return fmt.Errorf("the header is broken: %w", err)
	}
	m.header(gomail.Header{Header: entity.Header})
	if err := m.part(entity, err, 0); err != nil {
		var failed sinkError
		if errors.As(err, &failed) || m.ctx.Err() != nil || len(m.plain)+len(m.html) == 0 {
			return err
		}
		// A mail that breaks off in an attachment has been read up to there.
		m.sink.Fault(m.doc.Line, err)
	}
	m.body()
	if err := m.out.Err(); err != nil {
		return err
	}
	switch {
	case len(bytes.TrimSpace(m.plain))+len(bytes.TrimSpace(m.html)) > 0, m.attachments > 0, m.doc.Title != "":
	case m.protected:
		return fmt.Errorf("%w: the mail is encrypted", ingest.ErrProtected)
	default:
		return ingest.ErrEmpty
	}
	if m.protected {
		m.sink.Fault(0, fmt.Errorf("%w: a part of the mail is encrypted", ingest.ErrProtected))
	}
	title := m.doc.Title
	m.out.Fill(&m.doc, m.file.Title())
	if title == "" {
		m.doc.Title = m.file.Title() // the body's headings are no subject
	}
	if err := m.sink.Document(m.doc); err != nil {
		return sinkError{err}
	}
	return nil
}

// header writes the fields that people look at and fills in the metadata.
func (m *message) header(h gomail.Header) {
	var lines []string
	add := func(name, value string) {
		if value = ingest.CleanLine(value); value != "" {
			lines = append(lines, name+": "+value)
		}
	}
	people := map[string][]string{}
	for _, key := range [...]string{"From", "To", "Cc"} {
		list, err := h.AddressList(key)
		var names []string
		for _, a := range list {
			names = append(names, address(a))
		}
		if err != nil || len(list) == 0 {
			if text, err := h.Text(key); err == nil && text != "" {
				names = []string{text}
			}
		}
		people[key] = names
		add(key, strings.Join(names, ", "))
	}
	if at, err := h.Date(); err == nil && at.Year() > 1969 && at.Year() < 9999 {
		m.date = at.UTC()
		add("Date", at.Format("2006-01-02 15:04"))
		m.doc.SetMeta(ingest.MetaCreated, m.date)
	}
	subject, err := h.Subject()
	if err != nil {
		subject = h.Get("Subject")
	}
	m.doc.Title = ingest.CleanLine(subject)
	add("Subject", subject)
	if from := people["From"]; len(from) > 0 {
		m.doc.SetMeta(ingest.MetaAuthor, from[0])
	}
	if to := append(people["To"], people["Cc"]...); len(to) > 0 && len(to) < 1000 {
		m.doc.SetMeta("recipients", to)
	}
	m.out.Lines(strings.Join(lines, "\n"))
	if m.name != nil {
		id, err := h.MessageID()
		if err != nil {
			id = ""
		}
		m.name(ingest.CleanLine(id))
	}
}

func address(a *gomail.Address) string {
	if a.Name == "" {
		return a.Address
	}
	return a.Name + " <" + a.Address + ">"
}

// part reads a part and those in it; err is what was wrong with its header.
func (m *message) part(e *gomessage.Entity, err error, depth int) error {
	if m.parts++; m.parts > maxParts || depth > maxDepth {
		return fmt.Errorf("%w: more than %d parts, or %d deep in each other", ingest.ErrBomb, maxParts, maxDepth)
	}
	if ctxErr := m.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	kind, parameters, kindErr := e.Header.ContentType()
	if kindErr != nil {
		kind = "text/plain"
	}
	if err != nil {
		m.sink.Fault(m.doc.Line, fmt.Errorf("a part of the mail: %w", err))
		if gomessage.IsUnknownEncoding(err) {
			return nil
		}
	}
	if kind == "multipart/encrypted" || kind == "application/pkcs7-mime" || kind == "application/x-pkcs7-mime" {
		m.protected = true
		return nil
	}
	if parts := e.MultipartReader(); parts != nil {
		return m.multipart(parts, depth)
	}
	disposition, more, dispositionErr := e.Header.ContentDisposition()
	name := more["filename"]
	if name == "" {
		name = parameters["name"]
	}
	attached := dispositionErr == nil && disposition == "attachment"
	switch {
	case kind == "text/plain" && !attached && name == "":
		return m.text(&m.plain, e.Body)
	case kind == "text/html" && !attached && name == "":
		return m.text(&m.html, e.Body)
	case kind == "application/pgp-signature", kind == "application/pkcs7-signature", kind == "application/x-pkcs7-signature":
		return nil
	case strings.HasPrefix(kind, "image/") && !attached:
		return nil // pictures in the text
	}
	return m.attach(kind, name, e.Body)
}

func (m *message) multipart(parts gomessage.MultipartReader, depth int) error {
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if part == nil {
			return fmt.Errorf("it is damaged or cut off: %w", err)
		}
		if err := m.part(part, err, depth+1); err != nil {
			return err
		}
	}
}

// text adds to the body. Several parts of one kind follow each other.
func (m *message) text(into *[]byte, body io.Reader) error {
	left := m.sink.MaxDocumentBytes() - int64(len(*into))
	data, err := io.ReadAll(io.LimitReader(body, left+1))
	if int64(len(data)) > left {
		return fmt.Errorf("%w: the body has more than %d bytes", ingest.ErrTooLarge, m.sink.MaxDocumentBytes())
	}
	if len(*into) > 0 {
		*into = append(*into, '\n')
	}
	*into = append(*into, data...)
	if err != nil {
		return fmt.Errorf("it is damaged or cut off: %w", err)
	}
	return nil
}

func (m *message) attach(kind, name string, body io.Reader) error {
	container, ok := m.sink.(ingest.Container)
	if !ok {
		return nil
	}
	m.attachments++
	if name = ingest.CleanLine(name); name == "" {
		name = fmt.Sprintf("part-%d", m.parts)
		if kind == MediaType {
			name += ".eml"
		} else if extensions, err := mime.ExtensionsByType(kind); err == nil && len(extensions) > 0 {
			name += extensions[0]
		}
	}
	// A name is all that senders may choose, not a folder.
	name = strings.NewReplacer("/", "_", `\`, "_").Replace(name)
	if err := container.Member(m.ctx, m.folder+name, m.date, body); err != nil {
		return sinkError{err}
	}
	return nil
}

// body writes the text of the mail: the plain one unless there is none.
func (m *message) body() {
	if len(bytes.TrimSpace(m.plain)) == 0 && len(m.html) > 0 {
		if _, err := markup.Render(bytes.NewReader(m.html), m.out); err != nil {
			m.sink.Fault(m.doc.Line, err)
		}
		return
	}
	text := strings.ReplaceAll(strings.ToValidUTF8(string(m.plain), "\uFFFD"), "\r\n", "\n")
	for block := range strings.SplitSeq(text, "\n\n") {
		if isWrapped(block) {
			m.out.Paragraph(block)
		} else {
			m.out.Lines(block)
		}
	}
}

// isWrapped reports whether the lines of a block were broken by a program for
// their length, so that they are one paragraph.
func isWrapped(block string) bool {
	lines := strings.Split(strings.Trim(block, "\n"), "\n")
	for i, line := range lines {
		if line == "" || strings.ContainsAny(line[:1], ">-*•|+ \t") || i < len(lines)-1 && (len(line) < 50 || len(line) > 120) {
			return false
		}
	}
	return true
}
