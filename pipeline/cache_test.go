package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func cacheStats(t testing.TB, p *pipeline.Pipeline, name string) pipeline.CacheStats {
	t.Helper()
	if err := pipeline.CheckCache(p); err != nil {
		t.Error(err)
	}
	for _, s := range p.CacheStats() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no cache %q", name)
	return pipeline.CacheStats{}
}

func TestAnswersAreCached(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	put(t, p, towers()...)
	question := "Who designed the tower?"
	first := ask(t, p, pipeline.Request{Question: question})
	again := ask(t, p, pipeline.Request{Question: question})
	if _, ok := again.TimingsMS["cache"]; !ok {
		t.Errorf("timings of the second answer: got %v, want cache", again.TimingsMS)
	}
	if _, ok := first.TimingsMS["cache"]; ok {
		t.Errorf("timings of the first answer: got %v, want no cache", first.TimingsMS)
	}
	if diff := cmp.Diff(first, again, cmpopts.IgnoreFields(pipeline.Result{}, "TimingsMS")); diff != "" {
		t.Errorf("the cached answer differs (-first +cached):\n%s", diff)
	}
	if stats := cacheStats(t, p, "answers"); stats.Hits != 1 || stats.Misses != 1 || stats.Entries != 1 || stats.Bytes <= 0 {
		t.Errorf("got %+v, want one hit, one miss, one entry", stats)
	}
	// The caller may do with a result what it likes.
	again.Answers[0].Text = "changed"
	if third := ask(t, p, pipeline.Request{Question: question}); third.Answers[0].Text == "changed" {
		t.Error("a caller changed what is cached")
	}
	for name, other := range map[string]pipeline.Request{
		"question":   {Question: question + " "},
		"top_k":      {Question: question, TopK: 1},
		"unit":       {Question: question, OffsetUnit: pipeline.UTF16},
		"rejected":   {Question: question, IncludeRejected: true},
		"explain":    {Question: question, Explain: true},
		"filter":     {Question: question, Filter: &retriever.Filter{Not: &retriever.Filter{Field: "year", Equals: 1.0}}},
		"other type": {Question: question, Filter: &retriever.Filter{Not: &retriever.Filter{Field: "year", Equals: 2.0}}},
	} {
		before := cacheStats(t, p, "answers").Hits
		other.Access = pipeline.FullAccess()
		if _, err := p.Ask(t.Context(), other); err != nil && !errors.Is(err, retriever.ErrInvalidFilter) {
			t.Fatal(err)
		}
		if cacheStats(t, p, "answers").Hits != before {
			t.Errorf("%s: got the answer to another request", name)
		}
	}
}

func TestCacheKeepsGroupsApart(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}))
	put(t, p, retriever.Document{ID: "secret", Text: "The code is 4711.", Groups: []string{"board"}})
	for _, groups := range [][]string{{"board"}, {"staff"}, nil, {"board", "staff"}, {"staff", "board"}, {"bo", "ard"}} {
		access := pipeline.Access{Groups: groups}
		for range 2 {
			result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "What is the code?", Access: access})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := len(result.Hits) == 1, slices.Contains(groups, "board"); got != want {
				t.Errorf("groups %q: found %v, want %v", groups, got, want)
			}
		}
	}
	if got := cacheStats(t, p, "candidates").Hits; got != 7 {
		t.Errorf("hits: got %d, want 7: five second searches, and both of the same groups in another order", got)
	}
}

func TestDeletedTextLeavesTheCache(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	put(t, p, towers()...)
	result := ask(t, p, pipeline.Request{Question: "Who designed the tower?", Explain: true})
	if len(result.Answers) == 0 {
		t.Fatal("no answer")
	}
	a := result.Answers[0]
	if !pipeline.CacheHolds(p, a.Text) || !pipeline.CacheHolds(p, a.DocumentID) {
		t.Fatal("the answer is not in the cache")
	}
	if _, err := p.Delete(t.Context(), "", []string{a.DocumentID}); err != nil {
		t.Fatal(err)
	}
	if pipeline.CacheHolds(p, a.Text) || pipeline.CacheHolds(p, a.DocumentID) {
		t.Error("the deleted document is still in the cache")
	}
	ask(t, p, pipeline.Request{Question: "Who designed the tower?"})
	if err := p.DropIndex(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"answers", "candidates", "tokens"} {
		if stats := cacheStats(t, p, name); stats.Entries != 0 || stats.Bytes != 0 {
			t.Errorf("after the index was dropped: got %+v, want nothing", stats)
		}
	}
}

