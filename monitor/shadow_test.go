package monitor_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
)

// answersWith is a candidate that gives what a function says.
type answersWith func(ctx context.Context, r pipeline.Request) (*pipeline.Result, error)

func (f answersWith) Ask(ctx context.Context, r pipeline.Request) (*pipeline.Result, error) {
	return f(ctx, r)
}

func given(document string, probability float64) *pipeline.Result {
	r := &pipeline.Result{Index: "hr", Complete: true, TimingsMS: map[string]float64{"total": 20}}
	if document != "" {
		r.Answerable = true
		r.Answers = []pipeline.Answer{{DocumentID: document, Start: 1, End: 5, Probability: probability}}
	}
	return r
}

func TestShadowCompares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		candidate := answersWith(func(_ context.Context, r pipeline.Request) (*pipeline.Result, error) {
			switch {
			case !r.Fresh || !r.IncludeRejected || r.Progress != nil || r.Budget != 0:
				t.Errorf("the candidate was asked %+v", r)
			case r.Question == "fails":
				return nil, errors.New("it fails")
			}
			return given(map[string]string{"same": "a", "other": "b", "found": "a"}[r.Question], 0.9), nil
		})
		s, err := monitor.NewShadow(t.Context(), candidate, monitor.ShadowConfig{Share: 1, KeepText: true, Redact: true}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for question, current := range map[string]*pipeline.Result{
			"same": given("a", 0.5), "other": given("a", 0.5), "lost": given("a", 0.5), "found": given("", 0), "neither": given("", 0), "fails": given("a", 1),
		} {
			s.Offer(t.Context(), pipeline.Request{Question: question, Budget: time.Second, Progress: func(pipeline.Progress) {}}, current)
		}
		synctest.Wait()
		status := s.Status()
		want := map[string]int{pipeline.ShadowSame: 2, pipeline.ShadowOther: 1, pipeline.ShadowOnlyCurrent: 1, pipeline.ShadowOnlyCandidate: 1}
		for outcome, n := range want {
			if status.Outcomes[outcome] != n {
				t.Errorf("%s: got %d, want %d", outcome, status.Outcomes[outcome], n)
			}
		}
		if status.Sampled != 6 || status.Asked != 6 || status.Failed != 1 || status.Dropped != 0 || len(status.Differences) != 3 || status.CandidateMS != 20 {
			t.Errorf("got %+v", status)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s.Offer(t.Context(), pipeline.Request{Question: "late"}, given("a", 1))
		if again := s.Status(); again.Running || again.Sampled != 6 {
			t.Errorf("after Close: got %+v", again)
		}
	})
}

// TestShadowIsBounded says that a candidate that hangs, or a model that users
// never leave free, cost questions of the sample and nothing else.
func TestShadowIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := answersWith(func(ctx context.Context, _ pipeline.Request) (*pipeline.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		s, err := monitor.NewShadow(t.Context(), hangs, monitor.ShadowConfig{Share: 1}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for range 1000 {
			s.Offer(t.Context(), pipeline.Request{Question: "q"}, given("a", 1))
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("users waited %v", took)
		}
		if status := s.Status(); status.Dropped < 900 || status.Sampled != 1000 {
			t.Errorf("got %d of %d dropped, want all that do not fit the queue", status.Dropped, status.Sampled)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		counts := answersWith(func(context.Context, pipeline.Request) (*pipeline.Result, error) {
			asked.Add(1)
			return given("a", 1), nil
		})
		s, err := monitor.NewShadow(t.Context(), counts, monitor.ShadowConfig{Share: 1, Idle: func() bool { return false }}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s.Offer(t.Context(), pipeline.Request{Question: "q"}, given("a", 1))
		time.Sleep(time.Hour)
		if status := s.Status(); asked.Load() != 0 || status.Dropped != 1 {
			t.Errorf("a busy model: %d asked, %d dropped; want 0 and 1", asked.Load(), status.Dropped)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestShadowTakesItsShare(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	counts := answersWith(func(context.Context, pipeline.Request) (*pipeline.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		return given("a", 1), nil
	})
	s, err := monitor.NewShadow(t.Context(), counts, monitor.ShadowConfig{Share: 0.1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 20_000 {
		s.Offer(t.Context(), pipeline.Request{Question: "q"}, given("a", 1))
	}
	// Ten standard deviations on either side.
	if n := s.Status().Sampled; n < 1576 || n > 2424 {
		t.Errorf("got %d of 20000 sampled, want about 2000", n)
	}
	for _, share := range []float64{0, -1, 1.1} {
		if _, err := monitor.NewShadow(t.Context(), counts, monitor.ShadowConfig{Share: share}, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("a share of %v was taken", share)
		}
	}
}
