package pipeline_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// TestConfigFiles reads testdata/*.good.yml and *.bad.yml. A bad file starts
// with comment lines that the error must contain.
func TestConfigFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = pipeline.ParseConfig(file, data, builtin.Registry())
			if strings.HasSuffix(file, ".good.yml") {
				if err != nil {
					t.Errorf("got error %v", err)
				}
				return
			}
			if !errors.Is(err, pipeline.ErrInvalidConfig) {
				t.Fatalf("got error %v, want ErrInvalidConfig", err)
			}
			for line := range strings.Lines(string(data)) {
				want, ok := strings.CutPrefix(strings.TrimSpace(line), "# want: ")
				if ok && !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestConfigValues(t *testing.T) {
	data := `
data: /var/lib/needle
retriever: {k1: 0.9, b: 0.4, analyzer: de, top_k: 50}
reader:
  precision: fp32
  top_k: 5
  stride: 64
limits: {timeout: 2m, max_document_bytes: 1MiB}
`
	cfg, err := pipeline.ParseConfig("needle.yaml", []byte(data), builtin.Registry())
	if err != nil {
		t.Fatal(err)
	}
	want := pipeline.DefaultConfig(builtin.Registry())
	if cfg.Data != "/var/lib/needle" || cfg.Retriever.TopK != 50 || cfg.Reader.Precision != "fp32" || cfg.Reader.TopK != 5 ||
		cfg.Reader.Stride != 64 || cfg.Limits.Timeout != 2*time.Minute || cfg.Limits.MaxDocumentBytes != 1<<20 {
		t.Errorf("values were not read: %+v", cfg)
	}
	if cfg.Index != want.Index || cfg.Reader.MaxSeqLength != want.Reader.MaxSeqLength || cfg.Split != want.Split || cfg.Ranker != want.Ranker {
		t.Errorf("defaults were lost: %+v", cfg)
	}
}

func TestEmptyConfigIsDefault(t *testing.T) {
	for _, data := range []string{"", "\n", "# nothing but a comment\n", "{}", "retriever:\n"} {
		if _, err := pipeline.ParseConfig("needle.yaml", []byte(data), builtin.Registry()); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestMissingConfigFile(t *testing.T) {
	_, err := pipeline.LoadConfig(filepath.Join(t.TempDir(), "absent.yaml"), builtin.Registry())
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want a missing file", err)
	}
}

// FuzzConfig: whatever a file holds, reading it ends with a valid
// configuration or an error, never with a panic.
func FuzzConfig(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("retriever: [1, 2]"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("reader: {<<: {top_k: 3}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := pipeline.ParseConfig("fuzz.yaml", data, builtin.Registry())
		if err == nil && cfg.Validate() != nil {
			t.Errorf("an invalid configuration was accepted: %v", cfg.Validate())
		}
		if err != nil && !errors.Is(err, pipeline.ErrInvalidConfig) {
			t.Errorf("got error %v, want ErrInvalidConfig", err)
		}
	})
}

func TestReloadable(t *testing.T) {
	parse := func(text string) *pipeline.Config {
		t.Helper()
		c, err := pipeline.ParseConfig("test", []byte(text), builtin.Registry())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	now := parse("")
	for _, test := range []struct{ text, live, restart string }{
		{"", "", ""},
		{"log: {level: debug}\nlimits: {timeout: 5s, budget: 1s, cache_bytes: 1MiB}", "limits.budget limits.cache_bytes limits.timeout log.level", ""},
		{"limits: {cache_bytes: 0}", "", "limits.cache_bytes"},
		{"retriever: {k1: 2}\nreader: {stride: 100, device: 'cuda:0'}\nlimits: {queue: 9}", "", "limits.queue reader.device reader.stride retriever.k1"},
		{"server: {addr: '127.0.0.1:1'}\ndata: elsewhere", "", "data server.addr"},
	} {
		live, restart := now.Reloadable(parse(test.text))
		if got := strings.Join(live, " "); got != test.live {
			t.Errorf("%q: live: got %q, want %q", test.text, got, test.live)
		}
		if got := strings.Join(restart, " "); got != test.restart {
			t.Errorf("%q: restart: got %q, want %q", test.text, got, test.restart)
		}
	}
}
