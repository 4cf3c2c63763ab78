package infer

import (
	"testing"
	"time"
)

// TestExpect: requests take turns, so a small one is not kept waiting by the size
// of large ones, and interactive ones hardly by bulk.
func TestExpect(t *testing.T) {
	type at struct {
		priority Priority
		weight   float64
	}
	tests := []struct {
		name     string
		there    []at
		priority Priority
		tokens   float64
		want     time.Duration // at one token a second and worker, two workers
	}{
		{"nobody there", nil, Interactive, 100, 0},
		{"three of its kind", []at{{Interactive, 100}, {Interactive, 100}, {Interactive, 100}}, Interactive, 100, 150 * time.Second},
		{"a small one beside large ones", []at{{Interactive, 1000}, {Interactive, 2000}}, Interactive, 10, 10 * time.Second},
		{"a large one beside small ones", []at{{Interactive, 10}, {Interactive, 20}}, Interactive, 1000, 15 * time.Second},
		{"interactive beside bulk", []at{{Bulk, 10_000}}, Interactive, 70, 5 * time.Second},
		{"interactive beside little bulk", []at{{Bulk, 4}}, Interactive, 70, 2 * time.Second},
		{"bulk beside interactive", []at{{Interactive, 100}, {Interactive, 300}}, Bulk, 10, 200 * time.Second},
		{"bulk beside bulk", []at{{Bulk, 1000}, {Bulk, 4}}, Bulk, 10, 7 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &gate{config: Config{Workers: 2}, places: map[*place]struct{}{}, speed: speed{seconds: 1, tokens: 1}}
			for _, p := range tt.there {
				g.places[&place{priority: p.priority, weight: p.weight}] = struct{}{}
			}
			if got := g.expect(tt.priority, tt.tokens); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
