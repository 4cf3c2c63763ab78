package retriever

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Document is what a user gives: the unit of update and deletion.
type Document struct {
	// ID names the document within its index. It is chosen by the user, never
	// empty, valid UTF-8, free of NUL and at most [MaxIDBytes] bytes long.
	ID string
	// Title is searched together with the text; it may be empty.
	Title string
	// Text is stored verbatim. Every offset in Needle points into it.
	Text string
	// Metadata holds string, bool, int64, float64, time.Time or []string
	// values, which filters may use.
	Metadata map[string]any
	// Source says where the document came from.
	Source Source
	// Groups names the groups that may see the document. No groups means that
	// everybody who may use the index may see it.
	Groups []string
	// Language is a BCP 47 tag such as "en", or empty when unknown.
	Language string
	// Sections and Pages are the structure that the original has. What splits
	// a document gives them to its passages; an index need not keep them.
	//
	// Sections are ordered by Start. Text before the first has no headings.
	Sections []Section
	// Pages holds the code point at which each page starts, in order; empty
	// where the original has no pages.
	Pages []int
}

// Slice returns the stretch of the text from code point start up to, without,
// end; ok is false if the text has no such stretch or it would be empty.
func (d Document) Slice(start, end int) (text string, ok bool) {
	if start < 0 || end <= start || end > utf8.RuneCountInString(d.Text) {
		return "", false
	}
	return SliceRunes(d.Text, start, end), true
}

// MaxIDBytes is the longest document id in bytes.
const MaxIDBytes = 512

// Source is the origin of a document.
type Source struct {
	// URI is the file path or address that the document was read from. It is
	// empty for documents given by the API without one.
	URI string `json:"uri,omitempty"`
	// MediaType is the type of the original, for example "text/markdown".
	MediaType string `json:"media_type,omitempty"`
	// ModifiedAt is when the original last changed; zero when unknown.
	ModifiedAt time.Time `json:"modified_at,omitzero"`
	// TextOffset is the code point of the original at which Document.Text
	// starts. It means something only when Verbatim is true.
	TextOffset int `json:"text_offset,omitempty"`
	// Verbatim says that Document.Text is a contiguous, unchanged stretch of
	// the original, so that offsets in the original are known too.
	Verbatim bool `json:"verbatim,omitempty"`
}

// A Passage is a stretch of one document that fits the reader. A document's
// passages are ordered by Start; they may overlap.
type Passage struct {
	// DocumentID is the id of the document that the passage belongs to.
	DocumentID string
	// Ordinal is the position among the document's passages, from 0.
	Ordinal int
	// Start and End delimit the passage in Document.Text, in code points; End
	// is exclusive.
	Start, End int
	// PageBreaks are the code points inside the passage, Start and End left out,
	// at which a next page starts; see [Passage.PageAt].
	PageBreaks []int
	// Page is the 1-based page on which the passage starts, 0 where the format
	// has no pages.
	Page int
	// PageStart is the code point of Document.Text at which the text of that page
	// starts, -1 where the index does not know.
	PageStart int
	// Headings are the titles of the sections around the passage, outermost
	// first.
	Headings []string
	// Text equals Document.Text[Start:End] (in code points).
	Text string
}

// ID returns the passage's id, unique within its index: the document id, "#"
// and the ordinal.
func (p Passage) ID() string { return p.DocumentID + "#" + strconv.Itoa(p.Ordinal) }

// A DocumentInfo is what an index knows of a document without its text.
type DocumentInfo struct {
	ID          string    `json:"id"`
	Title       string    `json:"title,omitempty"`
	ContentHash string    `json:"content_hash,omitempty"`
	Passages    int       `json:"passages"`
	Runes       int       `json:"length"` // length of the text in code points
	IndexedAt   time.Time `json:"indexed_at,omitzero"`
	Source      Source    `json:"source,omitzero"`
	// Groups are those of the document.
	Groups []string `json:"groups,omitempty"`
}

// Validate reports why a document cannot be stored: an id or text that is
// empty, not UTF-8 or holds a NUL byte, an empty group name, or metadata that
// filters cannot use. The error wraps [ErrInvalidDocument].
func (d *Document) Validate() error {
	switch {
	case d.ID == "":
		return fmt.Errorf("%w: the id is empty", ErrInvalidDocument)
	case len(d.ID) > MaxIDBytes:
		return fmt.Errorf("%w: the id is %d bytes long; at most %d are allowed", ErrInvalidDocument, len(d.ID), MaxIDBytes)
	case strings.TrimSpace(d.Text) == "":
		return fmt.Errorf("%w: document %q has no text", ErrInvalidDocument, d.ID)
	}
	for _, f := range [...]struct{ name, value string }{{"id", d.ID}, {"title", d.Title}, {"text", d.Text}} {
		if err := validText(f.value); err != nil {
			return fmt.Errorf("%w: document %q: its %s %w", ErrInvalidDocument, d.ID, f.name, err)
		}
	}
	for _, group := range d.Groups {
		if err := validText(group); err != nil || group == "" {
			return fmt.Errorf("%w: document %q: a group name is empty or not valid text", ErrInvalidDocument, d.ID)
		}
	}
	if err := d.validStructure(); err != nil {
		return fmt.Errorf("%w: document %q: %w", ErrInvalidDocument, d.ID, err)
	}
	if err := validTime(d.Source.ModifiedAt); err != nil {
		return fmt.Errorf("%w: document %q: its modification time %w", ErrInvalidDocument, d.ID, err)
	}
	for k, v := range d.Metadata {
		if err := validText(k); err != nil || k == "" {
			return fmt.Errorf("%w: document %q: a metadata key is empty or not valid text", ErrInvalidDocument, d.ID)
		}
		switch v := v.(type) {
		case bool, int64:
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("%w: document %q: metadata %q is %v, which is no number", ErrInvalidDocument, d.ID, k, v)
			}
		case time.Time:
			if err := validTime(v); err != nil {
				return fmt.Errorf("%w: document %q: metadata %q %w", ErrInvalidDocument, d.ID, k, err)
			}
		case string:
			if err := validText(v); err != nil {
				return fmt.Errorf("%w: document %q: metadata %q %w", ErrInvalidDocument, d.ID, k, err)
			}
		case []string:
			for _, s := range v {
				if err := validText(s); err != nil {
					return fmt.Errorf("%w: document %q: metadata %q %w", ErrInvalidDocument, d.ID, k, err)
				}
			}
		default:
			return fmt.Errorf("%w: document %q: metadata %q has type %T; allowed are string, bool, int64, float64, time.Time and []string", ErrInvalidDocument, d.ID, k, v)
		}
	}
	return nil
}
