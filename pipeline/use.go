package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// ErrModelRefused says that a bundle was not put to use; the message says why,
// and the model that was there goes on answering.
var ErrModelRefused = errors.New("the model is not exchanged")

// MaxBoundQuestions is how many questions of a [ModelUse] are read at most.
const MaxBoundQuestions = 2000

// A ModelUse asks for another bundle to read with.
type ModelUse struct {
	// Bundle is a known name or an absolute directory on the machine of the
	// pipeline; empty together with Reset.
	Bundle string `json:"bundle,omitempty"`
	// Precision is fp32, fp16, int8 or auto; empty means reader.precision.
	Precision string `json:"precision,omitempty"`
	// Reset goes back to reader.bundle of the configuration.
	Reset bool `json:"reset,omitempty"`
	// Questions, when there are any, are read by both models. The bundle is
	// refused if its F1 over the answered ones is lower by more than MaxLoss,
	// a fraction.
	Questions []BoundQuestion `json:"questions,omitempty"`
	MaxLoss   float64         `json:"max_loss,omitempty"`
}

// A BoundQuestion is a question with its paragraph and its right answers; none
// means that the paragraph does not answer it.
type BoundQuestion struct {
	Question string   `json:"question"`
	Context  string   `json:"context"`
	Answers  []string `json:"answers,omitempty"`
}

// A ModelStatus describes a language model in use.
type ModelStatus struct {
	// Role is what the model does: RoleReader, or RolePredict for those of the
	// section `models`, whose name Name is.
	Role string `json:"role"`
	Name string `json:"name,omitempty"`
	// Bundle is the name or directory that it was opened from, Configured what
	// reader.bundle says. They differ after [Pipeline.UseModel], and then
	// Chosen is set.
	Bundle     string    `json:"bundle"`
	Configured string    `json:"configured"`
	Chosen     bool      `json:"chosen"`
	Model      ModelRef  `json:"model"`
	Device     string    `json:"device"`
	Runtime    string    `json:"runtime"`
	MaxLength  int       `json:"max_length"`
	Heads      []string  `json:"heads"`
	Languages  []string  `json:"languages"`
	License    string    `json:"license,omitempty"`
	Calibrated bool      `json:"calibrated"`
	Since      time.Time `json:"since"`
}

// RoleReader is the role of the model that reads.
const RoleReader = "reader"

// A ModelSwap says what an exchange found and did.
type ModelSwap struct {
	Previous ModelStatus `json:"previous"`
	Current  ModelStatus `json:"current"`
	// Checks are what was looked at, all of them passed.
	Checks []BundleCheck `json:"checks"`
	// Comparison is nil without questions. A is the previous model.
	Comparison *eval.Comparison   `json:"comparison,omitempty"`
	MaxLoss    float64            `json:"max_loss"`
	Warnings   []string           `json:"warnings"`
	TimingsMS  map[string]float64 `json:"timings_ms"`
}

// A ModelManager shows and exchanges language models. A [Pipeline] is one, and
// so is the client of a server.
type ModelManager interface {
	// Models describes the models in use.
	Models(ctx context.Context) ([]ModelStatus, error)
	// UseModel exchanges the model that reads; see [Pipeline.UseModel].
	UseModel(ctx context.Context, use ModelUse) (*ModelSwap, error)
}

var _ ModelManager = (*Pipeline)(nil)

