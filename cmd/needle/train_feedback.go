package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/monitor"
)

// exampleWidth is how much of a document around an answer a head learns from, in
// code points: two windows or so.
const exampleWidth = 2000

// feedbackExamples writes what feedback has settled to a SQuAD file in a
// temporary place.
func (a *app) feedbackExamples(ctx context.Context, pending bool) (path string, err error) {
	err = a.withGold(ctx, pending, func(gold *monitor.GoldSet, _ *connection) error {
		f, err := os.CreateTemp("", "needle-feedback-*.json")
		if err != nil {
			return err
		}
		path = f.Name()
		return errors.Join(json.NewEncoder(f).Encode(squadOf(gold.Cut(exampleWidth))), f.Close())
	})
	if err != nil {
		return "", fmt.Errorf("train: head: %w", err)
	}
	return path, nil
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
