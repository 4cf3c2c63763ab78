package tokenizer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/models/tokenizer"
)

func BenchmarkLoad(b *testing.B) {
	data, err := os.ReadFile(shared(b, "models/minilm-span/tokenizer.json"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokenizer.Load(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTokenize runs over the golden texts again and again, which are
// harder than any real text.
func BenchmarkTokenize(b *testing.B) {
	texts := goldenTexts(b)
	for _, name := range []string{"bert-uncased", "roberta", "xlm-roberta"} {
		b.Run(name, func(b *testing.B) {
			tok := loadFile(b, filepath.Join(goldenDir, name+".json"))
			tokens := 0
			b.ReportAllocs()
			for b.Loop() {
				for _, text := range texts {
					tokens += tok.Tokenize(text).Len()
				}
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

func BenchmarkTokenizeEnglish(b *testing.B) {
	data, err := os.ReadFile(shared(b, "data/squad2/dev-half.json"))
	if err != nil {
		b.Fatal(err)
	}
	// The JSON of the data set is as good a text as its paragraphs.
	texts := strings.SplitAfter(string(data[:1<<20]), ". ")
	tok := loadMiniLM(b)
	tokens := 0
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		for _, text := range texts {
			tokens += tok.Tokenize(text).Len()
		}
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}
