package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// rankerFakes is fakes with an embedding bundle and a relevance head, both fake.
// It counts the encodings that hold a question and a passage, which are what
// the reader and the relevance head look at.
func rankerFakes(t testing.TB, typ pipeline.RankerType, options modelstest.Options, answers ...modelstest.Span) (*pipeline.Config, *atomic.Int64) {
	t.Helper()
	var pairs atomic.Int64
	before := options.BeforeRun
	options.BeforeRun = func(ctx context.Context, batch []models.Encoding) error {
		for _, e := range batch {
			if slices.Contains(e.Sequences, models.SequenceSecond) {
				pairs.Add(1)
			}
		}
		if before != nil {
			return before(ctx, batch)
		}
		return nil
	}
	cfg := fakes(t, modelstest.Options{}, answers...)
	registry := cfg.Registry()
	registry.SetModel(func(context.Context, *models.Bundle, pipeline.ModelOptions) (models.LanguageModel, error) {
		return modelstest.NewLanguageModel(options), nil
	})
	registry.AddHead(models.HeadEmbedding, func(models.HeadSpec, func(string) ([]byte, error), models.ModelInfo) (models.Head, error) {
		return modelstest.EmbeddingHead{Size: 64}, nil
	})
	registry.AddHead(models.HeadRelevance, func(models.HeadSpec, func(string) ([]byte, error), models.ModelInfo) (models.Head, error) {
		return modelstest.RelevanceHead{}, nil
	})
	bundle := func(heads ...models.HeadSpec) pipeline.OpenBundle {
		return func() (*models.Bundle, error) {
			b, err := modelstest.NewBundle()
			if err == nil {
				b.Manifest.Heads = heads
				b.Hash = fmt.Sprint("hash of ", len(heads), heads[0].Kind)
			}
			return b, err
		}
	}
	registry.AddBundle("fake", bundle(models.HeadSpec{Kind: models.HeadSpan}, models.HeadSpec{Kind: models.HeadRelevance}))
	registry.AddBundle("fake-embedding", bundle(models.HeadSpec{Kind: models.HeadEmbedding}))
	cfg.Ranker.Type, cfg.Ranker.Bundle = typ, "fake-embedding"
	return cfg, &pairs
}

func fill(t testing.TB, p *pipeline.Pipeline) {
	t.Helper()
	if err := p.FillVectors(context.Background(), "", nil); err != nil {
		t.Fatal(err)
	}
}

// TestVectorRanker follows an index from the first write over its vectors to a
// change: ranked, and said so, exactly when all candidates have their vectors.
func TestVectorRanker(t *testing.T) {
	cfg, _ := rankerFakes(t, pipeline.RankerVector, modelstest.Options{}, designers()...)
	p := open(t, cfg)
	put(t, p, towers()...)
	question := pipeline.Request{Question: "Who designed the tower?", Explain: true}
	before := ask(t, p, question)
	if before.VectorCoverage == nil || *before.VectorCoverage >= 1 || !slices.ContainsFunc(before.Warnings, func(w string) bool { return strings.Contains(w, "vectors") }) {
		t.Errorf("without vectors: coverage %v, warnings %q; want both to say so", before.VectorCoverage, before.Warnings)
	}
	if !before.Answerable || before.Candidates[0].Scores.Vector != nil {
		t.Errorf("without vectors: answerable %v, scores %+v; want an answer in the order of retrieval", before.Answerable, before.Candidates[0].Scores)
	}
	fill(t, p)
	after := ask(t, p, question)
	if after.VectorCoverage != nil || slices.ContainsFunc(after.Warnings, func(w string) bool { return strings.Contains(w, "vectors") }) {
		t.Errorf("with vectors: coverage %v, warnings %q; want nothing said", after.VectorCoverage, after.Warnings)
	}
	for _, c := range after.Candidates {
		if c.Scores.Vector == nil || *c.Scores.Vector < -1 || *c.Scores.Vector > 1 {
			t.Errorf("candidate %s has scores %+v, want a cosine", c.PassageID, c.Scores)
		}
	}
	if after.Answers[0].Scores.Vector == nil {
		t.Errorf("the answer has scores %+v, want a cosine", after.Answers[0].Scores)
	}
	put(t, p, retriever.Document{ID: "cn", Title: "CN Tower", Text: "The tower was designed by John Andrews and others."})
	if changed := ask(t, p, question); changed.VectorCoverage == nil {
		t.Error("after a change: want the coverage to say that vectors are missing")
	}
	fill(t, p)
	if again := ask(t, p, question); again.VectorCoverage != nil || again.Candidates[0].Scores.Vector == nil {
		t.Errorf("after the change was embedded: coverage %v, want none", again.VectorCoverage)
	}
	search, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "who designed the tower", Access: pipeline.FullAccess()})
	if err != nil {
		t.Fatal(err)
	}
	if len(search.Hits) != 3 || search.Hits[0].Scores.Vector == nil {
		t.Errorf("search gives %d hits, the first with %+v; want 3 with a cosine", len(search.Hits), search.Hits[0].Scores)
	}
}

