package retriever

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	errNotUTF8 = errors.New("is not valid UTF-8")
	errNUL     = errors.New("contains a NUL byte")
	errYear    = errors.New("lies outside the years 0 to 9999")
)

func validText(s string) error {
	if !utf8.ValidString(s) {
		return errNotUTF8
	}
	if strings.IndexByte(s, 0) >= 0 {
		return errNUL
	}
	return nil
}

// validTime reports whether RFC 3339 can write a time.
func validTime(t time.Time) error {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return errYear
	}
	return nil
}

// SliceRunes returns s[start:end] with the bounds counted in code points. It
// panics, like a slice expression, if the bounds are out of range.
func SliceRunes(s string, start, end int) string {
	if start < 0 || end < start {
		panic("retriever: SliceRunes: bounds out of order")
	}
	from := byteOffset(s, start)
	return s[from : from+byteOffset(s[from:], end-start)]
}

func byteOffset(s string, runes int) int {
	offset := 0
	for ; runes > 0; runes-- {
		if offset >= len(s) {
			panic("retriever: SliceRunes: bounds out of range")
		}
		_, size := utf8.DecodeRuneInString(s[offset:])
		offset += size
	}
	return offset
}
