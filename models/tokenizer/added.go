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
// gets the next free one. Of the result, outer is to be searched for in the
// text as it is and inner in what the normalizer makes of it.
func newAddedTokens(tokens []addedToken, modelID func(string) (int32, bool), modelSize int, n normalizer) (outer, inner addedTokens, err error) {
	byContent := map[string]int32{}
	byID := map[int32]addedToken{}
	next := int32(modelSize)
	var order []addedToken
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
			token.ID = id
			order = append(order, token)
		}
		token.ID = id
		byContent[token.Content], byID[id] = id, token
	}
	for _, token := range order {
		pattern := token.Content
		// Two tokens of one id are both found, but the last one says how.
		same := byID[token.ID]
		token.SingleWord, token.LStrip, token.RStrip = same.SingleWord, same.LStrip, same.RStrip
		if !token.Normalized {
			outer.add(token)
			continue
		}
		if n != nil {
			var a aligned
			a.set(pattern, 0)
			n.normalize(&a)
			token.Content = string(a.runes)
		}
		if token.Content == "" {
			return outer, inner, unsupported("added_tokens: the normalizer leaves nothing of %q", pattern)
		}
		inner.add(token)
	}
	outer.prepare()
	inner.prepare()
	return outer, inner, nil
}

func (a *addedTokens) add(token addedToken) {
	a.tokens = append(a.tokens, token)
	a.initial[token.Content[0]] = true
}

// prepare makes the longest token the first to be looked for; of equal ones, a
// special one.
func (a *addedTokens) prepare() {
	slices.SortStableFunc(a.tokens, func(x, y addedToken) int {
		if d := len(y.Content) - len(x.Content); d != 0 || x.Special == y.Special {
			return d
		}
		if x.Special {
			return -1
		}
		return 1
	})
	a.only = -1
	for b, is := range a.initial {
		if is && a.only >= 0 {
			a.only = -1
			return
		}
		if is {
			a.only = b
		}
	}
}

// split calls visit for every added token and every stretch of text without one,
// in order.
func (a *addedTokens) split(text string, visit func(from, to int, token *addedToken)) {
	at := 0
	for from := 0; ; {
		m, token := a.find(text, from, at)
		if token == nil {
			break
		}
		from = m.resume
		if !m.accepted {
			continue
		}
		if m.start > at {
			visit(at, m.start, nil)
		}
		visit(m.start, m.end, token)
		at = m.end
	}
	if at < len(text) {
		visit(at, len(text), nil)
	}
}

// An addedMatch is a place where an added token stands. It is accepted if the
// token may stand there; either way the search goes on at resume.
type addedMatch struct {
	start, end int
	resume     int
	accepted   bool
}

// find looks for an added token at or after the byte from; text before the
// byte used belongs to an earlier match.
func (a *addedTokens) find(text string, from, used int) (addedMatch, *addedToken) {
	for i := from; i < len(text); i++ {
		switch {
		case len(a.tokens) == 0:
			return addedMatch{}, nil
		case a.only >= 0:
			skip := strings.IndexByte(text[i:], byte(a.only))
			if skip < 0 {
				return addedMatch{}, nil
			}
			i += skip
		case !a.initial[text[i]]:
			continue
		}
		for k := range a.tokens {
			if token := &a.tokens[k]; strings.HasPrefix(text[i:], token.Content) {
				return token.match(text, i, used), token
			}
		}
	}
	return addedMatch{}, nil
}

func (a *addedToken) match(text string, start, used int) addedMatch {
	m := addedMatch{start: start, end: start + len(a.Content)}
	m.resume, m.accepted = m.end, true
	if a.SingleWord {
		before, _ := utf8.DecodeLastRuneInString(text[:m.start])
		after, _ := utf8.DecodeRuneInString(text[m.end:])
		if m.start > 0 && inRanges(wordCharacters[:], before) || m.end < len(text) && inRanges(wordCharacters[:], after) {
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
