package builtin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// TestDeviceFallback: a device that is missing is an error, or, if the
// configuration allows it, a warning in every result.
func TestDeviceFallback(t *testing.T) {
	if _, err := onnx.Locate(onnx.LocateOptions{}); err != nil {
		testenv.Missing(t, false, "%v", err)
	}
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Data = t.TempDir()
	cfg.Reader.Device = "cuda:99"
	p, err := pipeline.Open(t.Context(), cfg)
	if err == nil {
		p.Close()
	}
	if !errors.Is(err, onnx.ErrDevice) || !strings.Contains(err.Error(), "cuda:99") {
		t.Errorf("without fallback: %v, want ErrDevice that names cuda:99", err)
	}
	cfg.Reader.DeviceFallback = true
	if p, err = pipeline.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	result, err := p.Read(t.Context(), pipeline.ReadRequest{Question: "Who came?", Documents: []pipeline.ReadDocument{{Text: "Ada came."}}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(result.Warnings, func(w string) bool { return strings.Contains(w, "cuda:99 is not available") }) {
		t.Errorf("warnings %q do not name the device", result.Warnings)
	}
}
