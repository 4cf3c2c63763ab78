package backup

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/needle-search/needle/retriever"
)

// Format is the version of the format that this package writes. It grows with
// every change that an older program could not read.
const Format = 1

// magic tells a backup from other files of JSON lines.
const magic = "needle-backup"

// A Header is the first line of a backup. [Write] fills in everything but
// Created and Sources.
type Header struct {
	Magic   string    `json:"magic"`
	Format  int       `json:"format"`
	Created time.Time `json:"created,omitzero"`
	// Index describes the index at the moment of the backup.
	Index retriever.Statistics `json:"index"`
	// Sources is what the caller knows of the origin of the documents; a reader
	// gets it back as it was.
	Sources json.RawMessage `json:"sources,omitempty"`
}

// A Summary is what the last line says.
type Summary struct {
	Documents uint64 `json:"documents"`
	Passages  uint64 `json:"passages"`
	// SHA256 is the checksum of all lines before the last, in hexadecimal.
	SHA256 string `json:"sha256"`
}

// line is every line but the first; exactly one member is set.
type line struct {
	Document *document `json:"document,omitempty"`
	End      *Summary  `json:"end,omitempty"`
}

// document is an entry. What the passages repeat of the text is left out.
type document struct {
	ID       string                           `json:"id"`
	Title    string                           `json:"title,omitempty"`
	Text     string                           `json:"text"`
	Metadata map[string]retriever.StoredValue `json:"metadata,omitempty"`
	Source   retriever.Source                 `json:"source,omitzero"`
	Groups   []string                         `json:"groups,omitempty"`
	Language string                           `json:"language,omitempty"`
	Hash     string                           `json:"hash,omitempty"`
	Sections []retriever.Section              `json:"sections,omitempty"`
	Pages    []int                            `json:"pages,omitempty"`
	Passages []passage                        `json:"passages"`
}

type passage struct {
	Start    int      `json:"start"`
	End      int      `json:"end"`
	Page     int      `json:"page,omitempty"`
	Headings []string `json:"headings,omitempty"`
}

func fromEntry(e *retriever.Entry) *document {
	d := &document{
		ID: e.Document.ID, Title: e.Document.Title, Text: e.Document.Text, Metadata: retriever.EncodeMetadata(e.Document.Metadata),
		Source: e.Document.Source, Groups: e.Document.Groups, Language: e.Document.Language, Hash: e.ContentHash,
		Sections: e.Document.Sections, Pages: e.Document.Pages, Passages: make([]passage, len(e.Passages)),
	}
	for i, p := range e.Passages {
		d.Passages[i] = passage{Start: p.Start, End: p.End, Page: p.Page, Headings: p.Headings}
	}
	return d
}

// entry returns the entry that a document stands for. Its errors wrap
// ErrCorrupt.
func (d *document) entry() (retriever.Entry, error) {
	e := retriever.Entry{
		Document: retriever.Document{
			ID: d.ID, Title: d.Title, Text: d.Text, Metadata: retriever.DecodeMetadata(d.Metadata), Source: d.Source,
			Groups: d.Groups, Language: d.Language, Sections: d.Sections, Pages: d.Pages,
		},
		ContentHash: d.Hash,
		Passages:    make([]retriever.Passage, 0, len(d.Passages)),
	}
	cut := newCutter(d.Text)
	for i, p := range d.Passages {
		text, ok := cut.between(p.Start, p.End)
		if !ok {
			return e, fmt.Errorf("%w: document %q: passage %d does not lie in the text", retriever.ErrCorrupt, d.ID, i)
		}
		e.Passages = append(e.Passages, retriever.Passage{
			DocumentID: d.ID, Ordinal: i, Start: p.Start, End: p.End, Page: p.Page, PageBreaks: retriever.PageBreaks(d.Pages, p.Start, p.End), PageStart: retriever.PageStart(d.Pages, p.Start), Headings: p.Headings, Text: text,
		})
	}
	if err := e.Validate(); err != nil {
		return e, fmt.Errorf("%w: %w", retriever.ErrCorrupt, err)
	}
	return e, nil
}

// cutter cuts stretches out of a text that are given in code points, in rising
// order of their starts.
type cutter struct {
	text        string
	runes, byte int
}

func newCutter(text string) *cutter { return &cutter{text: text} }

func (c *cutter) between(start, end int) (string, bool) {
	if start < c.runes || end < start || end > math.MaxInt32 {
		return "", false
	}
	rest := c.text[c.byte:]
	from, ok := offset(rest, start-c.runes)
	if !ok {
		return "", false
	}
	c.runes, c.byte = start, c.byte+from
	to, ok := offset(rest[from:], end-start)
	return rest[from : from+to], ok
}

// offset returns the byte at which a code point of a text starts, or its end.
func offset(text string, runes int) (int, bool) {
	for i := range text {
		if runes == 0 {
			return i, true
		}
		runes--
	}
	return len(text), runes == 0
}
