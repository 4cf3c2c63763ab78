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
	out      models.Tokens
	trim     *offsetTrimmer
	flat     flat
	prefixed flat
	aligned  aligned
	hashes   []uint64
	symbols  []symbol
	heap     mergeHeap
	cache    *wordCache
	best     []bestNode
	cuts     [][3]int32
}

// emit puts out a token of the model, which stands for bytes of these origins.
func (s *scratch) emit(id int32, origin []int32) {
	o := models.Offset{Start: origin[0], End: origin[len(origin)-1] + 1}
	if s.trim != nil {
		o = s.trim.token(id, o, len(s.out.IDs) == 0)
	}
	s.out.IDs, s.out.Offsets = append(s.out.IDs, id), append(s.out.Offsets, o)
}

// emitAdded puts out an added token, found as a value.
func (s *scratch) emitAdded(id int32, value string, o models.Offset) {
	if s.trim != nil {
		leading, trailing := edgeSpaces(value)
		o = s.trim.offset(o, leading, trailing, len(s.out.IDs) == 0)
	}
	s.out.IDs, s.out.Offsets = append(s.out.IDs, id), append(s.out.Offsets, o)
}

// Tokenize implements models.Tokenizer.
func (t *tokenizer) Tokenize(text string) models.Tokens {
	s := t.scratches.Get().(*scratch)
	defer t.scratches.Put(s)
	s.out.IDs, s.out.Offsets, s.trim = s.out.IDs[:0], s.out.Offsets[:0], t.post.trim
	start := int32(0)
	t.added.split(text, func(from, to int, token *addedToken) {
		if token == nil && to == len(text) {
			t.segments.segment(text[from:], start, s)
			return // nothing follows that needs to know where it starts
		}
		end := start + int32(utf8.RuneCountInString(text[from:to]))
		if token == nil {
			t.segments.segment(text[from:to], start, s)
		} else {
			s.emitAdded(token.ID, text[from:to], models.Offset{Start: start, End: end})
		}
		start = end
	})
	tokens := models.Tokens{IDs: make([]int32, len(s.out.IDs)), Offsets: make([]models.Offset, len(s.out.IDs))}
	copy(tokens.IDs, s.out.IDs)
	copy(tokens.Offsets, s.out.Offsets)
	return tokens
}

// VocabularySize implements models.Tokenizer.
func (t *tokenizer) VocabularySize() int { return t.size }
