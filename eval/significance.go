package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Resamples is a number of resamples that keeps the noise of [Interval] and
// [PairedPermutation] well below what one would report.
const Resamples = 10000

// A Range is a confidence interval.
type Range struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

// Mean returns the mean of the values, NaN if there are none.
func Mean(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Interval returns the percentile bootstrap confidence interval of the mean at
// a level such as 0.95. The same arguments give the same result. It fails
// without values, with a level outside (0, 1) or without resamples.
func Interval(values []float64, level float64, resamples int, seed uint64) (Range, error) {
	switch {
	case len(values) == 0:
		return Range{}, fmt.Errorf("eval: interval: no values")
	case !(level > 0 && level < 1):
		return Range{}, fmt.Errorf("eval: interval: level %v is not between 0 and 1", level)
	case resamples < 1:
		return Range{}, fmt.Errorf("eval: interval: %d resamples; at least 1 is needed", resamples)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range values {
			sum += values[random.IntN(len(values))]
		}
		means[i] = sum / float64(len(values))
	}
	slices.Sort(means)
	tail := (1 - level) / 2
	return Range{Lower: quantile(means, tail), Upper: quantile(means, 1-tail)}, nil
}

// quantile interpolates linearly between the two nearest sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(math.Floor(at))
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// PairedPermutation returns the two-sided p-value of the hypothesis that two
// systems, scored on the same questions in the same order, do not differ in
// their mean: Fisher's sign-flip test. Up to 2^n = rounds it goes through all
// flips; beyond that it draws so many and counts the observed one among them,
// so that the p-value is never 0. The same arguments give the same result.
func PairedPermutation(a, b []float64, rounds int, seed uint64) (float64, error) {
	switch {
	case len(a) != len(b):
		return 0, fmt.Errorf("eval: paired permutation: %d scores against %d", len(a), len(b))
	case len(a) == 0:
		return 0, fmt.Errorf("eval: paired permutation: no scores")
	case rounds < 1:
		return 0, fmt.Errorf("eval: paired permutation: %d rounds; at least 1 is needed", rounds)
	}
	var differences []float64 // pairs that agree change nothing, whatever their sign
	observed, scale := 0.0, 0.0
	for i := range a {
		if d := a[i] - b[i]; d != 0 {
			differences = append(differences, d)
			observed += d
			scale += math.Abs(d)
		}
	}
	// Rounding in the sums must not hide a flip that equals the observed one.
	bound := math.Abs(observed) - 1e-12*scale
	extreme := func(sum float64) int {
		if math.Abs(sum) >= bound {
			return 1
		}
		return 0
	}
	n := len(differences)
	if n < 30 && 1<<n <= rounds {
		count := 0
		for signs := range 1 << n {
			sum := 0.0
			for i, d := range differences {
				if signs>>i&1 == 1 {
					d = -d
				}
				sum += d
			}
			count += extreme(sum)
		}
		return float64(count) / float64(int(1)<<n), nil
	}
	random := rand.New(rand.NewPCG(seed, 1))
	count := 1
	for range rounds {
		sum := 0.0
		var signs uint64
		for i, d := range differences {
			if i%64 == 0 {
				signs = random.Uint64()
			}
			if signs&1 == 1 {
				d = -d
			}
			signs >>= 1
			sum += d
		}
		count += extreme(sum)
	}
	return float64(count) / float64(rounds+1), nil
}
