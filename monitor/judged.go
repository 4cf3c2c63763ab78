package monitor

import (
	"cmp"
	"slices"

	"github.com/needle-search/needle/store"
)

// A RefutedSpan is a stretch that feedback has settled to be no answer to a
// question. Its Answer may be empty.
type RefutedSpan struct {
	ID       string // of the question
	Question string
	Span     store.Span
}

// A JudgedPassage is a stretch of a document with what feedback says of it: that
// it answers a question, or that it does not.
type JudgedPassage struct {
	Question string
	Text     string
	Relevant bool
}

// Judged returns what the set teaches of relevance: about width code points
// around every answer, and around everything that was taken for an answer and is
// none. That a stretch is no answer does not say that nothing beside it is, so
// what also holds a right answer to its question is left out.
func (g *GoldSet) Judged(width int) []JudgedPassage {
	type place struct {
		document string
		from, to int
	}
	right := make(map[string][]store.Span) // by question
	taken := make(map[string][]place)
	var list []JudgedPassage
	add := func(id, question string, s store.Span, relevant bool) {
		text := []rune(g.Documents[s.DocumentID].Text)
		from, to := stretch(text, s.Start, s.End, width)
		if !relevant && slices.ContainsFunc(right[id], func(r store.Span) bool {
			return r.DocumentID == s.DocumentID && r.Start < to && r.End > from
		}) {
			return
		}
		// Two answers a word apart are one passage.
		if slices.ContainsFunc(taken[id], func(p place) bool {
			return p.document == s.DocumentID && p.from <= s.Start && s.End <= p.to
		}) {
			return
		}
		taken[id] = append(taken[id], place{s.DocumentID, from, to})
		list = append(list, JudgedPassage{question, string(text[from:to]), relevant})
	}
	for _, q := range g.Questions {
		right[q.ID] = q.Answers
		for _, s := range q.Answers {
			add(q.ID, q.Question, s, true)
		}
	}
	for _, r := range g.Refuted {
		add(r.ID, r.Question, r.Span, false)
	}
	slices.SortStableFunc(list, func(a, b JudgedPassage) int { return cmp.Compare(a.Question, b.Question) })
	return list
}
