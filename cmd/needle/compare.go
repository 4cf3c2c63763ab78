package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
)

type comparisonOptions struct {
	eval  evalOptions
	log   bool
	since time.Duration
	show  int
}

func (a *app) compareCommand() *cobra.Command {
	var o comparisonOptions
	cmd := &cobra.Command{
		Use:   "compare A.yaml B.yaml",
		Short: "Show where two configurations answer differently",
		Long: `With --path both are evaluated on the same questions. With --log both are asked what
users asked (see monitor.keep_questions) over the index of each configuration;
nobody knows the right answers to that, so em_all and f1_all say how far B
agrees with A.

A server that runs holds its index, so compare over a copy of it: needle index
backup and restore, and --data.`,
		Example: `  needle compare needle.yaml candidate.yaml --path questions.json --report differences.html
  needle compare needle.yaml candidate.yaml --log --since 168h`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.log == (o.eval.path != "") {
				return errors.New("compare: give either --path or --log")
			}
			return a.compareConfigs(cmd.Context(), cmd.OutOrStdout(), args[0], args[1], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.eval.dataset, "dataset", "squad", "format of the data: squad, beir or nq-open")
	flags.StringVar(&o.eval.path, "path", "", "the data set: a file or a BEIR directory")
	flags.StringArrayVar(&o.eval.corpus, "corpus", nil, "SQuAD file, or directory of them, whose paragraphs are searched too (may be repeated)")
	flags.StringVar(&o.eval.stage, "stage", "", "retriever, ranker, reader or end-to-end")
	flags.IntVar(&o.eval.limit, "limit", 0, "ask only every n-th question so that about this many are asked; 0 asks all")
	flags.StringVar(&o.eval.report, "report", "", "write a report to this HTML file")
	flags.BoolVar(&o.log, "log", false, "ask what users asked")
	flags.DurationVar(&o.since, "since", 7*24*time.Hour, "with --log: how far back to look")
	flags.IntVar(&o.show, "show", 10, "how many of the questions that differ to print")
	return cmd
}

// comparedSides are two runs over the same questions.
type comparedSides struct {
	runs    [2]*evaluation
	records [2]monitor.Record
}

func (a *app) compareConfigs(ctx context.Context, w io.Writer, fileA, fileB string, o comparisonOptions) error {
	var sides comparedSides
	var asked []eval.Question
	if o.log {
		var err error
		if asked, err = a.loggedQuestions(fileA, o.since, o.eval.limit); err != nil {
			return err
		}
	}
	for i, file := range [2]string{fileA, fileB} {
		side := *a
		side.configFile = file
		var err error
		if o.log {
			sides.runs[i], err = side.askLogged(ctx, asked)
		} else {
			sides.runs[i], err = side.evaluate(ctx, o.eval)
		}
		if err != nil {
			return fmt.Errorf("compare: %s: %w", file, err)
		}
	}
	if o.log {
		agreement(sides.runs[0], sides.runs[0])
		agreement(sides.runs[1], sides.runs[0])
	}
	for i, file := range [2]string{fileA, fileB} {
		var err error
		if o.log {
			sides.records[i], err = sides.runs[i].logRecord(filepath.Base(file))
		} else {
			sides.records[i], err = sides.runs[i].record(filepath.Base(file))
		}
		if err != nil {
			return err
		}
		sides.records[i].ID = filepath.Base(file)
	}
	comparison, err := monitor.Compare(sides.records[0], sides.runs[0].outcomes, sides.records[1], sides.runs[1].outcomes)
	if err != nil {
		return err
	}
	if o.eval.report != "" {
		if err := writeReport(o.eval.report, sides.records[1], sides.runs[1].outcomes, comparison); err != nil {
			return err
		}
	}
	differing := differences(sides.runs[0].outcomes, sides.runs[1].outcomes)
	if a.json {
		return printJSON(w, map[string]any{
			"questions": len(sides.runs[0].outcomes), "differences": comparison.Differences, "settings": append([]monitor.SettingChange{}, comparison.Settings...),
			"lost": len(comparison.Lost), "won": len(comparison.Won), "differing": differing,
		})
	}
	printDifferences(w, comparison)
	fmt.Fprintf(w, "%d of %d questions are answered differently\n", len(differing), len(sides.runs[0].outcomes))
	for _, d := range differing[:min(o.show, len(differing))] {
		fmt.Fprintf(w, "\n%s\n  A %s\n  B %s\n", printable(d.Question), said(d.A), said(d.B))
		if len(d.A.Gold) > 0 && !o.log {
			fmt.Fprintf(w, "  right: %s\n", printable(d.A.Gold[0]))
		}
	}
	return nil
}

func said(o eval.Outcome) string {
	return fmt.Sprintf("%q in %s, probability %.2f, no answer %.2f", o.Predicted, printable(o.PredictedDocument), o.Probability, o.NoAnswer)
}

// A differing is a question that two configurations answer differently.
type differing struct {
	Question string       `json:"question"`
	A        eval.Outcome `json:"a"`
	B        eval.Outcome `json:"b"`
}

// differences lists the questions with different answers or ranks, those first
// where the probabilities differ most.
func differences(a, b []eval.Outcome) []differing {
	before := make(map[string]eval.Outcome, len(a))
	for _, o := range a {
		before[o.ID] = o
	}
	list := []differing{}
	for _, o := range b {
		was, ok := before[o.ID]
		if ok && (eval.Normalize(was.Predicted) != eval.Normalize(o.Predicted) || was.Rank != o.Rank) {
			list = append(list, differing{o.Question, was, o})
		}
	}
	slices.SortStableFunc(list, func(x, y differing) int {
		gap := func(d differing) float64 {
			return max(d.A.Probability-d.B.Probability, d.B.Probability-d.A.Probability)
		}
		switch gx, gy := gap(x), gap(y); {
		case gx > gy:
			return -1
		case gx < gy:
			return 1
		}
		return 0
	})
	return list
}

// loggedQuestions returns what users asked about the index of a configuration,
// each once.
func (a *app) loggedQuestions(file string, since time.Duration, limit int) ([]eval.Question, error) {
	side := *a
	side.configFile = file
	cfg, err := side.config()
	if err != nil {
		return nil, err
	}
	var list []eval.Question
	seen := make(map[string]bool)
	err = monitor.EachAsked(filepath.Join(cfg.Data, questionsDir), time.Now().Add(-since), func(asked monitor.Asked) error {
		if key := eval.Normalize(asked.Question); asked.Index == cfg.Index && !seen[key] {
			seen[key] = true
			list = append(list, eval.Question{ID: fmt.Sprint(len(list) + 1), Text: asked.Question})
		}
		return nil
	})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("compare: no questions about index %s are kept; monitor.keep_questions in the configuration turns it on", cfg.Index)
	}
	return sample(list, limit), err
}

