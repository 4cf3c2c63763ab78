// Package jsonmap reads JSON of any shape as documents: an array of objects, in
// whatever place, or objects one after the other, such as the corpus.jsonl of a
// BEIR data set.
//
// A [Config] says where the objects are and which of their values are id,
// title, text and metadata; without one, the usual names are tried. JSON Lines
// in the project's own shape are read by ingest/jsonl, which is stricter.
// Memory is bounded by the longest object. A [Processor] is immutable and safe
// for concurrent use.
package jsonmap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"

	"github.com/needle-search/needle/ingest"
)

// MediaType is the media type of documents from JSON.
const MediaType = "application/json"

// A Config says what the values are. Names are keys, with dots for those of
// objects in objects. The zero value tries the usual names.
type Config struct {
	// Records names the array with the objects; empty means the top.
	Records string `yaml:"records"`
	ID      string `yaml:"id"`
	Title   string `yaml:"title"`
	// Text names the values that make the text.
	Text []string `yaml:"text"`
	// Metadata names values that can be filtered by.
	Metadata []string `yaml:"metadata"`
}

// Validate checks the values.
func (c Config) Validate() error {
	var faults []error
	for _, f := range [...]struct {
		key   string
		names []string
	}{{"records", []string{c.Records}}, {"id", []string{c.ID}}, {"title", []string{c.Title}}, {"text", c.Text}, {"metadata", c.Metadata}} {
		for _, name := range f.names {
			single := f.key != "text" && f.key != "metadata"
			if name == "" && single {
				continue
			}
			if strings.HasPrefix("."+name+".", "..") || strings.Contains(name+".", "..") {
				faults = append(faults, fmt.Errorf("%s: %q; allowed are keys with dots between them", f.key, name))
			}
		}
	}
	return errors.Join(faults...)
}

// Processor reads JSON. Make one with New.
type Processor struct{ config Config }

var _ ingest.Processor = (*Processor)(nil)

// New returns a processor.
func New(config Config) *Processor { return &Processor{config} }

// Name implements [ingest.Processor].
func (*Processor) Name() string { return "json" }

// Match implements [ingest.Processor].
func (p *Processor) Match(name string, head []byte) ingest.Confidence {
	head = bytes.TrimPrefix(head, []byte(mark))
	if ingest.IsBinary(head) || !ingest.LooksLikeJSON(head) {
		return ingest.NoMatch
	}
	start := bytes.TrimLeft(head, " \t\r\n")
	line, _, _ := bytes.Cut(start, []byte("\n"))
	if bytes.HasPrefix(start, []byte("{")) && bytes.Contains(line, []byte(`"_id"`)) && bytes.Contains(line, []byte(`"text"`)) {
		return ingest.Certain // BEIR
	}
	switch ingest.Extension(name) {
	case ".jsonl", ".ndjson", ".jsonlines":
		if len(p.config.Text) > 0 {
			return ingest.Certain
		}
		return ingest.NoMatch
	}
	return ingest.Fallback
}

const mark = "\xEF\xBB\xBF"

// Process implements [ingest.Processor].
func (p *Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	budget := &budgetReader{r: transform.NewReader(content, encoding.UTF8Validator), limit: sink.MaxDocumentBytes()}
	budget.left = budget.limit
	head := make([]byte, len(mark))
	n, err := io.ReadFull(budget, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return describe(err)
	}
	r := &reader{
		config: p.config, file: file, sink: sink, budget: budget,
		decoder: json.NewDecoder(io.MultiReader(strings.NewReader(strings.TrimPrefix(string(head[:n]), mark)), budget)),
	}
	r.decoder.UseNumber()
	err = r.read(ctx)
	switch {
	case err != nil && r.documents == 0 && len(p.config.Text) == 0 && ctx.Err() == nil && !errors.Is(err, ingest.ErrTooLarge):
		// Many files are JSON, or nearly so, and no documents.
		return fmt.Errorf("%w: it is a JSON file: %w", ingest.ErrUnsupported, err)
	case err != nil:
		return err
	case r.documents == 0 && r.records > 0:
		return fmt.Errorf("%w: none of its %d objects has a text that is found; set ingest.json.text to the names of the values (and ingest.json.records to the array that holds them)", ingest.ErrUnsupported, r.records)
	case r.documents == 0:
		return ingest.ErrEmpty
	}
	return nil
}

// A reader is one file that is being read.
type reader struct {
	config             Config
	file               ingest.File
	sink               ingest.Sink
	budget             *budgetReader
	decoder            *json.Decoder
	records, documents int
}