func (u ModelUse) validate() error {
	switch {
	case u.Reset && (u.Bundle != "" || u.Precision != ""):
		return fmt.Errorf("%w: reset: goes back to the configuration; bundle and precision cannot be given with it", ErrInvalidRequest)
	case !u.Reset && u.Bundle == "":
		return fmt.Errorf("%w: bundle: is missing; allowed are a known name and an absolute directory", ErrInvalidRequest)
	case u.MaxLoss < 0 || u.MaxLoss > 1:
		return fmt.Errorf("%w: max_loss: %v; allowed is 0 to 1", ErrInvalidRequest, u.MaxLoss)
	case len(u.Questions) > MaxBoundQuestions:
		return fmt.Errorf("%w: questions: there are %d; at most %d are read", ErrInvalidRequest, len(u.Questions), MaxBoundQuestions)
	}
	switch u.Precision {
	case "", "auto", "fp32", "fp16", "int8":
	default:
		return fmt.Errorf("%w: precision: %q; allowed are auto, fp32, fp16, int8", ErrInvalidRequest, u.Precision)
	}
	answered := 0
	for i, q := range u.Questions {
		if err := errors.Join(checkText(q.Question), checkText(q.Context)); err != nil && !errors.Is(err, ErrQuestionTooLong) {
			return fmt.Errorf("%w: questions[%d]: %w", ErrInvalidRequest, i, err)
		}
		if len(q.Answers) > 0 {
			answered++
		}
	}
	if len(u.Questions) > 0 && answered == 0 {
		return fmt.Errorf("%w: questions: none has an answer, so there is no F1 to compare", ErrInvalidRequest)
	}
	return nil
}

// selection is which bundle the request means.
func (u ModelUse) selection(config *Config) (selection, error) {
	if u.Reset {
		return selection{bundle: config.Reader.Bundle, precision: config.Reader.Precision}, nil
	}
	if _, known := config.registry.bundles[u.Bundle]; !known && !filepath.IsAbs(u.Bundle) {
		return selection{}, fmt.Errorf("%w: bundle: %q; allowed are an absolute directory and the names %s", ErrInvalidRequest, u.Bundle, names(config.registry.bundles))
	}
	return selection{bundle: u.Bundle, precision: cmp.Or(u.Precision, config.Reader.Precision), chosen: true}, nil
}

// UseModel puts another bundle in place of the one that reads: it checks all
// files, opens the model behind the same gate, lets every head predict once,
// compares it with the present model on the questions of the request, warms it
// up, records the choice in the data directory and switches. Requests that run
// finish on the model that they began with; it is closed when the last is
// through. On any failure the present model stays, and the error wraps
// [ErrModelRefused] beside its cause. Other errors are [ErrInvalidRequest],
// [ErrNoReader], [ErrClosed] and the context's.
func (p *Pipeline) UseModel(ctx context.Context, use ModelUse) (*ModelSwap, error) {
	if err := use.validate(); err != nil {
		return nil, err
	}
	chosen, err := use.selection(p.config)
	if err != nil {
		return nil, err
	}
	if !p.using.TryLock() {
		return nil, fmt.Errorf("%w: another exchange is running; wait until it has ended", ErrModelRefused)
	}
	defer p.using.Unlock()
	current, release, err := p.slot.lease()
	if err != nil {
		return nil, err
	}
	defer release()
	next, swap, err := use.prepare(infer.Patient(ctx), p.config, openOptions{logger: p.logger, observer: p.observer}, chosen, current)
	if err != nil {
		return nil, refused(ctx, err)
	}
	before, _, err := p.config.Choice()
	if err == nil {
		err = p.config.writeChoice(use.choice(p.config, next))
	}
	if err != nil {
		return nil, refused(ctx, errors.Join(err, next.close()))
	}
	if err := p.slot.swap(next); err != nil {
		return nil, errors.Join(err, next.close(), p.config.writeChoice(before))
	}
	// The files were read as a whole, which is garbage now, of the size of a model;
	// the collector would let the heap grow to twice of that before it looks.
	debug.FreeOSMemory()
	p.logger.InfoContext(ctx, "exchanged the model that reads", "bundle", next.from.bundle, "name", next.ref.Name, "hash", next.ref.Hash,
		"precision", next.ref.Precision, "before", current.ref.Hash)
	return swap, nil
}

