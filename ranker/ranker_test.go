package ranker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/ranker"
	"github.com/needle-search/needle/retriever"
)

func hit(id string, bm25 float64) retriever.Hit {
	return retriever.Hit{Passage: retriever.Passage{DocumentID: id}, Scores: retriever.Scores{BM25: bm25}}
}

func order(hits []retriever.Hit) string {
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.DocumentID
	}
	return strings.Join(ids, " ")
}

func TestByVector(t *testing.T) {
	question := []int8{127, 0}
	near, far, half := []int8{100, 0}, []int8{0, 90}, []int8{50, 50}
	tests := []struct {
		name    string
		bm25    []float64
		vectors [][]int8
		share   float64
		want    string
	}{
		{"vectors alone", []float64{9, 5, 1}, [][]int8{far, half, near}, 1, "c b a"},
		{"BM25 alone", []float64{9, 5, 1}, [][]int8{far, half, near}, 0, "a b c"},
		{"both", []float64{9, 8, 1}, [][]int8{far, near, near}, 0.5, "b c a"},
		{"equal scores keep their order", []float64{3, 3, 3}, [][]int8{near, near, near}, 0.5, "a b c"},
		{"a hit without a vector counts as average", []float64{5, 5, 5}, [][]int8{far, nil, near}, 0.5, "c b a"},
		{"no vectors at all", []float64{1, 3, 2}, [][]int8{nil, nil, nil}, 0.5, "b c a"},
		{"no BM25 at all", []float64{0, 0, 0}, [][]int8{far, half, near}, 0.5, "c b a"},
		{"no hits", nil, nil, 0.5, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var hits []retriever.Hit
			for i, score := range tt.bm25 {
				hits = append(hits, hit(string(rune('a'+i)), score))
			}
			got := ranker.ByVector(hits, question, tt.vectors, tt.share)
			if order(got) != tt.want {
				t.Errorf("order is %q, want %q", order(got), tt.want)
			}
			for _, h := range got {
				v := tt.vectors[h.DocumentID[0]-'a']
				if (v == nil) != (h.Scores.Vector == nil) {
					t.Errorf("%s has the vector score %v for the vector %v", h.DocumentID, h.Scores.Vector, v)
				}
				if v != nil && math.Abs(*h.Scores.Vector-retriever.Cosine(question, v)) > 1e-12 {
					t.Errorf("%s has the vector score %v, want %v", h.DocumentID, *h.Scores.Vector, retriever.Cosine(question, v))
				}
			}
		})
	}
}

func TestByRelevance(t *testing.T) {
	hits := []retriever.Hit{hit("a", 3), hit("b", 2), hit("c", 1)}
	got, before := ranker.ByRelevance(hits, []float64{-4, 5, -4}, 0.5)
	if order(got) != "b a c" || !slices.Equal(before, []int{1, 0, 2}) {
		t.Errorf("order is %q from places %v, want b a c from 1 0 2", order(got), before)
	}
	if *got[0].Scores.Relevance != 5 || *got[1].Scores.Relevance != -4 {
		t.Errorf("relevance scores are %v and %v, want 5 and -4", *got[0].Scores.Relevance, *got[1].Scores.Relevance)
	}
}

func TestEmbedder(t *testing.T) {
	tokenizer := modelstest.NewTokenizer()
	model := modelstest.NewLanguageModel(modelstest.Options{MaxLength: 32})
	defer model.Close()
	e := ranker.NewEmbedder(tokenizer, model, modelstest.EmbeddingHead{Size: 16})
	passages := []retriever.Hit{
		{Passage: retriever.Passage{Text: "it stands in Paris"}, Title: "Tower"},
		{Passage: retriever.Passage{Text: "it stands in Paris"}},
		{Passage: retriever.Passage{Text: strings.Repeat("long ", 500)}},
	}
	vectors, err := e.Passages(t.Context(), passages)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range vectors {
		if err := retriever.CheckVector(v, 16); err != nil {
			t.Errorf("vector %d: %v", i, err)
		}
	}
	if slices.Equal(vectors[0], vectors[1]) {
		t.Error("a title makes no difference")
	}
	question, err := e.Question(t.Context(), "it stands in Paris")
	if err != nil {
		t.Fatal(err)
	}
	if got := retriever.Cosine(question, vectors[1]); got < 0.999 {
		t.Errorf("a text and itself have the cosine %v, want 1", got)
	}
	if _, encodings := model.Runs(); encodings != 4 {
		t.Errorf("the model ran %d encodings, want one for each of 4 texts", encodings)
	}
}

func TestEmbedderErrors(t *testing.T) {
	broken := errors.New("the graph broke")
	model := modelstest.NewLanguageModel(modelstest.Options{BeforeRun: func(context.Context, []models.Encoding) error { return broken }})
	defer model.Close()
	e := ranker.NewEmbedder(modelstest.NewTokenizer(), model, modelstest.EmbeddingHead{Size: 16})
	if _, err := e.Question(t.Context(), "what?"); !errors.Is(err, broken) {
		t.Errorf("got error %v, want the model's", err)
	}
}

func ExampleByVector() {
	hits := []retriever.Hit{hit("mentions the words", 12), hit("says it in others", 9)}
	vectors := [][]int8{{10, 100}, {100, 20}}
	for _, h := range ranker.ByVector(hits, []int8{127, 10}, vectors, ranker.DefaultShare) {
		fmt.Printf("%s %.2f\n", h.DocumentID, *h.Scores.Vector)
	}
	// Output:
	// says it in others 0.99
	// mentions the words 0.18
}
