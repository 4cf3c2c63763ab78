package monitor

import (
	"maps"
	"slices"

	"github.com/needle-search/needle/eval"
)

// A Difference is one metric of two evaluations. For a metric that is a mean
// over questions, Mean and Interval are of the difference B less A over the
// questions that both were asked, and P is the p-value of the paired
// permutation test; N is 0 for other metrics, whose Mean is the plain
// difference.
type Difference struct {
	Metric   string     `json:"metric"`
	A        float64    `json:"a"`
	B        float64    `json:"b"`
	Mean     float64    `json:"difference"`
	N        int        `json:"n,omitempty"`
	Interval eval.Range `json:"interval,omitzero"`
	P        float64    `json:"p,omitempty"`
}

// Significant says that the difference is unlikely to be chance: p < 0.05.
func (d Difference) Significant() bool { return d.N > 0 && d.P < 0.05 }

// A Change is a question that only one of two evaluations got right.
type Change struct {
	A, B eval.Outcome
}

// A Comparison sets a candidate B against a baseline A.
type Comparison struct {
	A           Record       `json:"a"`
	B           Record       `json:"b"`
	Differences []Difference `json:"differences"`
	// Lost are questions that A had right and B has not, Won the reverse.
	Lost []Change `json:"lost"`
	Won  []Change `json:"won"`
	// Settings are the lines of the configurations that differ.
	Settings []SettingChange `json:"settings"`
}

// seed makes intervals and p-values the same every time.
const seed = 1

// Compare sets B against A. Metrics of single questions are compared over the
// questions that both were asked.
func Compare(a Record, outcomesA []eval.Outcome, b Record, outcomesB []eval.Outcome) (*Comparison, error) {
	c := &Comparison{A: a, B: b, Settings: settingChanges(a.Config, b.Config)}
	for _, metric := range slices.Sorted(maps.Keys(a.Report.Metrics)) {
		inB, ok := b.Report.Metrics[metric]
		if !ok {
			continue
		}
		d := Difference{Metric: metric, A: a.Report.Metrics[metric], B: inB}
		d.Mean = d.B - d.A
		first, second := eval.Paired(outcomesA, outcomesB, metric)
		if d.N = len(first); d.N > 0 {
			differences := make([]float64, d.N)
			for i := range first {
				differences[i] = second[i] - first[i]
			}
			d.Mean = eval.Mean(differences)
			var err error
			if d.Interval, err = eval.Interval(differences, 0.95, eval.Resamples, seed); err != nil {
				return nil, err
			}
			if d.P, err = eval.PairedPermutation(first, second, eval.Resamples, seed); err != nil {
				return nil, err
			}
		}
		c.Differences = append(c.Differences, d)
	}
	before := make(map[string]eval.Outcome, len(outcomesA))
	for _, o := range outcomesA {
		before[o.ID] = o
	}
	for _, o := range outcomesB {
		was, ok := before[o.ID]
		rightBefore, known := right(was)
		rightNow, knownNow := right(o)
		switch {
		case !ok || !known || !knownNow || rightBefore == rightNow:
		case rightBefore:
			c.Lost = append(c.Lost, Change{was, o})
		default:
			c.Won = append(c.Won, Change{was, o})
		}
	}
	return c, nil
}

// right says whether a question was answered rightly: by exact match where
// there is one, else by the gold document at the first rank.
func right(o eval.Outcome) (is, known bool) {
	for _, metric := range []string{eval.MetricEM, eval.MetricEMAll, eval.RecallName(1)} {
		if v, ok := o.Scores[metric]; ok {
			return v == 1, true
		}
	}
	return false, false
}
