package onnx_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/models/onnx"
)

func TestAutoPrecisionMeasuresOnce(t *testing.T) {
	bundle, err := tinyBundle(modelstest.Graph{}.File(), func(m *models.Manifest) {
		m.Graphs = map[string]string{"fp32": "tiny.onnx", "int8": "tiny.onnx"}
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "verdicts")
	opened := func(config onnx.Config) string {
		t.Helper()
		var log bytes.Buffer
		config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		m := open(t, config, bundle)
		precision := m.Info().Precision
		m.Close()
		if !strings.Contains(log.String(), "precision="+precision) {
			t.Errorf("the log does not name %s: %s", precision, &log)
		}
		return log.String()
	}
	for _, step := range []struct {
		name   string
		before func(file string)
		want   string
	}{
		{"first", nil, "measured as the fastest on this machine: "},
		{"second", nil, "measured as the fastest on this machine earlier: "},
		{"damaged", func(file string) {
			if err := os.WriteFile(file, []byte(`{"precision": "fp64"}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "measured as the fastest on this machine: "},
	} {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.json")); step.before != nil {
			step.before(files[0])
		}
		if log := opened(onnx.Config{VerdictDir: dir}); !strings.Contains(log, step.want) || !strings.Contains(log, "ms") {
			t.Errorf("%s: log %s, want %q", step.name, log, step.want)
		}
	}
	if log := opened(onnx.Config{}); !strings.Contains(log, "that the bundle has") {
		t.Errorf("without a directory: %s", log)
	}
	if log := opened(onnx.Config{VerdictDir: dir, Precision: "fp32"}); !strings.Contains(log, "because=configured") {
		t.Errorf("a configured precision: %s", log)
	}
	if log := opened(onnx.Config{VerdictDir: filepath.Join(os.DevNull, "x")}); !strings.Contains(log, "measured again") {
		t.Errorf("a directory that cannot be made: %s", log)
	}
}
