package ingest

import (
	"unicode"

	"github.com/needle-search/needle/models"
)

// A counter appends the code point at which each token of the text starts, in
// order.
type counter func(starts []int, text string) []int

func tokenCounter(tokenizer models.Tokenizer) counter {
	return func(starts []int, text string) []int {
		for _, o := range tokenizer.Tokenize(text).Offsets {
			starts = append(starts, int(o.Start))
		}
		return starts
	}
}

// estimate counts about as many tokens as a subword vocabulary would give, and
// rather more than fewer: long words are several, marks one each.
func estimate(starts []int, text string) []int {
	at, run := 0, 0 // run: code points since the last token of this word started
	for _, r := range text {
		switch {
		case r < 0x80:
			if c := byte(r); c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
				if run%8 == 0 {
					starts = append(starts, at)
				}
				run++
			} else {
				if c > ' ' {
					starts = append(starts, at)
				}
				run = 0
			}
		case unicode.IsSpace(r):
			run = 0
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana), !unicode.In(r, unicode.L, unicode.M, unicode.N):
			starts = append(starts, at)
			run = 0
		default:
			if run%3 == 0 {
				starts = append(starts, at)
			}
			run++
		}
		at++
	}
	return starts
}
