package eval

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Normalize prepares an answer for comparison as the official SQuAD script
// does: lower case, no ASCII punctuation, no English articles, single spaces.
// It follows Python where Go differs: the full case mapping with its final
// sigma, word boundaries and white space. The two agree on every code point
// that both know; where Python's Unicode tables are older than Go's, a letter
// that is new to them is no word character there. Text that is not valid UTF-8
// gets U+FFFD for each bad byte.
func Normalize(s string) string {
	return strings.Join(Tokens(s), " ")
}

// Tokens returns the words of the normalised answer.
func Tokens(s string) []string {
	return strings.FieldsFunc(removeArticles(removePunctuation(lower(s))), isPythonSpace)
}

// removePunctuation drops the characters of Python's string.punctuation.
func removePunctuation(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsPunct(r) || unicode.IsSymbol(r)) {
			return -1
		}
		return r
	}, s)
}

// removeArticles replaces every match of \b(a|an|the)\b by a space. The three
// words consist of word characters, so a match is always a maximal run of
// them.
func removeArticles(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	start := -1
	flush := func(end int) {
		switch word := s[start:end]; word {
		case "a", "an", "the":
			b.WriteByte(' ')
		default:
			b.WriteString(word)
		}
		start = -1
	}
	for i, r := range s {
		if isPythonWord(r) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			flush(i)
		}
		b.WriteRune(r)
	}
	if start >= 0 {
		flush(len(s))
	}
	return b.String()
}

// isPythonWord reports what \w matches in a Python str pattern: letters,
// everything with a numeric value, and the underscore. Combining marks are not
// among them, so "the" followed by U+0301 counts as an article.
func isPythonWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r)
}

// isPythonSpace reports what str.split() splits at: Unicode white space and,
// unlike Go, the four ASCII separators U+001C to U+001F.
func isPythonSpace(r rune) bool {
	return unicode.IsSpace(r) || 0x1C <= r && r <= 0x1F
}

// lower is Python's str.lower(). strings.ToLower maps rune by rune; Python
// uses the full mapping of Unicode's SpecialCasing, in which İ becomes two
// code points and Σ depends on its neighbours.
func lower(s string) string {
	if !strings.ContainsAny(s, "İΣ") {
		return strings.Map(unicode.ToLower, s)
	}
	runes := []rune(s)
	var b strings.Builder
	b.Grow(len(s))
	for i, r := range runes {
		switch r {
		case 'İ':
			b.WriteString("i\u0307")
		case 'Σ':
			b.WriteRune(lowerSigma(runes, i))
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// lowerSigma applies Unicode's Final_Sigma condition: a cased letter before
// and none after, case-ignorable characters skipped on both sides.
func lowerSigma(runes []rune, at int) rune {
	before := at - 1
	for before >= 0 && isCaseIgnorable(runes[before]) {
		before--
	}
	if before < 0 || !isCased(runes[before]) {
		return 'σ'
	}
	after := at + 1
	for after < len(runes) && isCaseIgnorable(runes[after]) {
		after++
	}
	if after < len(runes) && isCased(runes[after]) {
		return 'σ'
	}
	return 'ς'
}

// isCased is Unicode's property Cased.
func isCased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

// isCaseIgnorable is Unicode's property Case_Ignorable. The word-break classes
// MidLetter, MidNumLet and Single_Quote that it includes are listed, as the
// standard library has no tables for them.
func isCaseIgnorable(r rune) bool {
	switch r {
	case '\'', '.', ':', '\u00b7', '\u0387', '\u055f', '\u05f4', '\u2018', '\u2019', '\u2024', '\u2027',
		'\ufe13', '\ufe52', '\ufe55', '\uff07', '\uff0e', '\uff1a':
		return true
	}
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}