func (r *reader) read(ctx context.Context) error {
	if r.config.Records != "" {
		if err := r.enter(strings.Split(r.config.Records, ".")); err != nil {
			return err
		}
		return r.array(ctx)
	}
	for {
		// One array, or one value after the other.
		r.budget.left = r.budget.limit
		var value json.RawMessage
		token, isArray, err := r.open(&value)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return r.fault(err)
		case isArray:
			if err := r.elements(ctx); err != nil {
				return err
			}
		default:
			if err := r.record(token); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// open reads the next value: the start of an array only, or all of an object.
func (r *reader) open(value *json.RawMessage) (json.RawMessage, bool, error) {
	if !r.decoder.More() {
		_, err := r.decoder.Token()
		if err == nil {
			err = errors.New("a bracket without its other half")
		}
		return nil, false, err
	}
	// More has skipped the white space, so the next byte tells the kind.
	next, err := io.ReadAll(io.LimitReader(r.decoder.Buffered(), 64<<10))
	if err != nil {
		return nil, false, err
	}
	if bytes.HasPrefix(bytes.TrimLeft(next, " \t\r\n"), []byte("[")) {
		_, err := r.decoder.Token()
		return nil, true, err
	}
	err = r.decoder.Decode(value)
	return *value, false, err
}

func (r *reader) array(ctx context.Context) error {
	if token, err := r.decoder.Token(); err != nil {
		return r.fault(err)
	} else if token != json.Delim('[') {
		return fmt.Errorf("%q is no array (ingest.json.records)", r.config.Records)
	}
	return r.elements(ctx)
}

func (r *reader) elements(ctx context.Context) error {
	for r.decoder.More() {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.budget.left = r.budget.limit
		var value json.RawMessage
		if err := r.decoder.Decode(&value); err != nil {
			return r.fault(err)
		}
		if err := r.record(value); err != nil {
			return err
		}
	}
	if _, err := r.decoder.Token(); err != nil {
		return r.fault(err)
	}
	return nil
}

// enter moves to the value under some keys.
func (r *reader) enter(keys []string) error {
	for _, key := range keys {
		if token, err := r.decoder.Token(); err != nil {
			return r.fault(err)
		} else if token != json.Delim('{') {
			return fmt.Errorf("it has no %q (ingest.json.records)", r.config.Records)
		}
		for {
			if !r.decoder.More() {
				return fmt.Errorf("it has no %q (ingest.json.records)", r.config.Records)
			}
			name, err := r.decoder.Token()
			if err != nil {
				return r.fault(err)
			}
			if name == key {
				break
			}
			var skipped json.RawMessage
			if err := r.decoder.Decode(&skipped); err != nil {
				return r.fault(err)
			}
		}
	}
	return nil
}

func (r *reader) fault(err error) error {
	return fmt.Errorf("after %d objects: %w", r.records, describe(err))
}

func describe(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, encoding.ErrInvalidUTF8):
		return ingest.ErrEncoding
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("broken JSON: the file breaks off")
	case errors.As(err, &syntax):
		return fmt.Errorf("broken JSON at byte %d: %w", syntax.Offset, err)
	}
	return err
}

// record makes a document of an object.
func (r *reader) record(data json.RawMessage) error {
	r.records++
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil || fields == nil {
		r.sink.Fault(0, fmt.Errorf("value %d is no object", r.records))
		return nil
	}
	var doc ingest.Extracted
	doc.Source = r.file.Source(MediaType)
	doc.ID = first(fields, r.config.ID, "_id", "id")
	if doc.ID == "" {
		doc.ID = r.file.ID + "#" + strconv.Itoa(r.records)
	}
	doc.Title = ingest.CleanLine(first(fields, r.config.Title, "title", "name", "subject"))
	if len(r.config.Text) > 0 {
		var parts []string
		for _, name := range r.config.Text {
			if text := lookup(fields, name); strings.TrimSpace(text) != "" {
				parts = append(parts, text)
			}
		}
		doc.Text = strings.Join(parts, "\n\n")
	} else {
		doc.Text = first(fields, "", "text", "body", "content", "abstract", "description")
	}
	if strings.TrimSpace(doc.Text) == "" {
		if len(r.config.Text) > 0 || r.documents > 0 {
			r.sink.Fault(0, fmt.Errorf("object %d has no text", r.records))
		}
		return nil
	}
	for _, name := range r.config.Metadata {
		doc.SetMeta(name, metadata(fields, name))
	}
	r.documents++
	return r.sink.Document(doc)
}

// first returns the value under the configured name, or under the first of the
// usual ones that has any.
func first(fields map[string]any, configured string, usual ...string) string {
	if configured != "" {
		return lookup(fields, configured)
	}
	for _, name := range usual {
		if text := lookup(fields, name); strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}

func value(fields map[string]any, name string) any {
	for {
		key, rest, nested := strings.Cut(name, ".")
		if !nested {
			return fields[key]
		}
		inner, ok := fields[key].(map[string]any)
		if !ok {
			return fields[name]
		}
		fields, name = inner, rest
	}
}

// lookup returns a value as text: a list as lines, an object as nothing.
func lookup(fields map[string]any, name string) string {
	switch v := value(fields, name).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		var lines []string
		for _, element := range v {
			if s, ok := element.(string); ok {
				lines = append(lines, s)
			}
		}
		return strings.Join(lines, "\n")
	}
	return ""
}

// metadata returns a value as filters take it: as in the documents of the API.
func metadata(fields map[string]any, name string) any {
	switch v := value(fields, name).(type) {
	case string:
		return ingest.StringValue(v)
	case bool:
		return v
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
	case []any:
		var list []string
		for _, element := range v {
			if s, ok := element.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return ""
}

// A budgetReader bounds what the decoder reads for one object.
type budgetReader struct {
	r           io.Reader
	limit, left int64
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: one object has more than %d bytes", ingest.ErrTooLarge, b.limit)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