func TestCacheStaysWithinItsBytes(t *testing.T) {
	cfg := fakes(t, modelstest.Options{}, designers()...)
	cfg.Limits.CacheBytes = 64 << 10
	p := open(t, cfg)
	put(t, p, towers()...)
	for i := range 200 {
		ask(t, p, pipeline.Request{Question: fmt.Sprintf("Who designed tower %d?", i)})
	}
	stats := cacheStats(t, p, "answers")
	if stats.Evictions == 0 || stats.Limit != 64<<10 {
		t.Errorf("got %+v, want evictions", stats)
	}
	cfg = fakes(t, modelstest.Options{}, designers()...)
	cfg.Limits.CacheBytes = 0
	if stats := open(t, cfg).CacheStats(); len(stats) != 0 {
		t.Errorf("without a cache: got %+v", stats)
	}
}

// box is a document with a version; its text names both.
func box(n, version int) retriever.Document {
	return retriever.Document{ID: fmt.Sprintf("box-%d", n), Text: fmt.Sprintf("The box%d box holds v%d things.", n, version)}
}

func versions(most int) []modelstest.Span {
	var spans []modelstest.Span
	for v := range most {
		for n := range 4 {
			spans = append(spans, modelstest.Span{Question: boxQuestion(n), Answer: fmt.Sprintf("v%d", v), Score: 8})
		}
	}
	return spans
}

func boxQuestion(n int) string { return fmt.Sprintf("What is in box%d?", n) }

// TestCacheIsLikeNoCache does the same to a pipeline with a cache and to one
// without and compares every answer.
func TestCacheIsLikeNoCache(t *testing.T) {
	const most = 12
	var both [2]*pipeline.Pipeline
	for i := range both {
		cfg := fakes(t, modelstest.Options{}, versions(most)...)
		cfg.Limits.CacheBytes = pipeline.ByteSize(i * (32 << 10))
		both[i] = open(t, cfg)
		put(t, both[i], box(0, 0))
	}
	rapid.Check(t, func(rt *rapid.T) {
		for _, p := range both {
			if err := errors.Join(p.DropIndex(context.Background(), ""), p.CreateIndex(context.Background(), "")); err != nil {
				rt.Fatal(err)
			}
		}
		for range rapid.IntRange(5, 20).Draw(rt, "steps") {
			n, version := rapid.IntRange(0, 3).Draw(rt, "box"), rapid.IntRange(0, most-1).Draw(rt, "version")
			step := rapid.SampledFrom([]string{"ask", "ask", "ask", "search", "put", "delete", "drop"}).Draw(rt, "step")
			var got [2]any
			for i, p := range both {
				ctx := context.Background()
				switch step {
				case "ask":
					result, err := p.Ask(ctx, pipeline.Request{Question: boxQuestion(n), Explain: version%2 == 0, Access: pipeline.FullAccess()})
					if err != nil {
						rt.Fatal(err)
					}
					result.TimingsMS = nil
					got[i] = result
				case "search":
					result, err := p.Search(ctx, pipeline.SearchRequest{Query: boxQuestion(n), Access: pipeline.FullAccess()})
					if err != nil {
						rt.Fatal(err)
					}
					result.TimingsMS = nil
					got[i] = result
				case "put":
					results, err := p.Put(ctx, "", []retriever.Document{box(n, version)})
					if err != nil {
						rt.Fatal(err)
					}
					got[i] = results
				case "delete":
					deleted, err := p.Delete(ctx, "", []string{box(n, 0).ID})
					if err != nil {
						rt.Fatal(err)
					}
					got[i] = deleted
				case "drop":
					if err := errors.Join(p.DropIndex(ctx, ""), p.CreateIndex(ctx, "")); err != nil {
						rt.Fatal(err)
					}
				}
			}
			if diff := cmp.Diff(got[0], got[1]); diff != "" {
				rt.Fatalf("%s differs (-without +with cache):\n%s", step, diff)
			}
		}
		if err := pipeline.CheckCache(both[1]); err != nil {
			rt.Error(err)
		}
	})
}

