package bleve

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/needle-search/needle/retriever"
)

// The keys of records. Documents sort by id and apart from passages; document
// ids are free of NUL.
const (
	documentPrefix = "d"
	passagePrefix  = "p"
)

func documentKey(id string) string { return documentPrefix + id }

// passageKey sorts by document, then by ordinal: the order in which equal
// scores are returned.
func passageKey(id string, ordinal int) string {
	return passagePrefix + id + "\x00" + fmt.Sprintf("%08x", ordinal)
}

// splitPassageKey is the inverse of passageKey.
func splitPassageKey(key string) (id string, ordinal int, err error) {
	rest, ok := strings.CutPrefix(key, passagePrefix)
	id, digits, found := strings.Cut(rest, "\x00")
	n, err := strconv.ParseUint(digits, 16, 32)
	if !ok || !found || err != nil {
		return "", 0, fmt.Errorf("%w: %q is no passage key", retriever.ErrCorrupt, key)
	}
	return id, int(n), nil
}

// documentRecord is what is stored of a document beside its passages.
type documentRecord struct {
	Title    string                           `json:"title,omitempty"`
	Metadata map[string]retriever.StoredValue `json:"metadata,omitempty"`
	Source   retriever.Source                 `json:"source,omitzero"`
	Groups   []string                         `json:"groups,omitempty"`
	Language string                           `json:"language,omitempty"`
	// Hash is the content hash that the caller gave.
	Hash      string    `json:"hash,omitempty"`
	IndexedAt time.Time `json:"indexed_at"`
	Passages  int       `json:"passages"`
	// Runes and Bytes are the length of the text.
	Runes int `json:"runes"`
	Bytes int `json:"bytes"`
	// Terms is the number of indexed terms of all passages.
	Terms uint64 `json:"terms"`
	// Lead is the text before the first passage.
	Lead     string              `json:"lead,omitempty"`
	Sections []retriever.Section `json:"sections,omitempty"`
	Pages    []int               `json:"pages,omitempty"`
}

func (r *documentRecord) info(id string) retriever.DocumentInfo {
	return retriever.DocumentInfo{
		ID: id, Title: r.Title, ContentHash: r.Hash, Passages: r.Passages, Runes: r.Runes,
		IndexedAt: r.IndexedAt, Source: r.Source, Groups: r.Groups,
	}
}

func (r *documentRecord) document(id, text string) retriever.Document {
	return retriever.Document{
		ID: id, Title: r.Title, Text: text, Metadata: r.metadata(), Source: r.Source, Groups: r.Groups, Language: r.Language,
		Sections: r.Sections, Pages: r.Pages,
	}
}

func (r *documentRecord) metadata() map[string]any { return retriever.DecodeMetadata(r.Metadata) }

func decodeDocument(data []byte) (*documentRecord, error) {
	var r documentRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%w: document record: %w", retriever.ErrCorrupt, err)
	}
	return &r, nil
}

// passageRecord is what is stored of a passage.
type passageRecord struct {
	Start, End int // code points in the document's text
	Page       int
	Headings   []string
	// Terms is the passage's length for BM25, title included.
	Terms int
	// Offset is the byte at which the passage starts in the document's text.
	Offset int
	// Length is the number of bytes of Stretch that are the passage's text.
	Length int
	// Stretch is the document's text from the passage's start to its end or to
	// the start of the next passage, whichever comes later. So a document's
	// text is the lead and all stretches laid over each other.
	Stretch string
}

func (r *passageRecord) text() string { return r.Stretch[:r.Length] }

func (r *passageRecord) encode() []byte {
	buf := make([]byte, 0, len(r.Stretch)+64)
	for _, n := range [...]int{r.Start, r.End, r.Page, r.Terms, r.Offset, r.Length, len(r.Headings)} {
		buf = binary.AppendUvarint(buf, uint64(n))
	}
	for _, h := range r.Headings {
		buf = binary.AppendUvarint(buf, uint64(len(h)))
		buf = append(buf, h...)
	}
	return append(buf, r.Stretch...)
}

var errShortRecord = errors.New("passage record is cut short")

func decodePassage(data []byte) (passageRecord, error) {
	var r passageRecord
	fail := func() (passageRecord, error) {
		return passageRecord{}, fmt.Errorf("%w: %w", retriever.ErrCorrupt, errShortRecord)
	}
	next := func() (int, bool) {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > 1<<40 {
			return 0, false
		}
		data = data[size:]
		return int(n), true
	}
	var headings int
	for _, p := range [...]*int{&r.Start, &r.End, &r.Page, &r.Terms, &r.Offset, &r.Length, &headings} {
		n, ok := next()
		if !ok {
			return fail()
		}
		*p = n
	}
	for range headings {
		n, ok := next()
		if !ok || n > len(data) {
			return fail()
		}
		r.Headings = append(r.Headings, string(data[:n]))
		data = data[n:]
	}
	if r.Length > len(data) {
		return fail()
	}
	r.Stretch = string(data)
	return r, nil
}

// state is what an index knows of itself. It is written in every batch and so
// always agrees with the records.
type state struct {
	// Format repeats the settings, so that a store torn from its settings file
	// can be told.
	Format     int    `json:"format"`
	Analyzer   string `json:"analyzer"`
	Generation uint64 `json:"generation"`
	Documents  uint64 `json:"documents"`
	Passages   uint64 `json:"passages"`
	// Terms is the number of indexed terms of all passages.
	Terms  uint64                         `json:"terms"`
	Fields map[string]retriever.FieldType `json:"fields,omitempty"`
}

// stateKey is the state's key among scorch's internal values.
const stateKey = "needle"

func (s *state) averageLength() float64 {
	if s.Passages == 0 {
		return 0
	}
	return float64(s.Terms) / float64(s.Passages)
}

func decodeState(data []byte) (*state, error) {
	if data == nil {
		return nil, fmt.Errorf("%w: the store has no state", retriever.ErrCorrupt)
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%w: state: %w", retriever.ErrCorrupt, err)
	}
	return &s, nil
}
