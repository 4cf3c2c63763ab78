package bleve

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/needle-search/needle/retriever"
)

// prepared is a document that is analysed and encoded, ready for a batch.
type prepared struct {
	id       string
	document documentRecord
	passages []*record
	types    map[string]retriever.FieldType
	size     int
}

// documentRecord encodes the document's own record as of now.
func (p *prepared) documentRecord(now time.Time) (*record, error) {
	p.document.IndexedAt = now
	data, err := json.Marshal(&p.document)
	if err != nil {
		return nil, err
	}
	return &record{
		key:    documentKey(p.id),
		fields: []index.Field{storedField(fieldRecord, data)},
		size:   len(data),
	}, nil
}

// prepare checks and analyses an entry. Its errors wrap ErrInvalidDocument.
func prepare(entry *retriever.Entry, analyzer analysis.Analyzer) (*prepared, error) {
	d := &entry.Document
	if err := d.Validate(); err != nil {
		return nil, err
	}
	for _, group := range d.Groups {
		if group == "" || strings.IndexByte(group, 0) >= 0 || !utf8.ValidString(group) {
			return nil, fmt.Errorf("%w: document %q: %q is no group name", retriever.ErrInvalidDocument, d.ID, group)
		}
	}
	offsets, err := passageOffsets(entry)
	if err != nil {
		return nil, err
	}
	filters, types, err := filterTerms(d)
	if err != nil {
		return nil, err
	}
	p := &prepared{
		id: d.ID,
		document: documentRecord{
			Title: d.Title, Source: d.Source, Groups: d.Groups, Language: d.Language, Hash: entry.ContentHash,
			Passages: len(entry.Passages), Runes: utf8.RuneCountInString(d.Text), Bytes: len(d.Text),
			Lead: d.Text[:offsets[0]],
		},
		types: types,
		size:  len(d.Text),
	}
	if len(d.Metadata) > 0 {
		p.document.Metadata = make(map[string]value, len(d.Metadata))
		for k, v := range d.Metadata {
			p.document.Metadata[k] = newValue(v)
		}
	}
	title := analyzer.Analyze([]byte(d.Title))
	for i, passage := range entry.Passages {
		var terms termCounter
		for _, token := range title {
			terms.add(token.Term)
		}
		for _, token := range analyzer.Analyze([]byte(passage.Text)) {
			terms.add(token.Term)
		}
		next := len(d.Text)
		if i+1 < len(offsets) {
			next = offsets[i+1]
		}
		stored := (&passageRecord{
			Start: passage.Start, End: passage.End, Page: passage.Page, Headings: passage.Headings,
			Terms: terms.length, Offset: offsets[i], Length: len(passage.Text),
			Stretch: d.Text[offsets[i]:max(next, offsets[i]+len(passage.Text))],
		}).encode()
		fields := []index.Field{terms.textField(), storedField(fieldRecord, stored)}
		if len(filters) > 0 {
			fields = append(fields, filterField(filters))
		}
		p.passages = append(p.passages, &record{key: passageKey(d.ID, i), fields: fields, size: len(stored)})
		p.document.Terms += uint64(terms.length)
	}
	// Dates that JSON cannot write must be refused here, not in a commit that
	// other writers share.
	if _, err := json.Marshal(&p.document); err != nil {
		return nil, fmt.Errorf("%w: document %q: %w", retriever.ErrInvalidDocument, d.ID, err)
	}
	return p, nil
}

// passageOffsets returns the byte offset of each passage in the document's
// text, after checking that the passages are what they claim to be.
func passageOffsets(entry *retriever.Entry) ([]int, error) {
	text := entry.Document.Text
	fault := func(i int, what string) error {
		return fmt.Errorf("%w: document %q: passage %d %s", retriever.ErrInvalidDocument, entry.Document.ID, i, what)
	}
	if len(entry.Passages) == 0 {
		return nil, fmt.Errorf("%w: document %q has no passages", retriever.ErrInvalidDocument, entry.Document.ID)
	}
	offsets := make([]int, 0, len(entry.Passages))
	runes, bytes := 0, 0
	for i, p := range entry.Passages {
		switch {
		case p.DocumentID != entry.Document.ID:
			return nil, fault(i, fmt.Sprintf("belongs to document %q", p.DocumentID))
		case p.Ordinal != i:
			return nil, fault(i, fmt.Sprintf("has ordinal %d", p.Ordinal))
		case p.Start < runes:
			return nil, fault(i, "starts before the one in front of it")
		case p.Page < 0:
			return nil, fault(i, fmt.Sprintf("has page %d", p.Page))
		}
		for runes < p.Start && bytes < len(text) {
			_, size := utf8.DecodeRuneInString(text[bytes:])
			bytes += size
			runes++
		}
		if runes != p.Start || p.End-p.Start != utf8.RuneCountInString(p.Text) || !strings.HasPrefix(text[bytes:], p.Text) {
			return nil, fault(i, fmt.Sprintf("is not the document's text from %d to %d", p.Start, p.End))
		}
		offsets = append(offsets, bytes)
	}
	return offsets, nil
}
