package monitor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// ErrNoCanaries says that an index has no canaries.
var ErrNoCanaries = errors.New("the index has no canaries")

// ErrInvalidCanary says that a golden question cannot be one.
var ErrInvalidCanary = errors.New("invalid canary")

// A Canary is a golden question: one whose answer in an index is known and
// should stay.
type Canary struct {
	ID       string `json:"id"`
	Question string `json:"question"`
	// Answers are the accepted ones; none means that the index must not answer.
	Answers []string `json:"answers,omitempty"`
}

// A CanaryOutcome is what became of one canary.
type CanaryOutcome struct {
	ID       string `json:"id"`
	Question string `json:"question"`
	Given    string `json:"given,omitempty"` // empty: no answer was given
	// Score is the F1 of the answer that was given, and 1 for an unanswerable
	// question that was left without one.
	Score float64 `json:"score"`
	// Brier is the squared distance of the stated probability of the first
	// answer, given or not, from whether it was right: 0 to 1, less is better.
	Brier float64 `json:"brier"`
}

// A CanaryRun is one time that all canaries of an index were asked.
type CanaryRun struct {
	Index      string            `json:"index"`
	At         time.Time         `json:"at"`
	Reason     string            `json:"reason"`
	Model      pipeline.ModelRef `json:"model"`
	Generation uint64            `json:"generation"`
	N          int               `json:"n"`
	// Score and Brier are means over the canaries.
	Score float64 `json:"score"`
	Brier float64 `json:"brier"`
	// Alarms say what is wrong; none means healthy.
	Alarms   []string        `json:"alarms,omitempty"`
	Outcomes []CanaryOutcome `json:"outcomes"`
}

// Healthy says that nothing is wrong.
func (r CanaryRun) Healthy() bool { return len(r.Alarms) == 0 }

// A CanarySet is the canaries of an index, and the run that later ones are held
// against.
type CanarySet struct {
	Version  int      `json:"version"`
	Index    string   `json:"index"`
	Canaries []Canary `json:"canaries"`
	// MaxDrop is how far the mean score may fall below the reference, and the
	// mean Brier score rise above it.
	MaxDrop   float64   `json:"max_drop"`
	Reference CanaryRun `json:"reference"`
}

// DefaultMaxDrop is a bound that a few answers of a few dozen may fall through:
// documents change, and an answer with them.
const DefaultMaxDrop = 0.05

// canaryVersion grows when a stored set changes so that an older program cannot
// read it.
const canaryVersion = 1

// MaxCanaries is how many canaries an index may have: they are asked often.
const MaxCanaries = 1000

// An Asker answers questions: a pipeline, or the client of a server.
type Asker interface {
	Ask(ctx context.Context, request pipeline.Request) (*pipeline.Result, error)
}

// Canaries keeps the canary sets of a data directory, one file an index, and
// the last runs of each.
type Canaries struct{ dir string }

// OpenCanaries returns the sets in a directory, which need not exist.
func OpenCanaries(dir string) *Canaries { return &Canaries{dir: dir} }

// FromDataset makes canaries of a data set's questions.
func FromDataset(d *eval.Dataset) []Canary {
	list := make([]Canary, len(d.Questions))
	for i, q := range d.Questions {
		list[i] = Canary{ID: q.ID, Question: q.Text}
		for _, a := range q.Answers {
			if !slices.Contains(list[i].Answers, a.Text) {
				list[i].Answers = append(list[i].Answers, a.Text)
			}
		}
	}
	return list
}

// Set makes the canaries of an index, replacing those that were there. They are
// asked once, and that run becomes the reference: its score says how good the
// system is, and what later runs are held against. A maxDrop of 0 means
// [DefaultMaxDrop].
func (c *Canaries) Set(ctx context.Context, asker Asker, index string, canaries []Canary, maxDrop float64) (CanarySet, error) {
	set := CanarySet{Version: canaryVersion, Index: index, Canaries: canaries, MaxDrop: cmp.Or(maxDrop, DefaultMaxDrop)}
	if err := set.validate(); err != nil {
		return set, err
	}
	run, err := ask(ctx, asker, set, "reference")
	if err != nil {
		return set, err
	}
	set.Reference = run
	data, err := json.MarshalIndent(set, "", "  ")
	if err == nil {
		err = writeWhole(c.dir, c.file(index), append(data, '\n'))
	}
	if err != nil {
		return set, fmt.Errorf("monitor: set canaries of %q: %w", index, err)
	}
	return set, nil
}

