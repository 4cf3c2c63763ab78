package monitor_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// answering is a pipeline that knows answers by question, until its model is a
// bad one.
type answering struct {
	mu         sync.Mutex
	answers    map[string]string
	model      string
	generation uint64
	asked      int
	used       []pipeline.ModelUse
	fail       error
}

func (a *answering) Ask(_ context.Context, request pipeline.Request) (*pipeline.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.fail != nil {
		return nil, a.fail
	}
	result := &pipeline.Result{Model: pipeline.ModelRef{Hash: a.model}, Generation: a.generation}
	text, ok := a.answers[request.Question]
	if a.model == "bad" {
		text, ok = "rubbish", true
	}
	if ok {
		result.Answerable = true
		result.Answers = []pipeline.Answer{{Text: text, Probability: 0.9}}
	}
	return result, nil
}

func (a *answering) Stats(context.Context, string) (retriever.Statistics, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return retriever.Statistics{Generation: a.generation}, nil
}

func (a *answering) Models(context.Context) ([]pipeline.ModelStatus, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return []pipeline.ModelStatus{{Role: pipeline.RoleReader, Bundle: a.model, Chosen: true, Model: pipeline.ModelRef{Hash: a.model, Precision: "int8"}}}, nil
}

func (a *answering) UseModel(_ context.Context, use pipeline.ModelUse) (*pipeline.ModelSwap, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = append(a.used, use)
	a.model = use.Bundle
	return &pipeline.ModelSwap{}, nil
}

func (a *answering) change(do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	do()
}

func known() *answering {
	return &answering{answers: map[string]string{"who?": "Ann", "when?": "1990"}, model: "good", generation: 1}
}

func goldens() []monitor.Canary {
	return []monitor.Canary{
		{ID: "1", Question: "who?", Answers: []string{"Ann"}},
		{ID: "2", Question: "when?", Answers: []string{"in 1990", "1990"}},
		{ID: "3", Question: "why?"},
	}
}

// watched runs a watch in a bubble of its own time until do returns, and
// returns the bodies that its webhook got.
func watched(t *testing.T, system *answering, canaries *monitor.Canaries, config monitor.WatchConfig, do func(w *monitor.Watch)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := monitor.NewWatch(canaries, system, config, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		synctest.Wait()
		do(w)
		cancel()
		running.Wait()
	})
}

func TestWatchSchedule(t *testing.T) {
	system, canaries := known(), monitor.OpenCanaries(t.TempDir())
	if _, err := canaries.Set(t.Context(), system, "hr", goldens(), 0); err != nil {
		t.Fatal(err)
	}
	var reasons []string
	watched(t, system, canaries, monitor.WatchConfig{Interval: time.Hour, Settle: 10 * time.Second}, func(w *monitor.Watch) {
		time.Sleep(30 * time.Minute)
		for range 3 { // an import goes on for a while
			system.change(func() { system.generation++ })
			time.Sleep(9 * time.Second)
		}
		time.Sleep(30 * time.Minute)
		system.change(func() { system.model = "better" })
		time.Sleep(11 * time.Second)
		time.Sleep(61 * time.Minute)
		if run := w.Last()["hr"]; !run.Healthy() || run.Score != 1 || run.Model.Hash != "better" {
			t.Errorf("the last run is %+v", run)
		}
		runs, err := canaries.Runs("hr")
		if err != nil {
			t.Error(err)
		}
		for _, run := range slices.Backward(runs) {
			reasons = append(reasons, run.Reason)
		}
	})
	if want := []string{"start", "index", "model", "schedule"}; !slices.Equal(reasons, want) {
		t.Errorf("the canaries were asked because of %v, want %v", reasons, want)
	}
}

func TestWatchRollsBack(t *testing.T) {
	for name, c := range map[string]struct {
		rollback bool
		model    string
	}{"on": {true, "good"}, "off": {false, "bad"}} {
		t.Run(name, func(t *testing.T) {
			system, canaries := known(), monitor.OpenCanaries(t.TempDir())
			if _, err := canaries.Set(t.Context(), system, "hr", goldens(), 0); err != nil {
				t.Fatal(err)
			}
			watched(t, system, canaries, monitor.WatchConfig{Interval: time.Hour, Settle: time.Second, Rollback: c.rollback}, func(w *monitor.Watch) {
				system.change(func() { system.model = "bad" })
				time.Sleep(3 * time.Second)
				if healthy := w.Last()["hr"].Healthy(); healthy != c.rollback {
					t.Errorf("healthy is %v, want %v", healthy, c.rollback)
				}
				if n := w.Rollbacks(); (n == 1) != c.rollback {
					t.Errorf("%d models were rolled back", n)
				}
			})
			if system.model != c.model {
				t.Errorf("the model is %s, want %s", system.model, c.model)
			}
			if c.rollback && (len(system.used) != 1 || system.used[0].Precision != "int8") {
				t.Errorf("exchanges: %+v, want one to the model before", system.used)
			}
		})
	}
}

