package onnx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/internal/ortlib"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/models/onnx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// library returns the path of ONNX Runtime, or ends the test.
func library(t testing.TB) string {
	t.Helper()
	found, err := ortlib.Locate(ortlib.Options{})
	switch {
	case err == nil:
		return found.Path
	case os.Getenv("CI") == "true":
		t.Fatalf("ONNX Runtime is needed: %v", err)
	default:
		t.Skipf("ONNX Runtime is not set up; run: go run ./cmd/needle setup (%v)", err)
	}
	return ""
}

func open(t testing.TB, config onnx.Config, bundle *models.Bundle) models.LanguageModel {
	t.Helper()
	config.LibraryPath = library(t)
	m, err := onnx.Open(t.Context(), config, bundle)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func builtinBundle(t testing.TB) *models.Bundle {
	t.Helper()
	b, err := builtin.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuiltinConforms(t *testing.T) {
	modelstest.TestLanguageModel(t, func(t *testing.T) models.LanguageModel {
		return open(t, onnx.Config{}, builtinBundle(t))
	})
}

func TestEmbeddingConforms(t *testing.T) {
	modelstest.TestLanguageModel(t, func(t *testing.T) models.LanguageModel {
		bundle, err := builtin.EmbeddingBundle()
		if err != nil {
			t.Fatal(err)
		}
		return open(t, onnx.Config{}, bundle)
	})
}

func TestTinyGraphsConform(t *testing.T) {
	tests := []struct {
		name    string
		graph   modelstest.Graph
		config  onnx.Config
		outputs []string
	}{
		{"split", modelstest.Graph{}, onnx.Config{}, []string{models.OutputHidden}},
		{"split, padded batches", modelstest.Graph{}, onnx.Config{BatchTokens: 1000}, []string{models.OutputHidden}},
		{"split, two threads", modelstest.Graph{}, onnx.Config{Threads: 2}, []string{models.OutputHidden}},
		{"fused", modelstest.Graph{Spans: true, Labels: 3}, onnx.Config{}, []string{models.OutputStartLogits, models.OutputEndLogits}},
		{"fused, padded batches", modelstest.Graph{Spans: true, Labels: 3}, onnx.Config{BatchTokens: 1000}, []string{models.OutputStartLogits, models.OutputEndLogits, models.OutputLogits}},
		{"labels, padded batches", modelstest.Graph{Labels: 4}, onnx.Config{BatchTokens: 1000}, []string{models.OutputLogits}},
		{"tags, padded batches", modelstest.Graph{Labels: 4, PerToken: true}, onnx.Config{BatchTokens: 1000}, []string{models.OutputLogits}},
		{"split, no arena", modelstest.Graph{}, onnx.Config{Memory: onnx.Memory{NoArena: true, Patterns: true, WeightsOutside: true}}, []string{models.OutputHidden}},
		{"split, shared arena", modelstest.Graph{}, onnx.Config{Memory: onnx.Memory{Exact: true}}, []string{models.OutputHidden}},
		{"all outputs", modelstest.Graph{Spans: true, Labels: 3}, onnx.Config{BatchTokens: 500}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			modelstest.TestLanguageModel(t, func(t *testing.T) models.LanguageModel {
				bundle, err := tinyBundle(tt.graph.File(), func(m *models.Manifest) { m.Outputs = tt.outputs })
				if err != nil {
					t.Fatal(err)
				}
				return open(t, tt.config, bundle)
			})
		})
	}
}

// TestTinyValues compares with the formula of the graph.
func TestTinyValues(t *testing.T) {
	const tinyWidth = modelstest.GraphWidth
	bundle, err := tinyBundle(modelstest.Graph{Spans: true, Labels: 3}.File(), func(m *models.Manifest) { m.Outputs = nil })
	if err != nil {
		t.Fatal(err)
	}
	words, segments := modelstest.GraphValues(modelstest.GraphWords*tinyWidth, 1), modelstest.GraphValues(2*tinyWidth, 2)
	batch := modelstest.Encodings(9, 300)
	for _, batchTokens := range []int{0, 400} {
		t.Run(fmt.Sprintf("batch tokens %d", batchTokens), func(t *testing.T) {
			m := open(t, onnx.Config{BatchTokens: batchTokens}, bundle)
			defer m.Close()
			results, err := m.Run(t.Context(), batch)
			if err != nil {
				t.Fatal(err)
			}
			for k, e := range batch {
				hidden := results[k][models.OutputHidden]
				start := results[k][models.OutputStartLogits]
				if got := results[k][models.OutputLogits].Shape; !slices.Equal(got, []int{3}) {
					t.Errorf("encoding %d: logits have shape %v, want [3]", k, got)
				}
				embedded := func(i, j int) float64 {
					return float64(words[int(e.IDs[i])*tinyWidth+j]) + float64(segments[int(e.TypeIDs[i])*tinyWidth+j])
				}
				var mean [tinyWidth]float64
				for j := range tinyWidth {
					for i := range e.IDs {
						mean[j] += embedded(i, j) / float64(e.Len())
					}
				}
				weights := modelstest.GraphValues(tinyWidth, 10)
				for i := range e.IDs {
					logit := 0.0
					for j := range tinyWidth {
						want := embedded(i, j) + mean[j]
						logit += want * float64(weights[j])
						if got := float64(hidden.Data[i*tinyWidth+j]); math.Abs(got-want) > 1e-5 {
							t.Fatalf("encoding %d: hidden state [%d, %d] is %v, want %v", k, i, j, got, want)
						}
					}
					if got := float64(start.Data[i]); math.Abs(got-logit) > 1e-5 {
						t.Fatalf("encoding %d: start logit %d is %v, want %v", k, i, got, logit)
					}
				}
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	good := modelstest.Graph{}.File()
	tests := []struct {
		name   string
		graph  []byte
		change func(*models.Manifest)
		config onnx.Config
		want   string
	}{
		{"damaged graph", good[:len(good)/2], nil, onnx.Config{}, "tiny.onnx: onnx: read graph: the file is cut off or damaged"},
		{"no graph", []byte("hello, this is no graph"), nil, onnx.Config{}, "tiny.onnx: onnx: read graph: "},
		{"empty file", nil, nil, onnx.Config{}, "tiny.onnx: onnx: read graph: there is no graph in it"},
		{"custom operators are named", modelstest.Graph{Domain: "example.com"}.File(), nil, onnx.Config{}, "the graph uses custom operators (example.com.Strange); export it with the operators of ai.onnx, ai.onnx.ml and com.microsoft only"},
		{"custom operator", modelstest.Graph{Domain: "example.com"}.File(), nil, onnx.Config{}, "tiny.onnx: ort: open session: ONNX Runtime refuses the graph: Fatal error: example.com:Strange(-1) is not a registered function/op"},
		{"weights elsewhere", modelstest.Graph{External: true}.File(), nil, onnx.Config{}, `the graph keeps weights in another file ("weights.bin")`},
		{"unknown input", modelstest.Graph{MaskName: "mask"}.File(), nil, onnx.Config{}, `the graph has an input "mask"; inputs can be input_ids, attention_mask, token_type_ids`},
		{"input type", modelstest.Graph{IDType: 6}.File(), nil, onnx.Config{}, `input "input_ids" is of type int32, want int64`},
		{"fixed length", modelstest.Graph{Fixed: 128}.File(), nil, onnx.Config{}, `input "input_ids" has the fixed shape [-1 128]; both dimensions must vary`},
		{"output type", modelstest.Graph{OutputType: 10}.File(), nil, onnx.Config{}, `output "last_hidden_state" is of type float16, want float32`},
		{"hidden size", good, func(m *models.Manifest) { m.HiddenSize = 384 }, onnx.Config{}, `output "last_hidden_state" has shape [-1 -1 6], want [batch, tokens, 384]`},
		{"input missing in the graph", good, func(m *models.Manifest) { m.Inputs = append(m.Inputs, "position_ids") }, onnx.Config{}, `needle.json names the input "position_ids", which the graph does not have; it has: input_ids, attention_mask, token_type_ids`},
		{"input missing in the manifest", good, func(m *models.Manifest) { m.Inputs = m.Inputs[:2] }, onnx.Config{}, `the graph has the input "token_type_ids", which needle.json does not name`},
		{"output missing in the graph", good, func(m *models.Manifest) { m.Outputs = []string{"start_logits"} }, onnx.Config{}, `needle.json names the output "start_logits", which the graph does not have; it has: last_hidden_state`},
		{"precision missing", good, nil, onnx.Config{Precision: "int8"}, `bundle "tiny" has no graph of precision int8; it has fp32`},
		{"vocabulary too large", good, nil, onnx.Config{VocabularySize: 1001}, `tiny.onnx: a test run with the tokenizer's greatest id, 1000, failed (does the vocabulary belong to the graph?)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.LibraryPath = library(t)
			bundle, err := tinyBundle(tt.graph, tt.change)
			if err != nil {
				t.Fatal(err)
			}
			m, err := onnx.Open(t.Context(), tt.config, bundle)
			if err == nil {
				m.Close()
				t.Fatal("got no error")
			}
			if !errors.Is(err, models.ErrInvalidBundle) {
				t.Errorf("error %v is no ErrInvalidBundle", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error\n\t%v\nwant it to contain\n\t%s", err, tt.want)
			}
		})
	}
}

func TestOpenRefusesContentThatDoesNotFitTheManifest(t *testing.T) {
	// The hash is checked before ONNX Runtime sees a byte.
	bundle, err := tinyBundle(modelstest.Graph{}.File(), nil)
	if err != nil {
		t.Fatal(err)
	}
	entry := bundle.Manifest.Files["tiny.onnx"]
	entry.SHA256 = strings.Repeat("0", 64)
	bundle.Manifest.Files["tiny.onnx"] = entry
	_, err = onnx.Open(t.Context(), onnx.Config{LibraryPath: library(t)}, bundle)
	if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), "tiny.onnx has the wrong content") {
		t.Errorf("got error %v, want ErrInvalidBundle about the content of tiny.onnx", err)
	}
}

func TestMissingRuntimeSaysWhatToDo(t *testing.T) {
	for name, path := range map[string]string{
		"no path":   "",
		"no file":   filepath.Join(t.TempDir(), "libonnxruntime.so"),
		"directory": t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := onnx.Open(t.Context(), onnx.Config{LibraryPath: path}, builtinBundle(t))
			if !errors.Is(err, models.ErrRuntimeMissing) {
				t.Errorf("got error %v, want ErrRuntimeMissing", err)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	tests := []struct {
		name   string
		config onnx.Config
		want   string
	}{
		{"zero", onnx.Config{}, ""},
		{"all set", onnx.Config{Precision: "fp16", Device: "cuda:3", Threads: 4, BatchTokens: 100}, ""},
		{"precision", onnx.Config{Precision: "int4"}, `precision is "int4"; allowed are auto, fp32, fp16, int8`},
		{"device", onnx.Config{Device: "gpu"}, `device is "gpu"; allowed are cpu and cuda:N, such as cuda:0`},
		{"device number", onnx.Config{Device: "cuda:-1"}, `device is "cuda:-1"; allowed are cpu and cuda:N, such as cuda:0`},
		{"threads", onnx.Config{Threads: -1, BatchTokens: -1}, "threads is -1; allowed are 0 (one) to 1024\nbatch_tokens is -1; allowed are 0 (chosen by device) and more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.config.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The library that setup fetches has no CUDA.
func TestMissingDeviceIsAnError(t *testing.T) {
	m, err := onnx.Open(t.Context(), onnx.Config{LibraryPath: library(t), Device: "cuda:0"}, builtinBundle(t))
	if err == nil {
		m.Close()
		t.Skip("this ONNX Runtime has CUDA and a device")
	}
	if !errors.Is(err, onnx.ErrDevice) || !strings.Contains(err.Error(), "cuda:0") {
		t.Errorf("got error %v, want ErrDevice that names cuda:0", err)
	}
}

func TestOpenLogsItsChoice(t *testing.T) {
	var log bytes.Buffer
	m := open(t, onnx.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, builtinBundle(t))
	defer m.Close()
	info := m.Info()
	if info.Precision != "int8" || info.Device != "cpu" || info.Width != 384 || !strings.HasPrefix(info.Runtime, "ONNX Runtime 1.") {
		t.Errorf("info is %+v", info)
	}
	for _, want := range []string{"precision=int8", "because=", "device=cpu"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s: %s", want, log.String())
		}
	}
}

func TestOpenHonoursTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := onnx.Open(ctx, onnx.Config{LibraryPath: library(t)}, builtinBundle(t))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}