// TestNothingStaleUnderConcurrentWrites has writers count up a version each
// while others ask: an answer may not be older than what was acknowledged
// before the question came, nor go back behind an answer given before.
func TestNothingStaleUnderConcurrentWrites(t *testing.T) {
	const most, boxes = 10, 4
	p := open(t, fakes(t, modelstest.Options{}, versions(most)...))
	var acknowledged, begun, seen [boxes]atomic.Int64
	for n := range boxes {
		put(t, p, box(n, 0))
	}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for n := range boxes {
		writers.Go(func() {
			for v := 1; v < most; v++ {
				begun[n].Store(int64(v))
				if _, err := p.Put(context.Background(), "", []retriever.Document{box(n, v)}); err != nil {
					t.Error(err)
				}
				acknowledged[n].Store(int64(v))
			}
		})
	}
	var asked, cached atomic.Int64
	for r := range 3 {
		random := rand.New(rand.NewPCG(1, uint64(r)))
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				n := random.IntN(boxes)
				low := max(acknowledged[n].Load(), seen[n].Load())
				var text string
				if random.IntN(2) == 0 {
					result, err := p.Ask(context.Background(), pipeline.Request{Question: boxQuestion(n), Access: pipeline.FullAccess()})
					if err != nil || len(result.Answers) == 0 {
						t.Errorf("got %+v, %v", result, err)
						return
					}
					if _, ok := result.TimingsMS["cache"]; ok {
						cached.Add(1)
					}
					text = result.Answers[0].Text
				} else {
					result, err := p.Search(context.Background(), pipeline.SearchRequest{Query: fmt.Sprintf("box%d", n), Access: pipeline.FullAccess()})
					if err != nil || len(result.Hits) != 1 {
						t.Errorf("got %+v, %v", result, err)
						return
					}
					text = strings.Fields(result.Hits[0].Text)[4]
				}
				asked.Add(1)
				var got int64
				if _, err := fmt.Sscanf(text, "v%d", &got); err != nil {
					t.Errorf("answer %q: %v", text, err)
					return
				}
				if high := begun[n].Load(); got < low || got > high {
					t.Errorf("box %d: got version %d, want %d to %d", n, got, low, high)
					return
				}
				for {
					old := seen[n].Load()
					if got <= old || seen[n].CompareAndSwap(old, got) {
						break
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	// With the writers gone, what is cached is the newest.
	for n := range boxes {
		for range 2 {
			result := ask(t, p, pipeline.Request{Question: boxQuestion(n)})
			if want := fmt.Sprintf("v%d", most-1); len(result.Answers) == 0 || result.Answers[0].Text != want {
				t.Errorf("box %d: got %v, want %s", n, texts(result.Answers), want)
			}
		}
	}
	if err := pipeline.CheckCache(p); err != nil {
		t.Error(err)
	}
	t.Logf("%d answers, %d of them from the cache", asked.Load(), cached.Load())
}

// TestFreshQuestionsAskTheModel: a question that checks the system must reach
// the model although its answer is in the cache.
func TestFreshQuestionsAskTheModel(t *testing.T) {
	runs := 0
	cfg := fakes(t, modelstest.Options{BeforeRun: func(context.Context, []models.Encoding) error {
		runs++
		return nil
	}})
	p := open(t, cfg)
	put(t, p, retriever.Document{ID: "tower", Text: "The tower was designed by Gustave Eiffel."})
	request := pipeline.Request{Question: "Who designed the tower?", Access: pipeline.FullAccess()}
	ask(t, p, request)
	once := runs
	if ask(t, p, request); runs != once {
		t.Fatalf("a repeated question ran the model %d times more", runs-once)
	}
	request.Fresh = true
	if ask(t, p, request); runs == once {
		t.Error("a fresh question was answered from the cache")
	}
}
