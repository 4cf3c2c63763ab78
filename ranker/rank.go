package ranker

import (
	"cmp"
	"math"
	"slices"

	"github.com/needle-search/needle/retriever"
)

// DefaultShare is the part of a fused score that is the ranker's own where no
// score profile says better: half.
const DefaultShare = 0.5

// ByVector orders hits by share times the cosine of question and passage plus
// 1-share times the BM25 score as part of the best, and fills in Scores.Vector.
// A hit without a vector counts as if it had the mean cosine of the others, so
// that it is neither favoured nor lost. Equal scores keep their order. The hits
// are ordered in place and returned.
func ByVector(hits []retriever.Hit, question []int8, vectors [][]int8, share float64) []retriever.Hit {
	cosines := make([]float64, len(hits))
	sum, n := 0.0, 0
	for i, v := range vectors {
		if v == nil || len(v) != len(question) {
			continue
		}
		cosines[i] = retriever.Cosine(question, v)
		hits[i].Scores.Vector = &cosines[i]
		sum += cosines[i]
		n++
	}
	best := bestBM25(hits)
	scores := make([]float64, len(hits))
	for i, h := range hits {
		cosine := 0.0
		switch {
		case h.Scores.Vector != nil:
			cosine = *h.Scores.Vector
		case n > 0:
			cosine = sum / float64(n)
		}
		scores[i] = share*cosine + (1-share)*relative(h.Scores.BM25, best)
	}
	order(hits, scores)
	return hits
}

// ByRelevance orders hits by share times the probability that their relevance
// logit stands for plus 1-share times their rank before (1 for the first,
// falling evenly to 0), and fills in Scores.Relevance. Equal scores keep their
// order. It returns the hits, which are ordered in place, and for each where it
// was before.
func ByRelevance(hits []retriever.Hit, logits []float64, share float64) ([]retriever.Hit, []int) {
	scores := make([]float64, len(hits))
	values := slices.Clone(logits)
	for i := range hits {
		hits[i].Scores.Relevance = &values[i]
		before := 1 - float64(i)/float64(max(len(hits), 1))
		scores[i] = share/(1+math.Exp(-logits[i])) + (1-share)*before
	}
	return hits, order(hits, scores)
}

func bestBM25(hits []retriever.Hit) float64 {
	best := 0.0
	for _, h := range hits {
		best = max(best, h.Scores.BM25)
	}
	return best
}

func relative(value, best float64) float64 {
	if best <= 0 {
		return 0
	}
	return value / best
}

// order sorts hits by falling score and returns where each was before.
func order(hits []retriever.Hit, scores []float64) []int {
	places := make([]int, len(hits))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return -cmp.Compare(scores[a], scores[b]) })
	before := slices.Clone(hits)
	for to, from := range places {
		hits[to] = before[from]
	}
	return places
}
