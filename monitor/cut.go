package monitor

import (
	"fmt"
	"unicode"

	"github.com/needle-search/needle/eval"
)

// Cut returns the set with stretches of documents in place of whole ones, one
// for every question, of about width code points around the first answer, or
// from the beginning where there is none. A head learns from what stands near
// an answer; the hundred pages around it would teach it little but that most
// text is no answer. Questions without an answer and a document are left out.
func (g *GoldSet) Cut(width int) *eval.Dataset {
	d := &eval.Dataset{}
	for _, q := range g.Questions {
		id, at, until := q.Near, 0, 0
		if len(q.Answers) > 0 {
			id, at, until = q.Answers[0].DocumentID, q.Answers[0].Start, q.Answers[0].End
		}
		if id == "" {
			continue
		}
		document := g.Documents[id]
		text := []rune(document.Text)
		from, to := stretch(text, at, until, width)
		p := eval.Paragraph{ID: fmt.Sprintf("%s@%s", id, q.ID), Title: document.Title, Text: string(text[from:to])}
		d.Paragraphs = append(d.Paragraphs, p)
		question := eval.Question{ID: q.ID, Text: q.Question, ParagraphID: p.ID, Title: p.Title, Impossible: len(q.Answers) == 0}
		for _, s := range q.Answers {
			if s.DocumentID == id && s.Start >= from && s.End <= to {
				question.Answers = append(question.Answers, eval.Answer{Text: s.Answer, Start: s.Start - from})
			}
		}
		d.Questions = append(d.Questions, question)
	}
	return d
}

// stretch returns about width code points around a place, from and to the ends
// of words.
func stretch(text []rune, start, end, width int) (from, to int) {
	room := max(0, width-(end-start)) / 2
	from, to = max(0, start-room), min(len(text), end+room)
	// What one side does not need is the other's.
	from, to = max(0, min(from, to-width)), min(len(text), max(to, from+width))
	for from > 0 && from < start && !unicode.IsSpace(text[from-1]) {
		from++
	}
	for to < len(text) && to > end && !unicode.IsSpace(text[to]) {
		to--
	}
	return from, to
}
