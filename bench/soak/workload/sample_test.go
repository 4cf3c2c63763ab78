package workload

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// TestGrowths: a leak is seen through noise, and noise, a start that fills caches
// and a single outlier are none.
func TestGrowths(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	series := func(n int, rss func(i int) float64) []Sample {
		var samples []Sample
		for i := range n {
			// Samples under load are not compared, whatever they hold.
			samples = append(samples, Sample{Seconds: float64(60*i - 30), Resident: 1e6 * random.Float64()})
			samples = append(samples, Sample{
				Seconds: float64(60 * i), Quiet: true, Resident: rss(i), Heap: 40 + 3*random.Float64(), Goroutines: 30 + float64(random.IntN(3)),
				Handles: 50 + float64(random.IntN(2)), Threads: 12,
			})
		}
		return samples
	}
	noise := func(mb float64) float64 { return mb * (2*random.Float64() - 1) }
	tests := []struct {
		name string
		n    int
		rss  func(i int) float64
		leak bool
	}{
		{"steady", 30, func(int) float64 { return 300 + noise(10) }, false},
		{"fills at first", 30, func(i int) float64 { return 400 - 150*math.Exp(-float64(i)/4) + noise(10) }, false},
		{"one outlier at the end", 30, func(i int) float64 { return 300 + noise(5) + map[bool]float64{true: 200}[i == 29] }, false},
		{"2 MB a minute", 30, func(i int) float64 { return 300 + 2*float64(i) + noise(5) }, true},
		{"after a while only", 30, func(i int) float64 { return 300 + 6*math.Max(0, float64(i-14)) + noise(5) }, true},
		{"short and steady", 3, func(int) float64 { return 300 + noise(20) }, false},
		{"short and leaking", 3, func(i int) float64 { return 300 + 90*float64(i) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Report{Growth: growths(series(tt.n, tt.rss)), Checked: 1, Compared: 1}
			if err := r.Err(); errors.Is(err, ErrLeak) != tt.leak || !tt.leak && err != nil {
				t.Errorf("got %v, want a leak: %v", err, tt.leak)
			}
		})
	}
	if r := (Report{Checked: 1, Compared: 1, Growth: growths(nil)}); !errors.Is(r.Err(), ErrIdle) {
		t.Errorf("without samples: %v, want ErrIdle", r.Err())
	}
}