// TestWatchStaysQuiet is a week of a healthy system whose index changes every
// hour.
func TestWatchStaysQuiet(t *testing.T) {
	system, canaries := known(), monitor.OpenCanaries(t.TempDir())
	if _, err := canaries.Set(t.Context(), system, "hr", goldens(), 0); err != nil {
		t.Fatal(err)
	}
	watched(t, system, canaries, monitor.WatchConfig{Interval: 20 * time.Minute, Settle: 10 * time.Second}, func(*monitor.Watch) {
		for range 7 * 24 {
			time.Sleep(time.Hour)
			system.change(func() { system.generation++ })
		}
	})
	runs, err := canaries.Runs("hr")
	if err != nil || len(runs) == 0 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for _, run := range runs {
		if !run.Healthy() {
			t.Fatalf("false alarm: %v", run.Alarms)
		}
	}
	if system.asked < 7*24*2*len(goldens()) {
		t.Errorf("%d questions were asked in a week", system.asked)
	}
}

func TestWebhook(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(data))
		w.WriteHeader(http.StatusTeapot) // what it says changes nothing
	}))
	defer server.Close()
	system, canaries := known(), monitor.OpenCanaries(t.TempDir())
	if _, err := canaries.Set(t.Context(), system, "hr", goldens(), 0); err != nil {
		t.Fatal(err)
	}
	w := monitor.NewWatch(canaries, system, monitor.WatchConfig{Interval: time.Millisecond, Settle: 10 * time.Millisecond, Webhook: server.URL}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	until := func(what string, done func() bool) {
		for range 1000 {
			if done() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("waited in vain for %s", what)
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(bodies)
	}
	until("a healthy run", func() bool { return len(w.Last()) == 1 })
	if n := count(); n != 0 {
		t.Errorf("the webhook was called %d times without an alarm", n)
	}
	system.change(func() { system.fail = errors.New("the disk is gone") })
	until("an alarm", func() bool { return count() > 0 })
	system.change(func() { system.fail = nil })
	until("the end of the alarm", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !strings.Contains(bodies[len(bodies)-1], "alarms")
	})
	cancel()
	running.Wait()
	var event struct {
		Event    string   `json:"event"`
		Index    string   `json:"index"`
		Alarms   []string `json:"alarms"`
		Outcomes []any    `json:"outcomes"`
	}
	if err := json.Unmarshal([]byte(bodies[0]), &event); err != nil {
		t.Fatal(err)
	}
	if event.Event != "needle.canary" || event.Index != "hr" || len(event.Alarms) != 3 || len(event.Outcomes) != 0 || !strings.Contains(event.Alarms[0], "the disk is gone") {
		t.Errorf("the webhook got %s", bodies[0])
	}
}

func TestCanarySetRefuses(t *testing.T) {
	system := known()
	for name, c := range map[string]struct {
		index    string
		canaries []monitor.Canary
		drop     float64
		want     error
	}{
		"none":           {"hr", nil, 0, monitor.ErrInvalidCanary},
		"empty question": {"hr", []monitor.Canary{{ID: "1", Question: " "}}, 0, monitor.ErrInvalidCanary},
		"id twice":       {"hr", []monitor.Canary{{ID: "1", Question: "a"}, {ID: "1", Question: "b"}}, 0, monitor.ErrInvalidCanary},
		"too many":       {"hr", make([]monitor.Canary, monitor.MaxCanaries+1), 0, monitor.ErrInvalidCanary},
		"drop":           {"hr", goldens(), 2, monitor.ErrInvalidCanary},
		"index":          {"../hr", goldens(), 0, retriever.ErrInvalidIndexName},
	} {
		t.Run(name, func(t *testing.T) {
			canaries := monitor.OpenCanaries(t.TempDir())
			if _, err := canaries.Set(t.Context(), system, c.index, c.canaries, c.drop); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if names, err := canaries.Indexes(); err != nil || len(names) != 0 {
				t.Errorf("there are canaries for %v, %v", names, err)
			}
		})
	}
	canaries := monitor.OpenCanaries(t.TempDir())
	if _, err := canaries.Run(t.Context(), system, "hr", "x"); !errors.Is(err, monitor.ErrNoCanaries) {
		t.Errorf("Run without canaries gave %v", err)
	}
	if err := canaries.Remove("hr"); !errors.Is(err, monitor.ErrNoCanaries) {
		t.Errorf("Remove without canaries gave %v", err)
	}
}
