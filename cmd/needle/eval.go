package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/eval"
)

type evalOptions struct {
	dataset     string
	path        string
	corpus      []string
	stage       string
	limit       int
	predictions string

	label    string
	noSave   bool
	report   string
	baseline string
}

func (a *app) evalCommand() *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Measure retrieval, reading and both on questions with known answers",
		Args:  cobra.NoArgs,
		Example: `  needle eval --dataset squad --path dev-v2.0.json --stage end-to-end --corpus more-paragraphs.json
  needle eval --dataset beir --path scifact`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			run, err := a.evaluate(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.finishEval(cmd.OutOrStdout(), run, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dataset, "dataset", "squad", "format of the data: squad (feedback exports too), beir, or nq-open (JSON lines with question and answer)")
	flags.StringVar(&o.path, "path", "", "the data set: a file or a BEIR directory")
	flags.StringArrayVar(&o.corpus, "corpus", nil, "SQuAD file, or directory of them, whose paragraphs are searched too (may be repeated)")
	flags.StringVar(&o.stage, "stage", "", "retriever, ranker (recall before and after it), reader (gold paragraph given) or end-to-end (default: retriever for beir, else end-to-end)")
	flags.IntVar(&o.limit, "limit", 0, "ask only every n-th question so that about this many are asked; 0 asks all")
	flags.StringVar(&o.predictions, "predictions", "", "write predictions and no-answer probabilities to this file, for the official SQuAD script")
	flags.StringVar(&o.label, "label", "", "a name for this run")
	flags.BoolVar(&o.noSave, "no-save", false, "keep no record of this run in the data directory")
	flags.StringVar(&o.report, "report", "", "write a report to this HTML file")
	flags.StringVar(&o.baseline, "baseline", "", "compare with this earlier run: its id, label, or \"latest\"")
	cmd.AddCommand(a.evalListCommand(), a.evalShowCommand(), a.evalCompareCommand(), a.evalRerunCommand(), a.evalExportCommand())
	return cmd
}

func (a *app) evaluate(ctx context.Context, o evalOptions) (*evaluation, error) {
	if o.path == "" {
		return nil, fmt.Errorf("eval: --path is missing: name a SQuAD file, a file of questions or a BEIR directory")
	}
	allowed := map[string][]string{
		"squad":   {eval.StageEndToEnd, eval.StageRetriever, eval.StageRanker, eval.StageReader},
		"nq-open": {eval.StageEndToEnd},
		"beir":    {eval.StageRetriever},
	}
	stages, ok := allowed[o.dataset]
	if !ok {
		return nil, fmt.Errorf("eval: --dataset %s; allowed are %s", o.dataset, list(slices.Sorted(maps.Keys(allowed))))
	}
	o.stage = cmp.Or(o.stage, stages[0])
	if !slices.Contains(stages, o.stage) {
		return nil, fmt.Errorf("eval: --stage %s with --dataset %s; allowed is %s", o.stage, o.dataset, list(stages))
	}
	run, err := a.evalStage(ctx, o)
	if err != nil {
		return nil, err
	}
	run.request.Dataset, run.request.Stage, run.request.Limit = o.dataset, o.stage, o.limit
	run.request.Path, run.request.Corpus, run.request.Index = o.path, o.corpus, a.indexName
	return run, nil
}

func list(names []string) string { return strings.Join(names, ", ") }

func (a *app) evalStage(ctx context.Context, o evalOptions) (*evaluation, error) {
	if o.dataset == "beir" {
		return a.evalBEIR(ctx, o)
	}
	c, err := loadCollection(o.dataset, o.path, o.corpus)
	if err != nil {
		return nil, err
	}
	if len(c.documents) == 0 && a.indexName == "" {
		return nil, fmt.Errorf("eval: --dataset %s has questions only; name the index to ask with --index, or files to index with --corpus", o.dataset)
	}
	questions := sample(c.dataset.Questions, o.limit)
	switch o.stage {
	case eval.StageRetriever:
		return a.evalRetriever(ctx, c, questions)
	case eval.StageRanker:
		return a.evalRanker(ctx, c, questions)
	case eval.StageReader:
		return a.evalReader(ctx, c, questions, o)
	default:
		return a.evalEndToEnd(ctx, c, questions, o)
	}
}

// sample takes evenly spaced questions, so that every article is represented.
func sample[Q any](questions []Q, limit int) []Q {
	if limit <= 0 || limit >= len(questions) {
		return questions
	}
	taken := make([]Q, limit)
	for i := range taken {
		taken[i] = questions[i*len(questions)/limit]
	}
	return taken
}
