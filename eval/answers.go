package eval

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrMissingPrediction says that a question of the data set was not answered.
var ErrMissingPrediction = errors.New("missing prediction")

// A Prediction is what a system says about one question.
type Prediction struct {
	// Text is the best span, given even where the system would rather give no
	// answer; empty only if it has none.
	Text string
	// NoAnswer is the probability, or any rising score, that the question has
	// no answer.
	NoAnswer float64
}

// ExactMatch returns 1 if both answers are equal once normalised, else 0.
func ExactMatch(prediction, gold string) float64 {
	if Normalize(prediction) == Normalize(gold) {
		return 1
	}
	return 0
}

// F1 returns the harmonic mean of precision and recall over the bags of
// normalised words. If either answer has no words, it is 1 if both have none
// and 0 otherwise.
func F1(prediction, gold string) float64 {
	return tokenF1(Tokens(prediction), Tokens(gold))
}

func tokenF1(prediction, gold []string) float64 {
	if len(prediction) == 0 || len(gold) == 0 {
		if len(prediction) == len(gold) {
			return 1
		}
		return 0
	}
	counts := make(map[string]int, len(gold))
	for _, t := range gold {
		counts[t]++
	}
	common := 0
	for _, t := range prediction {
		if counts[t] > 0 {
			counts[t]--
			common++
		}
	}
	if common == 0 {
		return 0
	}
	precision := float64(common) / float64(len(prediction))
	recall := float64(common) / float64(len(gold))
	return 2 * precision * recall / (precision + recall)
}

// BestMatch returns the greatest exact match and the greatest F1 over the gold
// answers. Gold answers that normalise to nothing are ignored; if none is
// left, the right prediction is the empty one.
func BestMatch(prediction string, golds []string) (em, f1 float64) {
	tokens := Tokens(prediction)
	match := func(gold []string) {
		if slices.Equal(tokens, gold) {
			em = 1
		}
		f1 = max(f1, tokenF1(tokens, gold))
	}
	usable := 0
	for _, gold := range golds {
		if t := Tokens(gold); len(t) > 0 {
			usable++
			match(t)
		}
	}
	if usable == 0 {
		match(nil)
	}
	return em, f1
}

// A QuestionScore is the score of one prediction.
type QuestionScore struct {
	ID string
	// Answered says that the question has a gold answer.
	Answered bool
	// EM and F1 are those of the best span, whatever the threshold.
	EM, F1 float64
	// EMAll and F1All are those after the threshold was applied.
	EMAll, F1All float64
}

// AnswerScores are the figures of a set of predictions.
type AnswerScores struct {
	// Total counts all questions, Answered those with a gold answer.
	Total, Answered int
	// EM and F1 are the means over answered questions with the best span
	// forced.
	EM, F1 float64
	// EMAll and F1All are the official SQuAD 2.0 figures: over all questions,
	// with the empty answer wherever NoAnswer exceeds the threshold.
	EMAll, F1All float64
	// HasAnswerEM and HasAnswerF1 are the official figures of the answered
	// questions, NoAnswerAccuracy that of the others (whose EM and F1 are the
	// same).
	HasAnswerEM, HasAnswerF1, NoAnswerAccuracy float64
	// NoAnswerPrecision is the share of the questions above the threshold that
	// have no answer; NaN if there are none above it.
	NoAnswerPrecision float64
	// BestEM and BestF1 are EMAll and F1All at the threshold that is best in
	// hindsight, found as the official script finds it.
	BestEM, BestF1                   float64
	BestEMThreshold, BestF1Threshold float64
	// NoAnswerAUC is the area under the ROC curve of NoAnswer as a detector of
	// questions without an answer; NaN if the data has only one kind.
	NoAnswerAUC float64
	// Questions are the single scores, in the order of the data set.
	Questions []QuestionScore
}

