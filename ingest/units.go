package ingest

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// chunkBytes bounds how much text is segmented and tokenised at once, so that
// a file without a single line break costs no more than any other.
const chunkBytes = 32 << 10

// units cuts a document into units, chunk by chunk: a chunk is a paragraph, or
// a part of a very long one.
func (s *Splitter) units(doc Extracted) []unit {
	u := unitizer{splitter: s, text: doc.Text}
	nextSection := 0
	for from := 0; from < len(u.text); {
		for nextSection < len(doc.Sections) && doc.Sections[nextSection].Start <= u.runes {
			if doc.Sections[nextSection].Start > 0 {
				u.raise(borderSection)
			}
			u.opens = true
			nextSection++
		}
		to, kind := nextChunk(u.text, from)
		if nextSection < len(doc.Sections) {
			// Sections start at paragraphs in every format that has them, but
			// a processor may think otherwise.
			if within := byteAt(u.text[from:to], doc.Sections[nextSection].Start-u.runes); within < to-from {
				to, kind = from+within, borderSection
			}
		}
		u.chunk(from, to)
		u.raise(kind)
		from = to
	}
	return u.units
}

// nextChunk returns the end of the chunk that starts at from and the kind of
// border there.
func nextChunk(text string, from int) (end int, kind border) {
	limit := min(len(text), from+chunkBytes)
	for at := from; at < limit; {
		newline := strings.IndexByte(text[at:limit], '\n')
		if newline < 0 {
			break
		}
		at += newline + 1
		rest := at
		for rest < limit && (text[rest] == ' ' || text[rest] == '\t' || text[rest] == '\r') {
			rest++
		}
		if rest < limit && text[rest] == '\n' {
			return rest + 1, borderParagraph
		}
	}
	if limit == len(text) {
		return limit, borderParagraph
	}
	return from + cutBefore(text[from:limit]), borderWord
}

// cutBefore returns where to cut a text that is too long for one chunk: after
// a line, else after a space, else between two graphemes.
func cutBefore(text string) int {
	for _, separator := range []byte{'\n', ' '} {
		for at := len(text) - 1; at > len(text)/2; at-- {
			// A combining mark may follow a space and would belong to it.
			if text[at-1] == separator && text[at] > ' ' && text[at] < 0x7f {
				return at
			}
		}
	}
	clusters := graphemes.FromString(text)
	end := 0
	for clusters.Next() && clusters.End() < len(text) {
		end = clusters.End()
	}
	if end == 0 {
		return len(text) // one character of 32 KiB is not worth keeping whole
	}
	return end
}

// byteAt returns the byte at which the code point n of a text starts, or its
// length.
func byteAt(text string, n int) int {
	if n >= len(text) {
		return len(text)
	}
	for at := range text {
		if n == 0 {
			return at
		}
		n--
	}
	return len(text)
}

// A unitizer collects units in order.
type unitizer struct {
	splitter *Splitter
	text     string
	runes    int   // code points before the next piece
	starts   []int // where the tokens of the current chunk start
	token    int   // the next of them
	base     int   // code points before the current chunk
	opens    bool  // the next unit opens a section
	units    []unit
}

// raise makes the border after the last unit at least as strong as kind.
func (u *unitizer) raise(kind border) {
	if n := len(u.units); n > 0 {
		u.units[n-1].after = max(u.units[n-1].after, kind)
	}
}

func (u *unitizer) chunk(from, to int) {
	u.base, u.token = u.runes, 0
	u.starts = u.splitter.count(u.starts[:0], u.text[from:to])
	at := from
	for end, after := range eachSentence(u.text[from:to]) {
		u.piece(at, from+end, after)
		at = from + end
	}
}

// piece adds a stretch of text as one unit, or as several if it is too long
// for a passage.
func (u *unitizer) piece(from, to int, after border) {
	runes := utf8.RuneCountInString(u.text[from:to])
	if u.tokensIn(runes) <= u.splitter.config.MaxTokens {
		u.add(from, to, runes, after)
		return
	}
	if line := strings.IndexByte(u.text[from:to], '\n') + 1; line > 0 && line < to-from {
		for ; line > 0 && line < to-from; line = strings.IndexByte(u.text[from:to], '\n') + 1 {
			u.piece(from, from+line, borderLine)
			from += line
		}
		u.piece(from, to, after)
		return
	}
	u.words(from, to)
	u.raise(after)
}

// few is how many tokens make a unit where sentences do not.
func (s *Splitter) few() int { return max(1, s.config.MaxTokens/16) }

// words cuts a stretch without sentence or line borders into units of a few
// words, or of a few graphemes where there is no white space.
func (u *unitizer) words(from, to int) {
	few := u.splitter.few()
	clusters := graphemes.FromString(u.text[from:to])
	at, runes := from, 0
	for clusters.Next() {
		cluster := clusters.Value()
		runes += utf8.RuneCountInString(cluster)
		tokens := u.tokensIn(runes)
		if tokens < few || tokens < 4*few && strings.TrimSpace(cluster) != "" {
			continue
		}
		end := from + clusters.End()
		u.add(at, end, runes, borderWord)
		at, runes = end, 0
	}
	if at < to {
		u.add(at, to, runes, borderWord)
	}
}

// tokensIn returns how many tokens start in the next so many code points.
func (u *unitizer) tokensIn(runes int) int {
	return sort.SearchInts(u.starts[u.token:], u.runes-u.base+runes)
}

func (u *unitizer) add(from, to, runes int, after border) {
	tokens := u.tokensIn(runes)
	text := u.text[from:to]
	inner := strings.TrimLeftFunc(text, unicode.IsSpace)
	if lead := text[:len(text)-len(inner)]; lead != "" && joins(lead, inner) {
		_, size := utf8.DecodeLastRuneInString(lead)
		inner = text[len(lead)-size:]
	}
	lead := text[:len(text)-len(inner)]
	inner = strings.TrimRightFunc(inner, unicode.IsSpace)
	if inner == "" {
		u.raise(after)
	} else {
		start := u.runes + utf8.RuneCountInString(lead)
		next := unit{
			start: start, end: start + utf8.RuneCountInString(inner),
			from: from + len(lead), to: from + len(lead) + len(inner),
			tokens: max(1, tokens), after: after, leads: u.opens || strings.HasSuffix(inner, ":"),
		}
		u.opens = false
		// A thousand lines of one word each need not be weighed one by one.
		if last := len(u.units) - 1; last >= 0 && u.units[last].after <= borderLine && u.units[last].tokens+next.tokens <= u.splitter.few() {
			next.start, next.from = u.units[last].start, u.units[last].from
			next.tokens += u.units[last].tokens
			u.units = u.units[:last]
		}
		u.units = append(u.units, next)
	}
	u.runes += runes
	u.token += tokens
}

// joins reports whether text starts with a mark that makes one character with
// what is before it.
func joins(before, text string) bool {
	first, size := utf8.DecodeRuneInString(text)
	if first < 0x300 {
		return false
	}
	last, _ := utf8.DecodeLastRuneInString(before)
	clusters := graphemes.FromString(string(last) + text[:size])
	return clusters.Next() && clusters.End() > utf8.RuneLen(last)
}
