package builtin_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	embedded "github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/heads/weights"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
)

// A copied is the embedded bundle in a directory, to be spoiled.
type copied struct {
	t   *testing.T
	dir string
}

func copyOfBuiltin(t *testing.T) copied {
	return copied{t, written(t, embedded.Files())}
}

func (c copied) read(name string) []byte {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	return data
}

// write replaces a file and leaves the manifest as it is, as damage does.
func (c copied) write(name string, data []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c copied) remove(name string) {
	c.t.Helper()
	if err := os.Remove(filepath.Join(c.dir, name)); err != nil {
		c.t.Fatal(err)
	}
}

// manifest changes needle.json.
func (c copied) manifest(change func(*models.Manifest)) {
	c.t.Helper()
	var m models.Manifest
	if err := json.Unmarshal(c.read(models.ManifestName), &m); err != nil {
		c.t.Fatal(err)
	}
	change(&m)
	data, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(models.ManifestName, data)
}

// publish replaces a file and lists its new hash, as somebody does who makes a
// wrong bundle.
func (c copied) publish(name string, data []byte) {
	c.t.Helper()
	c.write(name, data)
	c.manifest(func(m *models.Manifest) {
		m.Files[name] = models.FileEntry{SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), Bytes: int64(len(data))}
	})
}

func spanWeights(t *testing.T, rows, width int) []byte {
	t.Helper()
	data, err := weights.Write(map[string]models.Tensor{
		"weight": {Shape: []int{rows, width}, Data: make([]float32, rows*width)}, "bias": {Shape: []int{rows}, Data: make([]float32, rows)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestWrongBundlesFailAtOpen: whatever is wrong with a bundle is said when the
// pipeline is opened, with the file and what was expected, not at some question.
func TestWrongBundlesFailAtOpen(t *testing.T) {
	needRuntime(t)
	const graph, head, vocabulary = "model.int8.onnx", "span.safetensors", "tokenizer.json"
	flipped := func(data []byte) []byte {
		data = append([]byte(nil), data...)
		data[len(data)/2] ^= 0x10
		return data
	}
	tests := []struct {
		name  string
		spoil func(c copied)
		want  []string
	}{
		{"manifest missing", func(c copied) { c.remove("needle.json") }, []string{"needle.json is missing", "config.json"}},
		{"graph missing", func(c copied) { c.remove(graph) }, []string{graph + " cannot be read"}},
		{"tokenizer missing", func(c copied) { c.remove(vocabulary) }, []string{vocabulary + " cannot be read"}},
		{"span head missing", func(c copied) { c.remove(head) }, []string{head + " cannot be read"}},
		{"relevance head missing", func(c copied) { c.remove("relevance.safetensors") }, []string{"relevance.safetensors cannot be read"}},
		{"head of predictions missing", func(c copied) {
			c.manifest(func(m *models.Manifest) {
				m.Heads = append(m.Heads, models.HeadSpec{Kind: models.HeadClassification, File: "labels.safetensors", Options: json.RawMessage(`{"labels": ["a", "b"]}`)})
				m.Files["labels.safetensors"] = models.FileEntry{Bytes: 1}
			})
		}, []string{"labels.safetensors cannot be read"}},
		{"graph cut off", func(c copied) { c.write(graph, c.read(graph)[:1<<20]) }, []string{graph + " has 1048576 bytes, want "}},
		{"graph with another bit", func(c copied) { c.write(graph, flipped(c.read(graph))) }, []string{graph + " has the wrong content (SHA-256 "}},
		{"graph published cut off", func(c copied) { c.publish(graph, c.read(graph)[:1<<20]) }, []string{graph, "cut off or damaged"}},
		{"text published as graph", func(c copied) { c.publish(graph, []byte("version https://git-lfs.github.com/spec/v1\n")) }, []string{graph, "read graph"}},
		{"graph of another model", func(c copied) { c.publish(graph, modelstest.Graph{}.File()) }, []string{graph, `output "last_hidden_state" has shape [-1 -1 6], want [batch, tokens, 384]`}},
		{"graph with custom operators", func(c copied) { c.publish(graph, modelstest.Graph{Width: 384, Domain: "example.com"}.File()) }, []string{graph, "example.com.Strange", "ai.onnx"}},
		{"hidden size", func(c copied) { c.manifest(func(m *models.Manifest) { m.HiddenSize = 383 }) }, []string{graph, "want [batch, tokens, 383] (hidden_size)"}},
		{"head of another width", func(c copied) { c.publish(head, spanWeights(t, 2, 383)) }, []string{head, `"weight" has shape [2 383], want [2 384]`}},
		{"head with a row too many", func(c copied) { c.publish(head, spanWeights(t, 3, 384)) }, []string{head, "has shape [3", "want [2"}},
		{"head that is no weights", func(c copied) { c.publish(head, []byte("no weights at all")) }, []string{head}},
		{"tokenizer cut off", func(c copied) { c.publish(vocabulary, c.read(vocabulary)[:1000]) }, []string{vocabulary, "read tokenizer.json"}},
		{"tokenizer of another kind", func(c copied) {
			c.publish(vocabulary, []byte(strings.Replace(string(c.read(vocabulary)), `"WordPiece"`, `"WordLevel"`, -1)))
		}, []string{vocabulary, `model "WordLevel"`}},
		{"vocabulary that does not fit", func(c copied) {
			old := string(c.read(vocabulary))
			grown := regexp.MustCompile(`"\[PAD\]": ?0,`).ReplaceAllString(old, `"[PAD]": 0, "needleneedle": 40000,`)
			if grown == old {
				t.Fatal("the embedded tokenizer has no [PAD] with id 0")
			}
			c.publish(vocabulary, []byte(grown))
		}, []string{vocabulary + " has ids up to 40000", graph}},
		{"no span head", func(c copied) { c.manifest(func(m *models.Manifest) { m.Heads = m.Heads[1:] }) }, []string{"has no span head, which reading needs"}},
		{"a path outside", func(c copied) {
			c.manifest(func(m *models.Manifest) {
				m.Heads[0].File = "../" + head
				m.Files["../"+head] = m.Files[head]
			})
		}, []string{"needle.json", `"../span.safetensors" is no path inside the bundle`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := copyOfBuiltin(t)
			c.t = t
			test.spoil(c)
			cfg := configured(t, "reader: {bundle: %q}", c.dir)
			p, err := pipeline.Open(t.Context(), cfg)
			if err == nil {
				p.Close()
			}
			if !errors.Is(err, models.ErrInvalidBundle) {
				t.Fatalf("got %v, want ErrInvalidBundle", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want it to contain %q", err, want)
				}
			}
		})
	}
}

// TestTooFewPositionsFailAtOpen: a graph with fewer positions than the bundle
// promises would fail at the first long text.
func TestTooFewPositionsFailAtOpen(t *testing.T) {
	needRuntime(t)
	c := copyOfBuiltin(t)
	c.manifest(func(m *models.Manifest) { m.MaxLength = 600 })
	cfg := configured(t, "reader: {bundle: %q, max_seq_length: 600}", c.dir)
	p, err := pipeline.Open(t.Context(), cfg)
	if err == nil {
		p.Close()
	}
	if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), "model.int8.onnx does not run a text of 600 tokens, and the greatest length of the bundle is 600") {
		t.Errorf("got %v, want ErrInvalidBundle that names the graph and the length", err)
	}
}
