// Command memory runs many requests of varied lengths through the inference
// service and prints how much memory the process holds on the way:
//
//	go run ./bench/memory -requests 100000 -arena on
//
// The lengths are those of short texts, with a long one here and there, so that
// an arena sees every size: most encodings have 2 to 32 tokens, one in 100 up to
// -longest. Each line is a JSON object; the last one says how much the memory
// grew over the second half.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/onnx"
)

// A sample is the state after a number of requests.
type sample struct {
	Arena    string  `json:"arena"`
	Requests int64   `json:"requests"`
	Tokens   int64   `json:"tokens"`
	Seconds  float64 `json:"seconds"`
	RSS      float64 `json:"rss_mb"`
	Peak     float64 `json:"peak_mb"`
	// Go is what the Go runtime holds of it, about.
	Go float64 `json:"go_mb"`
}

// A verdict ends a run.
type verdict struct {
	Arena string `json:"arena"`
	// PerSecond is the throughput in tokens.
	PerSecond float64 `json:"tokens_per_second"`
	// Half is the greatest resident memory over the first half, End that over
	// the second.
	Half float64 `json:"first_half_mb"`
	End  float64 `json:"second_half_mb"`
}

// arenas are the settings to choose from.
var arenas = map[string]onnx.Memory{
	"on":       {},
	"off":      {NoArena: true},
	"patterns": {Patterns: true},
	"weights":  {WeightsOutside: true},
	"exact":    {Exact: true},
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	requests := flag.Int64("requests", 100_000, "how many")
	arena := flag.String("arena", "on", "on, off, patterns, weights (outside of the arena), exact (grows by what is asked for)")
	workers := flag.Int("workers", 2, "native calls at a time, and twice as many askers")
	longest := flag.Int("longest", 384, "tokens of the longest encoding")
	every := flag.Int64("every", 5000, "requests between two lines")
	seed := flag.Uint64("seed", 1, "of the lengths")
	flag.Parse()
	memory, ok := arenas[*arena]
	if !ok || *requests < 10 || *workers < 1 || *every < 1 || *longest < 48 || *longest > 512 {
		return errors.New("a flag has a value that is not allowed")
	}
	service, err := open(ctx, memory, *workers)
	if err != nil {
		return err
	}
	defer service.Close()

	out := json.NewEncoder(os.Stdout)
	begin := time.Now()
	var done, tokens atomic.Int64
	var mu sync.Mutex
	v := verdict{Arena: *arena}
	var failure error
	note := func(n int64) {
		rss, peak := resident()
		mu.Lock()
		defer mu.Unlock()
		if n <= *requests/2 {
			v.Half = max(v.Half, rss)
		} else {
			v.End = max(v.End, rss)
		}
		if n%*every == 0 {
			failure = errors.Join(failure, out.Encode(sample{*arena, n, tokens.Load(), time.Since(begin).Seconds(), rss, peak, goMemory()}))
		}
	}
	var group sync.WaitGroup
	for asker := range 2 * *workers {
		random := rand.New(rand.NewPCG(*seed, uint64(asker)))
		group.Go(func() {
			for {
				n := done.Add(1)
				if n > *requests {
					return
				}
				batch := varied(random, *longest)
				err := service.Each(ctx, batch, func(int, models.Outputs) error { return nil })
				if err != nil {
					mu.Lock()
					failure = errors.Join(failure, err)
					mu.Unlock()
					return
				}
				for _, e := range batch {
					tokens.Add(int64(e.Len()))
				}
				if n%(*every/5+1) == 0 || n%*every == 0 {
					note(n)
				}
			}
		})
	}
	group.Wait()
	v.PerSecond = float64(tokens.Load()) / time.Since(begin).Seconds()
	return errors.Join(failure, out.Encode(v))
}

func open(ctx context.Context, memory onnx.Memory, workers int) (*infer.Service, error) {
	library, err := onnx.Locate(onnx.LocateOptions{})
	if err != nil {
		return nil, err
	}
	bundle, err := builtin.Bundle()
	if err != nil {
		return nil, err
	}
	model, err := onnx.Open(ctx, onnx.Config{LibraryPath: library.Path, Memory: memory}, bundle)
	if err != nil {
		return nil, err
	}
	return infer.New(model, infer.Config{Workers: workers})
}

// varied is a request: one encoding, or two.
func varied(random *rand.Rand, longest int) []models.Encoding {
	batch := make([]models.Encoding, 1+random.IntN(4)/3)
	for i := range batch {
		n := 2 + random.IntN(31)
		if random.IntN(100) == 0 {
			n = 2 + random.IntN(longest-1)
		}
		e := models.Encoding{IDs: make([]int32, n), TypeIDs: make([]int32, n), Sequences: make([]int8, n), Offsets: make([]models.Offset, n)}
		for k := range e.IDs {
			e.IDs[k] = random.Int32N(30000)
		}
		batch[i] = e
	}
	return batch
}

// resident returns the resident memory of the process and its peak in MB, 0
// where the system does not say.
func resident() (now, peak float64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch {
		case err != nil:
		case key == "VmRSS":
			now = kb * 1024 / 1e6
		case key == "VmHWM":
			peak = kb * 1024 / 1e6
		}
	}
	return now, peak
}

func goMemory() float64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.Sys-stats.HeapReleased) / 1e6
}
