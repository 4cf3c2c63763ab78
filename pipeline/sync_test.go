package pipeline_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func TestReadSources(t *testing.T) {
	for _, test := range []struct {
		name, text, fault string
		want              error
		n                 int
	}{
		{name: "none"},
		{name: "one", text: `{"format": 1, "sources": [{"source": "docs", "path": "/docs", "last_success": "2026-01-02T03:04:05Z"}]}`, n: 1},
		{name: "torn", text: `{"format": 1, "sour`, fault: "remove it to start a new record"},
		{name: "newer", text: `{"format": 2}`, want: retriever.ErrVersion, fault: "want 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := t.TempDir()
			if test.text != "" {
				if err := os.Mkdir(filepath.Join(data, "sources"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(data, "sources", "default.json"), []byte(test.text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			sources, err := pipeline.ReadSources(data, "default")
			if (err != nil) != (test.fault != "") || err != nil && !strings.Contains(err.Error(), test.fault) || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.fault)
			}
			if len(sources) != test.n {
				t.Errorf("got %d sources, want %d", len(sources), test.n)
			}
		})
	}
	if _, err := pipeline.ReadSources(t.TempDir(), "../escape"); !errors.Is(err, retriever.ErrInvalidIndexName) {
		t.Errorf("an index name that is a path: got %v", err)
	}
}

func TestSourceState(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	var s pipeline.SourceState
	if _, ok := s.Lag(now); ok || s.Failing() {
		t.Errorf("a source that was never synced has a lag or fails: %+v", s)
	}
	s.LastSuccess = now.Add(-time.Hour)
	s.LastFailure = now.Add(-2 * time.Hour)
	if lag, ok := s.Lag(now); !ok || lag != time.Hour || s.Failing() {
		t.Errorf("got lag %v %v, failing %v", lag, ok, s.Failing())
	}
	if s.LastFailure = now; !s.Failing() {
		t.Error("a failure after the last success does not count")
	}
}
