package ingest

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/sentences"
)

// eachSentence yields the end of each sentence of a text (in bytes, white
// space after it included) and what kind of border that is.
//
// The candidates are the sentence borders of Unicode Standard Annex 29. Not
// all of them are kept: that standard ends a sentence at every line break, and
// after every full stop that a capital letter follows.
func eachSentence(text string) iter.Seq2[int, border] {
	return func(yield func(int, border) bool) {
		candidates := sentences.FromString(text)
		start := 0
		for candidates.Next() {
			end := candidates.End()
			if end >= len(text) {
				break
			}
			kind, ends := judge(text[start:end], text[end:])
			if !ends {
				continue
			}
			if !yield(end, kind) {
				return
			}
			start = end
		}
		if start < len(text) {
			yield(len(text), borderSentence)
		}
	}
}

// wrapWidth is how long a line without a full stop must be to be taken for one
// that was wrapped, rather than a heading, an address or a table.
const wrapWidth = 50

// judge decides whether a sentence ends between current and rest.
func judge(current, rest string) (border, bool) {
	body := strings.TrimRightFunc(current, unicode.IsSpace)
	if body == "" || joins(current, rest) {
		return 0, false
	}
	stopped := endsWithStop(body)
	if stopped && isAbbreviation(body, rest) {
		return 0, false
	}
	if !strings.ContainsAny(current[len(body):], "\n\r\u0085\u2028\u2029") {
		return borderSentence, true
	}
	if stopped {
		return borderSentence, true
	}
	line := body[strings.LastIndexByte(body, '\n')+1:]
	if strings.Contains(line, " | ") || startsItem(rest) {
		return borderLine, true
	}
	first, _ := utf8.DecodeRuneInString(rest)
	if unicode.IsLower(first) || utf8.RuneCountInString(line) >= wrapWidth {
		return 0, false
	}
	return borderLine, true
}

// endsWithStop reports whether text ends with a mark that ends a sentence,
// closing quotes and brackets aside.
func endsWithStop(text string) bool {
	for text != "" {
		r, size := utf8.DecodeLastRuneInString(text)
		switch {
		case unicode.Is(unicode.Sentence_Terminal, r), r == ':', r == '…':
			return true
		case !unicode.In(r, unicode.Pe, unicode.Pf, unicode.Pi) && r != '"' && r != '\'':
			return false
		}
		text = text[:len(text)-size]
	}
	return false
}

// startsItem reports whether a line starts like an item of a list, a heading,
// a row of a table or an indented block.
func startsItem(line string) bool {
	first, size := utf8.DecodeRuneInString(line)
	switch {
	case first == ' ', first == '\t', first == '|', first == '#', first == '•', first == '–':
		return true
	case first == '-', first == '*', first == '+':
		return strings.HasPrefix(line[size:], " ")
	}
	digits := 0
	for digits < len(line) && digits < 4 && line[digits] >= '0' && line[digits] <= '9' {
		digits++
	}
	return digits > 0 && digits+1 < len(line) && (line[digits] == '.' || line[digits] == ')') && line[digits+1] == ' '
}

// isAbbreviation reports whether the full stop at the end of body belongs to
// the word before it and the sentence goes on in rest.
func isAbbreviation(body, rest string) bool {
	before, ok := strings.CutSuffix(body, ".")
	if !ok {
		return false
	}
	cut := strings.LastIndexFunc(before, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Ps, unicode.Pi) || r == '"' || r == '/'
	})
	if cut >= 0 {
		_, size := utf8.DecodeRuneInString(before[cut:])
		cut += size
	} else {
		cut = 0
	}
	word := before[cut:]
	if word == "" || len(word) > 16 {
		return false
	}
	if strings.Trim(word, "0123456789") == "" {
		// "1." at the very start numbers what follows.
		return strings.TrimSpace(before[:cut]) == ""
	}
	if isInitials(word) {
		return true
	}
	switch strings.ToLower(word) {
	case "mr", "mrs", "ms", "mx", "dr", "prof", "rev", "hon", "gen", "col", "maj", "capt", "lt", "sgt", "gov", "sen", "rep", "st", "mt",
		"vs", "cf", "viz", "al", "ca", "approx", "resp", "incl", "esp", "dept", "univ", "assn",
		"hr", "fr", "frau", "ing", "dipl", "bzw", "usw", "ggf", "evtl", "vgl", "bspw", "mme", "mlle", "sr", "sra", "srta", "dott", "sig":
		return true
	case "no", "nos", "nr", "fig", "figs", "eq", "eqs", "tab", "vol", "vols", "p", "pp", "art", "arts", "sec", "sect", "ch", "chap", "app", "ref", "para", "cl", "ex", "abb", "abs", "kap", "bd", "ziff",
		"jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec":
		next, _ := utf8.DecodeRuneInString(rest)
		return unicode.IsDigit(next) || next == '(' || next == '['
	}
	return false
}

// isInitials reports whether a word is one capital letter or letters with full
// stops between them, such as "J", "U.S", "e.g".
func isInitials(word string) bool {
	parts := strings.Split(word, ".")
	for _, part := range parts {
		if utf8.RuneCountInString(part) != 1 {
			return false
		}
		if r, _ := utf8.DecodeRuneInString(part); !unicode.IsLetter(r) || len(parts) == 1 && (!unicode.IsUpper(r) || r == 'I') {
			return false
		}
	}
	return true
}
