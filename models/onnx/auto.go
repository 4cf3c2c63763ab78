package onnx

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/internal/ort"
)

// A verdict is which precision was fastest on a machine, kept so that only the
// first start measures.
type verdict struct {
	Precision string `json:"precision"`
	// MS is the time of one text of autoTokens tokens, by precision.
	MS map[string]float64 `json:"ms"`
}

// The measurement: a text of middling length, once to warm up and then some
// times, of which the fastest counts, because other work only adds.
const (
	autoTokens = 128
	autoRuns   = 4
)

// autoCandidates are the precisions worth measuring: CPUs have no fp16
// arithmetic that ONNX Runtime uses for these graphs.
func (c Config) autoCandidates(bundle *models.Bundle) []string {
	if c.Device != "" && c.Device != DeviceCPU || c.Precision != "" && c.Precision != PrecisionAuto || c.VerdictDir == "" {
		return nil
	}
	var list []string
	for _, p := range []string{PrecisionInt8, PrecisionFP32} {
		if _, ok := bundle.Manifest.Graphs[p]; ok {
			list = append(list, p)
		}
	}
	if len(list) < 2 {
		return nil
	}
	return list
}

// chooseMeasured is choose for automatic precision where the bundle leaves a
// choice: the fastest of the graphs on this machine. A measurement that cannot
// be made falls back to the usual order.
func (c Config) chooseMeasured(ctx context.Context, library *ort.Library, bundle *models.Bundle) (precision, reason string, err error) {
	candidates := c.autoCandidates(bundle)
	if candidates == nil {
		return c.choose(bundle)
	}
	path := c.verdictPath(library, bundle)
	if v, ok := readVerdict(path, candidates); ok {
		return v.Precision, "measured as the fastest on this machine earlier: " + v.String(), nil
	}
	v := verdict{MS: map[string]float64{}}
	for _, p := range candidates {
		took, err := c.measure(ctx, library, bundle, p)
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		if err != nil {
			precision, reason, fault := c.choose(bundle)
			return precision, fmt.Sprintf("%s (%s could not be measured: %v)", reason, p, err), fault
		}
		v.MS[p] = float64(took.Microseconds()) / 1000
		if v.Precision == "" || v.MS[p] < v.MS[v.Precision] {
			v.Precision = p
		}
	}
	reason = "measured as the fastest on this machine: " + v.String()
	if err := writeVerdict(path, v); err != nil {
		reason += fmt.Sprintf(" (it will be measured again: %v)", err)
	}
	return v.Precision, reason, nil
}

// String lists the times, the fastest first.
func (v verdict) String() string {
	precisions := make([]string, 0, len(v.MS))
	for p := range v.MS {
		precisions = append(precisions, p)
	}
	slices.SortFunc(precisions, func(a, b string) int {
		if v.MS[a] < v.MS[b] {
			return -1
		}
		return 1
	})
	text := ""
	for i, p := range precisions {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %.1f ms", p, v.MS[p])
	}
	return text
}

// measure opens a graph and times a text.
func (c Config) measure(ctx context.Context, library *ort.Library, bundle *models.Bundle, precision string) (time.Duration, error) {
	file := bundle.Manifest.Graphs[precision]
	data, err := bundle.ReadFile(file)
	if err != nil {
		return 0, err
	}
	m, err := newModel(library, c, bundle, precision, file, data)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	n := min(autoTokens, m.info.MaxLength)
	e := models.Encoding{IDs: make([]int32, n), TypeIDs: make([]int32, n)}
	var best time.Duration
	for i := range 1 + autoRuns {
		begin := time.Now()
		if _, err := m.Run(ctx, []models.Encoding{e}); err != nil {
			return 0, err
		}
		if took := time.Since(begin); i == 1 || i > 1 && took < best {
			best = took
		}
	}
	return best, nil
}

// verdictPath names the machine by what the speed depends on as far as the
// standard library knows it, and by the name of the host for the rest.
func (c Config) verdictPath(library *ort.Library, bundle *models.Bundle) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	sum := sha256.Sum256(fmt.Appendln(nil, bundle.Hash, library.Version(), runtime.GOARCH, runtime.NumCPU(), host, c.Threads))
	return filepath.Join(c.VerdictDir, fmt.Sprintf("%x.json", sum[:12]))
}

func readVerdict(path string, candidates []string) (verdict, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return verdict{}, false
	}
	var v verdict
	// Whatever else stands there is measured again.
	return v, json.Unmarshal(data, &v) == nil && slices.Contains(candidates, v.Precision) && len(v.MS) == len(candidates)
}

func writeVerdict(path string, v verdict) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "verdict-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