// TestVectorsFollowInTheBackground: nobody has to ask for the vectors.
func TestVectorsFollowInTheBackground(t *testing.T) {
	cfg, _ := rankerFakes(t, pipeline.RankerVector, modelstest.Options{}, designers()...)
	p := open(t, cfg)
	put(t, p, towers()...)
	deadline := time.Now().Add(time.Minute)
	for {
		coverage, err := p.VectorCoverage(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if coverage.Complete() && coverage.Passages == 3 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("coverage is %+v after a minute", coverage)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestSearchPrefix: more hits do not change the first ones, even where only part
// of them is ranked.
func TestSearchPrefix(t *testing.T) {
	cfg, _ := rankerFakes(t, pipeline.RankerVector, modelstest.Options{})
	cfg.Retriever.TopK = 5
	p := open(t, cfg)
	var documents []retriever.Document
	for i := range 12 {
		documents = append(documents, retriever.Document{ID: fmt.Sprintf("d%02d", i), Text: "A tower " + strings.Repeat("and a tower ", i%4) + fmt.Sprintf("with number %d in a list of %d.", i, i*7)})
	}
	put(t, p, documents...)
	fill(t, p)
	var longest []string
	for _, n := range []int{12, 7, 5, 3} {
		result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "tower number 3", TopK: n, Access: pipeline.FullAccess()})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, h := range result.Hits {
			ids = append(ids, h.DocumentID)
		}
		if longest == nil {
			longest = ids
		}
		if len(ids) != n || !slices.Equal(ids, longest[:n]) {
			t.Errorf("top %d are %v, want the first of %v", n, ids, longest)
		}
	}
}

// TestRankerFallsBack: a ranker that fails costs its order, not the answer.
func TestRankerFallsBack(t *testing.T) {
	cfg, _ := rankerFakes(t, pipeline.RankerVector, modelstest.Options{}, designers()...)
	p := open(t, cfg)
	put(t, p, towers()...)
	fill(t, p)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Registry().AddHead(models.HeadEmbedding, func(models.HeadSpec, func(string) ([]byte, error), models.ModelInfo) (models.Head, error) {
		return nil, errors.New("no such head")
	})
	p = open(t, cfg)
	result := ask(t, p, pipeline.Request{Question: "Who designed the tower?"})
	if !result.Answerable || !slices.ContainsFunc(result.Warnings, func(w string) bool { return strings.Contains(w, "no such head") }) {
		t.Errorf("answerable %v, warnings %q; want an answer and the reason", result.Answerable, result.Warnings)
	}
}

// TestOnePassForTwoHeads: the relevance head looks at what the reader reads, in
// the same run of the language model.
func TestOnePassForTwoHeads(t *testing.T) {
	tests := []struct {
		name  string
		typ   pipeline.RankerType
		depth int
		top   int
		want  int64 // runs of question and passage
		kept  int
	}{
		{"reader alone", pipeline.RankerNone, 5, 3, 3, 3},
		{"relevance looks at more than are kept", pipeline.RankerRelevance, 5, 3, 5, 3},
		{"relevance looks at what is kept", pipeline.RankerRelevance, 3, 3, 3, 3},
		{"vectors choose what relevance looks at", pipeline.RankerBoth, 4, 2, 4, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, pairs := rankerFakes(t, tt.typ, modelstest.Options{}, modelstest.Span{Answer: "right", Score: 5})
			cfg.Ranker.Depth, cfg.Ranker.TopK = tt.depth, tt.top
			cfg.Limits.CacheBytes = 0
			p := open(t, cfg)
			var documents []retriever.Document
			for i := range 8 {
				documents = append(documents, retriever.Document{ID: fmt.Sprint("d", i), Text: fmt.Sprintf("tower %d is right %s", i, strings.Repeat("tower ", i))})
			}
			put(t, p, documents...)
			if tt.typ == pipeline.RankerBoth {
				fill(t, p)
			}
			pairs.Store(0)
			result := ask(t, p, pipeline.Request{Question: "which tower 5 is right", TopK: 10, Explain: true, IncludeRejected: true})
			if pairs.Load() != tt.want {
				t.Errorf("the model ran %d pairs of question and passage, want %d", pairs.Load(), tt.want)
			}
			if len(result.Candidates) != tt.kept {
				t.Errorf("%d candidates were kept, want %d", len(result.Candidates), tt.kept)
			}
			for _, c := range result.Candidates {
				if (c.Scores.Relevance != nil) != (tt.typ != pipeline.RankerNone) {
					t.Errorf("candidate %s has scores %+v", c.PassageID, c.Scores)
				}
			}
			for _, a := range append(result.Answers, result.Rejected...) {
				if !slices.ContainsFunc(result.Candidates, func(c pipeline.Candidate) bool { return c.DocumentID == a.DocumentID }) {
					t.Errorf("answer from %s, which was not kept", a.DocumentID)
				}
				if a.Text != "right" && a.Scores.SpanLogit > 0 {
					t.Errorf("answer %q of %s: spans got mixed up", a.Text, a.DocumentID)
				}
			}
		})
	}
}