// ChooseModel is [Pipeline.UseModel] for a data directory that no pipeline has
// open: the next one to be opened reads with the bundle. The present model is
// opened only to compare with it.
func ChooseModel(ctx context.Context, config *Config, use ModelUse, options ...Option) (*ModelSwap, error) {
	opts := newOpenOptions(options)
	if err := errors.Join(config.Validate(), use.validate()); err != nil {
		return nil, err
	}
	chosen, err := use.selection(config)
	if err != nil {
		return nil, err
	}
	if err := makeData(config.Data); err != nil {
		return nil, err
	}
	var current *loadedModel
	if len(use.Questions) > 0 {
		present, _, _, err := config.selected()
		if err != nil {
			return nil, refused(ctx, err)
		}
		if current, err = openModel(ctx, config, present, nil, opts); err != nil {
			return nil, refused(ctx, fmt.Errorf("the present model, which it would be compared with, cannot be opened: %w", err))
		}
		defer current.close()
	}
	next, swap, err := use.prepare(ctx, config, opts, chosen, current)
	if err != nil {
		return nil, refused(ctx, err)
	}
	if err := errors.Join(config.writeChoice(use.choice(config, next)), next.close()); err != nil {
		return nil, refused(ctx, err)
	}
	return swap, nil
}

func refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrModelRefused, err)
}

// choice is what to record, nil for the configured bundle.
func (u ModelUse) choice(config *Config, next *loadedModel) *ModelChoice {
	if u.Reset {
		return nil
	}
	return &ModelChoice{
		Bundle: next.from.bundle, Precision: u.Precision, Name: next.ref.Name, Hash: next.ref.Hash,
		Configured: config.Reader.Bundle, Chosen: next.since,
	}
}

// prepare opens, checks, compares and warms up. A nil current is one that is
// not open. On an error nothing stays open.
func (u ModelUse) prepare(ctx context.Context, config *Config, opts openOptions, chosen selection, current *loadedModel) (next *loadedModel, swap *ModelSwap, err error) {
	swap = &ModelSwap{Checks: []BundleCheck{}, MaxLoss: u.MaxLoss, Warnings: []string{}, TimingsMS: map[string]float64{}}
	begin := time.Now()
	lap := func(name string) {
		swap.TimingsMS[name] = milliseconds(time.Since(begin))
		begin = time.Now()
	}
	bundle, err := chosen.open(config.registry)
	if err != nil {
		return nil, nil, err
	}
	if err := bundle.Verify(); err != nil {
		return nil, nil, err
	}
	passed := func(name, format string, args ...any) {
		swap.Checks = append(swap.Checks, BundleCheck{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)})
	}
	passed("files", "%d files have the size and SHA-256 that they should", len(bundle.Manifest.Files))
	// What was verified is what is opened, even if the directory changes now.
	chosen.hash = bundle.Hash
	if next, err = openModel(ctx, config, chosen, current, opts); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, next.close())
			next = nil
		}
	}()
	passed("graph "+next.ref.Precision, "it opens, runs, and knows every id of the tokenizer")
	for _, h := range bundle.Manifest.Heads {
		detail, err := config.registry.CheckHead(ctx, bundle, h.Kind, next.reader.Tokenizer(), next.service)
		if err != nil {
			return next, nil, err
		}
		passed("head "+h.Kind, "%s", detail)
	}
	lap("verify")
	if len(u.Questions) > 0 {
		if swap.Comparison, err = u.compare(ctx, current, next); err != nil {
			return next, nil, err
		}
		lap("compare")
		if loss := -swap.Comparison.F1.Mean; loss > u.MaxLoss {
			return next, nil, fmt.Errorf("its F1 over %d answered questions is %.2f %%, that of the present model %.2f %%; a loss of %.2f is allowed",
				swap.Comparison.Answered, 100*swap.Comparison.B.F1.Mean, 100*swap.Comparison.A.F1.Mean, 100*u.MaxLoss)
		}
	}
	if err = next.service.Warm(ctx); err != nil {
		return next, nil, err
	}
	lap("warm_up")
	swap.Previous = ModelStatus{Role: RoleReader, Configured: config.Reader.Bundle, Heads: []string{}, Languages: []string{}}
	if current != nil {
		swap.Previous = current.status(config)
	}
	next.since = time.Now()
	swap.Current = next.status(config)
	if !next.calibrated {
		swap.Warnings = append(swap.Warnings, "no score profile was fitted for this bundle: probabilities are rough, and results say so")
	}
	return next, swap, nil
}

