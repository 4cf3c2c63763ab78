package builtin_test

import (
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/builtin"
)

// TestEmbeddingBundle: the files are those that the manifest lists, and the
// tokenizer, which lies in the reader's bundle, is the one it was made with.
func TestEmbeddingBundle(t *testing.T) {
	b, err := builtin.EmbeddingBundle()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if _, ok := b.Head(models.HeadEmbedding); !ok || len(b.Manifest.Heads) != 1 {
		t.Errorf("heads are %v, want one of kind %q", b.Manifest.Heads, models.HeadEmbedding)
	}
	var total int64
	for name, f := range b.Manifest.Files {
		if name != b.Manifest.Tokenizer {
			total += f.Bytes
		}
	}
	if total > maxBytes {
		t.Errorf("the bundle has %d bytes, want at most %d", total, maxBytes)
	}
	for _, name := range []string{"LICENSE", "NOTICE"} {
		if _, ok := b.Manifest.Files[name]; !ok {
			t.Errorf("%s is not embedded", name)
		}
	}
	reader, err := builtin.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	if reader.Manifest.Files[reader.Manifest.Tokenizer] != b.Manifest.Files[b.Manifest.Tokenizer] {
		t.Error("the bundles have different tokenizers; make the embedding bundle again with --tokenizer ../models/builtin/bundle/tokenizer.json")
	}
}
