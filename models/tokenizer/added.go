package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An addedToken is found in the text before anything else happens to it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// addedTokens finds added tokens in text: the leftmost, and of those the
// longest.
type addedTokens struct {
	tokens  []addedToken // longest first
	initial [256]bool    // bytes that start a token
	only    int          // the byte that starts every token, or -1
}

// newAddedTokens gives the tokens their ids as the library does: the id of the
// file counts for nothing, a token that is no entry of the model's vocabulary
// gets the next free one.
func newAddedTokens(tokens []addedToken, modelID func(string) (int32, bool), modelSize int) (addedTokens, error) {
	a := addedTokens{only: -1}
	byContent := map[string]int32{}
	byID := map[int32]addedToken{}
	next := int32(modelSize)
	var order []string
	// Special tokens are searched for first; of two equal patterns the first counts.
	for _, token := range tokens {
		if token.Content == "" {
			continue
		}
		id, known := byContent[token.Content]
		if !known {
			if id, known = modelID(token.Content); !known {
				id = next
				next++
			}
			order = append(order, token.Content)
		}
		token.ID = id
		byContent[token.Content], byID[id] = id, token
	}
	for _, content := range order {
		token := byID[byContent[content]]
		token.Content, token.ID = content, byContent[content]
		if token.Normalized {
			return a, unsupported("added_tokens: %q has normalized: true", content)
		}
		a.tokens = append(a.tokens, token)
		a.initial[content[0]] = true
	}
	slices.SortStableFunc(a.tokens, func(x, y addedToken) int { return len(y.Content) - len(x.Content) })
	for b, is := range a.initial {
		switch {
		case is && a.only >= 0:
			a.only = -1
			return a, nil
		case is:
			a.only = b
		}
	}
	return a, nil
}

// An addedMatch is a place where an added token stands. It is accepted if the
// token may stand there; either way the search goes on at resume.
type addedMatch struct {
	id         int32
	start, end int
	resume     int
	accepted   bool
}

// find looks for an added token at or after the byte from; text before the
// byte used belongs to an earlier match.
func (a *addedTokens) find(text string, from, used int) (addedMatch, bool) {
	for i := from; i < len(text); i++ {
		switch {
		case len(a.tokens) == 0:
			return addedMatch{}, false
		case a.only >= 0:
			skip := strings.IndexByte(text[i:], byte(a.only))
			if skip < 0 {
				return addedMatch{}, false
			}
			i += skip
		case !a.initial[text[i]]:
			continue
		}
		for k := range a.tokens {
			if token := &a.tokens[k]; strings.HasPrefix(text[i:], token.Content) {
				return token.match(text, i, used), true
			}
		}
	}
	return addedMatch{}, false
}

func (a *addedToken) match(text string, start, used int) addedMatch {
	m := addedMatch{id: a.ID, start: start, end: start + len(a.Content)}
	m.resume, m.accepted = m.end, true
	if a.SingleWord {
		before, _ := utf8.DecodeLastRuneInString(text[:m.start])
		after, _ := utf8.DecodeRuneInString(text[m.end:])
		if m.start > 0 && isWordRune(before) || m.end < len(text) && isWordRune(after) {
			m.accepted = false
			return m
		}
	}
	if a.LStrip {
		m.start = max(used, len(strings.TrimRightFunc(text[:m.start], unicode.IsSpace)))
	}
	if a.RStrip {
		m.end = len(text) - len(strings.TrimLeftFunc(text[m.end:], unicode.IsSpace))
	}
	return m
}

// isWordRune reports what \w matches (UTS 18, Annex C).
func isWordRune(r rune) bool {
	return unicode.IsOneOf([]*unicode.RangeTable{
		unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control,
	}, r)
}
