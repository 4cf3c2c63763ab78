package tokenizer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/tokenizer"
)

func shared(t testing.TB, name string) string {
	t.Helper()
	return testenv.Shared(t, filepath.FromSlash(name))
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
