package eval

import "fmt"

// Predicted is what one system predicted for a list of questions, in their
// order.
type Predicted struct {
	Predictions []Prediction
	// Probabilities are P(this answer is correct), 0 to 1; nil where the system
	// gives none.
	Probabilities []float64
	// Threshold is the no-answer probability from which on a question counts as
	// not answered.
	Threshold float64
}

// An Estimate is a mean with its 95 % bootstrap interval.
type Estimate struct {
	Mean float64 `json:"mean"`
	Range
}

// String gives the estimate in percent.
func (e Estimate) String() string {
	return fmt.Sprintf("%.2f [%.2f, %.2f]", 100*e.Mean, 100*e.Lower, 100*e.Upper)
}

// A Difference is an estimate of the mean difference over the same questions,
// with the p-value of the paired permutation test.
type Difference struct {
	Estimate
	P float64 `json:"p"`
}

// A Side is one of two compared systems.
type Side struct {
	EM Estimate `json:"em"`
	F1 Estimate `json:"f1"`
	// Metrics are those of a [Report] on answers, with the errors of
	// calibration MetricECE and MetricNoAnswerECE where they can be had.
	Metrics map[string]float64 `json:"metrics"`
}

// A Comparison says what lies between two systems, B less A.
type Comparison struct {
	N int `json:"n"`
	// Answered is the number of questions with an answer, which EM and F1 are
	// means over.
	Answered int `json:"answered"`
	// Agreement is the share of all questions for which both give the same
	// answer once normalised.
	Agreement float64    `json:"agreement"`
	EM        Difference `json:"em"`
	F1        Difference `json:"f1"`
	// A and B are the two sides.
	A Side `json:"a"`
	B Side `json:"b"`
}

// compareSeed makes intervals repeatable.
const compareSeed = 1

// Compare scores two systems on the same questions. Without answered questions
// the estimates are zero.
func Compare(questions []Question, a, b Predicted) (Comparison, error) {
	c := Comparison{N: len(questions)}
	sides := [2]Predicted{a, b}
	for _, s := range sides {
		if len(s.Predictions) != len(questions) || s.Probabilities != nil && len(s.Probabilities) != len(questions) {
			return c, fmt.Errorf("eval: compare: %d predictions with %d probabilities for %d questions", len(s.Predictions), len(s.Probabilities), len(questions))
		}
	}
	if len(questions) == 0 {
		return c, fmt.Errorf("eval: compare: there are no questions")
	}
	var em, f1 [2][]float64
	same := 0
	for i := range questions {
		q := &questions[i]
		if Normalize(a.Predictions[i].Text) == Normalize(b.Predictions[i].Text) {
			same++
		}
		if q.Impossible {
			continue
		}
		c.Answered++
		for k, s := range sides {
			e, f := BestMatch(s.Predictions[i].Text, q.goldTexts())
			em[k], f1[k] = append(em[k], e), append(f1[k], f)
		}
	}
	c.Agreement = float64(same) / float64(len(questions))
	for k, to := range []*Side{&c.A, &c.B} {
		var err error
		if to.Metrics, err = sides[k].metrics(questions); err != nil {
			return c, err
		}
		if c.Answered > 0 {
			if to.EM, err = estimate(em[k]); err != nil {
				return c, err
			}
			if to.F1, err = estimate(f1[k]); err != nil {
				return c, err
			}
		}
	}
	if c.Answered == 0 {
		return c, nil
	}
	var err error
	if c.EM, err = difference(em[0], em[1]); err != nil {
		return c, err
	}
	c.F1, err = difference(f1[0], f1[1])
	return c, err
}

func (p Predicted) metrics(questions []Question) (map[string]float64, error) {
	predictions := make(map[string]Prediction, len(questions))
	correct, noAnswer, impossible := make([]bool, len(questions)), make([]float64, len(questions)), make([]bool, len(questions))
	some := false
	for i := range questions {
		q := &questions[i]
		predictions[q.ID] = p.Predictions[i]
		em, _ := BestMatch(p.Predictions[i].Text, q.goldTexts())
		correct[i] = em == 1 && !q.Impossible
		noAnswer[i], impossible[i] = p.Predictions[i].NoAnswer, q.Impossible
		some = some || q.Impossible
	}
	scores, err := ScoreAnswers(questions, predictions, p.Threshold)
	if err != nil {
		return nil, err
	}
	var report Report
	report.SetAnswers(scores)
	if p.Probabilities != nil {
		ece, _, err := Calibration(p.Probabilities, correct, CalibrationBins)
		if err != nil {
			return nil, err
		}
		report.Set(MetricECE, ece)
	}
	// A model that never sees an unanswerable question shows nothing of how
	// well it knows them.
	if some && scores.Answered > 0 {
		ece, _, err := Calibration(noAnswer, impossible, CalibrationBins)
		if err != nil {
			return nil, err
		}
		report.Set(MetricNoAnswerECE, ece)
	}
	return report.Metrics, nil
}

func estimate(values []float64) (Estimate, error) {
	interval, err := Interval(values, 0.95, Resamples, compareSeed)
	return Estimate{Mean: Mean(values), Range: interval}, err
}

func difference(a, b []float64) (Difference, error) {
	deltas := make([]float64, len(a))
	for i := range deltas {
		deltas[i] = b[i] - a[i]
	}
	e, err := estimate(deltas)
	if err != nil {
		return Difference{}, err
	}
	p, err := PairedPermutation(a, b, Resamples, compareSeed)
	return Difference{Estimate: e, P: p}, err
}
