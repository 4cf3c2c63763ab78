package modelstest

import (
	"fmt"
	"hash/fnv"
	"unicode"
	"unicode/utf8"

	"github.com/needle-search/needle/models"
)

// The ids of the special tokens of [Tokenizer]; words have greater ones.
const (
	PadID       int32 = 0
	StartID     int32 = 1 // [CLS]
	SeparatorID int32 = 2 // [SEP]

	firstWordID = 16
	wordIDs     = 1 << 23 // ids stay exact in a float32
)

// A Tokenizer is a fake that cuts text into words (runs of letters, marks and
// digits, case folded) and single other characters. The id of a word is its
// hash, so that equal words have equal ids without a vocabulary.
type Tokenizer struct{}

var _ models.Tokenizer = (*Tokenizer)(nil)

// NewTokenizer returns the fake tokenizer.
func NewTokenizer() *Tokenizer { return &Tokenizer{} }

// VocabularySize is one more than the greatest id.
func (*Tokenizer) VocabularySize() int { return firstWordID + wordIDs }

// Tokenize cuts text into words and other characters.
func (*Tokenizer) Tokenize(text string) models.Tokens {
	var tokens models.Tokens
	word := make([]byte, 0, 32)
	start, position := int32(0), int32(0)
	flush := func() {
		if len(word) == 0 {
			return
		}
		tokens.IDs = append(tokens.IDs, wordID(word))
		tokens.Offsets = append(tokens.Offsets, models.Offset{Start: start, End: position})
		word = word[:0]
	}
	for _, r := range text {
		inWord := unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r)
		if !inWord {
			flush()
		}
		if inWord && len(word) == 0 {
			start = position
		}
		switch {
		case inWord:
			word = utf8.AppendRune(word, unicode.ToLower(r))
			position++
		case unicode.IsSpace(r):
			position++
		default:
			word = utf8.AppendRune(word, r)
			start = position
			position++
			flush()
		}
	}
	flush()
	return tokens
}

func wordID(word []byte) int32 {
	h := fnv.New32a()
	h.Write(word)
	return firstWordID + int32(h.Sum32()%wordIDs)
}

// Single wraps a text as [CLS] text [SEP].
func (*Tokenizer) Single(text models.Tokens, maxLength int) (models.Encoding, error) {
	room := maxLength - 2
	if room < 0 {
		return models.Encoding{}, fmt.Errorf("modelstest: maximum length %d has no room for special tokens", maxLength)
	}
	b := newBuilder(min(text.Len(), room) + 2)
	b.special(StartID, 0)
	b.encoding.First = 1
	b.text(text, 0, min(text.Len(), room), models.SequenceFirst, 0)
	b.encoding.Last = len(b.encoding.IDs)
	b.special(SeparatorID, 0)
	b.encoding.Truncated = text.Len() > room
	return b.encoding, nil
}

// Pair joins a question and a passage as [CLS] question [SEP] passage [SEP],
// in windows that overlap by stride passage tokens.
func (*Tokenizer) Pair(question, passage models.Tokens, maxLength, stride int) ([]models.Encoding, error) {
	room := maxLength - question.Len() - 3
	if room <= stride || stride < 0 {
		return nil, fmt.Errorf("%w: %d tokens, with a maximum length of %d and a stride of %d", models.ErrQuestionTooLong, question.Len(), maxLength, stride)
	}
	var windows []models.Encoding
	for from := 0; ; from += room - stride {
		to := min(from+room, passage.Len())
		b := newBuilder(question.Len() + to - from + 3)
		b.special(StartID, 0)
		b.text(question, 0, question.Len(), models.SequenceFirst, 0)
		b.special(SeparatorID, 0)
		b.encoding.First = len(b.encoding.IDs)
		b.text(passage, from, to, models.SequenceSecond, 1)
		b.encoding.Last = len(b.encoding.IDs)
		b.special(SeparatorID, 1)
		windows = append(windows, b.encoding)
		if to == passage.Len() {
			return windows, nil
		}
	}
}

type builder struct{ encoding models.Encoding }

func newBuilder(n int) *builder {
	return &builder{models.Encoding{
		IDs:       make([]int32, 0, n),
		TypeIDs:   make([]int32, 0, n),
		Sequences: make([]int8, 0, n),
		Offsets:   make([]models.Offset, 0, n),
	}}
}

func (b *builder) add(id, typeID int32, sequence int8, offset models.Offset) {
	e := &b.encoding
	e.IDs = append(e.IDs, id)
	e.TypeIDs = append(e.TypeIDs, typeID)
	e.Sequences = append(e.Sequences, sequence)
	e.Offsets = append(e.Offsets, offset)
}

func (b *builder) special(id, typeID int32) {
	b.add(id, typeID, models.SequenceSpecial, models.Offset{})
}

func (b *builder) text(t models.Tokens, from, to int, sequence int8, typeID int32) {
	for i := from; i < to; i++ {
		b.add(t.IDs[i], typeID, sequence, t.Offsets[i])
	}
}
