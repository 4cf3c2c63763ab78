package monitor_test

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
)

// traffic makes questions and results as a healthy system would see them.
type traffic struct {
	random *rand.Rand
	// wordsMore, noAnswer, probabilityLess and slower inject a fault.
	wordsMore       int
	noAnswer        float64
	probabilityLess float64
	slower          float64
}

func (s *traffic) send(t *testing.T, d *monitor.Drift, n int) {
	t.Helper()
	for range n {
		result := &pipeline.Result{Question: strings.Repeat("w ", 4+s.random.IntN(9)+s.wordsMore), CandidatesRead: 10}
		p := max(0, s.random.Float64()-s.probabilityLess)
		answers := []pipeline.Answer{{Probability: p}}
		answers[0].Scores.BM25 = 5 + 10*s.random.Float64()
		if s.random.Float64() < 0.2+s.noAnswer {
			result.Rejected = answers
		} else {
			result.Answerable, result.Answers = true, answers
		}
		begin := time.Unix(1000, 0)
		took := time.Duration((50 + 100*s.random.ExpFloat64()) * (1 + s.slower) * float64(time.Millisecond))
		d.Finished(t.Context(), pipeline.OperationAsk, result, begin, begin.Add(took), nil)
	}
}

func open(t *testing.T, dir string, window int) *monitor.Drift {
	t.Helper()
	config := monitor.DefaultDriftConfig()
	config.Window = window
	d, err := monitor.OpenDrift(dir, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriftFindsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault traffic
		want  string
	}{
		"longer questions":    {traffic{wordsMore: 3}, monitor.FeatureQuestionWords},
		"more unanswered":     {traffic{noAnswer: 0.3}, monitor.FeatureNoAnswer},
		"lower probabilities": {traffic{probabilityLess: 0.3}, monitor.FeatureProbability},
		"slower":              {traffic{slower: 0.7}, monitor.FeatureMilliseconds},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir, 500)
			(&traffic{random: rand.New(rand.NewPCG(1, 0))}).send(t, d, 500)
			c.fault.random = rand.New(rand.NewPCG(2, 0))
			// A restart keeps the reference.
			d = open(t, dir, 500)
			c.fault.send(t, d, 499)
			if d.Last().N != 0 {
				t.Error("a window was tested before it was full")
			}
			c.fault.send(t, d, 1)
			if got := d.Last().Drifted(); !slices.Equal(got, []string{c.want}) {
				t.Errorf("drifted: %v, want %s; %+v", got, c.want, d.Last())
			}
			if err := d.Reset(); err != nil {
				t.Fatal(err)
			}
			c.fault.send(t, d, 1000)
			if got := d.Last().Drifted(); len(got) != 0 {
				t.Errorf("after a reset %v drifted", got)
			}
		})
	}
}

// TestDriftFalseAlarms holds 1,000 windows of unchanged traffic against one
// reference: with one false alarm allowed in 1,000 windows, 5 would be very
// unlikely even without the least distance.
func TestDriftFalseAlarms(t *testing.T) {
	d := open(t, t.TempDir(), 100)
	healthy := &traffic{random: rand.New(rand.NewPCG(3, 0))}
	healthy.send(t, d, 100)
	alarms := 0
	for range 1000 {
		healthy.send(t, d, 100)
		if len(d.Last().Drifted()) > 0 {
			alarms++
		}
	}
	t.Logf("%d false alarms in 1,000 windows", alarms)
	if alarms > 4 {
		t.Errorf("%d false alarms in 1,000 windows", alarms)
	}
}

// TestDriftStaysQuietForAWeek sends seven days of 3,000 questions whose mix and
// times differ a little from day to day and hour to hour, as they do: more work
// makes answers slower, and some days have more questions that nothing answers.
func TestDriftStaysQuietForAWeek(t *testing.T) {
	d := open(t, t.TempDir(), 500)
	random := rand.New(rand.NewPCG(4, 0))
	windows := 0
	for day := range 7 {
		today := traffic{random: random, noAnswer: 0.06*random.Float64() - 0.03, probabilityLess: 0.04 * random.Float64()}
		for hour := range 24 {
			now := today
			now.slower = 0.2 * math.Sin(math.Pi*float64(hour)/24)
			now.send(t, d, 125)
			if last := d.Last(); last.N > 0 {
				windows++
				if names := last.Drifted(); len(names) > 0 {
					t.Fatalf("day %d, hour %d: %v drifted: %+v", day, hour, names, last)
				}
			}
		}
	}
	if windows == 0 {
		t.Error("no window was tested")
	}
}

func TestDriftIgnoresWhatIsNoQuestion(t *testing.T) {
	d := open(t, t.TempDir(), 50)
	for range 200 {
		d.Finished(t.Context(), pipeline.OperationSearch, nil, time.Now(), time.Now(), nil)
		d.Finished(t.Context(), pipeline.OperationAsk, nil, time.Now(), time.Now(), pipeline.ErrClosed)
	}
	if d.Last().N != 0 {
		t.Errorf("a window was made of %+v", d.Last())
	}
}

func TestOpenDriftRefuses(t *testing.T) {
	dir := t.TempDir()
	logger := slog.New(slog.DiscardHandler)
	if _, err := monitor.OpenDrift(dir, monitor.DriftConfig{Window: 10, FalseAlarms: 0.1}, logger); err == nil {
		t.Error("a window of 10 was accepted")
	}
	if _, err := monitor.OpenDrift(dir, monitor.DriftConfig{Window: 100}, logger); err == nil {
		t.Error("no false alarms at all were accepted")
	}
	for _, content := range []string{"{", `{"version": 2}`} {
		if err := os.WriteFile(filepath.Join(dir, "drift-reference.json"), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := monitor.OpenDrift(dir, monitor.DefaultDriftConfig(), logger); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("the reference %s gave %v", content, err)
		}
	}
}
