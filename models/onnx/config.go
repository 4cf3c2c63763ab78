package onnx

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/internal/ort"
)

// The precisions of graphs.
const (
	PrecisionAuto = "auto"
	PrecisionFP32 = "fp32"
	PrecisionFP16 = "fp16"
	PrecisionInt8 = "int8"
)

// DeviceCPU is the device that needs no name.
const DeviceCPU = "cpu"

// A Config says how to run a language model. The zero value runs it on the CPU.
type Config struct {
	// LibraryPath is the ONNX Runtime shared library.
	LibraryPath string
	// Precision is auto (also when empty), fp32, fp16 or int8.
	Precision string
	// Device is cpu (also when empty) or cuda:N.
	Device string
	// Threads is how many threads share one call, 1 when 0. One thread and
	// several calls at a time give more throughput.
	Threads int
	// BatchTokens is how many tokens, padding included, one native call may
	// have. 0 chooses by device: single encodings on a CPU, 16384 on a GPU.
	BatchTokens int
	// VerdictDir is where it is kept which precision was the fastest on this
	// machine. Empty means that automatic precision does not measure.
	VerdictDir string
	// VocabularySize, when set, is that of the tokenizer: Open makes sure that
	// the graph knows its greatest id.
	VocabularySize int
	// Memory says how memory is kept on the CPU; the zero value is what was
	// measured to be best.
	Memory Memory
	// Logger receives what Open decided; nothing when nil.
	Logger *slog.Logger
}

// A Memory says how ONNX Runtime keeps memory.
type Memory = ort.Memory

// Validate checks the values without touching anything.
func (c Config) Validate() error {
	var faults []error
	precisions := []string{PrecisionAuto, PrecisionFP32, PrecisionFP16, PrecisionInt8}
	if c.Precision != "" && !slices.Contains(precisions, c.Precision) {
		faults = append(faults, fmt.Errorf("precision is %q; allowed are %s", c.Precision, strings.Join(precisions, ", ")))
	}
	if _, err := c.device(); err != nil {
		faults = append(faults, err)
	}
	if c.Threads < 0 || c.Threads > 1024 {
		faults = append(faults, fmt.Errorf("threads is %d; allowed are 0 (one) to 1024", c.Threads))
	}
	if c.BatchTokens < 0 {
		faults = append(faults, fmt.Errorf("batch_tokens is %d; allowed are 0 (chosen by device) and more", c.BatchTokens))
	}
	if c.VocabularySize < 0 {
		faults = append(faults, fmt.Errorf("vocabulary size is %d; it cannot be negative", c.VocabularySize))
	}
	return errors.Join(faults...)
}

// device returns the number of the GPU, nil for the CPU.
func (c Config) device() (*int, error) {
	if c.Device == "" || c.Device == DeviceCPU {
		return nil, nil
	}
	if name, number, found := strings.Cut(c.Device, ":"); found && name == "cuda" {
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < 256 && strconv.Itoa(n) == number {
			return &n, nil
		}
	}
	return nil, fmt.Errorf("device is %q; allowed are cpu and cuda:N, such as cuda:0", c.Device)
}

// choose returns the precision to use and why.
func (c Config) choose(bundle *models.Bundle) (precision, reason string, err error) {
	graphs := bundle.Manifest.Graphs
	if c.Precision != "" && c.Precision != PrecisionAuto {
		if _, ok := graphs[c.Precision]; !ok {
			return "", "", fmt.Errorf("%w: bundle %q has no graph of precision %s; it has %s", models.ErrInvalidBundle, bundle.Manifest.Name, c.Precision, listed(graphs))
		}
		return c.Precision, "configured", nil
	}
	order, reason := []string{PrecisionInt8, PrecisionFP32, PrecisionFP16}, "the fastest on a CPU that the bundle has"
	if c.Device != "" && c.Device != DeviceCPU {
		order, reason = []string{PrecisionFP16, PrecisionFP32, PrecisionInt8}, "the fastest on a GPU that the bundle has"
	}
	for _, p := range order {
		if _, ok := graphs[p]; ok {
			return p, reason, nil
		}
	}
	return "", "", fmt.Errorf("%w: bundle %q has no graph", models.ErrInvalidBundle, bundle.Manifest.Name)
}

func listed(graphs map[string]string) string {
	var all []string
	for p := range graphs {
		all = append(all, p)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
