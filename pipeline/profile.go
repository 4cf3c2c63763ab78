package pipeline

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Profile turns the scores of one combination of bundle, retriever and
// ranker into probabilities. It is fitted on questions with known answers; see
// [FitProfile].
//
// With m the margin of a span (its logits less the null answer's), b the BM25
// score of its passage divided by the best BM25 score of the question, v the
// cosine of question and passage vector, r the logit of the relevance head, and
// fused = m + BM25Weight*b + VectorWeight*v + RelevanceWeight*r, the
// probabilities are logistic regressions:
//
//	P(answer correct)   = 1 / (1 + exp(-(Answer.Intercept + Answer.Fused*fused + Answer.Share*ln(share))))
//	P(no answer at all) = 1 / (1 + exp(-(NoAnswer.Intercept + NoAnswer.Fused*fused + NoAnswer.Margin*margin + ...)))
//
// share is exp(fused) over the sum of exp(fused) of all answers of the question
// and exp(0) for the null answer: a rival answer elsewhere lowers it. The
// second is that of the first answer, so of the greatest fused score of all
// windows read: whether there is an answer at all weighs the same evidence
// otherwise than which answer is the best. This is Platt scaling (Platt
// 1999) with the question's other answers as a second feature.
type Profile struct {
	// Bundle is the content hash of the bundle; empty fits every bundle, which
	// makes it a fallback whose results are not called calibrated.
	Bundle string `json:"bundle"`
	// Retriever and Ranker are the types of the stages before the reader.
	Retriever string     `json:"retriever"`
	Ranker    RankerType `json:"ranker"`
	// Embedding is the content hash of the bundle that makes the vectors, empty
	// where the ranker uses none.
	Embedding string `json:"embedding,omitempty"`

	// VectorShare and RelevanceShare are the parts that the rankers' own scores
	// have in the order of candidates; see package ranker.
	VectorShare    float64 `json:"vector_share,omitempty"`
	RelevanceShare float64 `json:"relevance_share,omitempty"`

	BM25Weight      float64  `json:"bm25_weight"`
	VectorWeight    float64  `json:"vector_weight,omitempty"`
	RelevanceWeight float64  `json:"relevance_weight,omitempty"`
	Answer          Logistic `json:"answer"`
	NoAnswer        NoAnswer `json:"no_answer"`
	// NoAnswerThreshold is the no-answer probability from which on a question
	// counts as not answerable.
	NoAnswerThreshold float64 `json:"no_answer_threshold"`
	// Fitted says on what and how the profile was fitted.
	Fitted string `json:"fitted"`
}

// Logistic holds the coefficients of a logistic regression.
type Logistic struct {
	Intercept float64 `json:"intercept"`
	Fused     float64 `json:"fused"`
	Share     float64 `json:"share,omitempty"`
}

// NoAnswer holds the coefficients of the logistic regression of "no answer at
// all". Profiles that were fitted before the evidence had weights of its own
// have Fused alone.
type NoAnswer struct {
	Intercept float64 `json:"intercept"`
	Fused     float64 `json:"fused,omitempty"`
	Margin    float64 `json:"margin,omitempty"`
	BM25      float64 `json:"bm25,omitempty"`
	Vector    float64 `json:"vector,omitempty"`
	Relevance float64 `json:"relevance,omitempty"`
}

func (n NoAnswer) probability(fused float64, first ObservedSpan) float64 {
	z := n.Intercept + n.Fused*fused
	for i, value := range first.values() {
		z += *n.weights()[i] * value
	}
	return 1 / (1 + math.Exp(-z))
}

// weights are those of [ObservedSpan.values].
func (n *NoAnswer) weights() []*float64 {
	return []*float64{&n.Margin, &n.BM25, &n.Vector, &n.Relevance}
}

// fallbackProfile orders by the reader alone and takes its margin at face
// value.
func fallbackProfile() Profile {
	return Profile{
		Answer:            Logistic{Fused: 1},
		NoAnswer:          NoAnswer{Fused: -1},
		NoAnswerThreshold: 0.5,
		Fitted:            "not fitted: the reader's margin is taken at face value",
	}
}

func (p Profile) fused(s ObservedSpan) float64 {
	return s.Margin + p.BM25Weight*s.BM25 + p.VectorWeight*s.Vector + p.RelevanceWeight*s.Relevance
}

func (l Logistic) probability(fused, logShare float64) float64 {
	return 1 / (1 + math.Exp(-(l.Intercept + l.Fused*fused + l.Share*logShare)))
}

// logShares returns ln(share) of every fused score; see [Profile].
func logShares(fused []float64) []float64 {
	top := 0.0
	for _, f := range fused {
		top = max(top, f)
	}
	sum := math.Exp(-top)
	for _, f := range fused {
		sum += math.Exp(f - top)
	}
	shares := make([]float64, len(fused))
	for i, f := range fused {
		shares[i] = f - top - math.Log(sum)
	}
	return shares
}

