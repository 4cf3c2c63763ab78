package elastic

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/retriever"
)

// source is a document on the server, passage or record.
type source struct {
	Document string   `json:"doc"`
	Revision string   `json:"rev"`
	Kind     string   `json:"kind"`
	Born     int64    `json:"born"`
	Ordinal  *int     `json:"ordinal,omitempty"`
	Content  []string `json:"content,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Metadata []string `json:"metadata,omitempty"`
	Record   any      `json:"record,omitempty"`
}

// passageRecord is what is stored of a passage beside its text, so that a hit
// is complete without a second request.
type passageRecord struct {
	Start  int   `json:"start"`
	End    int   `json:"end"`
	Page   int   `json:"page,omitempty"`
	Breaks []int `json:"breaks,omitempty"`
	// PageStart is missing in indexes of before it came.
	PageStart *int                             `json:"page_start,omitempty"`
	Headings  []string                         `json:"headings,omitempty"`
	Source    retriever.Source                 `json:"source,omitzero"`
	Metadata  map[string]retriever.StoredValue `json:"metadata,omitempty"`
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
	// Runes is the length of the text.
	Runes int `json:"runes"`
	// Gaps are the stretches of the text that are in no passage, in order.
	Gaps     []string            `json:"gaps,omitempty"`
	Sections []retriever.Section `json:"sections,omitempty"`
	Pages    []int               `json:"pages,omitempty"`
}

func (r *documentRecord) info(id string) retriever.DocumentInfo {
	return retriever.DocumentInfo{
		ID: id, Title: r.Title, ContentHash: r.Hash, Passages: r.Passages, Runes: r.Runes, IndexedAt: r.IndexedAt, Source: r.Source, Groups: r.Groups,
	}
}

// revision names one version of a document, and how many passages it has.
type revision struct {
	Name     string `json:"rev"`
	Passages int    `json:"passages"`
}

// revisionOf names the version of a document that a commit writes. Ids on the
// server are at most 512 bytes long, so it holds a digest of the document's id.
func revisionOf(id string, born int64) string {
	digest := sha256.Sum256([]byte(id))
	return hex.EncodeToString(digest[:16]) + "-" + strconv.FormatInt(born, 36)
}

// serverIDs are the ids on the server of a revision's record and passages.
func (r revision) serverIDs() []string {
	ids := make([]string, 0, r.Passages+1)
	ids = append(ids, r.Name)
	for i := range r.Passages {
		ids = append(ids, passageID(r.Name, i))
	}
	return ids
}

func passageID(revision string, ordinal int) string { return revision + "#" + strconv.Itoa(ordinal) }

// prepared is a document that is checked and encoded but for the commit's
// number.
type prepared struct {
	id       string
	types    map[string]retriever.FieldType
	passages []source
	record   source
	document documentRecord
}

// prepare checks and encodes an entry. Its errors wrap ErrInvalidDocument.
func prepare(entry *retriever.Entry, now time.Time) (*prepared, error) {
	d := &entry.Document
	if err := entry.Validate(); err != nil {
		return nil, err
	}
	p := &prepared{id: d.ID}
	terms, types := metadataTerms(d.Metadata)
	p.types = types
	stored := retriever.EncodeMetadata(d.Metadata)
	groups := d.Groups
	if len(groups) == 0 {
		groups = []string{groupPublic}
	}
	for i, passage := range entry.Passages {
		content := []string{passage.Text}
		if d.Title != "" {
			content = []string{d.Title, passage.Text}
		}
		var pageStart *int
		if passage.Page > 0 && passage.PageStart >= 0 {
			pageStart = &passage.PageStart
		}
		p.passages = append(p.passages, source{
			Document: d.ID, Kind: kindPassage, Ordinal: &i, Content: content, Groups: groups, Metadata: terms,
			Record: &passageRecord{
				Start: passage.Start, End: passage.End, Page: passage.Page, Breaks: passage.PageBreaks, PageStart: pageStart, Headings: passage.Headings,
				Source: d.Source, Metadata: stored,
			},
		})
	}
	p.document = documentRecord{
		Title: d.Title, Metadata: stored, Source: d.Source, Groups: d.Groups, Language: d.Language, Hash: entry.ContentHash,
		IndexedAt: now.UTC(), Passages: len(entry.Passages), Runes: utf8.RuneCountInString(d.Text), Gaps: gaps(entry),
		Sections: d.Sections, Pages: d.Pages,
	}
	p.record = source{Document: d.ID, Kind: kindDocument, Record: &p.document}
	// What JSON cannot write must be refused here, not in a request that other
	// documents share.
	if _, err := json.Marshal(&p.document); err != nil {
		return nil, fmt.Errorf("%w: document %q: %w", retriever.ErrInvalidDocument, d.ID, err)
	}
	return p, nil
}

// gaps returns the stretches of a valid entry's text that are in no passage.
func gaps(entry *retriever.Entry) []string {
	var list []string
	rest, at := entry.Document.Text, 0 // what follows code point at
	for _, p := range entry.Passages {
		if p.Start > at {
			gap := retriever.SliceRunes(rest, 0, p.Start-at)
			list = append(list, gap)
			rest, at = rest[len(gap):], p.Start
		}
		if p.End > at {
			rest, at = rest[len(retriever.SliceRunes(rest, 0, p.End-at)):], p.End
		}
	}
	if rest != "" {
		list = append(list, rest)
	}
	return list
}

// textBuilder puts a document's text together again from its passages, in
// order, and its gaps.
type textBuilder struct {
	text strings.Builder
	at   int
	gaps []string
}

func (b *textBuilder) add(start, end int, text string) error {
	if end-start != utf8.RuneCountInString(text) {
		return fmt.Errorf("%w: a passage from %d to %d holds %d code points", retriever.ErrCorrupt, start, end, utf8.RuneCountInString(text))
	}
	if start > b.at {
		if err := b.gap(); err != nil {
			return err
		}
		if b.at != start {
			return fmt.Errorf("%w: the text between passages ends at %d, the next one starts at %d", retriever.ErrCorrupt, b.at, start)
		}
	}
	if end > b.at {
		b.text.WriteString(retriever.SliceRunes(text, b.at-start, end-start))
		b.at = end
	}
	return nil
}

func (b *textBuilder) gap() error {
	if len(b.gaps) == 0 {
		return fmt.Errorf("%w: text between passages is missing at %d", retriever.ErrCorrupt, b.at)
	}
	b.text.WriteString(b.gaps[0])
	b.at += utf8.RuneCountInString(b.gaps[0])
	b.gaps = b.gaps[1:]
	return nil
}

// finish adds what follows the last passage and returns the text.
func (b *textBuilder) finish(runes int) (string, error) {
	if b.at < runes {
		if err := b.gap(); err != nil {
			return "", err
		}
	}
	if b.at != runes || len(b.gaps) > 0 {
		return "", fmt.Errorf("%w: the text has %d code points, %d were stored", retriever.ErrCorrupt, b.at, runes)
	}
	return b.text.String(), nil
}

func (r *passageRecord) pageStart() int {
	switch {
	case r.PageStart != nil:
		return *r.PageStart
	case r.Page > 0:
		return -1
	}
	return 0
}
