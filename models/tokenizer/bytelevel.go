package tokenizer

import (
	"unicode/utf8"

	"github.com/needle-search/needle/models"
)

// flat is text as bytes, each with the code point of the original text that it
// stands for.
type flat struct {
	bytes  []byte
	origin []int32
}

func (f *flat) reset() { f.bytes, f.origin = f.bytes[:0], f.origin[:0] }

func (f *flat) appendRune(r rune, origin int32) {
	f.bytes = utf8.AppendRune(f.bytes, r)
	for len(f.origin) < len(f.bytes) {
		f.origin = append(f.origin, origin)
	}
}

// set makes f the bytes of text, whose first code point has the number start.
func (f *flat) set(text string, start int32) {
	f.reset()
	f.bytes = append(f.bytes, text...)
	if cap(f.origin) < len(text) {
		f.origin = make([]int32, len(text), len(text)*5/4)
	}
	f.origin = f.origin[:len(text)]
	at := start - 1
	for i := range len(text) {
		if !isContinuation(text[i]) {
			at++
		}
		f.origin[i] = at
	}
}

func isContinuation(b byte) bool { return b&0xC0 == 0x80 }

func (f *flat) setAligned(a *aligned) {
	f.reset()
	for i, r := range a.runes {
		f.appendRune(r, a.at[i])
	}
}

// byteLevel is the pre-tokenizer ByteLevel with its BPE. The library maps bytes
// to printable characters first; here the vocabulary is mapped back instead.
type byteLevel struct {
	normalizer normalizer
	// inner are the added tokens that are looked for in normalized text.
	inner          addedTokens
	addPrefixSpace bool
	useRegex       bool
	model          *bpe
	classes        *runeTable
}

func (b *byteLevel) segment(text string, start int32, s *scratch) {
	if text == "" {
		return
	}
	if b.normalizer == nil && utf8.ValidString(text) {
		s.flat.set(text, start)
	} else {
		s.aligned.set(text, start)
		if b.normalizer != nil {
			b.normalizer.normalize(&s.aligned)
		}
		s.flat.setAligned(&s.aligned)
	}
	f := &s.flat
	if len(b.inner.tokens) == 0 {
		b.piece(f.bytes, f.origin, s)
		return
	}
	b.inner.split(string(f.bytes), func(from, to int, token *addedToken) {
		if token == nil {
			b.piece(f.bytes[from:to], f.origin[from:to], s)
			return
		}
		s.emitAdded(token.ID, string(f.bytes[from:to]), models.Offset{Start: f.origin[from], End: f.origin[to-1] + 1})
	})
}

func (b *byteLevel) piece(text []byte, origin []int32, s *scratch) {
	if len(text) == 0 {
		return
	}
	if b.addPrefixSpace && text[0] != ' ' {
		p := &s.prefixed
		p.bytes = append(append(p.bytes[:0], ' '), text...)
		p.origin = append(append(p.origin[:0], origin[0]), origin...)
		text, origin = p.bytes, p.origin
	}
	if !b.useRegex {
		b.model.cut(text, origin, s)
		return
	}
	for at := 0; at < len(text); {
		end := at + b.wordLength(text[at:])
		b.model.cut(text[at:end], origin[at:end], s)
		at = end
	}
}

// Classes of code points in the pattern of ByteLevel.
const (
	classOther = iota
	classLetter
	classNumber
	classSpace
)

func newByteClasses() *runeTable {
	t := newRuneTable()
	t.setRanges(regexLetters[:], classLetter)
	t.setRanges(regexNumbers[:], classNumber)
	t.setRanges(regexSpaces[:], classSpace)
	return t
}

func (b *byteLevel) class(text []byte) (class uint32, size int) {
	if text[0] < utf8.RuneSelf {
		return b.classes.pages[b.classes.index[0]][text[0]], 1
	}
	r, size := utf8.DecodeRune(text)
	return b.classes.get(r), size
}

// wordLength returns the length of the first match of the pattern of GPT-2:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func (b *byteLevel) wordLength(text []byte) int {
	if text[0] == '\'' && len(text) > 1 {
		switch text[1] {
		case 's', 't', 'm', 'd':
			return 2
		}
		if len(text) > 2 {
			switch string(text[1:3]) {
			case "re", "ve", "ll":
				return 3
			}
		}
	}
	first, at := b.class(text)
	if text[0] == ' ' && len(text) > 1 {
		class, size := b.class(text[1:])
		if class != classSpace {
			return 1 + size + b.run(text[1+size:], class)
		}
	}
	if first != classSpace {
		return at + b.run(text[at:], first)
	}
	// White space before a word leaves its last character to what follows.
	last := at
	for at < len(text) {
		class, size := b.class(text[at:])
		if class != classSpace {
			if at > last {
				return at - last
			}
			return at
		}
		at += size
		last = size
	}
	return at
}

// run returns the length of the code points of one class that text starts with.
func (b *byteLevel) run(text []byte, class uint32) int {
	at := 0
	for at < len(text) {
		next, size := b.class(text[at:])
		if next != class {
			break
		}
		at += size
	}
	return at
}