// An Observation is one question as the reader saw it, with what is known of
// its answers: the material for [FitProfile].
type Observation struct {
	// Spans holds the scores and the correctness of every distinct answer.
	Spans []ObservedSpan
	// Answered says that the candidates came from an index that holds the
	// answer.
	Answered bool
}

// An ObservedSpan is one possible answer of an [Observation]: its margin, the
// BM25 score of its passage as part of the question's best (0 to 1), the cosine
// of question and passage, the relevance logit (0 where there is none), and
// whether it is correct.
type ObservedSpan struct {
	Margin, BM25, Vector, Relevance float64
	Correct                         bool
}

func (s ObservedSpan) values() []float64 { return []float64{s.Margin, s.BM25, s.Vector, s.Relevance} }

// errTooFew says that a profile cannot be fitted.
var errTooFew = errors.New("pipeline: fit profile: at least 50 questions with and 50 without an answer are needed")

// FitProfile fits the weights and both regressions. The weights are those of a
// grid (BM25 from 0 to 24, vector from 0 to 48, relevance from 0 to 4) with the
// most correct first answers; the regressions
// minimise the logistic loss by Newton's method with a small ridge. The answer
// regression sees the first answer of every question, because its probability
// is the one that users act on. The result is deterministic.
func FitProfile(observations []Observation) (Profile, error) {
	answered := 0
	for _, o := range observations {
		if o.Answered {
			answered++
		}
	}
	if answered < 50 || len(observations)-answered < 50 {
		return Profile{}, fmt.Errorf("%w; there are %d and %d", errTooFew, answered, len(observations)-answered)
	}
	best := fitWeights(observations)
	var answer []sample
	var first []ObservedSpan
	var absent []bool
	for _, o := range observations {
		features, top, ok := best.top(o)
		if !ok {
			continue
		}
		answer = append(answer, sample{[]float64{1, features[0], features[1]}, top.Correct})
		first, absent = append(first, top), append(absent, !o.Answered)
	}
	if len(answer) == 0 {
		return Profile{}, errors.New("pipeline: fit profile: the reader found no possible answer to any question")
	}
	a, err := fitLogistic(answer)
	if err != nil {
		return Profile{}, err
	}
	if best.NoAnswer, err = fitNoAnswer(first, absent); err != nil {
		return Profile{}, err
	}
	best.Answer = Logistic{a[0], a[1], a[2]}
	best.NoAnswerThreshold = 0.5
	if best.Answer.Fused+best.Answer.Share <= 0 || best.Answer.Fused < 0 || best.Answer.Share < 0 {
		// A negative weight would order answers against their score; drop the
		// share and fit again.
		for i := range answer {
			answer[i].x = answer[i].x[:2]
		}
		if a, err = fitLogistic(answer); err != nil {
			return Profile{}, err
		}
		best.Answer = Logistic{Intercept: a[0], Fused: a[1]}
	}
	return best, nil
}

// fitNoAnswer fits the regression of "no answer at all" on the evidence for the
// first answer of every question. Evidence never speaks for the opposite of what
// it says: what would get such a weight gets none.
func fitNoAnswer(first []ObservedSpan, absent []bool) (NoAnswer, error) {
	var n NoAnswer
	used := slices.DeleteFunc([]int{0, 1, 2, 3}, func(i int) bool {
		return !slices.ContainsFunc(first, func(s ObservedSpan) bool { return s.values()[i] != first[0].values()[i] })
	})
	for {
		samples := make([]sample, len(first))
		for i, s := range first {
			x := []float64{1}
			for _, k := range used {
				x = append(x, s.values()[k])
			}
			samples[i] = sample{x, absent[i]}
		}
		w, err := fitLogistic(samples)
		if err != nil {
			return n, err
		}
		wrong := slices.IndexFunc(w[1:], func(v float64) bool { return v > 0 })
		if wrong < 0 {
			n.Intercept = w[0]
			for i, k := range used {
				*n.weights()[k] = w[i+1]
			}
			return n, nil
		}
		used = slices.Delete(used, wrong, wrong+1)
	}
}

// top returns the features of the first answer: its fused score and ln(share).
func (p Profile) top(o Observation) (features [2]float64, top ObservedSpan, ok bool) {
	if len(o.Spans) == 0 {
		return features, top, false
	}
	fused := make([]float64, len(o.Spans))
	for i, s := range o.Spans {
		fused[i] = p.fused(s)
	}
	i := slices.Index(fused, slices.Max(fused))
	return [2]float64{fused[i], logShares(fused)[i]}, o.Spans[i], true
}
