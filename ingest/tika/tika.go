// Package tika lets an external Apache Tika server read files, for formats that
// Needle does not read itself or not well enough:
//
//	ingest:
//	  tika:
//	    url: http://127.0.0.1:9998
//	    types: [.doc, .vsd, "*"]
//
// Files of the named types go to the server, whatever else could read them;
// "*" stands for all files that nothing else reads. Paragraphs, headings,
// tables, lists and pages are kept, and title, author, dates and language taken
// over. What is attached to a file or embedded in it is not.
//
// The server gets the content of the files, so it must be trusted with them. A
// [Processor] is immutable and safe for concurrent use.
package tika

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/needle-search/needle/ingest"
)

// The reasons for which a file is not taken, for errors.Is.
var (
	// ErrServer says that the server cannot be reached or does not do its work.
	ErrServer = errors.New("the Tika server failed")
	// ErrEncrypted says that a file cannot be read without a password.
	ErrEncrypted = errors.New("it is encrypted and needs a password; store a copy without one")
)

// Config sets up a [Processor].
type Config struct {
	// URL is the address of the server; empty means that there is none.
	URL string `yaml:"url"`
	// Types are extensions (".doc") of files that the server reads, and "*" for
	// those that nothing else reads.
	Types []string `yaml:"types"`
	// Timeout bounds the reading of one file.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultConfig returns the defaults: no server; with one, files that nothing
// else reads, for up to 2 minutes each.
func DefaultConfig() Config { return Config{Types: []string{"*"}, Timeout: 2 * time.Minute} }

// Validate checks the values. The error has one line for every fault, with the
// key, the value and what is allowed.
func (c Config) Validate() error {
	var faults []error
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		faults = append(faults, fmt.Errorf("url: %q; allowed is an address such as http://127.0.0.1:9998", c.URL))
	}
	for _, t := range c.Types {
		if t != "*" && (len(t) < 2 || t[0] != '.' || t != strings.ToLower(t)) {
			faults = append(faults, fmt.Errorf("types: %q; allowed are extensions in small letters such as .doc, and *", t))
		}
	}
	if c.Timeout < time.Second {
		faults = append(faults, fmt.Errorf("timeout: %s; allowed is 1s or more", c.Timeout))
	}
	return errors.Join(faults...)
}

// Processor reads files by way of a server. Make one with New.
type Processor struct {
	config Config
	client *http.Client
}

var _ ingest.Processor = (*Processor)(nil)

// New returns a processor. It does not look for the server.
func New(config Config) *Processor {
	// Redirects could lead the content of files elsewhere.
	return &Processor{config: config, client: &http.Client{
		Timeout:       config.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Name implements [ingest.Processor].
func (*Processor) Name() string { return "tika" }

// Match implements [ingest.Processor].
func (p *Processor) Match(name string, head []byte) ingest.Confidence {
	switch {
	case slices.Contains(p.config.Types, ingest.Extension(name)):
		return ingest.Certain
	case slices.Contains(p.config.Types, "*") && (ingest.IsBinary(head) || ingest.Kind(head) != ""):
		return ingest.Fallback
	}
	return ingest.NoMatch
}

// Process implements [ingest.Processor].
func (p *Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	parts, err := p.ask(ctx, content, sink.MaxDocumentBytes())
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return ingest.ErrEmpty
	}
	main := parts[0]
	if main.value("X-TIKA:encrypted") == "true" || strings.Contains(main.value("X-TIKA:EXCEPTION:container_exception"), "EncryptedDocument") {
		return ErrEncrypted
	}
	if exception := main.value("X-TIKA:EXCEPTION:container_exception"); exception != "" {
		line, _, _ := strings.Cut(exception, "\n")
		return fmt.Errorf("tika cannot read it: %s", ingest.CleanLine(line))
	}
	doc := ingest.Extracted{}
	doc.ID = file.ID
	mediaType, _, _ := strings.Cut(main.value("Content-Type"), ";")
	doc.Source = file.Source(mediaType)
	main.apply(&doc)
	b := ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}
	write(&b, main.value("X-TIKA:content"))
	if err := b.Err(); err != nil {
		return err
	}
	b.Fill(&doc, file.Title())
	if strings.TrimSpace(doc.Text) == "" {
		return ingest.ErrEmpty
	}
	return sink.Document(doc)
}

// ask sends a file and returns what the server says of it and of what is in it.
func (p *Processor) ask(ctx context.Context, content *io.SectionReader, maxBytes int64) ([]metadata, error) {
	address, err := url.JoinPath(p.config.URL, "rmeta/xhtml")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, address, io.NewSectionReader(content, 0, content.Size()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	request.ContentLength = content.Size()
	request.Header.Set("Accept", "application/json")
	request.Header.Set("X-Tika-Skip-Embedded", "true")
	response, err := p.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: it answers %s", ErrServer, response.Status)
	}
	// The markup takes more room than the text.
	limit := 4*maxBytes + 1<<20
	body := &io.LimitedReader{R: response.Body, N: limit}
	var parts []metadata
	if err := json.NewDecoder(body).Decode(&parts); err != nil {
		if body.N <= 0 {
			return nil, fmt.Errorf("%w: more than %d bytes came back", ingest.ErrTooLarge, limit)
		}
		return nil, fmt.Errorf("%w: its answer cannot be read: %w", ErrServer, err)
	}
	return parts, nil
}

// metadata is what Tika says: every value is a string or a list of them.
type metadata map[string]any

func (m metadata) value(key string) string {
	switch v := m[key].(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			s, _ := v[0].(string)
			return s
		}
	}
	return ""
}

func (m metadata) apply(doc *ingest.Extracted) {
	doc.Title = m.value("dc:title")
	doc.SetMeta(ingest.MetaAuthor, m.value("dc:creator"))
	doc.SetMeta(ingest.MetaSubject, m.value("dc:subject"))
	for key, name := range map[string]string{ingest.MetaCreated: "dcterms:created", ingest.MetaModified: "dcterms:modified"} {
		if t, err := time.Parse(time.RFC3339, m.value(name)); err == nil && t.Year() > 0 {
			doc.SetMeta(key, t.UTC())
		}
	}
	if language := m.value("dc:language"); len(language) <= 10 {
		doc.Language = language
	}
	n := int64(0)
	for _, c := range m.value("xmpTPg:NPages") {
		if c < '0' || c > '9' || n > 1e9 {
			return
		}
		n = 10*n + int64(c-'0')
	}
	doc.SetMeta(ingest.MetaPages, n)
}
