package pipeline_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/needle-search/needle/pipeline"
)

// observations are questions whose answers are right with a known probability:
// the margin counts, and so does the BM25 score.
func observations(n int) []pipeline.Observation {
	random := rand.New(rand.NewPCG(1, 2))
	var list []pipeline.Observation
	for i := range n {
		o := pipeline.Observation{Answered: i%2 == 0}
		for range 5 {
			o.Spans = append(o.Spans, pipeline.ObservedSpan{Margin: random.NormFloat64() * 2, BM25: random.Float64() * 0.6})
		}
		if o.Answered {
			o.Spans = append(o.Spans, pipeline.ObservedSpan{Margin: 1 + random.NormFloat64()*2, BM25: 0.7 + random.Float64()*0.3, Correct: true})
		}
		list = append(list, o)
	}
	return list
}

func TestFitProfile(t *testing.T) {
	p, err := pipeline.FitProfile(observations(4000))
	if err != nil {
		t.Fatal(err)
	}
	if p.BM25Weight <= 1 {
		t.Errorf("BM25 weight %v; the right answers have the best scores, so it should count", p.BM25Weight)
	}
	if p.Answer.Fused+p.Answer.Share <= 0 || p.NoAnswer.Margin >= 0 || p.NoAnswer.BM25 >= 0 || p.NoAnswer.Vector != 0 {
		t.Errorf("better scores must mean more probable answers: %+v", p)
	}
	again, err := pipeline.FitProfile(observations(4000))
	if err != nil || again != p {
		t.Errorf("fitting twice gives %+v and %+v, %v", p, again, err)
	}
}

// TestFittedProbabilities: of the questions with a stated probability of about
// p, about p are right.
func TestFittedProbabilities(t *testing.T) {
	list := observations(4000)
	p, err := pipeline.FitProfile(list)
	if err != nil {
		t.Fatal(err)
	}
	var stated, right float64
	for _, o := range list {
		probability, correct := pipeline.TopProbability(p, o)
		stated += probability
		if correct {
			right++
		}
	}
	if n := float64(len(list)); math.Abs(stated-right)/n > 0.01 {
		t.Errorf("mean stated probability %.3f, share of right answers %.3f", stated/n, right/n)
	}
}

// TestNoAnswerHasWeightsOfItsOwn: the relevance that tells whether there is an
// answer, and not which it is, counts for the one and not for the other.
func TestNoAnswerHasWeightsOfItsOwn(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	list := observations(4000)
	for i, o := range list {
		relevance := random.NormFloat64() - 1
		if o.Answered {
			relevance += 2
		}
		for j := range o.Spans {
			list[i].Spans[j].Relevance = relevance
		}
	}
	p, err := pipeline.FitProfile(list)
	if err != nil {
		t.Fatal(err)
	}
	if p.NoAnswer.Relevance > -1 || p.NoAnswer.Margin >= 0 || p.RelevanceWeight != 0 {
		t.Errorf("got the weights %+v of no answer and %v of the relevance among the answers; want it to count for the first alone", p.NoAnswer, p.RelevanceWeight)
	}
	for i := range list {
		for j := range list[i].Spans {
			list[i].Spans[j].Relevance *= -1
		}
	}
	if p, err = pipeline.FitProfile(list); err != nil || p.NoAnswer.Relevance != 0 {
		t.Errorf("got the weight %v, %v for a relevance that says the opposite; want none", p.NoAnswer.Relevance, err)
	}
}

func TestFitProfileNeedsBothKinds(t *testing.T) {
	for name, list := range map[string][]pipeline.Observation{
		"none":            nil,
		"too few":         observations(60),
		"no unanswerable": onlyAnswered(observations(1000)),
		"no span":         withoutSpans(observations(1000)),
	} {
		if _, err := pipeline.FitProfile(list); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func withoutSpans(list []pipeline.Observation) []pipeline.Observation {
	for i := range list {
		list[i].Spans = nil
	}
	return list
}

func onlyAnswered(list []pipeline.Observation) []pipeline.Observation {
	var kept []pipeline.Observation
	for _, o := range list {
		if o.Answered {
			kept = append(kept, o)
		}
	}
	return kept
}
