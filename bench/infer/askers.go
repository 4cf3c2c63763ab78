package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/needle-search/needle/models"
)

// A load is what askers send: the number of windows of their requests, in turn.
type load struct {
	name  string
	sizes []int
	// total is how many requests a round has.
	total int
}

var loads = []load{
	{"10 windows a request", []int{10}, 48},
	{"2 windows, every 8th request 50", []int{2, 2, 2, 2, 2, 2, 2, 50}, 64},
	{"1 window a request", []int{1}, 128},
}

// A waited is what the requests of a round waited, in milliseconds.
type waited struct{ p50, p95, small, perSecond float64 }

// askers measures closed loops: every asker sends its next request when it has
// the answer to the one before. An empty name means all loads.
func (s *setup) askers(ctx context.Context, rounds int, only string) error {
	chosen := slices.DeleteFunc(slices.Clone(loads), func(l load) bool { return only != "" && l.name != only })
	if len(chosen) == 0 {
		return fmt.Errorf("there is no load %q", only)
	}
	for _, l := range chosen {
		fmt.Printf("\n| %s, askers | p50 ms, gate | one at a time | p95 ms, gate | one at a time | p95 of the smallest, gate | one at a time | requests/s, gate to one at a time |\n|---|---|---|---|---|---|---|---|\n", l.name)
		for _, askers := range []int{1, 8, 32} {
			var gate, alone []waited
			for range rounds {
				a, err := s.ask(ctx, l, askers, nil)
				if err != nil {
					return err
				}
				b, err := s.ask(ctx, l, askers, &sync.Mutex{})
				if err != nil {
					return err
				}
				gate, alone = append(gate, a), append(alone, b)
			}
			column := func(of []waited, field func(waited) float64) []float64 {
				out := make([]float64, len(of))
				for i, w := range of {
					out[i] = field(w)
				}
				return out
			}
			p50, p95 := func(w waited) float64 { return w.p50 }, func(w waited) float64 { return w.p95 }
			small, perSecond := func(w waited) float64 { return w.small }, func(w waited) float64 { return w.perSecond }
			fmt.Printf("| %d | %s | %s | %s | %s | %s | %s | %s |\n", askers, spread(column(gate, p50), 0), spread(column(alone, p50), 0),
				spread(column(gate, p95), 0), spread(column(alone, p95), 0), spread(column(gate, small), 0), spread(column(alone, small), 0),
				spread(ratios(column(gate, perSecond), column(alone, perSecond)), 2))
		}
	}
	return nil
}

// ask sends the requests of a load. With a lock they are answered one at a time,
// in the order in which they get it.
func (s *setup) ask(ctx context.Context, l load, askers int, one *sync.Mutex) (waited, error) {
	type request struct {
		windows []models.Encoding
		took    float64
	}
	requests := make([]request, l.total)
	at := 0
	for i := range requests {
		n := l.sizes[i%len(l.sizes)]
		for range n {
			requests[i].windows = append(requests[i].windows, s.encodings[at%len(s.encodings)])
			at++
		}
	}
	next := make(chan int, l.total)
	for i := range requests {
		next <- i
	}
	close(next)
	var group sync.WaitGroup
	var mu sync.Mutex
	var failure error
	begin := time.Now()
	for range askers {
		group.Go(func() {
			for i := range next {
				start := time.Now()
				if one != nil {
					one.Lock()
				}
				err := s.service.Each(ctx, requests[i].windows, func(int, models.Outputs) error { return nil })
				if one != nil {
					one.Unlock()
				}
				requests[i].took = ms(time.Since(start))
				if err != nil {
					mu.Lock()
					failure = err
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	w := waited{perSecond: float64(l.total) / time.Since(begin).Seconds()}
	var all, small []float64
	for _, r := range requests {
		all = append(all, r.took)
		if len(r.windows) == l.sizes[0] {
			small = append(small, r.took)
		}
	}
	slices.Sort(all)
	slices.Sort(small)
	w.p50, w.p95, w.small = all[len(all)/2], all[len(all)*95/100], small[len(small)*95/100]
	return w, failure
}

// heads measures span and relevance logits of 20 windows.
func (s *setup) heads(ctx context.Context, rounds int) error {
	windows := s.encodings[:min(20, len(s.encodings))]
	spans := func(i int, o models.Outputs) error {
		_, err := s.span.Spans(o, windows[i])
		return err
	}
	relevances := func(i int, o models.Outputs) error {
		_, err := s.relevance.Relevance(o, windows[i])
		return err
	}
	one := func() error {
		return s.service.Each(ctx, windows, func(i int, o models.Outputs) error {
			if err := spans(i, o); err != nil {
				return err
			}
			return relevances(i, o)
		})
	}
	two := func() error {
		if err := s.service.Each(ctx, windows, relevances); err != nil {
			return err
		}
		return s.service.Each(ctx, windows, spans)
	}
	alone := func() error { return s.service.Each(ctx, windows, spans) }
	variants := []struct {
		name string
		run  func() error
	}{{"span alone", alone}, {"span and relevance, one run a window", one}, {"span and relevance, two runs", two}}
	wall, cpu := make([][]float64, len(variants)), make([][]float64, len(variants))
	for range rounds {
		for i, v := range variants {
			begin, used := time.Now(), processorTime()
			if err := v.run(); err != nil {
				return err
			}
			wall[i], cpu[i] = append(wall[i], ms(time.Since(begin))), append(cpu[i], ms(processorTime()-used))
		}
	}
	fmt.Printf("| %d windows | wall ms | CPU ms | wall to two runs | CPU to two runs |\n|---|---|---|---|---|\n", len(windows))
	for i, v := range variants {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", v.name, spread(wall[i], 0), spread(cpu[i], 0), spread(ratios(wall[i], wall[2]), 2), spread(ratios(cpu[i], cpu[2]), 2))
	}
	return nil
}
