package tokenizer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
)

const goldenDir = "testdata/golden"

// small returns the tokenizers that testdata/golden.py trained.
func small(t testing.TB) map[string]models.Tokenizer {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]models.Tokenizer{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if name != "texts" && name != "codepoints" {
			all[name] = loadFile(t, path)
		}
	}
	if len(all) < 10 {
		t.Fatalf("%s holds %d tokenizers", goldenDir, len(all))
	}
	return all
}

func goldenTexts(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(goldenDir, "texts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	return texts
}

// TestGolden compares with what the tokenizers library wrote; testdata/golden.py
// makes the files anew.
func TestGolden(t *testing.T) {
	for name, tok := range small(t) {
		t.Run(name, func(t *testing.T) { compareGolden(t, tok, name) })
	}
	t.Run("minilm", func(t *testing.T) { compareGolden(t, loadMiniLM(t), "minilm") })
}

func compareGolden(t *testing.T, tok models.Tokenizer, name string) {
	data, err := os.ReadFile(filepath.Join(goldenDir, name+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	texts := goldenTexts(t)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) <= len(texts) {
		t.Fatalf("%s.golden has %d lines for %d texts", name, len(lines), len(texts))
	}
	for i, text := range texts {
		tokens := tok.Tokenize(text)
		if got := format(tokens.IDs, tokens.Offsets, nil, nil); got != lines[i] {
			t.Errorf("Tokenize(%q)\n got %s\nwant %s", text, got, lines[i])
		}
	}
	comparePairs(t, tok, texts, lines[len(texts):])
}

func comparePairs(t *testing.T, tok models.Tokenizer, texts, lines []string) {
	for len(lines) > 0 {
		var question, passage, maxLength, stride int
		if _, err := fmt.Sscanf(lines[0], "pair %d %d %d %d", &question, &passage, &maxLength, &stride); err != nil {
			t.Fatalf("%q: %v", lines[0], err)
		}
		call := fmt.Sprintf("pair %d %d %d %d ", question, passage, maxLength, stride)
		windows, err := tok.Pair(tok.Tokenize(texts[question]), tok.Tokenize(texts[passage]), maxLength, stride)
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
		for i, w := range windows {
			if len(lines) == 0 {
				t.Errorf("%s: window %d is one too many", call, i)
				break
			}
			if got := call + format(w.IDs, w.Offsets, w.TypeIDs, w.Sequences); got != lines[0] {
				t.Errorf("%s: window %d of %q\n got %s\nwant %s", call, i, texts[passage], got, lines[0])
			}
			lines = lines[1:]
		}
		if len(windows) == 0 {
			lines = lines[1:]
		}
	}
}

func format(ids []int32, offsets []models.Offset, types []int32, sequences []int8) string {
	var fields []string
	add := func(n int) { fields = append(fields, strconv.Itoa(n)) }
	for i, id := range ids {
		add(int(id))
		add(int(offsets[i].Start))
		add(int(offsets[i].End))
		if types != nil {
			add(int(types[i]))
			add(int(sequences[i]))
		}
	}
	return strings.Join(fields, " ")
}

func TestConformance(t *testing.T) {
	for name, tok := range small(t) {
		t.Run(name, func(t *testing.T) { modelstest.TestTokenizer(t, tok) })
	}
	t.Run("minilm", func(t *testing.T) { modelstest.TestTokenizer(t, loadMiniLM(t)) })
}
