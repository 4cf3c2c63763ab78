package telemetry_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/telemetry"
)

// TestDashboardAndAlertsNameRealMetrics holds the metrics that deploy/ names
// against those that are described.
func TestDashboardAndAlertsNameRealMetrics(t *testing.T) {
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Data = t.TempDir()
	p, err := pipeline.Open(t.Context(), cfg, pipeline.WithoutReader())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	metrics := telemetry.NewMetrics()
	metrics.Watch(p)
	metrics.WatchQuality(noQuality{})
	known := metrics.Names()
	series := regexp.MustCompile(`\bneedle_[a-z_]+`)
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	for _, file := range []string{"grafana/needle.json", "grafana/needle-quality.json", "prometheus/alerts.yaml"} {
		data, err := os.ReadFile(filepath.Join("..", "deploy", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(data) {
			t.Errorf("%s is no JSON", file)
		}
		names := series.FindAllString(string(data), -1)
		if len(names) < 9 {
			t.Errorf("%s names %d metrics, want more: the pattern does not fit", file, len(names))
		}
		for _, name := range names {
			if !slices.Contains(known, name) && !slices.Contains(known, suffix.ReplaceAllString(name, "")) {
				t.Errorf("%s: nothing exports %s", file, name)
			}
		}
		if strings.HasSuffix(file, "-quality.json") {
			for _, name := range known {
				if strings.HasPrefix(name, "needle_canary_") || strings.HasPrefix(name, "needle_drift_") || strings.HasPrefix(name, "needle_shadow_") || strings.HasPrefix(name, "needle_feedback_") {
					if !slices.Contains(names, name) {
						t.Errorf("%s does not show %s", file, name)
					}
				}
			}
		}
	}
}

// noQuality is a monitor that has seen nothing yet.
type noQuality struct{}

func (noQuality) Shadow() map[string]int              { return nil }
func (noQuality) Feedback() []telemetry.FeedbackState { return nil }
func (noQuality) Rollbacks() int                      { return 0 }
func (noQuality) Canaries() []telemetry.CanaryState   { return nil }
func (noQuality) Drift() []telemetry.DriftState       { return nil }
