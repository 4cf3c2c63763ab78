package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
)

// The features of a question and its result whose distributions are watched.
const (
	FeatureQuestionWords = "question_words" // words of the question
	FeatureProbability   = "probability"    // of the first answer, given or not; 0 without one
	FeatureNoAnswer      = "no_answer"      // 1 if no answer was given, else 0
	FeatureBM25          = "bm25"           // of the passage of the first answer
	FeatureRead          = "candidates_read"
	FeatureMilliseconds  = "milliseconds" // of the whole request
)

func features() []string {
	return []string{FeatureBM25, FeatureMilliseconds, FeatureNoAnswer, FeatureProbability, FeatureQuestionWords, FeatureRead}
}

// DriftConfig says how live traffic is held against a reference.
type DriftConfig struct {
	// Window is how many questions make the reference, and each window that is
	// held against it.
	Window int
	// FalseAlarms is how often, on average, a window of unchanged traffic may be
	// called drifted, as a share of the windows: 0.001 is one in a thousand.
	FalseAlarms float64
	// MinDistance is the least Kolmogorov-Smirnov distance, 0 to 1, that counts: with
	// many questions the smallest change is significant, and means nothing.
	MinDistance float64
}

// DefaultDriftConfig is for some hundred questions a day and more.
func DefaultDriftConfig() DriftConfig {
	return DriftConfig{Window: 500, FalseAlarms: 0.001, MinDistance: 0.15}
}

// A DriftFeature is one distribution held against the reference.
type DriftFeature struct {
	Feature string `json:"feature"`
	// Reference and Current are the medians; of no_answer the means.
	Reference float64 `json:"reference"`
	Current   float64 `json:"current"`
	// Distance is the two-sample Kolmogorov-Smirnov statistic, and P its
	// p-value (asymptotic; Smirnov 1948). With ties, of which counts are full,
	// the test is conservative.
	Distance float64 `json:"distance"`
	P        float64 `json:"p"`
	Drifted  bool    `json:"drifted"`
}

// A DriftWindow is a window of questions held against the reference.
type DriftWindow struct {
	At       time.Time      `json:"at"`
	N        int            `json:"n"`
	Features []DriftFeature `json:"features"`
}

// Drifted returns the names of the features that drifted.
func (w DriftWindow) Drifted() []string {
	var names []string
	for _, f := range w.Features {
		if f.Drifted {
			names = append(names, f.Feature)
		}
	}
	return names
}

// Drift watches the distributions of live questions and results. The first
// window that it sees becomes the reference, which is kept in a file; every
// later window is tested once, feature by feature, with the false alarms shared
// among them (Bonferroni). It keeps numbers only, no text. It is a
// [pipeline.Observer] and safe for concurrent use.
type Drift struct {
	config DriftConfig
	file   string
	logger *slog.Logger

	mu        sync.Mutex
	reference map[string][]float64 // sorted; nil until the first window is full
	current   map[string][]float64
	last      DriftWindow
}

var _ pipeline.Observer = (*Drift)(nil)

// driftFile is the reference of a drift directory.
const driftFile = "drift-reference.json"

type driftReference struct {
	Version  int                  `json:"version"`
	At       time.Time            `json:"at"`
	Features map[string][]float64 `json:"features"`
}

