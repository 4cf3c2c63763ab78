package models

import "errors"

// An Offset is a half-open range of Unicode code points.
type Offset struct{ Start, End int32 }

// Tokens is text cut into vocabulary entries, without special tokens. IDs[i]
// stands for the code points Offsets[i] of the text. A value is read-only once
// it was returned and may be shared.
type Tokens struct {
	IDs     []int32
	Offsets []Offset
}

// Len returns the number of tokens.
func (t Tokens) Len() int { return len(t.IDs) }

// Sequence numbers of the parts of an [Encoding].
const (
	SequenceSpecial int8 = -1 // a special token such as [CLS]
	SequenceFirst   int8 = 0  // the question of a pair, or a single text
	SequenceSecond  int8 = 1  // the passage of a pair
)

// An Encoding is one sequence as the language model wants it, special tokens
// included. All slices have the same length, at most the model's maximum.
type Encoding struct {
	IDs     []int32
	TypeIDs []int32 // segment of each token: 0 or 1
	// Sequences says which text each token came from: SequenceSpecial,
	// SequenceFirst or SequenceSecond.
	Sequences []int8
	// Offsets point into the text that the token came from, in code points;
	// special tokens have {0, 0}.
	Offsets []Offset
	// First and Last delimit the tokens of the second sequence (of the first
	// one in a single encoding): IDs[First:Last].
	First, Last int
	// Truncated says that tokens of the text were left out of this encoding
	// and are in none of its siblings either.
	Truncated bool
}

// Len returns the number of tokens, special ones included.
func (e Encoding) Len() int { return len(e.IDs) }

// Errors of tokenizers, for errors.Is.
var (
	// ErrQuestionTooLong says that a question leaves no room for the passage.
	ErrQuestionTooLong = errors.New("question is too long for the model")
	// ErrUnsupportedTokenizer says that a tokenizer.json uses something that
	// this version cannot reproduce exactly.
	ErrUnsupportedTokenizer = errors.New("tokenizer is not supported")
)

// A Tokenizer cuts text exactly as the Hugging Face tokenizer of the same
// tokenizer.json does. It is safe for concurrent use.
type Tokenizer interface {
	// Tokenize cuts text into vocabulary entries without special tokens. Any
	// string is allowed; bytes that are not UTF-8 count as one code point each
	// (U+FFFD).
	Tokenize(text string) Tokens
	// Single wraps the tokens of one text with the special tokens of the
	// model. A text that does not fit into maxLength tokens is cut, and
	// Truncated is set.
	Single(text Tokens, maxLength int) (Encoding, error)
	// Pair joins a question and a passage with the special tokens of the
	// model. A passage that does not fit into maxLength tokens gives several
	// encodings (windows) that overlap by stride passage tokens, as the
	// strategy only_second does. A question that leaves fewer than stride+1
	// tokens for the passage gives ErrQuestionTooLong.
	Pair(question, passage Tokens, maxLength, stride int) ([]Encoding, error)
	// VocabularySize is one more than the greatest id that can come out.
	VocabularySize() int
}
