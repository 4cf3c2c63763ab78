package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

// A Document is the JSON form of a document. Metadata values are strings,
// numbers, booleans or lists of strings; integers keep all their digits, and
// dates are strings (see [ingest.StringValue]).
type Document struct {
	ID       string            `json:"id,omitempty"`
	Title    string            `json:"title,omitempty"`
	Text     string            `json:"text"`
	Metadata map[string]any    `json:"metadata,omitempty"`
	Groups   []string          `json:"groups,omitempty"`
	Language string            `json:"language,omitempty"`
	Source   *retriever.Source `json:"source,omitempty"`
	// Sections and Pages are the structure of the original, in code points.
	// They shape the passages; a stored document does not show them.
	Sections []retriever.Section `json:"sections,omitempty"`
	Pages    []int               `json:"pages,omitempty"`
}

// FromDocument returns the JSON form of a document.
func FromDocument(d retriever.Document) Document {
	out := Document{ID: d.ID, Title: d.Title, Text: d.Text, Groups: d.Groups, Language: d.Language, Sections: d.Sections, Pages: d.Pages}
	if len(d.Metadata) > 0 {
		out.Metadata = make(map[string]any, len(d.Metadata))
		for k, v := range d.Metadata {
			if t, ok := v.(time.Time); ok {
				v = t.UTC().Format(time.RFC3339Nano)
			}
			out.Metadata[k] = v
		}
	}
	if d.Source != (retriever.Source{}) {
		out.Source = &d.Source
	}
	return out
}

// Document returns what the JSON form stands for. The form must have been
// decoded with json.Decoder.UseNumber. The error wraps
// [retriever.ErrInvalidDocument] and names the metadata key.
func (d Document) Document() (retriever.Document, error) {
	metadata, err := Metadata(d.Metadata)
	if err != nil {
		return retriever.Document{}, fmt.Errorf("%w: document %q: %w", retriever.ErrInvalidDocument, d.ID, err)
	}
	out := retriever.Document{
		ID: d.ID, Title: d.Title, Text: d.Text, Metadata: metadata, Groups: d.Groups, Language: d.Language,
		Sections: d.Sections, Pages: d.Pages,
	}
	if d.Source != nil {
		if out.Source = *d.Source; out.Source.TextOffset < 0 {
			return out, fmt.Errorf("%w: document %q: source.text_offset: %d; allowed is 0 or more", retriever.ErrInvalidDocument, d.ID, out.Source.TextOffset)
		}
	}
	return out, nil
}

// Metadata turns decoded JSON values (with json.Number for numbers) into the
// values that documents hold: string, bool, int64, float64, time.Time,
// []string. It changes the map in place.
func Metadata(values map[string]any) (map[string]any, error) {
	for key, value := range values {
		v, err := metadataValue(value)
		if err != nil {
			return nil, fmt.Errorf("metadata %q %w", key, err)
		}
		values[key] = v
	}
	return values, nil
}

func metadataValue(value any) (any, error) {
	switch v := value.(type) {
	case string:
		return ingest.StringValue(v), nil
	case bool:
		return v, nil
	case json.Number:
		return number(v)
	case []any:
		list := make([]string, len(v))
		for i, element := range v {
			s, ok := element.(string)
			if !ok {
				return nil, fmt.Errorf("is a list with %s in it; a list may hold strings only", kind(element))
			}
			list[i] = s
		}
		return list, nil
	}
	return nil, fmt.Errorf("is %s; allowed are a string, a number, a boolean and a list of strings", kind(value))
}

func number(n json.Number) (any, error) {
	if !strings.ContainsAny(string(n), ".eE") {
		i, err := strconv.ParseInt(string(n), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("is the integer %s, which needs more than 64 bits; write it as a string", clip(string(n)))
		}
		return i, nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, fmt.Errorf("is the number %s, which is out of range; write it as a string", clip(string(n)))
	}
	return f, nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	}
	return fmt.Sprintf("a %T", value)
}

// EscapeID writes a document id as one segment of a path. Slashes are escaped
// too: "a/../b" must arrive as it is, although proxies and clients tidy up
// paths. That an id is "." or ".." alone cannot be hidden from all of them;
// dots are escaped there as well as can be.
func EscapeID(id string) string {
	if id == "." || id == ".." {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}
