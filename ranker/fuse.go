package ranker

import (
	"cmp"
	"slices"

	"github.com/needle-search/needle/retriever"
)

// The ways to fuse two lists of candidates.
const (
	// ReciprocalRank adds for each list 1/(K+rank), as Cormack, Clarke and
	// Büttcher have it (SIGIR 2009), times the list's weight.
	ReciprocalRank = "rrf"
	// Weighted adds the BM25 score as part of the best, and the cosine, times
	// the list's weight.
	Weighted = "weighted"
)

// A Fusion says how candidates found by their words and by their vectors become
// one list.
type Fusion struct {
	// Method is [ReciprocalRank] or [Weighted].
	Method string
	// Weight is the part of the vectors, from 0 to 1; the words have the rest.
	Weight float64
	// K dampens the first ranks in [ReciprocalRank]; 60 is usual.
	K int
}

// Fuse makes one list of the candidates that were found by their words and by
// their vectors, best first, at most so many. A candidate of both lists keeps
// both scores. With [Weighted], a score that a candidate does not have is taken for
// that of the last of the list that lacks it if that was cut at limit, because it
// cannot be better, and else for nothing. Equal scores are ordered by document,
// then by start.
func (f Fusion) Fuse(words, vectors []retriever.Hit, limit int) []retriever.Hit {
	byID := make(map[string]int, len(words)+len(vectors))
	hits := make([]retriever.Hit, 0, len(words)+len(vectors))
	best := bestBM25(words)
	wordShare, vectorShare := f.shares(words, vectors, best, limit)
	scores := make([]float64, 0, cap(hits))
	for i, h := range words {
		byID[h.ID()] = len(hits)
		hits = append(hits, h)
		scores = append(scores, (1-f.Weight)*wordShare(i)+f.Weight*vectorShare(-1))
	}
	for i, h := range vectors {
		at, both := byID[h.ID()]
		if !both {
			share := wordShare(-1)
			if f.Method == Weighted && h.Scores.BM25 > 0 {
				share = relative(h.Scores.BM25, best) // known though it was not found by words
			}
			hits = append(hits, h)
			scores = append(scores, (1-f.Weight)*share+f.Weight*vectorShare(i))
			continue
		}
		hits[at].Scores.Vector = h.Scores.Vector
		scores[at] += f.Weight * (vectorShare(i) - vectorShare(-1))
	}
	places := make([]int, len(hits))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(hits[a].DocumentID, hits[b].DocumentID), cmp.Compare(hits[a].Start, hits[b].Start))
	})
	fused := make([]retriever.Hit, min(limit, len(hits)))
	for i := range fused {
		fused[i] = hits[places[i]]
	}
	return fused
}

// shares returns what a place in each list is worth; -1 stands for not being in
// it.
func (f Fusion) shares(words, vectors []retriever.Hit, best float64, limit int) (word, vector func(int) float64) {
	if f.Method == ReciprocalRank {
		worth := func(i int) float64 {
			if i < 0 {
				return 0
			}
			return 1 / float64(f.K+i+1)
		}
		return worth, worth
	}
	last := func(list []retriever.Hit, score func(int) float64) float64 {
		if len(list) == 0 || len(list) < limit {
			return 0
		}
		return score(len(list) - 1)
	}
	byWords := func(i int) float64 { return relative(words[i].Scores.BM25, best) }
	byVector := func(i int) float64 {
		if c := vectors[i].Scores.Vector; c != nil {
			return *c
		}
		return 0
	}
	lastWord, lastVector := last(words, byWords), last(vectors, byVector)
	word = func(i int) float64 {
		if i < 0 {
			return lastWord
		}
		return byWords(i)
	}
	vector = func(i int) float64 {
		if i < 0 {
			return lastVector
		}
		return byVector(i)
	}
	return word, vector
}
