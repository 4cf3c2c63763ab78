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
	"github.com/needle-search/needle/ranker"
)

func (a *app) calibrateCommand() *cobra.Command {
	var o struct {
		paths  []string
		corpus []string
		limit  int
		out    string
		use    bool

		feedback, pending bool
		documents         int
	}
	cmd := &cobra.Command{
		Use:   "calibrate",
		Short: "Fit the score profile of the configured model and retriever on questions with known answers",
		Long: `Every question is asked twice over the paragraphs of all the given files: once
as it is, and once with its gold paragraph hidden, so that the profile learns
what a question without an answer looks like. Questions that are used here must
not be used to measure the result.

With --feedback the questions are those that feedback about the index has
settled, and they are asked over its documents. While a server holds the data
directory, they are asked over a copy of --documents of them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var profile pipeline.Profile
			var err error
			switch {
			case o.feedback && len(o.paths)+len(o.corpus) > 0:
				err = fmt.Errorf("calibrate: --feedback has its own questions and documents; leave --path and --corpus out")
			case o.feedback:
				profile, err = a.calibrateFeedback(cmd.Context(), o.pending, o.limit, o.documents)
			case len(o.paths) == 0:
				err = fmt.Errorf("calibrate: --path is missing: name one or more SQuAD files, or --feedback")
			default:
				profile, err = a.calibrate(cmd.Context(), o.paths, o.corpus, o.limit)
			}
			if err != nil {
				return err
			}
			data, err := json.MarshalIndent(profile, "", "  ")
			if err != nil {
				return err
			}
			data = append(data, '\n')
			if o.use {
				cfg, err := a.config()
				if err != nil {
					return err
				}
				file, err := cfg.SaveProfile(profile)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "the profile is in %s; a server that runs takes it with its next start\n", file)
				if o.out == "" {
					return nil
				}
			}
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
	flags.BoolVar(&o.feedback, "feedback", false, "use the questions that feedback about the index has settled")
	flags.BoolVar(&o.pending, "pending", false, "with --feedback: also what nobody contradicts yet")
	flags.IntVar(&o.documents, "documents", 20000, "with --feedback, through a server: how many documents to copy, beside those with answers")
	flags.BoolVar(&o.use, "use", false, "keep the profile in the data directory, where it is used from then on")
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
	return fitProfile(ctx, p, questions, strings.Join(sources, ", "))
}

// fitProfile asks questions over the documents of a pipeline, and fits what
// comes of it.
func fitProfile(ctx context.Context, p *pipeline.Pipeline, questions []eval.Question, source string) (pipeline.Profile, error) {
	cfg := p.Config()
	shares, fitted, err := fitShares(ctx, p, questions)
	if err != nil {
		return pipeline.Profile{}, err
	}
	observations := make([]pipeline.Observation, 2*len(questions))
	err = each(ctx, "asking", questions, func(ctx context.Context, i int, q eval.Question) error {
		correct := func(documentID, text string) bool {
			em, _ := eval.BestMatch(text, texts(q.Answers))
			return em == 1 && !q.Impossible
		}
		with, without, err := p.Observe(ctx, q.Text, q.ParagraphID, shares, correct)
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
	profile.Bundle, profile.Retriever, profile.Ranker, profile.Embedding = p.Model().Hash, cfg.Retriever.Type, cfg.Ranker.Type, shares.Embedding
	profile.VectorShare, profile.RelevanceShare = shares.VectorShare, shares.RelevanceShare
	profile.Fitted = fmt.Sprintf("%d questions of %s, each with and without its gold paragraph, %d candidates read%s",
		len(questions), source, cfg.Ranker.Reads(cfg.Ranker.Type), fitted)
	return profile, nil
}

// fitShares fits the part that the vectors have in the order of candidates. The
// relevance head has half: its part matters little, since what it looks at is
// read in any case.
func fitShares(ctx context.Context, p *pipeline.Pipeline, questions []eval.Question) (shares pipeline.Profile, fitted string, err error) {
	typ := p.Config().Ranker.Type
	shares = pipeline.Profile{RelevanceShare: ranker.DefaultShare}
	if shares.Embedding = p.EmbeddingHash(); shares.Embedding == "" {
		if typ == pipeline.RankerNone {
			shares = pipeline.Profile{}
		}
		return shares, "", nil
	}
	var answered []eval.Question
	for _, q := range questions {
		if !q.Impossible {
			answered = append(answered, q)
		}
	}
	observations := make([]pipeline.RankObservation, len(answered))
	err = each(ctx, "ranking", answered, func(ctx context.Context, i int, q eval.Question) (err error) {
		observations[i], err = p.ObserveRanking(ctx, q.Text, q.ParagraphID)
		return err
	})
	if err != nil {
		return shares, "", err
	}
	n := p.Config().Ranker.Reads(typ)
	share, before, after, err := pipeline.FitVectorShare(observations, n)
	shares.VectorShare = share
	if typ == pipeline.RankerVector {
		shares.RelevanceShare = 0
	}
	return shares, fmt.Sprintf("; recall@%d %.4f by BM25, %.4f with the vectors", n, before, after), err
}
