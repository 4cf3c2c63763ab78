package ingest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/tokenizer"
)

func shared(t testing.TB, name string) string {
	t.Helper()
	return testenv.Shared(t, filepath.FromSlash(name))
}

func minilm(t testing.TB) models.Tokenizer {
	t.Helper()
	data, err := os.ReadFile(shared(t, "models/minilm-span/tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// contexts returns the paragraphs of a SQuAD file.
func contexts(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile(shared(t, "data/squad2/dev-half.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Data []struct {
			Paragraphs []struct{ Context string }
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, a := range file.Data {
		for _, p := range a.Paragraphs {
			list = append(list, p.Context)
		}
	}
	return list
}

// With the real tokenizer, what the splitter counts is what the reader will
// see: no passage is longer than allowed.
func TestSplitRealText(t *testing.T) {
	tok := minilm(t)
	text := strings.Join(contexts(t), "\n\n")
	config := ingest.DefaultSplitterConfig()
	for name, counter := range map[string]models.Tokenizer{"tokenizer": tok, "estimate": nil} {
		t.Run(name, func(t *testing.T) {
			s, err := ingest.NewSplitter(config, counter)
			if err != nil {
				t.Fatal(err)
			}
			passages := s.Split(extracted(text))
			total, most, short, unstopped := 0, 0, 0, 0
			for _, p := range passages {
				n := tok.Tokenize(p.Text).Len()
				total += n
				most = max(most, n)
				if n < config.MaxTokens/3 {
					short++
				}
				if !strings.ContainsAny(p.Text[len(p.Text)-2:], ".?!\"”)") {
					unstopped++
				}
			}
			t.Logf("%d passages, %.0f tokens on average, %d at most, %d short, %d that end amid a sentence",
				len(passages), float64(total)/float64(len(passages)), most, short, unstopped)
			limit := config.MaxTokens
			if counter == nil {
				limit = limit * 3 / 2 // rare names are cut into more tokens than guessed
			}
			if most > limit {
				t.Errorf("a passage has %d tokens, want at most %d", most, limit)
			}
			if average := total / len(passages); average < config.MaxTokens/2 {
				t.Errorf("passages have %d tokens on average, want at least %d", average, config.MaxTokens/2)
			}
			if short*20 > len(passages) || unstopped*20 > len(passages) {
				t.Errorf("%d of %d passages are short and %d end amid a sentence, want at most 5 %% each", short, len(passages), unstopped)
			}
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	text := strings.Join(contexts(b), "\n\n")
	for _, c := range []struct {
		name      string
		tokenizer models.Tokenizer
	}{{"estimate", nil}, {"tokenizer", minilm(b)}} {
		b.Run(c.name, func(b *testing.B) {
			s := newSplitter(b, 220, 40, c.tokenizer)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				s.Split(extracted(text))
			}
		})
	}
}

func BenchmarkAddPaths(b *testing.B) {
	path := shared(b, "data/squad2/dev-half.json")
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	g, err := ingest.New(newSplitter(b, 220, 40, minilm(b)), processors(), ingest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		report, err := g.AddPaths(b.Context(), &fakeIndex{}, []string{path}, ingest.Events{})
		if err != nil || report.Failed > 0 {
			b.Fatal(err, report.Faults)
		}
	}
}
