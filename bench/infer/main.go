// Command infer measures the inference service on the embedded model, each
// thing against its alternative in turns (A B A B), and prints ratios:
//
//	python bench/reading/passages.py bench/out/bulk.json --count 512
//	go run ./bench/infer -input bench/out/bulk.json -what throughput -python .venv/bin/python
//	go run ./bench/infer -input bench/out/bulk.json -what askers
//	go run ./bench/infer -input bench/out/bulk.json -what heads
//
// throughput: passages a second beside Python ONNX Runtime with the same
// encodings. askers: the time that 1, 8 and 32 askers wait through the gate, and
// when their requests are answered one at a time. heads: span and relevance from
// one run of the language model, and from two. arenas: the speed of the ways in
// which ONNX Runtime keeps memory.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/heads/relevance"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/models/tokenizer"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "infer:", err)
		os.Exit(1)
	}
}

// A setup is the open model with the windows of the input.
type setup struct {
	bundle    *models.Bundle
	service   *infer.Service
	encodings []models.Encoding
	span      models.SpanHead
	relevance models.RelevanceHead
}

func run(ctx context.Context) error {
	input := flag.String("input", "", "file that bench/reading/passages.py wrote")
	what := flag.String("what", "", "throughput, askers, heads or arenas")
	python := flag.String("python", "python3", "a Python with onnxruntime and numpy, for throughput")
	rounds := flag.Int("rounds", 5, "how often everything is measured")
	workers := flag.Int("workers", 2, "native calls at a time")
	only := flag.String("load", "", "askers: only the load of this name, such as \"1 window a request\"")
	flag.Parse()
	s, err := open(ctx, *input, *workers)
	if err != nil {
		return err
	}
	defer s.service.Close()
	if err := s.service.Warm(ctx); err != nil {
		return err
	}
	tokens := 0
	for _, e := range s.encodings {
		tokens += e.Len()
	}
	fmt.Printf("%s, %d windows with %.0f tokens on average, %d rounds\n\n", s.service.Info().Runtime, len(s.encodings), float64(tokens)/float64(len(s.encodings)), *rounds)
	switch *what {
	case "throughput":
		return s.throughput(ctx, *python, *rounds)
	case "askers":
		return s.askers(ctx, *rounds, *only)
	case "heads":
		return s.heads(ctx, *rounds)
	case "arenas":
		return s.arenas(ctx, *workers, *rounds)
	}
	return errors.New("-what is throughput, askers, heads or arenas")
}

func open(ctx context.Context, path string, workers int) (*setup, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var input struct {
		Question string   `json:"question"`
		Passages []string `json:"passages"`
	}
	if err := json.Unmarshal(data, &input); err != nil {
		return nil, err
	}
	library, err := onnx.Locate(onnx.LocateOptions{})
	if err != nil {
		return nil, err
	}
	bundle, err := builtin.Bundle()
	if err != nil {
		return nil, err
	}
	vocabulary, err := bundle.ReadFile(bundle.Manifest.Tokenizer)
	if err != nil {
		return nil, err
	}
	cutter, err := tokenizer.Load(vocabulary)
	if err != nil {
		return nil, err
	}
	s := &setup{bundle: bundle}
	asked := cutter.Tokenize(input.Question)
	for _, passage := range input.Passages {
		windows, err := cutter.Pair(asked, cutter.Tokenize(passage), 384, 128)
		if err != nil {
			return nil, err
		}
		s.encodings = append(s.encodings, windows...)
	}
	if len(s.encodings) == 0 {
		return nil, fmt.Errorf("%s has no passages", path)
	}
	model, err := onnx.Open(ctx, onnx.Config{LibraryPath: library.Path}, bundle)
	if err != nil {
		return nil, err
	}
	if err := s.openHeads(model.Info().Width); err != nil {
		return nil, errors.Join(err, model.Close())
	}
	s.service, err = infer.New(model, infer.Config{Workers: workers})
	return s, err
}

func (s *setup) openHeads(width int) error {
	spec, _ := s.bundle.Head(models.HeadSpan)
	head, err := span.New(spec, s.bundle.ReadFile, width)
	if err != nil {
		return err
	}
	s.span = head.(models.SpanHead)
	spec, _ = s.bundle.Head(models.HeadRelevance)
	if head, err = relevance.New(spec, s.bundle.ReadFile, width); err != nil {
		return err
	}
	s.relevance = head.(models.RelevanceHead)
	return nil
}

// A measure is what one pass took, and the sum of the magnitudes of the first
// value of every hidden state, so that nobody gets fast by computing less.
type measure struct {
	Wall     float64 `json:"wall_ms"`
	CPU      float64 `json:"cpu_ms"`
	Checksum float64 `json:"checksum"`
}

// pass runs encodings through the service.
func (s *setup) pass(ctx context.Context, encodings []models.Encoding) (measure, error) {
	first := make([]float64, len(encodings))
	wall, cpu := time.Now(), processorTime()
	err := s.service.Each(ctx, encodings, func(i int, outputs models.Outputs) error {
		hidden, err := outputs.Get(models.OutputHidden, encodings[i].Len())
		if err == nil {
			first[i] = float64(hidden.Data[0])
		}
		return err
	})
	m := measure{Wall: ms(time.Since(wall)), CPU: ms(processorTime() - cpu)}
	for _, v := range first {
		m.Checksum += math.Abs(v)
	}
	return m, err
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// spread is lowest / median / highest.
func spread(values []float64, digits int) string {
	sorted := slices.Sorted(slices.Values(values))
	return fmt.Sprintf("%.*f / %.*f / %.*f", digits, sorted[0], digits, sorted[len(sorted)/2], digits, sorted[len(sorted)-1])
}

// ratios divides round by round.
func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}