// compare lets both models read the questions, in turn.
func (u ModelUse) compare(ctx context.Context, current, next *loadedModel) (*eval.Comparison, error) {
	questions := make([]eval.Question, len(u.Questions))
	for i, q := range u.Questions {
		questions[i] = eval.Question{ID: fmt.Sprint(i), Text: q.Question, Impossible: len(q.Answers) == 0}
		for _, text := range q.Answers {
			questions[i].Answers = append(questions[i].Answers, eval.Answer{Text: text})
		}
	}
	a, err := current.predict(ctx, u.Questions)
	if err != nil {
		return nil, err
	}
	b, err := next.predict(ctx, u.Questions)
	if err != nil {
		return nil, err
	}
	c, err := eval.Compare(questions, a, b)
	return &c, err
}

// predict reads the paragraph of every question, several at once.
func (m *loadedModel) predict(ctx context.Context, questions []BoundQuestion) (eval.Predicted, error) {
	p := eval.Predicted{
		Predictions:   make([]eval.Prediction, len(questions)),
		Probabilities: make([]float64, len(questions)),
		Threshold:     m.profile.NoAnswerThreshold,
	}
	group, ctx := errgroup.WithContext(ctx)
	// Few enough to leave the queue to those who ask meanwhile.
	group.SetLimit(2 * m.service.Stats().Workers)
	for i, q := range questions {
		group.Go(func() error {
			reading, err := m.reader.Read(ctx, q.Question, []retriever.Passage{{DocumentID: fmt.Sprint(i), End: len([]rune(q.Context)), Text: q.Context}}, reader.Options{})
			if err != nil {
				return fmt.Errorf("question %d: %w", i, err)
			}
			p.Predictions[i], p.Probabilities[i] = m.profile.judge(reading)
			return nil
		})
	}
	return p, group.Wait()
}

// judge makes of a reading without retrieval a prediction and the probability
// that it is right.
func (p Profile) judge(reading reader.Reading) (eval.Prediction, float64) {
	if len(reading.Spans) == 0 {
		return eval.Prediction{NoAnswer: 1}, 0
	}
	fused := make([]float64, len(reading.Spans))
	for i, s := range reading.Spans {
		fused[i] = p.fused(alone(s))
	}
	return eval.Prediction{Text: reading.Forced.Text, NoAnswer: p.NoAnswer.probability(fused[0], alone(reading.Spans[0]))}, p.Answer.probability(fused[0], logShares(fused)[0])
}

// alone is the evidence for a span whose passage was not retrieved.
func alone(s reader.Span) ObservedSpan {
	return ObservedSpan{Margin: s.Margin(), BM25: 1, Relevance: s.Relevance}
}

// Models describes the models in use: the reader's, if there is one, and then
// those of the section `models` in order of name.
func (p *Pipeline) Models(context.Context) ([]ModelStatus, error) {
	all := []ModelStatus{}
	if m := p.slot.peek(); m != nil {
		all = append(all, m.status(p.config))
	}
	for _, name := range slices.Sorted(maps.Keys(p.named)) {
		all = append(all, p.named[name].status())
	}
	return all, nil
}

func (m *loadedModel) status(config *Config) ModelStatus {
	info, manifest := m.model.Info(), m.bundle.Manifest
	return ModelStatus{
		Role: RoleReader, Bundle: m.from.bundle, Configured: config.Reader.Bundle, Chosen: m.from.chosen,
		Model: m.ref, Device: info.Device, Runtime: info.Runtime, MaxLength: info.MaxLength,
		Heads: headKinds(m.bundle), Languages: append([]string{}, manifest.Languages...), License: manifest.License, Calibrated: m.calibrated, Since: m.since,
	}
}
