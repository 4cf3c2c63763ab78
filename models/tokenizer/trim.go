package tokenizer

import (
	"strings"
	"unicode/utf8"

	"github.com/needle-search/needle/models"
)

// offsetTrimmer leaves the spaces at the ends of a token out of its offsets
// (trim_offsets). It counts the spaces of the token, not of the text.
type offsetTrimmer struct {
	addPrefixSpace    bool
	leading, trailing []uint8 // by id
}

func newOffsetTrimmer(addPrefixSpace bool, vocabulary []vocabularyEntry, size int) *offsetTrimmer {
	t := &offsetTrimmer{addPrefixSpace, make([]uint8, size), make([]uint8, size)}
	for _, e := range vocabulary {
		leading, trailing := edgeSpaces(e.token)
		t.leading[e.id], t.trailing[e.id] = uint8(min(leading, 255)), uint8(min(trailing, 255))
	}
	return t
}

// edgeSpaces counts the spaces at the ends of a token: white space, and what
// stands for the space in byte-level vocabularies.
func edgeSpaces(token string) (leading, trailing int) {
	space := func(r rune) bool { return r == 'Ġ' || inRanges(whitespace[:], r) }
	all := utf8.RuneCountInString(token)
	leading = all - utf8.RuneCountInString(strings.TrimLeftFunc(token, space))
	trailing = all - utf8.RuneCountInString(strings.TrimRightFunc(token, space))
	return leading, trailing
}

func (t *offsetTrimmer) token(id int32, o models.Offset, first bool) models.Offset {
	if t.leading[id]|t.trailing[id] == 0 {
		return o
	}
	return t.offset(o, int(t.leading[id]), int(t.trailing[id]), first)
}

func (t *offsetTrimmer) offset(o models.Offset, leading, trailing int, first bool) models.Offset {
	// A single space before the first token may be the one that was added.
	if (first || o.Start == 0) && t.addPrefixSpace && leading == 1 {
		leading = 0
	}
	o.Start = min(o.Start+int32(leading), o.End)
	if o.End >= int32(trailing) {
		o.End = max(o.End-int32(trailing), o.Start)
	}
	return o
}
