package tokenizer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/tokenizer"
)

// shared returns the path of a file of the shared data. Where the data is
// missing, the test is skipped, unless the environment promises it.
func shared(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("NEEDLE_SHARED")
	promised := root != "" || os.Getenv("CI") == "true"
	if root == "" {
		// Tests run in the directory of their package: models/tokenizer.
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(root, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		if promised {
			t.Fatalf("shared data is missing: %v", err)
		}
		t.Skipf("shared data is missing: %v", err)
	}
	return path
}

func loadFile(t testing.TB, path string) models.Tokenizer {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func loadMiniLM(t testing.TB) models.Tokenizer {
	t.Helper()
	return loadFile(t, shared(t, "models/minilm-span/tokenizer.json"))
}
