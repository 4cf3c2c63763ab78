// Package tokenizer cuts text into the tokens of a language model, exactly as
// the Hugging Face tokenizer with the same tokenizer.json does: the same ids,
// the same offsets in code points, the same special tokens and windows.
//
//	tok, err := tokenizer.Load(data)
//	question, passage := tok.Tokenize("who?"), tok.Tokenize(text)
//	windows, err := tok.Pair(question, passage, 384, 128)
//
// A tokenizer is immutable and safe for concurrent use. What it returns belongs
// to the caller.
package tokenizer

import (
	"sync"
	"unicode/utf8"

	"github.com/needle-search/needle/models"
)

var _ models.Tokenizer = (*tokenizer)(nil)

type tokenizer struct {
	added     addedTokens
	segments  segmenter
	post      postProcessor
	size      int
	scratches *sync.Pool
}

// A segmenter cuts a stretch of text that holds no added token. The first code
// point of the segment is the code point start of the text.
type segmenter interface {
	segment(text string, start int32, s *scratch)
}

// scratch is memory that calls pass on to each other.
type scratch struct {
	out  models.Tokens
	word word
}

// Tokenize implements models.Tokenizer.
func (t *tokenizer) Tokenize(text string) models.Tokens {
	s := t.scratches.Get().(*scratch)
	defer t.scratches.Put(s)
	s.out.IDs, s.out.Offsets = s.out.IDs[:0], s.out.Offsets[:0]
	at, start := 0, int32(0) // of the segment, in bytes and code points
	for from := 0; ; {
		m, ok := t.added.find(text, from, at)
		if !ok {
			break
		}
		from = m.resume
		if !m.accepted {
			continue
		}
		t.segments.segment(text[at:m.start], start, s)
		start += int32(utf8.RuneCountInString(text[at:m.start]))
		end := start + int32(utf8.RuneCountInString(text[m.start:m.end]))
		s.out.IDs = append(s.out.IDs, m.id)
		s.out.Offsets = append(s.out.Offsets, models.Offset{Start: start, End: end})
		at, start = m.end, end
	}
	t.segments.segment(text[at:], start, s)
	tokens := models.Tokens{IDs: make([]int32, len(s.out.IDs)), Offsets: make([]models.Offset, len(s.out.IDs))}
	copy(tokens.IDs, s.out.IDs)
	copy(tokens.Offsets, s.out.Offsets)
	return tokens
}

// VocabularySize implements models.Tokenizer.
func (t *tokenizer) VocabularySize() int { return t.size }