// ScoreAnswers scores the predictions, by question id, for all questions. A
// question without a prediction gives an error that wraps
// [ErrMissingPrediction]; a NoAnswer that is not a number is refused too.
// Predictions for other questions are ignored.
//
// A mean over no questions is 0.
func ScoreAnswers(questions []Question, predictions map[string]Prediction, threshold float64) (AnswerScores, error) {
	s := AnswerScores{Total: len(questions), Questions: make([]QuestionScore, 0, len(questions))}
	entries := make([]thresholdEntry, 0, len(questions))
	noAnswer := make([]float64, 0, len(questions))
	impossible := make([]bool, 0, len(questions))
	held, heldRightly := 0.0, 0.0
	for _, q := range questions {
		p, ok := predictions[q.ID]
		if !ok {
			return AnswerScores{}, fmt.Errorf("eval: score question %q: %w", q.ID, ErrMissingPrediction)
		}
		if math.IsNaN(p.NoAnswer) {
			return AnswerScores{}, fmt.Errorf("eval: score question %q: the no-answer score is not a number", q.ID)
		}
		qs := QuestionScore{ID: q.ID, Answered: !q.Impossible}
		qs.EM, qs.F1 = BestMatch(p.Text, q.goldTexts())
		qs.EMAll, qs.F1All = qs.EM, qs.F1
		if p.NoAnswer > threshold {
			qs.EMAll, qs.F1All = indicator(q.Impossible), indicator(q.Impossible)
			held++
			heldRightly += qs.EMAll
		}
		s.add(qs)
		entries = append(entries, thresholdEntry{question: qs, score: p.NoAnswer, empty: p.Text == ""})
		noAnswer = append(noAnswer, p.NoAnswer)
		impossible = append(impossible, q.Impossible)
	}
	s.average()
	s.NoAnswerPrecision = heldRightly / held
	slices.SortStableFunc(entries, func(a, b thresholdEntry) int { return cmp.Compare(a.score, b.score) })
	s.BestEM, s.BestEMThreshold = bestThreshold(entries, func(q QuestionScore) float64 { return q.EM })
	s.BestF1, s.BestF1Threshold = bestThreshold(entries, func(q QuestionScore) float64 { return q.F1 })
	s.NoAnswerAUC = AUC(noAnswer, impossible)
	return s, nil
}

func (s *AnswerScores) add(q QuestionScore) {
	s.EMAll += q.EMAll
	s.F1All += q.F1All
	if q.Answered {
		s.Answered++
		s.EM += q.EM
		s.F1 += q.F1
		s.HasAnswerEM += q.EMAll
		s.HasAnswerF1 += q.F1All
	} else {
		s.NoAnswerAccuracy += q.EMAll
	}
	s.Questions = append(s.Questions, q)
}

// average turns the sums into means.
func (s *AnswerScores) average() {
	for _, m := range []struct {
		sums []*float64
		n    int
	}{
		{[]*float64{&s.EMAll, &s.F1All}, s.Total},
		{[]*float64{&s.EM, &s.F1, &s.HasAnswerEM, &s.HasAnswerF1}, s.Answered},
		{[]*float64{&s.NoAnswerAccuracy}, s.Total - s.Answered},
	} {
		for _, sum := range m.sums {
			if m.n > 0 {
				*sum /= float64(m.n)
			}
		}
	}
}

type thresholdEntry struct {
	question QuestionScore
	score    float64
	empty    bool
}

// bestThreshold is find_best_thresh of the official script, quirks included:
// it starts from answering nothing, whose threshold it calls 0, and may stop
// amid questions with the same score. The entries are sorted by score.
func bestThreshold(entries []thresholdEntry, metric func(QuestionScore) float64) (best, threshold float64) {
	if len(entries) == 0 {
		return 0, 0
	}
	current := 0.0
	for _, e := range entries {
		current += indicator(!e.question.Answered)
	}
	best = current
	for _, e := range entries {
		switch {
		case e.question.Answered:
			current += metric(e.question)
		case !e.empty:
			current--
		}
		if current > best {
			best, threshold = current, e.score
		}
	}
	return best / float64(len(entries)), threshold
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
