package elastic

import (
	"slices"
	"strings"
	"unicode"

	"github.com/needle-search/needle/retriever"
)

// The passages of an existing index's documents, in code points. They overlap, so
// that an answer at a cut is whole in one of them.
const (
	cutRunes    = 1200
	cutOverlap  = 200
	cutPassages = 2 // that one document gives to a search at most
)

// cutText cuts a text into passages at white space.
func cutText(id, text string) []retriever.Passage {
	runes := []rune(text)
	var list []retriever.Passage
	for start := 0; ; {
		end := min(start+cutRunes, len(runes))
		if end < len(runes) {
			end = cutBorder(runes, end, end-cutOverlap/2)
		}
		list = append(list, retriever.Passage{DocumentID: id, Ordinal: len(list), Start: start, End: end, Text: string(runes[start:end])})
		if end == len(runes) {
			return list
		}
		start = cutBorder(runes, end-cutOverlap, end-cutOverlap-cutOverlap/2)
	}
}

// cutBorder moves a cut back behind white space, unless there is none until the
// limit.
func cutBorder(runes []rune, at, limit int) int {
	for i := at; i > limit; i-- {
		if unicode.IsSpace(runes[i-1]) {
			return i
		}
	}
	return at
}

// bestPassages returns the passages of a document that have most of the terms,
// best first. Terms are compared by their letters, for the analysis happens on
// the server; this only chooses among passages of one document.
func bestPassages(id, text string, terms []string) []retriever.Passage {
	list := cutText(id, text)
	if len(list) == 1 {
		return list
	}
	counts := make([]int, len(list))
	for i, p := range list {
		lower := strings.ToLower(p.Text)
		for _, t := range terms {
			if strings.Contains(lower, t) {
				counts[i]++
			}
		}
	}
	slices.SortStableFunc(list, func(a, b retriever.Passage) int { return counts[b.Ordinal] - counts[a.Ordinal] })
	return list[:cutPassages]
}
