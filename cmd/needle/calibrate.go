package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/pipeline"
)

func (a *app) calibrateCommand() *cobra.Command {
	var o struct {
		paths  []string
		corpus []string
		limit  int
		out    string
	}
	cmd := &cobra.Command{
		Use:   "calibrate",
		Short: "Fit the score profile of the configured model and retriever on questions with known answers",
		Long: `Every question is asked twice over the paragraphs of all the given files: once
as it is, and once with its gold paragraph hidden, so that the profile learns
what a question without an answer looks like. Questions that are used here must
not be used to measure the result.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.paths) == 0 {
				return fmt.Errorf("calibrate: --path is missing: name one or more SQuAD files")
			}
			profile, err := a.calibrate(cmd.Context(), o.paths, o.corpus, o.limit)
			if err != nil {
				return err
			}
			data, err := json.MarshalIndent(profile, "", "  ")
			if err != nil {
				return err
			}
			data = append(data, '\n')
			if o.out == "" {
				_, err = cmd.OutOrStdout().Write(data)
				return err
			}
			return os.WriteFile(o.out, data, 0o644)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.paths, "path", nil, "SQuAD file with questions (may be repeated)")
	flags.StringArrayVar(&o.corpus, "corpus", nil, "SQuAD file, or directory of them, whose paragraphs are searched too (may be repeated)")
	flags.IntVar(&o.limit, "limit", 1000, "number of questions")
	flags.StringVar(&o.out, "out", "", "write the profile to this file instead of standard output")
	return cmd
}

func (a *app) calibrate(ctx context.Context, paths, corpus []string, limit int) (pipeline.Profile, error) {
	c := newCollection("")
	var questions []eval.Question
	var sources []string
	for _, path := range paths {
		dataset, err := readSQuAD(path)
		if err != nil {
			return pipeline.Profile{}, err
		}
		c.add(dataset)
		questions = append(questions, dataset.Questions...)
		sources = append(sources, filepath.Base(path))
	}
	if err := c.addCorpus(corpus); err != nil {
		return pipeline.Profile{}, err
	}
	questions = sample(questions, limit)
	p, done, err := a.openCollection(ctx, c)
	if err != nil {
		return pipeline.Profile{}, err
	}
	defer done()
	observations := make([]pipeline.Observation, 2*len(questions))
	err = each(ctx, "asking", questions, func(ctx context.Context, i int, q eval.Question) error {
		correct := func(documentID, text string) bool {
			em, _ := eval.BestMatch(text, texts(q.Answers))
			return em == 1 && !q.Impossible
		}
		with, without, err := p.Observe(ctx, q.Text, q.ParagraphID, correct)
		with.Answered = !q.Impossible
		observations[2*i], observations[2*i+1] = with, without
		return err
	})
	if err != nil {
		return pipeline.Profile{}, err
	}
	profile, err := pipeline.FitProfile(observations)
	if err != nil {
		return pipeline.Profile{}, err
	}
	cfg := p.Config()
	profile.Bundle, profile.Retriever, profile.Ranker = p.Model().Hash, cfg.Retriever.Type, cfg.Ranker.Type
	profile.Fitted = fmt.Sprintf("%d questions of %s, each with and without its gold paragraph, %d candidates read", len(questions), strings.Join(sources, ", "), cfg.Ranker.TopK)
	return profile, nil
}
