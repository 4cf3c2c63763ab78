package bleve

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/retriever"
)

// prepared is a document that is analysed and encoded, ready for a batch.
type prepared struct {
	id       string
	document documentRecord
	passages []*record
	types    map[string]retriever.FieldType
	size     int
	// indexedAt is when the document was stored, if that is not now.
	indexedAt time.Time
}

// documentRecord encodes the document's own record as of now.
func (p *prepared) documentRecord(now time.Time) (*record, error) {
	p.document.IndexedAt = now
	if !p.indexedAt.IsZero() {
		p.document.IndexedAt = p.indexedAt
	}
	data, err := json.Marshal(&p.document)
	if err != nil {
		return nil, err
	}
	return &record{key: documentKey(p.id), stored: data}, nil
}

// prepare checks and analyses an entry. Its errors wrap ErrInvalidDocument.
func prepare(entry *retriever.Entry, analyzer *analyser) (*prepared, error) {
	d := &entry.Document
	if err := entry.Validate(); err != nil {
		return nil, err
	}
	offsets := passageOffsets(entry)
	filters, types := filterTerms(d)
	p := &prepared{
		id: d.ID,
		document: documentRecord{
			Title: d.Title, Source: d.Source, Groups: d.Groups, Language: d.Language, Hash: entry.ContentHash,
			Passages: len(entry.Passages), Runes: utf8.RuneCountInString(d.Text), Bytes: len(d.Text),
			Lead: d.Text[:offsets[0]], Sections: d.Sections, Pages: d.Pages, Metadata: retriever.EncodeMetadata(d.Metadata),
		},
		types: types,
		size:  len(d.Text),
	}
	counter := analyzer.counter()
	defer analyzer.counters.Put(counter)
	var title []string
	analyzer.each(d.Title, func(term string) { title = append(title, term) })
	for i, passage := range entry.Passages {
		for _, term := range title {
			counter.add(term)
		}
		analyzer.each(passage.Text, counter.add)
		terms, length := counter.take()
		next := len(d.Text)
		if i+1 < len(offsets) {
			next = offsets[i+1]
		}
		stored := (&passageRecord{
			Start: passage.Start, End: passage.End, Page: passage.Page, Headings: passage.Headings,
			Terms: length, Offset: offsets[i], Length: len(passage.Text),
			Stretch: d.Text[offsets[i]:max(next, offsets[i]+len(passage.Text))],
		}).encode()
		p.passages = append(p.passages, &record{
			key: passageKey(d.ID, i), text: terms, length: length, passage: true, filter: filters, stored: stored,
		})
		p.document.Terms += uint64(length)
	}
	// What JSON cannot write must be refused here, not in a commit that other
	// writers share.
	if _, err := json.Marshal(&p.document); err != nil {
		return nil, fmt.Errorf("%w: document %q: %w", retriever.ErrInvalidDocument, d.ID, err)
	}
	return p, nil
}

// passageOffsets returns the byte offset of each passage of a valid entry in the
// document's text.
func passageOffsets(entry *retriever.Entry) []int {
	text := entry.Document.Text
	offsets := make([]int, 0, len(entry.Passages))
	runes, bytes := 0, 0
	for _, p := range entry.Passages {
		for ; runes < p.Start; runes++ {
			_, size := utf8.DecodeRuneInString(text[bytes:])
			bytes += size
		}
		offsets = append(offsets, bytes)
	}
	return offsets
}
