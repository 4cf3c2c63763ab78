package ingest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/retriever"
)

// A SplitterConfig says how long passages are.
type SplitterConfig struct {
	// MaxTokens is the longest passage in model tokens. Together with a
	// question it should fit into one window of the reader.
	MaxTokens int `yaml:"max_tokens"`
	// OverlapTokens is how much of a passage's end the next one repeats at
	// most, in whole sentences, so that an answer that leans on the sentence
	// before is not torn apart.
	OverlapTokens int `yaml:"overlap_tokens"`
}

// DefaultSplitterConfig returns the defaults: passages of 220 tokens that
// overlap by up to 40.
func DefaultSplitterConfig() SplitterConfig {
	return SplitterConfig{MaxTokens: 220, OverlapTokens: 40}
}

// Validate checks the values. The error has one line for every fault, with the
// key, the value and what is allowed.
func (c SplitterConfig) Validate() error {
	var faults []error
	if c.MaxTokens < 16 || c.MaxTokens > 8192 {
		faults = append(faults, fmt.Errorf("max_tokens: %d; allowed is 16 to 8192", c.MaxTokens))
	}
	if c.OverlapTokens < 0 || c.OverlapTokens > c.MaxTokens/2 {
		faults = append(faults, fmt.Errorf("overlap_tokens: %d; allowed is 0 to half of max_tokens", c.OverlapTokens))
	}
	return errors.Join(faults...)
}

// A Splitter cuts documents into passages on the borders of sections,
// paragraphs and sentences. It is immutable and safe for concurrent use.
type Splitter struct {
	config      SplitterConfig
	count       counter
	fingerprint string
}

// NewSplitter returns a splitter that measures in tokens of the given
// tokenizer. Without one (nil) it estimates.
func NewSplitter(config SplitterConfig, tokenizer models.Tokenizer) (*Splitter, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("ingest: splitter: %w", err)
	}
	s := &Splitter{config: config, count: estimate}
	name := "estimate"
	if tokenizer != nil {
		s.count = tokenCounter(tokenizer)
		name = probe(tokenizer)
	}
	s.fingerprint = fmt.Sprintf("split 1, %d, %d, %s", config.MaxTokens, config.OverlapTokens, name)
	return s, nil
}

// probe identifies a tokenizer by what it does to a text in several scripts,
// so that another model with the same vocabulary does not split everything
// anew.
func probe(tokenizer models.Tokenizer) string {
	const sample = "Naïve electroencephalographers re-tokenised 1,234.5 kB (№7) of “quoted” e-mail—über-cool!\n" +
		"Быстрая лиса, 東京タワー 고양이 कुत्ता ภาษาไทย שלום 👩‍👩‍👧."
	tokens := tokenizer.Tokenize(sample)
	h := sha256.New()
	for i, id := range tokens.IDs {
		fmt.Fprintln(h, id, tokens.Offsets[i].Start, tokens.Offsets[i].End)
	}
	return fmt.Sprintf("%d/%x", tokenizer.VocabularySize(), h.Sum(nil)[:8])
}

// Fingerprint identifies the settings and the tokenizer; see [ContentHash].
func (s *Splitter) Fingerprint() string { return s.fingerprint }

// Split returns the passages of a document: ordered, without white space at
// their ends, together holding all of the text but white space between them. A
// passage is longer than the configured maximum only if a single character is.
// Text without any character but white space gives none.
//
// The borders are chosen for the whole document at once: full passages, of
// even length, that end with a section or paragraph rather than amid one.
func (s *Splitter) Split(doc Extracted) []retriever.Passage {
	units := s.units(doc)
	if len(units) == 0 {
		return nil
	}
	spans := s.pack(units)
	passages := make([]retriever.Passage, len(spans))
	sections := sectionCursor{sections: doc.Sections}
	for i, span := range spans {
		first, last := units[span.first], units[span.last-1]
		passages[i] = retriever.Passage{
			DocumentID: doc.ID,
			Ordinal:    i,
			Start:      first.start,
			End:        last.end,
			Page:       pageAt(doc.Pages, first.start),
			PageBreaks: retriever.PageBreaks(doc.Pages, first.start, last.end), PageStart: retriever.PageStart(doc.Pages, first.start),
			Headings: sections.headings(first.start, last.end),
			Text:     doc.Text[first.from:last.to],
		}
	}
	return passages
}

// pageAt returns the 1-based page that holds a code point, 0 without pages.
func pageAt(pages []int, at int) int {
	if len(pages) == 0 {
		return 0
	}
	return max(1, sort.SearchInts(pages, at+1))
}

// A sectionCursor finds the headings of passages that come in order.
type sectionCursor struct {
	sections []Section
	next     int // the first section that starts after the last passage's start
}

// headings returns the titles that stand above all of [start, end).
func (c *sectionCursor) headings(start, end int) []string {
	for c.next < len(c.sections) && c.sections[c.next].Start <= start {
		c.next++
	}
	if c.next == 0 {
		return nil
	}
	common := c.sections[c.next-1].Headings
	for i := c.next; i < len(c.sections) && c.sections[i].Start < end; i++ {
		common = common[:commonPrefix(common, c.sections[i].Headings)]
	}
	if len(common) == 0 {
		return nil
	}
	return slices.Clone(common)
}

func commonPrefix(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
