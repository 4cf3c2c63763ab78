package ranker_test

import (
	"fmt"
	"testing"

	"github.com/needle-search/needle/ranker"
	"github.com/needle-search/needle/retriever"
)

func TestFuse(t *testing.T) {
	word := func(id string, score float64) retriever.Hit {
		return retriever.Hit{Passage: retriever.Passage{DocumentID: id}, Scores: retriever.Scores{BM25: score}}
	}
	vector := func(id string, cosine float64) retriever.Hit {
		return retriever.Hit{Passage: retriever.Passage{DocumentID: id}, Scores: retriever.Scores{Vector: &cosine}}
	}
	words := []retriever.Hit{word("a", 10), word("b", 5), word("c", 1)}
	vectors := []retriever.Hit{vector("c", 0.9), vector("d", 0.8), vector("b", 0.1)}
	for name, test := range map[string]struct {
		fusion         ranker.Fusion
		words, vectors []retriever.Hit
		limit          int
		want           string
	}{
		// b: 1/62 + 1/63, c: 1/63 + 1/61; a: 1/61; d: 1/62.
		"ranks":               {ranker.Fusion{Method: ranker.ReciprocalRank, Weight: 0.5, K: 60}, words, vectors, 10, "[c b a d]"},
		"ranks, words only":   {ranker.Fusion{Method: ranker.ReciprocalRank, Weight: 0, K: 60}, words, vectors, 10, "[a b c d]"},
		"ranks, vectors only": {ranker.Fusion{Method: ranker.ReciprocalRank, Weight: 1, K: 60}, words, vectors, 10, "[c d b a]"},
		"cut":                 {ranker.Fusion{Method: ranker.ReciprocalRank, Weight: 0.5, K: 60}, words, vectors, 2, "[c b]"},
		"no words":            {ranker.Fusion{Method: ranker.ReciprocalRank, Weight: 0.5, K: 60}, nil, vectors, 10, "[c d b]"},
		"no vectors":          {ranker.Fusion{Method: ranker.Weighted, Weight: 0.5}, words, nil, 10, "[a b c]"},
		"nothing":             {ranker.Fusion{Method: ranker.Weighted, Weight: 0.5}, nil, nil, 10, "[]"},
		"ties by document":    {ranker.Fusion{Method: ranker.ReciprocalRank, Weight: 0.5, K: 60}, words[:1], vectors[1:2], 10, "[a d]"},
		// a: 1+0, b: .5+.1, c: .1+.9, d: 0+.8, each halved.
		"weights": {ranker.Fusion{Method: ranker.Weighted, Weight: 0.5}, words, vectors, 10, "[a c d b]"},
		// Both lists were cut, so a may have a cosine of up to .1, and d words of
		// up to .1: a 1.1, c 1.0, d .9.
		"weights of lists cut off": {ranker.Fusion{Method: ranker.Weighted, Weight: 0.5}, words, vectors, 3, "[a c d]"},
	} {
		t.Run(name, func(t *testing.T) {
			ids := []string{}
			for _, h := range test.fusion.Fuse(test.words, test.vectors, test.limit) {
				ids = append(ids, h.DocumentID)
				if h.DocumentID == "c" && len(test.words)*len(test.vectors) > 0 && (h.Scores.BM25 != 1 || h.Scores.Vector == nil || *h.Scores.Vector != 0.9) {
					t.Errorf("c has the scores %+v, want both", h.Scores)
				}
			}
			if got := fmt.Sprint(ids); got != test.want {
				t.Errorf("order = %s, want %s", got, test.want)
			}
		})
	}
	if words[2].Scores.Vector != nil {
		t.Error("Fuse changed the lists that it was given")
	}
}
