//go:build ORT || ALL

// Command hugot reads the passages of the reading benchmark with hugot, a Go
// library of transformer pipelines, on ONNX Runtime. It speaks the protocol of
// peer.py. It is a module of its own, so that Needle does not depend on hugot.
//
// Hugot has no pipeline for extractive question answering. This is what one of
// its users would write: hugot tokenizes, pads, batches and runs the graph, and
// the spans are decoded here, by the rule of training/spans.py.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/knights-analytics/hugot"
	"github.com/knights-analytics/hugot/backends"
	"github.com/knights-analytics/hugot/options"
	"github.com/knights-analytics/hugot/pipelines"
)

// input is what passages.py writes.
type input struct {
	Question string   `json:"question"`
	Passages []string `json:"passages"`
}

// line is one repetition, see peer.py.
type line struct {
	System    string   `json:"system"`
	Precision string   `json:"precision"`
	WallMS    float64  `json:"wall_ms"`
	CPUMS     float64  `json:"cpu_ms"`
	RSSMB     float64  `json:"rss_mb"`
	Answer    string   `json:"answer"`
	Passage   int      `json:"passage"`
	Score     float32  `json:"score"`
	Tokens    int      `json:"tokens"`
	Spans     []string `json:"spans"`
}

// settings are the command's flags.
type settings struct {
	model, precision, library, backend string
	workers, batch, repeat             int
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("hugot: ")
	var s settings
	flag.StringVar(&s.model, "model", "", "directory with fused graphs model.PRECISION.onnx, tokenizer.json and config.json")
	flag.StringVar(&s.precision, "precision", "fp32", "which of the graphs")
	flag.StringVar(&s.library, "library", "", "directory with libonnxruntime.so")
	flag.StringVar(&s.backend, "backend", "ort", "ort, or go for hugot's own")
	flag.IntVar(&s.workers, "workers", runtime.NumCPU(), "goroutines that call the pipeline, with one thread inside each")
	flag.IntVar(&s.batch, "batch", 1, "passages a call")
	flag.IntVar(&s.repeat, "repeat", 5, "repetitions")
	flag.Parse()
	if err := run(s, flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(s settings, path string) (err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var in input
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	session, err := open(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Destroy()) }()
	// Of hugot's pipelines this one asks least of the shape of outputs.
	pipeline, err := hugot.NewPipeline(session, hugot.FeatureExtractionConfig{ModelPath: s.model, Name: "reader", OnnxFilename: "model." + s.precision + ".onnx"})
	if err != nil {
		return err
	}
	backends.AllInputTokens(pipeline.BasePipeline) // offsets too
	for range s.repeat {
		begin, cpu := time.Now(), processCPU()
		spans, tokens, err := read(pipeline, in, s)
		if err != nil {
			return err
		}
		row := line{
			System: "hugot-" + s.backend, Precision: s.precision, WallMS: milliseconds(time.Since(begin)), CPUMS: milliseconds(processCPU() - cpu),
			RSSMB: peakRSS(), Passage: -1, Tokens: tokens,
		}
		for i, span := range spans {
			text := in.Passages[i][span.start:span.end]
			row.Spans = append(row.Spans, text)
			if row.Passage < 0 || span.score > row.Score {
				row.Answer, row.Passage, row.Score = text, i, span.score
			}
		}
		if err := json.NewEncoder(os.Stdout).Encode(row); err != nil {
			return err
		}
	}
	return nil
}

// open makes a session with the settings that hugot's documentation names for
// the greatest throughput.
func open(s settings) (*hugot.Session, error) {
	switch s.backend {
	case "go":
		return hugot.NewGoSession()
	case "ort":
		return hugot.NewORTSession(
			options.WithOnnxLibraryPath(s.library), options.WithInterOpNumThreads(1), options.WithIntraOpNumThreads(1),
			options.WithCPUMemArena(false), options.WithMemPattern(false),
		)
	}
	return nil, fmt.Errorf("-backend %s: allowed are ort, go", s.backend)
}

// read finds the best span of every passage.
func read(p *pipelines.FeatureExtractionPipeline, in input, s settings) (spans []span, tokens int, err error) {
	spans = make([]span, len(in.Passages))
	starts := make(chan int)
	faults := make(chan error, s.workers)
	counts := make(chan int, s.workers)
	var running sync.WaitGroup
	for range s.workers {
		running.Go(func() {
			var faulty error
			count := 0
			for from := range starts { // to the end, so that the sender never waits for nobody
				to := min(from+s.batch, len(in.Passages))
				if faulty == nil {
					var n int
					n, faulty = readBatch(p, in.Question, in.Passages[from:to], spans[from:to])
					count += n
				}
			}
			faults <- faulty
			counts <- count
		})
	}
	for from := 0; from < len(in.Passages); from += s.batch {
		starts <- from
	}
	close(starts)
	running.Wait()
	for range s.workers {
		err = errors.Join(err, <-faults)
		tokens += <-counts
	}
	return spans, tokens, err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func peakRSS() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Maxrss) * 1024 / 1e6
}