// TestRelevanceNeedsItsHead: a bundle without the head is refused when the
// pipeline is opened.
func TestRelevanceNeedsItsHead(t *testing.T) {
	cfg := fakes(t, modelstest.Options{})
	cfg.Ranker.Type = pipeline.RankerRelevance
	if _, err := pipeline.Open(t.Context(), cfg); !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), "relevance") {
		t.Errorf("Open: %v, want ErrInvalidBundle that names the head", err)
	}
}

// TestVectorBundleNeedsItsHead: so is an embedding bundle that is none.
func TestVectorBundleNeedsItsHead(t *testing.T) {
	cfg, _ := rankerFakes(t, pipeline.RankerVector, modelstest.Options{})
	cfg.Ranker.Bundle = "fake"
	if _, err := pipeline.Open(t.Context(), cfg); !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), "ranker.bundle") {
		t.Errorf("Open: %v, want ErrInvalidBundle that names ranker.bundle", err)
	}
}

// TestFitVectorShare: where the vectors know better, they get the say.
func TestFitVectorShare(t *testing.T) {
	observations := make([]pipeline.RankObservation, 100)
	for i := range observations {
		o := pipeline.RankObservation{Candidates: []pipeline.RankedCandidate{{DocumentID: "a", BM25: 1, Vector: 0.2}, {DocumentID: "b", BM25: 0.7, Vector: 0.8}}}
		o.Candidates[1].Gold = i < 90
		o.Candidates[0].Gold = i >= 90
		observations[i] = o
	}
	share, before, after, err := pipeline.FitVectorShare(observations, 1)
	if err != nil || before != 0.1 || after != 0.9 || share < 0.35 {
		t.Errorf("share %v, before %v, after %v, %v; want more than 0.3, 0.1 and 0.9", share, before, after, err)
	}
	if got := observations[0].Ranking(share); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("ranking is %v, want b first", got)
	}
	if _, _, _, err := pipeline.FitVectorShare(observations[:10], 1); err == nil {
		t.Error("ten questions are enough to fit, want an error")
	}
}
