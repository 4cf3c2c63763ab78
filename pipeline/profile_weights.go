package pipeline

import (
	"cmp"
	"errors"
	"slices"
)

// The grids of the weights: steps and their size. Cosines of texts that belong
// together differ by some tenths only, so their weight is the greatest.
const (
	bm25Steps, bm25Size           = 49, 0.5
	vectorSteps, vectorSize       = 25, 2.0
	relevanceSteps, relevanceSize = 9, 0.5
)

// fitWeights returns a profile with the weights that give the most correct first
// answers; among equals the least weights.
func fitWeights(observations []Observation) Profile {
	vectors, relevances := 1, 1
	for _, o := range observations {
		for _, s := range o.Spans {
			if s.Vector != 0 {
				vectors = vectorSteps
			}
			if s.Relevance != 0 {
				relevances = relevanceSteps
			}
		}
	}
	best, most := Profile{}, -1
	for r := range relevances {
		for v := range vectors {
			for b := range bm25Steps {
				p := Profile{BM25Weight: float64(b) * bm25Size, VectorWeight: float64(v) * vectorSize, RelevanceWeight: float64(r) * relevanceSize}
				if correct := p.countCorrect(observations); correct > most {
					best, most = p, correct
				}
			}
		}
	}
	return best
}

func (p Profile) countCorrect(observations []Observation) int {
	correct := 0
	for _, o := range observations {
		if !o.Answered || len(o.Spans) == 0 {
			continue
		}
		top, score := 0, p.fused(o.Spans[0])
		for i, s := range o.Spans[1:] {
			if f := p.fused(s); f > score {
				top, score = i+1, f
			}
		}
		if o.Spans[top].Correct {
			correct++
		}
	}
	return correct
}

// A RankObservation is one question as the vector ranker saw it: the material
// for [FitVectorShare].
type RankObservation struct {
	// Candidates are those of the retrieval, in its order.
	Candidates []RankedCandidate
}

// A RankedCandidate has its BM25 score as part of the question's best, the
// cosine of question and passage, and whether it is of the right document.
type RankedCandidate struct {
	DocumentID   string
	BM25, Vector float64
	Gold         bool
}

// Ranking returns the candidates' documents in the order that a share of the
// vector score gives; one with several candidates is in it as often.
func (o RankObservation) Ranking(share float64) []string {
	order := slices.Clone(o.Candidates)
	slices.SortStableFunc(order, func(a, b RankedCandidate) int { return -cmp.Compare(a.score(share), b.score(share)) })
	ids := make([]string, len(order))
	for i, c := range order {
		ids[i] = c.DocumentID
	}
	return ids
}

func (c RankedCandidate) score(share float64) float64 { return share*c.Vector + (1-share)*c.BM25 }

// FitVectorShare returns the share of the vector score, of a grid from 0 to 1 in
// steps of 0.05, with which a right candidate is most often among the first n,
// and how often that is without and with it. Among equals the one with the
// greatest mean reciprocal rank is taken.
func FitVectorShare(observations []RankObservation, n int) (share, before, after float64, err error) {
	if len(observations) < 50 {
		return 0, 0, 0, errors.New("pipeline: fit vector share: at least 50 questions are needed")
	}
	best := -1.0
	for step := range 21 {
		s := float64(step) / 20
		found, reciprocal := 0, 0.0
		for _, o := range observations {
			if rank := o.Rank(s); rank > 0 {
				reciprocal += 1 / float64(rank)
				if rank <= n {
					found++
				}
			}
		}
		recall := float64(found) / float64(len(observations))
		if step == 0 {
			before = recall
		}
		// The reciprocal rank decides only where the recall is the same.
		if value := recall + 1e-6*reciprocal/float64(len(observations)); value > best {
			share, best, after = s, value, recall
		}
	}
	return share, before, after, nil
}

// Rank returns the place of the first right candidate in that order, from 1, or
// 0 if there is none.
func (o RankObservation) Rank(share float64) int {
	gold := -1
	for i, c := range o.Candidates {
		if c.Gold && (gold < 0 || c.score(share) > o.Candidates[gold].score(share)) {
			gold = i
		}
	}
	if gold < 0 {
		return 0
	}
	rank, best := 1, o.Candidates[gold].score(share)
	for i, c := range o.Candidates {
		if s := c.score(share); s > best || i < gold && s == best {
			rank++
		}
	}
	return rank
}
