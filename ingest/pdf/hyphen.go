package pdf

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// vocabulary collects the words of a file, in lower case, those at the joints
// of lines aside. Words with a hyphen count as they are.
func vocabulary(pages []page) map[string]struct{} {
	words := map[string]struct{}{}
	for _, p := range pages {
		for _, l := range p.lines {
			fields := strings.FieldsFunc(l.text, func(r rune) bool {
				return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != breakMark && !unicode.Is(unicode.M, r)
			})
			if broken(l.text) && len(fields) > 0 {
				fields = fields[:len(fields)-1]
			}
			for _, f := range fields {
				words[strings.ToLower(strings.Trim(f, "-"))] = struct{}{}
			}
		}
	}
	return words
}

// broken reports whether a line ends within a word.
func broken(text string) bool {
	head, ok := strings.CutSuffix(text, string(breakMark))
	for _, hyphen := range []string{"-", "\u2010", "\u00ad"} {
		if !ok {
			head, ok = strings.CutSuffix(text, hyphen)
		}
	}
	r, _ := utf8.DecodeLastRuneInString(head)
	return ok && unicode.IsLetter(r)
}

// join makes one text of the lines of a paragraph.
func (c *composer) join(lines []line) string {
	text := lines[0].text
	for _, l := range lines[1:] {
		head, glue := c.joint(text, l.text)
		text = head + glue + l.text
	}
	return text
}

// withoutMarks writes hyphens for marks that joined nothing, as at the end of a
// paragraph.
func withoutMarks(text string) string { return strings.ReplaceAll(text, string(breakMark), "-") }

// joint returns what stays of the first of two lines that are joined, and what
// comes between them. A hyphen goes if the file has the word elsewhere without
// it, and stays if the file has the word with it, or both parts as words of
// their own ("well-known"). Else it goes, unless a capital or digit follows.
func (c *composer) joint(first, second string) (head, glue string) {
	if !broken(first) {
		if last, _ := utf8.DecodeLastRuneInString(first); isSpaceless(last) {
			if next, _ := utf8.DecodeRuneInString(second); isSpaceless(next) {
				return first, ""
			}
		}
		return first, " "
	}
	_, size := utf8.DecodeLastRuneInString(first)
	head = first[:len(first)-size]
	next, _ := utf8.DecodeRuneInString(second)
	if !unicode.IsLower(next) {
		return head, "-"
	}
	before := strings.ToLower(lastWord(head))
	after := strings.ToLower(firstWord(second))
	has := func(word string) bool { _, ok := c.words[word]; return ok }
	switch {
	case has(before + after):
		return head, ""
	case has(before + "-" + after):
		return head, "-"
	case len(before) > 3 && len(after) > 3 && has(before) && has(after):
		return head, "-"
	}
	return head, ""
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.Is(unicode.M, r) }

func lastWord(text string) string {
	return text[strings.LastIndexFunc(text, func(r rune) bool { return !isWord(r) })+1:]
}

func firstWord(text string) string {
	if end := strings.IndexFunc(text, func(r rune) bool { return !isWord(r) }); end >= 0 {
		return text[:end]
	}
	return text
}

// isSpaceless reports whether a script sets no spaces between words.
func isSpaceless(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) ||
		r >= 0x3000 && r <= 0x303F || r >= 0xFF00 && r <= 0xFFEF
}
