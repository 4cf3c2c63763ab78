package ingest

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CleanLine makes one line of text that came out of a file format: runs of
// white space become one space, what nobody can see or that no document may
// hold (control characters, soft hyphens, zero-width spaces, byte order marks,
// private-use characters of symbol fonts) is dropped, and broken UTF-8 becomes
// U+FFFD. Joiners stay, because Indic scripts and Persian are spelled with
// them.
func CleanLine(text string) string {
	if isClean(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	space := false
	for _, r := range text {
		if isBlank(r) {
			space = b.Len() > 0
			continue
		}
		if isInvisible(r) {
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		writeRune(&b, r)
	}
	return b.String()
}

// CleanLines is [CleanLine] for every line of a text. White space at the start
// of a line stays, for it may be layout, as in code; a tab counts as four
// spaces. Empty lines at both ends are dropped.
func CleanLines(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		body := strings.TrimLeftFunc(line, isBlank)
		indent := strings.ReplaceAll(line[:len(line)-len(body)], "\t", "    ")
		if body = CleanLine(body); body == "" {
			lines[i] = ""
			continue
		}
		lines[i] = strings.Repeat(" ", min(utf8.RuneCountInString(indent), 80)) + body
	}
	return strings.TrimRight(strings.TrimLeft(strings.Join(lines, "\n"), "\n"), "\n")
}

// isClean reports whether CleanLine would change nothing, which is so for most
// text, for ASCII only.
func isClean(text string) bool {
	space := true
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c >= 0x7f || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return !space || text == ""
}

func isBlank(r rune) bool { return unicode.IsSpace(r) }

// isInvisible reports whether a character is noise of the format.
func isInvisible(r rune) bool {
	switch r {
	case '\u00AD', '\u200B', '\u2060', '\uFEFF', '\uFFFE', '\uFFFF':
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Co, r)
}

// writeRune writes a character; the ligatures of Latin typefaces are written
// as the letters they stand for, or "finance" would not be found.
func writeRune(b *strings.Builder, r rune) {
	if r >= '\uFB00' && r <= '\uFB06' {
		b.WriteString([...]string{"ff", "fi", "fl", "ffi", "ffl", "st", "st"}[r-'\uFB00'])
		return
	}
	b.WriteRune(r)
}
