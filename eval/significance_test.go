package eval

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestInterval(t *testing.T) {
	values := make([]float64, 400)
	for i := range values {
		values[i] = float64(i % 2)
	}
	got, err := Interval(values, 0.95, Resamples, 1)
	if err != nil {
		t.Fatal(err)
	}
	half := 1.96 * 0.5 / math.Sqrt(400) // normal approximation
	if !near(got.Lower, 0.5-half, 0.005) || !near(got.Upper, 0.5+half, 0.005) {
		t.Errorf("got %+v, want about %.3f to %.3f", got, 0.5-half, 0.5+half)
	}
	if again, _ := Interval(values, 0.95, Resamples, 1); again != got {
		t.Errorf("the same seed gives %+v, want %+v", again, got)
	}
	if other, _ := Interval(values, 0.95, Resamples, 2); other == got {
		t.Error("another seed gives the same interval to the last bit")
	}
	if same, err := Interval([]float64{0.3, 0.3}, 0.9, 10, 1); err != nil || !near(same.Lower, 0.3, 1e-12) || !near(same.Upper, 0.3, 1e-12) {
		t.Errorf("equal values: got %+v, %v, want 0.3 to 0.3", same, err)
	}
}

// A 90 % interval should miss the true mean in about one of ten samples.
func TestIntervalCoverage(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	const samples = 400
	covered := 0
	for i := range samples {
		values := make([]float64, 80)
		for j := range values {
			values[j] = random.Float64()
		}
		r, err := Interval(values, 0.9, 400, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if r.Lower <= 0.5 && 0.5 <= r.Upper {
			covered++
		}
	}
	if share := float64(covered) / samples; share < 0.84 || share > 0.95 {
		t.Errorf("the interval covers the mean in %.3f of samples, want about 0.9", share)
	}
}

func TestIntervalErrors(t *testing.T) {
	for _, c := range []struct {
		name      string
		values    []float64
		level     float64
		resamples int
	}{
		{"no values", nil, 0.95, 100},
		{"level 0", []float64{1}, 0, 100},
		{"level in percent", []float64{1}, 95, 100},
		{"level not a number", []float64{1}, math.NaN(), 100},
		{"no resamples", []float64{1}, 0.95, 0},
	} {
		if _, err := Interval(c.values, c.level, c.resamples, 1); err == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
}

func TestMean(t *testing.T) {
	if got := Mean([]float64{1, 2, 6}); got != 3 {
		t.Errorf("got %v, want 3", got)
	}
	if got := Mean(nil); !math.IsNaN(got) {
		t.Errorf("mean of nothing: got %v, want NaN", got)
	}
}

func TestPairedPermutationExact(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []float64
		want float64
	}{
		{"all better", []float64{1, 1, 1, 1, 1}, []float64{0, 0, 0, 0, 0}, 2.0 / 32},
		{"no difference", []float64{1, 0, 1}, []float64{1, 0, 1}, 1},
		{"balanced", []float64{1, 0}, []float64{0, 1}, 1},
		// of the sums ±3±1±1, those of at least 3 in size: ±5, ±3 and ±3
		{"unequal sizes", []float64{3, 0, 1}, []float64{0, 1, 0}, 6.0 / 8},
		{"ties do not count", []float64{1, 1, 1, 0.5}, []float64{0, 0, 0, 0.5}, 2.0 / 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := PairedPermutation(c.a, c.b, Resamples, 1)
			if err != nil || !near(got, c.want, 1e-12) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestPairedPermutationSampled(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 9))
	a, b, shifted := make([]float64, 300), make([]float64, 300), make([]float64, 300)
	for i := range a {
		a[i], b[i] = random.Float64(), random.Float64()
		shifted[i] = a[i] + 0.2*random.Float64()
	}
	same, err := PairedPermutation(a, b, 2000, 1)
	if err != nil || same < 0.02 {
		t.Errorf("two random systems: got p %v, %v, want a large one", same, err)
	}
	different, err := PairedPermutation(a, shifted, 2000, 1)
	if err != nil || different != 1.0/2001 {
		t.Errorf("a system that is always better: got p %v, %v, want 1/2001", different, err)
	}
	// The sampled p-value of a small case agrees with the exact one.
	x, y := a[:12], b[:12]
	exact, _ := PairedPermutation(x, y, 1<<12, 1)
	sampled, _ := PairedPermutation(x, y, 1<<12-1, 1)
	if !near(exact, sampled, 0.03) {
		t.Errorf("sampled p %v, want about the exact %v", sampled, exact)
	}
}

func TestPairedPermutationErrors(t *testing.T) {
	if _, err := PairedPermutation([]float64{1}, nil, 10, 1); err == nil {
		t.Error("different lengths: accepted")
	}
	if _, err := PairedPermutation(nil, nil, 10, 1); err == nil {
		t.Error("no scores: accepted")
	}
	if _, err := PairedPermutation([]float64{1}, []float64{0}, 0, 1); err == nil {
		t.Error("no rounds: accepted")
	}
}
