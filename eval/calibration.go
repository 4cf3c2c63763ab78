package eval

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// CalibrationBins is the number of bins of the reported calibration error.
const CalibrationBins = 15

// A Bin is one row of a reliability table.
type Bin struct {
	// Lower and Upper are the least and the greatest probability in the bin.
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
	// Count is the number of predictions.
	Count int `json:"count"`
	// Probability is the mean of the stated probabilities, Accuracy the share
	// of predictions that were right.
	Probability float64 `json:"probability"`
	Accuracy    float64 `json:"accuracy"`
}

// Calibration compares probabilities with outcomes in bins of equal mass. It
// returns the expected calibration error, which is the mean over all
// predictions of the distance between accuracy and mean probability of their
// bin, and the reliability table in rising order.
//
// Predictions with the same probability always share a bin, so that the result
// does not depend on their order: a bin that would end amid them takes all of
// them. There may therefore be fewer bins than asked for. The error of no
// predictions is NaN. Probabilities outside [0, 1] are refused.
func Calibration(probabilities []float64, correct []bool, bins int) (float64, []Bin, error) {
	n := len(probabilities)
	if len(correct) != n {
		return 0, nil, fmt.Errorf("eval: calibration: %d probabilities but %d outcomes", n, len(correct))
	}
	if bins < 1 {
		return 0, nil, fmt.Errorf("eval: calibration: %d bins; at least 1 is needed", bins)
	}
	order := make([]int, n)
	for i, p := range probabilities {
		if !(p >= 0 && p <= 1) { // also refuses NaN
			return 0, nil, fmt.Errorf("eval: calibration: probability %v of prediction %d is outside 0 to 1", p, i)
		}
		order[i] = i
	}
	if n == 0 {
		return math.NaN(), nil, nil
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(probabilities[a], probabilities[b]) })

	var table []Bin
	sum, start := 0.0, 0
	for i := 1; i <= bins; i++ {
		end := max(i*n/bins, start)
		for end > start && end < n && probabilities[order[end]] == probabilities[order[end-1]] {
			end++
		}
		if end == start {
			continue
		}
		b := Bin{Lower: probabilities[order[start]], Upper: probabilities[order[end-1]], Count: end - start}
		for _, j := range order[start:end] {
			b.Probability += probabilities[j]
			b.Accuracy += indicator(correct[j])
		}
		sum += math.Abs(b.Accuracy - b.Probability)
		b.Probability /= float64(b.Count)
		b.Accuracy /= float64(b.Count)
		table = append(table, b)
		start = end
	}
	return sum / float64(n), table, nil
}

// AUC returns the area under the ROC curve of a score that should be higher
// where positive is true: the probability that a random positive scores above
// a random negative, with ties counted half. It is NaN if there are no
// positives, no negatives, or if the lengths differ.
func AUC(scores []float64, positive []bool) float64 {
	if len(scores) != len(positive) {
		return math.NaN()
	}
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	wins, negatives, positives := 0.0, 0, 0
	for start := 0; start < len(order); {
		end, tiedPositive, tiedNegative := start, 0, 0
		for ; end < len(order) && cmp.Compare(scores[order[end]], scores[order[start]]) == 0; end++ {
			if positive[order[end]] {
				tiedPositive++
			} else {
				tiedNegative++
			}
		}
		wins += float64(tiedPositive) * (float64(negatives) + float64(tiedNegative)/2)
		positives += tiedPositive
		negatives += tiedNegative
		start = end
	}
	if positives == 0 || negatives == 0 {
		return math.NaN()
	}
	return wins / (float64(positives) * float64(negatives))
}
