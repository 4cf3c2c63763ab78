package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/weights"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/train"
	"github.com/needle-search/needle/pipeline"
)

func (a *app) trainCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "train", Short: "Fit a prediction head to your own examples"}
	cmd.AddCommand(a.trainHeadCommand())
	return cmd
}

type trainOptions struct {
	kind, bundle, path, out, name, work string
	limit                               int
	fresh                               bool
	feedback, pending                   bool
	pooling                             string
	config                              train.Config
}

// trainReport is what `needle train head` prints.
type trainReport struct {
	Kind    string        `json:"kind"`
	Bundle  string        `json:"bundle"`
	Hash    string        `json:"hash"`
	Learned int           `json:"learned"`
	HeldOut int           `json:"held_out"`
	Skipped int           `json:"skipped"`
	Start   train.Round   `json:"start"`
	Best    train.Round   `json:"best"`
	Rounds  []train.Round `json:"rounds"`
	Resumed bool          `json:"resumed"`
	Seconds float64       `json:"seconds"`
}

func (a *app) trainHeadCommand() *cobra.Command {
	o := trainOptions{pooling: string(weights.PoolCLS)}
	cmd := &cobra.Command{
		Use:   "head",
		Short: "Fit a head on the frozen language model of a bundle, from dozens to thousands of examples",
		Long: `Runs the examples through the language model once, fits one linear layer on what
comes out, and writes a new bundle: the old one with the head added or replaced.
A part of the examples is held out to know when to stop; the round with the
lowest held-out loss counts.

Examples, by --kind:
  span            a SQuAD file; fitting begins from the present span head
  relevance       JSONL lines {"question": ..., "passage": ..., "relevant": true}
  classification  JSONL lines {"text": ..., "label": ...}

What was computed is kept in a directory beside the result until it is complete:
a run that was stopped goes on with the same command and ends with the same
weights. Equal examples and --seed give equal weights.`,
		Example: `  needle train head --kind span --path questions.json --out ./my-reader
  needle models compare builtin ./my-reader --path other-questions.json
  needle models use ./my-reader --path other-questions.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := a.trainHead(cmd.Context(), o)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			printTraining(cmd.OutOrStdout(), o, report)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kind, "kind", models.HeadSpan, "span, relevance or classification")
	flags.StringVar(&o.bundle, "bundle", "", "bundle to start from, with a precision after a colon where it matters (default: the one that reads)")
	flags.StringVar(&o.path, "path", "", "file with the examples")
	flags.BoolVar(&o.feedback, "feedback", false, "span, relevance: learn from what feedback about the index has settled instead of --path")
	flags.BoolVar(&o.pending, "pending", false, "with --feedback: also what nobody contradicts yet")
	flags.StringVar(&o.out, "out", "", "directory to make for the new bundle")
	flags.StringVar(&o.name, "name", "", "name of the new bundle (default: made of the old one's)")
	flags.StringVar(&o.work, "work", "", "directory for what a stopped run goes on from (default: --out with .work)")
	flags.IntVar(&o.limit, "limit", 0, "take only every n-th example so that about this many are used; 0 takes all")
	flags.BoolVar(&o.fresh, "from-zero", false, "span: do not begin from the present head")
	flags.StringVar(&o.pooling, "pooling", o.pooling, "relevance, classification: cls (first token) or mean")
	flags.Uint64Var(&o.config.Seed, "seed", 1, "decides what is held out and the order of examples")
	flags.Float64Var(&o.config.HoldOut, "hold-out", 0.2, "share of the examples that is held out")
	flags.IntVar(&o.config.Rounds, "rounds", 200, "how often all examples are seen at most")
	flags.IntVar(&o.config.Patience, "patience", 6, "rounds without a lower held-out loss after which to stop")
	flags.IntVar(&o.config.Batch, "batch", 16, "examples a step")
	flags.Float64Var(&o.config.LearningRate, "learning-rate", 0, "step size; 0 is 0.001, and 0.0002 for a head that is fitted anew")
	flags.Float64Var(&o.config.Decay, "decay", 0.001, "pull back to where the head began; negative is none")
	return cmd
}

func (a *app) trainHead(ctx context.Context, o trainOptions) (*trainReport, error) {
	switch {
	case o.feedback && o.path != "":
		return nil, errors.New("train: head: give either --path or --feedback")
	case o.feedback && o.kind != models.HeadSpan && o.kind != models.HeadRelevance:
		return nil, fmt.Errorf("train: head: --feedback goes with --kind %s and %s; what users say of answers puts no labels on texts", models.HeadSpan, models.HeadRelevance)
	case o.path == "" && !o.feedback:
		return nil, errors.New("train: head: --path is missing: name the file with the examples")
	case o.out == "":
		return nil, errors.New("train: head: --out is missing: name the directory for the new bundle")
	}
	if _, err := os.Lstat(o.out); err == nil {
		return nil, fmt.Errorf("train: head: --out: %s: %w", o.out, os.ErrExist)
	}
	begin := time.Now()
	if o.feedback {
		file, err := a.feedbackExamples(ctx, o.kind, o.pending)
		if err != nil {
			return nil, err
		}
		defer os.Remove(file)
		o.path = file
	}
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	if err := cfg.ApplyChoice(); err != nil {
		return nil, err
	}
	if o.bundle != "" {
		bundle, precision := splitPrecision(o.bundle)
		cfg.Reader.Bundle = bundle
		if precision != "" {
			cfg.Reader.Precision = precision
		}
	}
	bundle, err := a.registry.OpenBundle(cfg.Reader.Bundle)
	if err != nil {
		return nil, err
	}
	opened, err := a.openGraph(ctx, cfg, bundle, cfg.Reader.Precision)
	if err != nil {
		return nil, err
	}
	service, err := infer.New(opened.model, infer.Config{Workers: cfg.Reader.Workers})
	if err != nil {
		return nil, errors.Join(err, opened.model.Close())
	}
	defer service.Close()
	task, err := o.task(cfg, opened)
	if err != nil {
		return nil, err
	}
	work := o.work
	if work == "" {
		work = filepath.Clean(o.out) + ".work"
	}
	if err := os.MkdirAll(work, 0o750); err != nil {
		return nil, fmt.Errorf("train: head: %w", err)
	}
	states, err := train.OpenStates(filepath.Join(work, "states"), service)
	if err != nil {
		return nil, err
	}
	defer states.Close()
	bar := newBar("hidden states", int64(task.Items()))
	defer bar.Close()
	o.config.Checkpoint = filepath.Join(work, "checkpoint")
	o.config.Progress = func(done, total int) { bar.Set(int64(task.Items() - total + done)) }
	head, err := train.Fit(ctx, task, states, o.config)
	if err != nil {
		return nil, err
	}
	if err := cfg.LoadProfiles(); err != nil {
		return nil, err
	}
	profiles, err := cfg.BundleProfiles(bundle)
	if err != nil {
		return nil, err
	}
	if err := head.WriteBundle(bundle, o.out, o.name, profiles); err != nil {
		return nil, err
	}
	made, err := a.registry.OpenBundle(o.out)
	if err != nil {
		return nil, err
	}
	if err := made.Verify(); err != nil {
		return nil, err
	}
	if o.work == "" {
		if err := errors.Join(states.Close(), os.RemoveAll(work)); err != nil {
			return nil, fmt.Errorf("train: head: %w", err)
		}
	}
	return &trainReport{
		Kind: task.Kind(), Bundle: o.out, Hash: made.Hash, Learned: head.Learned, HeldOut: head.HeldOut, Skipped: task.Skipped,
		Start: head.Start, Best: head.Best, Rounds: head.Rounds, Resumed: head.Resumed, Seconds: time.Since(begin).Seconds(),
	}, nil
}

// task reads the examples.
func (o trainOptions) task(cfg *pipeline.Config, m *openedModel) (*train.Task, error) {
	pooling, limit := weights.Pooling(o.pooling), m.model.Info().MaxLength
	switch o.kind {
	case models.HeadSpan:
		dataset, err := readDataset("squad", o.path)
		if err != nil {
			return nil, err
		}
		options := train.SpanOptions{MaxSeqLength: cfg.Reader.MaxSeqLength, Stride: cfg.Reader.Stride}
		if spec, ok := m.bundle.Head(models.HeadSpan); ok && spec.File != "" && !o.fresh {
			options.Start = func() ([]byte, error) { return m.bundle.ReadFile(spec.File) }
		}
		return train.NewSpanTask(answeredQuestions(dataset, o.limit), m.tokenizer, options)
	case models.HeadRelevance:
		var pairs []train.JudgedPair
		err := readExamples(o.path, func(line judgedLine) error {
			if line.Question == "" || line.Passage == "" || line.Relevant == nil {
				return errors.New(`"question", "passage" and "relevant" are needed`)
			}
			pairs = append(pairs, train.JudgedPair{Question: line.Question, Passage: line.Passage, Relevant: *line.Relevant})
			return nil
		})
		if err != nil {
			return nil, err
		}
		return train.NewRelevanceTask(sample(pairs, o.limit), m.tokenizer, min(limit, cfg.Reader.MaxSeqLength), pooling)
	case models.HeadClassification:
		var list []train.LabelledText
		err := readExamples(o.path, func(line struct {
			Text  string `json:"text"`
			Label string `json:"label"`
		}) error {
			if line.Text == "" || line.Label == "" {
				return errors.New(`"text" and "label" are needed`)
			}
			list = append(list, train.LabelledText{Text: line.Text, Label: line.Label})
			return nil
		})
		if err != nil {
			return nil, err
		}
		return train.NewClassificationTask(sample(list, o.limit), m.tokenizer, limit, pooling)
	}
	return nil, fmt.Errorf("train: head: --kind %s; allowed are %s, %s, %s", o.kind, models.HeadSpan, models.HeadRelevance, models.HeadClassification)
}

// answeredQuestions takes the first answer of every question.
func answeredQuestions(dataset *eval.Dataset, limit int) []train.AnsweredQuestion {
	text := make(map[string]string, len(dataset.Paragraphs))
	for _, p := range dataset.Paragraphs {
		text[p.ID] = p.Text
	}
	var list []train.AnsweredQuestion
	for _, q := range sample(dataset.Questions, limit) {
		x := train.AnsweredQuestion{Question: q.Text, Passage: text[q.ParagraphID]}
		if !q.Impossible && len(q.Answers) > 0 {
			x.Start = q.Answers[0].Start
			x.End = x.Start + len([]rune(q.Answers[0].Text))
		}
		list = append(list, x)
	}
	return list
}

// maxExampleBytes is the longest line of examples.
const maxExampleBytes = 1 << 20

// readExamples reads JSON lines; unknown keys are refused.
func readExamples[T any](path string, take func(T) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("train: head: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxExampleBytes)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		decoder := json.NewDecoder(strings.NewReader(lines.Text()))
		decoder.DisallowUnknownFields()
		var line T
		err := decoder.Decode(&line)
		if err == nil {
			err = take(line)
		}
		if err != nil {
			return fmt.Errorf("train: head: %s: line %d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("train: head: %s: %w", path, err)
	}
	return nil
}

func printTraining(w io.Writer, o trainOptions, r *trainReport) {
	fmt.Fprintf(w, "%s head: %d encodings learned from, %d held out, %.1f s\n", r.Kind, r.Learned, r.HeldOut, r.Seconds)
	if r.Skipped > 0 {
		fmt.Fprintf(w, "note   %d examples were left out: no tokens of one window cover their answer\n", r.Skipped)
	}
	fmt.Fprintf(w, "held-out loss %.4f before, %.4f after round %d of %d; right %.1f %% before, %.1f %% after\n",
		r.Start.HeldOut, r.Best.HeldOut, r.Best.Round, len(r.Rounds)-1, 100*r.Start.Right, 100*r.Best.Right)
	if r.Best.Round == 0 {
		fmt.Fprintln(w, "note   no round was better than the start, so the weights are the old ones")
	}
	fmt.Fprintf(w, "the bundle is in %s (hash %s); check it with: needle models verify %s\n", printable(o.out), short(r.Hash), printable(o.out))
}
