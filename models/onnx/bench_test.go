//go:build unix

package onnx_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/models/onnx"
)

// processorTime is what the process has used of all cores, native threads
// included.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// benchmarkBundles are the builtin one and, if there is one, that of
// NEEDLE_FP32_BUNDLE.
func benchmarkBundles(b *testing.B) map[string]*models.Bundle {
	b.Helper()
	bundles := map[string]*models.Bundle{"int8": builtinBundle(b)}
	if dir := os.Getenv("NEEDLE_FP32_BUNDLE"); dir != "" {
		bundle, err := models.ReadBundle(os.DirFS(dir))
		if err != nil {
			b.Fatal(err)
		}
		bundles["fp32"] = bundle
	}
	return bundles
}

// paragraphs are encodings with 161 tokens on average, as real ones have.
func paragraphs(n int) []models.Encoding {
	batch := make([]models.Encoding, n)
	for i := range batch {
		e := modelstest.Encodings(7, 512)[6]
		length := 61 + 200*i/max(n-1, 1)
		if n == 1 {
			length = 161
		}
		for e.Len() < length {
			e.IDs, e.TypeIDs = append(e.IDs, e.IDs...), append(e.TypeIDs, e.TypeIDs...)
			e.Sequences, e.Offsets = append(e.Sequences, e.Sequences...), append(e.Offsets, e.Offsets...)
		}
		e.IDs, e.TypeIDs, e.Sequences, e.Offsets = e.IDs[:length], e.TypeIDs[:length], e.Sequences[:length], e.Offsets[:length]
		e.Last = length - 1
		batch[i] = e
	}
	return batch
}

func BenchmarkOpen(b *testing.B) {
	for precision, bundle := range benchmarkBundles(b) {
		b.Run(precision, func(b *testing.B) {
			for b.Loop() {
				open(b, onnx.Config{Precision: precision}, bundle).Close()
			}
		})
	}
}

func BenchmarkPassage(b *testing.B) {
	for precision, bundle := range benchmarkBundles(b) {
		b.Run(precision, func(b *testing.B) {
			m := open(b, onnx.Config{Precision: precision}, bundle)
			defer m.Close()
			batch := paragraphs(1)
			for range 5 { // the first runs ask the system for memory
				if _, err := m.Run(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			started, runs := processorTime(b), 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Run(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				runs++
			}
			b.ReportMetric(float64(processorTime(b)-started)/1e6/float64(runs), "cpu-ms/passage")
		})
	}
}

// BenchmarkQuestion reads 50 paragraphs through the gate, heads included.
func BenchmarkQuestion(b *testing.B) {
	for precision, bundle := range benchmarkBundles(b) {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/workers=%d", precision, workers), func(b *testing.B) {
				service, err := infer.New(open(b, onnx.Config{Precision: precision}, bundle), infer.Config{Workers: workers})
				if err != nil {
					b.Fatal(err)
				}
				defer service.Close()
				spec, _ := bundle.Head(models.HeadSpan)
				head, err := span.New(spec, bundle.ReadFile, service.Info().Width)
				if err != nil {
					b.Fatal(err)
				}
				if err := service.Warm(b.Context()); err != nil {
					b.Fatal(err)
				}
				batch := paragraphs(50)
				started, runs := processorTime(b), 0
				b.ReportAllocs()
				for b.Loop() {
					err := service.Each(b.Context(), batch, func(i int, o models.Outputs) error {
						_, err := head.(models.SpanHead).Spans(o, batch[i])
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
					runs += len(batch)
				}
				b.ReportMetric(float64(processorTime(b)-started)/1e6/float64(runs), "cpu-ms/passage")
				b.ReportMetric(float64(runs)/b.Elapsed().Seconds(), "passages/s")
			})
		}
	}
}
