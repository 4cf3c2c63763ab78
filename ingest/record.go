package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/retriever"
)

// ErrInvalidRecord says that a JSON object is no document; the message names
// the key.
var ErrInvalidRecord = errors.New("invalid document record")

// DecodeDocument reads the JSON form of a document:
//
//	{"id": "...", "title": "...", "text": "...", "metadata": {...},
//	 "source": "address" or {"uri": ..., "media_type": ..., ...},
//	 "groups": ["..."], "language": "en",
//	 "sections": [{"start": 0, "headings": ["..."]}], "pages": [0, 1800]}
//
// The keys id and text are needed. Unknown keys and values of another type are
// refused; keys are compared exactly. Metadata is read by [DecodeMetadata].
// Errors wrap [ErrInvalidRecord]; the id is set in the result wherever it could
// be read, so that a message can name it.
func DecodeDocument(data []byte) (retriever.Document, error) {
	var doc retriever.Document
	if !utf8.Valid(data) {
		return doc, fmt.Errorf("%w: it is not valid UTF-8", ErrInvalidRecord)
	}
	// A map and not a struct, because struct decoding ignores case.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return doc, fmt.Errorf("%w: %s", ErrInvalidRecord, describeJSON(err, data))
	}
	if fields == nil {
		return doc, fmt.Errorf("%w: it is null, want an object", ErrInvalidRecord)
	}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	text := func(key string, into *string) {
		if raw, ok := fields[key]; ok && !isNull(raw) && json.Unmarshal(raw, into) != nil {
			fault("key %q is %s, want a string", key, typeName(raw))
		}
	}
	text("id", &doc.ID)
	text("title", &doc.Title)
	text("text", &doc.Text)
	text("language", &doc.Language)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		raw := fields[key]
		switch key {
		case "id", "title", "text", "language":
		case "metadata":
			metadata, err := DecodeMetadata(raw)
			if err != nil {
				fault("%s", err)
			}
			doc.Metadata = metadata
		case "groups":
			if json.Unmarshal(raw, &doc.Groups) != nil {
				fault("key %q is %s, want a list of strings", key, typeName(raw))
			}
			// An empty group name would look like no restriction at all.
			if slices.Contains(doc.Groups, "") {
				fault("key %q holds an empty name", key)
			}
		case "source":
			if err := decodeSource(raw, &doc.Source); err != nil {
				fault("key %q: %s", key, err)
			}
		case "sections":
			if err := decodeStrictly(raw, &doc.Sections); err != nil {
				fault("key %q: %s; want a list of objects with start and headings", key, err)
			}
		case "pages":
			if err := decodeStrictly(raw, &doc.Pages); err != nil {
				fault("key %q: %s; want a list of whole numbers", key, err)
			}
		default:
			fault("unknown key %q; allowed are id, title, text, metadata, source, groups, language, sections, pages", key)
		}
	}
	for _, required := range []struct{ key, value string }{{"id", doc.ID}, {"text", doc.Text}} {
		if raw, ok := fields[required.key]; !ok || isNull(raw) {
			fault("key %q is missing", required.key)
		} else if required.value == "" && typeName(raw) == "a string" {
			fault("key %q is empty", required.key)
		}
	}
	if len(faults) > 0 {
		return doc, fmt.Errorf("%w: %s", ErrInvalidRecord, strings.Join(faults, "; "))
	}
	return doc, nil
}

func decodeSource(raw json.RawMessage, source *retriever.Source) error {
	if json.Unmarshal(raw, &source.URI) == nil {
		return nil
	}
	if err := decodeStrictly(raw, source); err != nil {
		return fmt.Errorf("%w; want a string or an object with uri, media_type, modified_at", err)
	}
	return nil
}

func decodeStrictly(raw json.RawMessage, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// DecodeMetadata reads a JSON object of strings, numbers, booleans and lists of
// strings; null values count as absent. Whole numbers become int64, others
// float64. A string that is a complete date (2006-01-02) or RFC 3339 time
// becomes a time.Time, because JSON has no other way to give a date that
// filters can compare. In a list, strings stay strings.
func DecodeMetadata(raw json.RawMessage) (map[string]any, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("key \"metadata\" is %s, want an object", typeName(raw))
	}
	var faults []string
	metadata := make(map[string]any, len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value, err := decodeValue(fields[key])
		switch {
		case err != nil:
			faults = append(faults, fmt.Sprintf("metadata %q %s", key, err))
		case value != nil:
			metadata[key] = value
		}
	}
	if len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, "; "))
	}
	if len(metadata) == 0 {
		return nil, nil
	}
	return metadata, nil
}

func decodeValue(raw json.RawMessage) (any, error) {
	const allowed = "allowed are a string, a number, true, false and a list of strings"
	switch typeName(raw) {
	case "null":
		return nil, nil
	case "a string":
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		return StringValue(s), nil
	case "a number":
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return n, nil
		}
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return nil, fmt.Errorf("is %s, which is out of range", raw)
		}
		return f, nil
	case "true", "false":
		return raw[0] == 't', nil
	case "a list":
		list := []string{}
		// Decoding null into a string would pass unnoticed as "".
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, err
		}
		for _, item := range items {
			if typeName(item) != "a string" {
				return nil, fmt.Errorf("is a list that holds %s; %s", typeName(item), allowed)
			}
			var s string
			if err := json.Unmarshal(item, &s); err != nil {
				return nil, err
			}
			list = append(list, s)
		}
		return list, nil
	}
	return nil, fmt.Errorf("is %s; %s", typeName(raw), allowed)
}

// StringValue returns the metadata value of a string: a time.Time if it is a
// complete date (2006-01-02) or RFC 3339 time, else the string.
func StringValue(s string) any {
	if len(s) < len(time.DateOnly) || s[4] != '-' {
		return s
	}
	for _, layout := range [...]string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return s
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// typeName names the type of a valid JSON value for a message.
func typeName(raw json.RawMessage) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't':
		return "true"
	case 'f':
		return "false"
	case 'n':
		return "null"
	}
	return "a number"
}

// describeJSON says in user's words what is wrong with a line of JSON.
func describeJSON(err error, data []byte) string {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("broken JSON at byte %d: %s", syntax.Offset, syntax)
	case errors.As(err, &mismatch):
		return fmt.Sprintf("it is %s, want an object", typeName(data))
	}
	return err.Error()
}
