package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// TestDeployedConfigurations: what deploy/ hands to Needle is what this version
// reads, and lets nobody in by accident.
func TestDeployedConfigurations(t *testing.T) {
	manifest, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", "needle.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manifest), "  needle.yaml: |\n")
	inside, _, _ := strings.Cut(rest, "\n---")
	var config strings.Builder
	for line := range strings.Lines(inside) {
		config.WriteString(strings.TrimPrefix(line, "    "))
	}
	kubernetes := write(t, t.TempDir(), "needle.yaml", config.String())
	for _, c := range []struct {
		name, path string
		retriever  string
		public     bool // needs no key
	}{
		{"kubernetes", kubernetes, "elastic", false},
		{"compose", "../../deploy/compose.yaml", "elastic", true},
		{"image", "../../deploy/container.yaml", "bleve", true},
		{"package", "../../deploy/release/needle.yaml", "bleve", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := pipeline.LoadConfig(c.path, builtin.Registry())
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Retriever.Type != c.retriever || !filepath.IsAbs(cfg.Data) || cfg.Server.AllowPublic != c.public {
				t.Errorf("got retriever %s, data %s, allow_public %v; want %s, an absolute path, %v", cfg.Retriever.Type, cfg.Data, cfg.Server.AllowPublic, c.retriever, c.public)
			}
			if err := cfg.Server.CheckExposure(false); err != nil {
				t.Errorf("a server with it refuses to start: %v", err)
			}
		})
	}
}