func (s CanarySet) validate() error {
	if err := retriever.ValidIndexName(s.Index); err != nil {
		return err
	}
	switch {
	case len(s.Canaries) == 0:
		return fmt.Errorf("monitor: %w: there are no questions", ErrInvalidCanary)
	case len(s.Canaries) > MaxCanaries:
		return fmt.Errorf("monitor: %w: %d questions; at most %d are allowed, for they are asked often", ErrInvalidCanary, len(s.Canaries), MaxCanaries)
	case !(s.MaxDrop > 0 && s.MaxDrop <= 1):
		return fmt.Errorf("monitor: %w: the greatest drop is %v; allowed is more than 0, at most 1", ErrInvalidCanary, s.MaxDrop)
	}
	seen := make(map[string]bool, len(s.Canaries))
	for i, q := range s.Canaries {
		switch {
		case strings.TrimSpace(q.Question) == "":
			return fmt.Errorf("monitor: %w: question %d is empty", ErrInvalidCanary, i+1)
		case seen[q.ID]:
			return fmt.Errorf("monitor: %w: the id %q is there twice", ErrInvalidCanary, q.ID)
		}
		seen[q.ID] = true
	}
	return nil
}

// Indexes returns the indexes that have canaries, in order.
func (c *Canaries) Indexes() ([]string, error) {
	entries, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("monitor: canaries: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".json"); ok && retriever.ValidIndexName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// Get returns the canaries of an index; without any the error wraps
// [ErrNoCanaries].
func (c *Canaries) Get(index string) (CanarySet, error) {
	var set CanarySet
	if err := retriever.ValidIndexName(index); err != nil {
		return set, err
	}
	data, err := os.ReadFile(c.file(index))
	if errors.Is(err, fs.ErrNotExist) {
		return set, fmt.Errorf("monitor: %w: %q; `needle canary set` makes some", ErrNoCanaries, index)
	}
	if err == nil {
		err = json.Unmarshal(data, &set)
	}
	if err == nil && set.Version > canaryVersion {
		err = fmt.Errorf("the file is of version %d, this program knows %d; use a newer needle", set.Version, canaryVersion)
	}
	if err != nil {
		return set, fmt.Errorf("monitor: canaries of %q: %w", index, err)
	}
	return set, nil
}

// Remove forgets the canaries of an index and their runs.
func (c *Canaries) Remove(index string) error {
	if _, err := c.Get(index); err != nil {
		return err
	}
	err := os.Remove(c.file(index))
	if runs := os.Remove(c.runsFile(index)); runs != nil && !errors.Is(runs, fs.ErrNotExist) {
		err = errors.Join(err, runs)
	}
	if err != nil {
		return fmt.Errorf("monitor: remove canaries of %q: %w", index, err)
	}
	return nil
}

// Run asks the canaries of an index, keeps the run and returns it. That it has
// alarms is no error. A question that fails with an error scores 0, and the
// error is an alarm; only when the context ends is there no run.
func (c *Canaries) Run(ctx context.Context, asker Asker, index, reason string) (CanaryRun, error) {
	set, err := c.Get(index)
	if err != nil {
		return CanaryRun{}, err
	}
	run, err := ask(ctx, asker, set, reason)
	if err != nil {
		return run, err
	}
	run.Alarms = append(run.Alarms, set.alarms(run)...)
	return run, c.keep(run)
}

// alarms holds a run against the reference.
func (s CanarySet) alarms(run CanaryRun) []string {
	var list []string
	if drop := s.Reference.Score - run.Score; drop > s.MaxDrop {
		list = append(list, fmt.Sprintf("the score fell from %.3f to %.3f, by more than %.3f; lost: %s", s.Reference.Score, run.Score, s.MaxDrop, s.lost(run)))
	}
	if rise := run.Brier - s.Reference.Brier; rise > s.MaxDrop {
		list = append(list, fmt.Sprintf("the probabilities got worse: their Brier score rose from %.3f to %.3f, by more than %.3f", s.Reference.Brier, run.Brier, s.MaxDrop))
	}
	return list
}

// maxLost is how many lost questions an alarm names.
const maxLost = 5

func (s CanarySet) lost(run CanaryRun) string {
	before := make(map[string]float64)
	for _, o := range s.Reference.Outcomes {
		before[o.ID] = o.Score
	}
	var lost []string
	count := 0
	for _, o := range run.Outcomes {
		if before[o.ID]-o.Score < 0.5 {
			continue
		}
		if count++; count <= maxLost {
			lost = append(lost, fmt.Sprintf("%q", o.Question))
		}
	}
	if count > maxLost {
		lost = append(lost, fmt.Sprintf("and %d more", count-maxLost))
	}
	return strings.Join(lost, ", ")
}

// ask asks all canaries of a set, one after the other: they must not get in the
// way of users.
func ask(ctx context.Context, asker Asker, set CanarySet, reason string) (CanaryRun, error) {
	run := CanaryRun{Index: set.Index, At: time.Now().UTC(), Reason: reason, N: len(set.Canaries)}
	// A canary that is refused because many ask would look like a fault.
	ctx = infer.Patient(context.WithValue(ctx, ownKey{}, true))
	failed := 0
	var fault error
	for _, canary := range set.Canaries {
		result, err := asker.Ask(ctx, pipeline.Request{
			Question: canary.Question, Index: set.Index, TopK: 1, IncludeRejected: true, Fresh: true, Access: pipeline.FullAccess(),
		})
		if ctx.Err() != nil {
			return run, context.Cause(ctx)
		}
		outcome := CanaryOutcome{ID: canary.ID, Question: canary.Question, Brier: 1}
		if err != nil {
			failed, fault = failed+1, err
		} else {
			run.Model, run.Generation = result.Model, result.Generation
			outcome.judge(canary, result)
		}
		run.Score += outcome.Score / float64(run.N)
		run.Brier += outcome.Brier / float64(run.N)
		run.Outcomes = append(run.Outcomes, outcome)
	}
	if failed > 0 {
		run.Alarms = append(run.Alarms, fmt.Sprintf("%d of %d questions failed, the last with: %v", failed, run.N, fault))
	}
	return run, nil
}

// ownKey marks the context of questions that Needle asks itself: they must not
// count as what users ask.
type ownKey struct{}

func own(ctx context.Context) bool { return ctx.Value(ownKey{}) != nil }

func (o *CanaryOutcome) judge(canary Canary, result *pipeline.Result) {
	best := slices.Concat(result.Answers, result.Rejected)
	if len(best) > 0 {
		em := 0.0
		if len(canary.Answers) > 0 {
			em, _ = eval.BestMatch(best[0].Text, canary.Answers)
		}
		o.Brier = math.Pow(best[0].Probability-em, 2)
	} else {
		o.Brier = 0 // nothing was stated
	}
	switch {
	case len(result.Answers) > 0 && len(canary.Answers) > 0:
		o.Given = result.Answers[0].Text
		_, o.Score = eval.BestMatch(o.Given, canary.Answers)
	case len(result.Answers) > 0:
		o.Given = result.Answers[0].Text
	case len(canary.Answers) == 0:
		o.Score = 1
	}
}

// keptRuns is how many runs of an index are kept.
const keptRuns = 200

// Runs returns the last runs of an index, the newest first.
func (c *Canaries) Runs(index string) ([]CanaryRun, error) {
	if err := retriever.ValidIndexName(index); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(c.runsFile(index))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("monitor: canary runs of %q: %w", index, err)
	}
	var runs []CanaryRun
	for number, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
		var run CanaryRun
		if err := json.Unmarshal(line, &run); err != nil {
			return nil, fmt.Errorf("monitor: canary runs of %q: line %d: %w", index, number+1, err)
		}
		runs = append(runs, run)
	}
	slices.Reverse(runs)
	return runs, nil
}

func (c *Canaries) keep(run CanaryRun) error {
	runs, err := c.Runs(run.Index)
	if err != nil {
		return err
	}
	slices.Reverse(runs)
	runs = append(runs, run)
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	for _, r := range runs[max(0, len(runs)-keptRuns):] {
		if err := encoder.Encode(r); err != nil {
			return fmt.Errorf("monitor: keep canary run of %q: %w", run.Index, err)
		}
	}
	if err := writeWhole(c.dir, c.runsFile(run.Index), data.Bytes()); err != nil {
		return fmt.Errorf("monitor: keep canary run of %q: %w", run.Index, err)
	}
	return nil
}

func (c *Canaries) file(index string) string     { return filepath.Join(c.dir, index+".json") }
func (c *Canaries) runsFile(index string) string { return filepath.Join(c.dir, index+".runs.jsonl") }

// writeWhole replaces a file at once: whoever reads it finds the old or the new
// content.
func writeWhole(dir, path string, data []byte) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".part-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