// OpenDrift watches with the reference that a directory holds, or makes one.
func OpenDrift(dir string, config DriftConfig, logger *slog.Logger) (*Drift, error) {
	switch {
	case config.Window < 50:
		return nil, fmt.Errorf("monitor: drift: a window of %d questions; allowed is 50 or more", config.Window)
	case !(config.FalseAlarms > 0 && config.FalseAlarms < 1) || !(config.MinDistance >= 0 && config.MinDistance < 1):
		return nil, errors.New("monitor: drift: the share of false alarms must be between 0 and 1, and the least distance 0 or more and less than 1")
	}
	d := &Drift{config: config, file: filepath.Join(dir, driftFile), logger: logger, current: make(map[string][]float64)}
	data, err := os.ReadFile(d.file)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	var kept driftReference
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err == nil && kept.Version > 1 {
		err = fmt.Errorf("it is of version %d, this program knows 1; use a newer needle", kept.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("monitor: drift: reference %s: %w; remove it to begin anew", d.file, err)
	}
	d.reference = kept.Features
	return d, nil
}

// Last returns the last window that was tested; its N is 0 before the first.
func (d *Drift) Last() DriftWindow {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// Reset forgets the reference: the next window becomes it. It is what to do
// when a drift is meant to stay, such as after a change of the model.
func (d *Drift) Reset() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reference, d.current, d.last = nil, make(map[string][]float64), DriftWindow{}
	if err := os.Remove(d.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("monitor: drift: %w", err)
	}
	return nil
}

// Stage does nothing: drift looks at whole requests.
func (d *Drift) Stage(context.Context, pipeline.Stage, time.Time, time.Time, error) {}

// Inferred does nothing.
func (d *Drift) Inferred(infer.Call) {}

// Finished takes the numbers of a question that was asked.
func (d *Drift) Finished(ctx context.Context, operation pipeline.Operation, result *pipeline.Result, begin, end time.Time, err error) {
	if operation != pipeline.OperationAsk || err != nil || result == nil || own(ctx) {
		return
	}
	values := map[string]float64{
		FeatureQuestionWords: float64(len(strings.Fields(result.Question))),
		FeatureRead:          float64(result.CandidatesRead),
		FeatureMilliseconds:  float64(end.Sub(begin).Microseconds()) / 1000,
		FeatureNoAnswer:      1,
	}
	if result.Answerable {
		values[FeatureNoAnswer] = 0
	}
	for _, answers := range [][]pipeline.Answer{result.Rejected, result.Answers} {
		if len(answers) > 0 {
			values[FeatureProbability], values[FeatureBM25] = answers[0].Probability, answers[0].Scores.BM25
		}
	}
	d.take(ctx, values)
}

func (d *Drift) take(ctx context.Context, values map[string]float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range features() {
		d.current[name] = append(d.current[name], values[name])
	}
	if len(d.current[FeatureNoAnswer]) < d.config.Window {
		return
	}
	window := d.current
	d.current = make(map[string][]float64)
	for _, its := range window {
		slices.Sort(its)
	}
	if d.reference == nil {
		d.reference = window
		if err := d.keep(); err != nil {
			d.logger.ErrorContext(ctx, "the reference of the drift watch is not kept", "error", err)
		}
		return
	}
	d.last = d.test(window)
	if names := d.last.Drifted(); len(names) > 0 {
		d.logger.WarnContext(ctx, "live questions differ from the reference", "features", names, "window", d.last)
	}
}

func (d *Drift) keep() error {
	data, err := json.Marshal(driftReference{Version: 1, At: time.Now().UTC(), Features: d.reference})
	if err != nil {
		return err
	}
	return writeWhole(filepath.Dir(d.file), d.file, data)
}

// test holds a window against the reference. Both are sorted.
func (d *Drift) test(window map[string][]float64) DriftWindow {
	result := DriftWindow{At: time.Now().UTC(), N: d.config.Window}
	level := d.config.FalseAlarms / float64(len(features()))
	for _, name := range features() {
		before, now := d.reference[name], window[name]
		if len(before) == 0 {
			continue // an older program did not look at it
		}
		f := DriftFeature{Feature: name, Reference: before[len(before)/2], Current: now[len(now)/2]}
		if name == FeatureNoAnswer {
			f.Reference, f.Current = mean(before), mean(now)
		}
		f.Distance, f.P = kolmogorovSmirnov(before, now)
		f.Drifted = f.P < level && f.Distance >= d.config.MinDistance
		result.Features = append(result.Features, f)
	}
	return result
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// kolmogorovSmirnov returns the greatest distance between the empirical
// distribution functions of two sorted samples, and the probability of one at
// least as great if both come from one distribution, by the asymptotic
// distribution with the correction of Stephens (1970).
func kolmogorovSmirnov(a, b []float64) (distance, p float64) {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		v := min(a[i], b[j])
		for i < len(a) && a[i] == v {
			i++
		}
		for j < len(b) && b[j] == v {
			j++
		}
		distance = max(distance, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := math.Sqrt(float64(len(a)) * float64(len(b)) / float64(len(a)+len(b)))
	lambda := (n + 0.12 + 0.11/n) * distance
	if lambda < 0.2 {
		return distance, 1 // the series does not converge there, and its sum is 1
	}
	sum, sign := 0.0, 1.0
	for k := 1.0; k <= 100; k++ {
		sum += sign * math.Exp(-2*k*k*lambda*lambda)
		sign = -sign
	}
	return distance, min(1, max(0, 2*sum))
}