// askLogged asks questions over the index of the configuration.
func (a *app) askLogged(ctx context.Context, questions []eval.Question) (*evaluation, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	over := *a
	over.indexName = cfg.Index
	c := newCollection("log")
	run, p, done, err := over.begin(ctx, c, len(questions))
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	run.outcomes = outcomes(c, questions)
	err = each(ctx, "asking", questions, func(ctx context.Context, i int, q eval.Question) error {
		result, err := p.Ask(ctx, pipeline.Request{Question: q.Text, TopK: 1, IncludeRejected: true, Access: pipeline.FullAccess()})
		if err != nil {
			return fmt.Errorf("question %s: %w", q.ID, err)
		}
		o := &run.outcomes[i]
		o.NoAnswer, o.Milliseconds = result.NoAnswerProbability, result.TimingsMS["total"]
		if result.Answerable {
			o.Predicted, o.PredictedDocument, o.Probability = result.Answers[0].Text, result.Answers[0].DocumentID, result.Answers[0].Probability
		}
		return nil
	})
	run.report.Stage, run.report.Seconds = eval.StageEndToEnd, time.Since(begin).Seconds()
	return run, err
}

// agreement scores a run against the answers of another.
func agreement(run, with *evaluation) {
	for i := range run.outcomes {
		o, other := &run.outcomes[i], with.outcomes[i]
		same, overlap := 0.0, 0.0
		o.Gold = nil
		switch {
		case other.Predicted != "":
			o.Gold = []string{other.Predicted}
			same, overlap = eval.BestMatch(o.Predicted, o.Gold)
		case o.Predicted == "":
			same, overlap = 1, 1
		}
		answered := 0.0
		if o.Predicted != "" {
			answered = 1
		}
		o.Scores = map[string]float64{eval.MetricEMAll: same, eval.MetricF1All: overlap, "answered": answered, "probability": o.Probability}
	}
	for _, metric := range []string{eval.MetricEMAll, eval.MetricF1All, "answered", "probability"} {
		run.report.Set(metric, eval.Mean(eval.Values(run.outcomes, metric)))
	}
}

// logRecord is the record of a run over what users asked, which names no file.
func (run *evaluation) logRecord(label string) (monitor.Record, error) {
	config, err := run.config.YAML()
	now := time.Now().UTC()
	return monitor.Record{
		ID: monitor.NewID(now), Label: label, Created: now, Needle: version(), Machine: monitor.ThisMachine(),
		Config: string(config), Request: run.request, Generation: run.generation, Report: *run.report,
	}, err
}
