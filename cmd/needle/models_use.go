package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/pipeline"
)

func (a *app) modelsUseCommand() *cobra.Command {
	var o compareOptions
	var reset bool
	cmd := &cobra.Command{
		Use:   "use NAME|DIRECTORY",
		Short: "Put another bundle in place of the one that reads, also in a running server",
		Long: `The bundle is checked (hashes, graph, vocabulary, every head), opened beside the
one that reads, compared with it if --path names questions with known answers,
and warmed up; then questions go to it. Questions that are being answered are
finished by the old one. On any failure the old one stays, and the command says
why. Without a running server the data directory is prepared for the next start.

The choice is recorded in the data directory and holds until reader.bundle in the
configuration is edited, or until --reset. A precision may stand after a colon.`,
		Example: `  needle models use ./my-model --path questions.json --bound 0.01
  needle models use --reset`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reset == (len(args) == 1) {
				return fmt.Errorf("models: use: name a bundle, or pass --reset")
			}
			use := pipeline.ModelUse{Reset: reset, MaxLoss: o.bound}
			if !reset {
				use.Bundle, use.Precision = splitPrecision(args[0])
			}
			swap, live, err := a.useModel(cmd.Context(), use, o)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), swap)
			}
			printSwap(cmd.OutOrStdout(), swap, live)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dataset, "dataset", "squad", "format of the data: squad")
	flags.StringVar(&o.path, "path", "", "a SQuAD file: compare with the present model on its questions")
	flags.IntVar(&o.limit, "limit", 200, "about how many questions to compare on")
	flags.Float64Var(&o.bound, "bound", 0.01, "how much lower F1 may be, as a fraction")
	flags.BoolVar(&reset, "reset", false, "go back to the bundle of the configuration")
	return cmd
}

// useModel exchanges the model in the server that holds the data directory, or
// prepares the directory if there is none.
func (a *app) useModel(ctx context.Context, use pipeline.ModelUse, o compareOptions) (swap *pipeline.ModelSwap, live bool, err error) {
	cfg, err := a.config()
	if err != nil {
		return nil, false, err
	}
	if use.Questions, err = boundQuestions(o); err != nil {
		return nil, false, err
	}
	// A server has a working directory of its own.
	if use.Bundle != "" && !slices.Contains(a.registry.BundleNames(), use.Bundle) {
		if use.Bundle, err = filepath.Abs(use.Bundle); err != nil {
			return nil, false, fmt.Errorf("models: use: %w", err)
		}
	}
	server, err := a.server(ctx, cfg)
	if err != nil {
		return nil, false, err
	}
	if server != nil {
		swap, err = server.UseModel(ctx, use)
		return swap, true, err
	}
	swap, err = pipeline.ChooseModel(ctx, cfg, use)
	return swap, false, err
}

// boundQuestions reads the questions to compare on.
func boundQuestions(o compareOptions) ([]pipeline.BoundQuestion, error) {
	switch {
	case o.path == "":
		return nil, nil
	case o.dataset != "squad":
		return nil, fmt.Errorf("models: use: --dataset %s; allowed is squad", o.dataset)
	case o.limit < 1 || o.limit > pipeline.MaxBoundQuestions:
		return nil, fmt.Errorf("models: use: --limit %d; allowed is 1 to %d", o.limit, pipeline.MaxBoundQuestions)
	}
	c, err := loadCollection(o.dataset, o.path, nil)
	if err != nil {
		return nil, err
	}
	questions := sample(c.dataset.Questions, o.limit)
	list := make([]pipeline.BoundQuestion, len(questions))
	for i, q := range questions {
		list[i] = pipeline.BoundQuestion{Question: q.Text, Context: c.text[q.ParagraphID], Answers: texts(q.Answers)}
	}
	return list, nil
}

func printSwap(w io.Writer, s *pipeline.ModelSwap, live bool) {
	for _, c := range s.Checks {
		fmt.Fprintf(w, "ok     %s: %s\n", c.Name, printable(c.Detail))
	}
	if c := s.Comparison; c != nil {
		fmt.Fprintf(w, "ok     bound: F1 %s, before %s, over %d answered questions; a loss of %.2f is allowed\n", c.B.F1, c.A.F1, c.Answered, 100*s.MaxLoss)
		for _, name := range []string{eval.MetricECE, eval.MetricNoAnswerECE} {
			if value, ok := c.B.Metrics[name]; ok {
				fmt.Fprintf(w, "       %s %.4f, before %.4f\n", name, value, c.A.Metrics[name])
			}
		}
	}
	for _, text := range s.Warnings {
		fmt.Fprintf(w, "note   %s\n", printable(text))
	}
	where := "the next start reads with"
	if live {
		where = "the server now reads with"
	}
	fmt.Fprintf(w, "%s %s %s %s (%s)\n", where, printable(s.Current.Model.Name), short(s.Current.Model.Hash), s.Current.Model.Precision, printable(s.Current.Bundle))
}
