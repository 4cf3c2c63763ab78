package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/monitor"
)

// How much of a document around an answer a head learns from, in code points: a
// span head from two windows or so, a relevance head from what a passage holds.
const (
	spanWidth      = 2000
	relevanceWidth = 900
)

// feedbackExamples writes what feedback has settled to a file in a temporary
// place, in the format that examples of the kind have.
func (a *app) feedbackExamples(ctx context.Context, kind string, pending bool) (path string, err error) {
	err = a.withGold(ctx, pending, func(gold *monitor.GoldSet, _ *connection) error {
		f, err := os.CreateTemp("", "needle-feedback-*")
		if err != nil {
			return err
		}
		path = f.Name()
		encoder := json.NewEncoder(f)
		if kind != models.HeadRelevance {
			return errors.Join(encoder.Encode(squadOf(gold.Cut(spanWidth))), f.Close())
		}
		for _, j := range gold.Judged(relevanceWidth) {
			err = errors.Join(err, encoder.Encode(judgedLine{j.Question, j.Text, &j.Relevant}))
		}
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return "", fmt.Errorf("train: head: %w", err)
	}
	return path, nil
}

// judgedLine is an example of relevance.
type judgedLine struct {
	Question string `json:"question"`
	Passage  string `json:"passage"`
	Relevant *bool  `json:"relevant"`
}

// squadOf writes a data set that has one question a paragraph.
func squadOf(d *eval.Dataset) monitor.SQuAD {
	set := monitor.SQuAD{Version: "v2.0"}
	for i, p := range d.Paragraphs {
		q := d.Questions[i]
		question := monitor.SQuADQuestion{ID: q.ID, Question: q.Text, IsImpossible: q.Impossible, Answers: []monitor.SQuADAnswer{}}
		for _, answer := range q.Answers {
			question.Answers = append(question.Answers, monitor.SQuADAnswer{Text: answer.Text, AnswerStart: answer.Start})
		}
		set.Data = append(set.Data, monitor.SQuADArticle{Title: p.Title, Paragraphs: []monitor.SQuADParagraph{{
			DocumentID: p.ID, Context: p.Text, QAs: []monitor.SQuADQuestion{question},
		}}})
	}
	return set
}
