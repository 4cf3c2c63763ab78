package bleve_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// benchPassages is how many passages the benchmarks work on, unless
// NEEDLE_BENCH_PASSAGES says otherwise.
const benchPassages = 100_000

func passageCount(b *testing.B) int {
	b.Helper()
	s := os.Getenv("NEEDLE_BENCH_PASSAGES")
	if s == "" {
		return benchPassages
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		b.Fatalf("NEEDLE_BENCH_PASSAGES: %v", err)
	}
	return n
}

// squad is the part of SQuAD's format that the benchmarks use.
type squad struct {
	Data []struct {
		Paragraphs []struct {
			Context string `json:"context"`
			QAs     []struct {
				Question string `json:"question"`
			} `json:"qas"`
		} `json:"paragraphs"`
	} `json:"data"`
}

// benchData makes n passages deterministically from the sentences of real
// paragraphs, and returns real questions about them.
func benchData(b testing.TB, n int) ([]retriever.Entry, []string) {
	b.Helper()
	var sentences, questions []string
	for _, file := range []string{"new_wiki.json", "reddit.json", "amazon_reviews.json"} {
		data, err := os.ReadFile(testenv.Shared(b, "data", "squadshifts", file))
		if err != nil {
			b.Fatal(err)
		}
		var set squad
		if err := json.Unmarshal(data, &set); err != nil {
			b.Fatal(err)
		}
		for _, article := range set.Data {
			for _, paragraph := range article.Paragraphs {
				sentences = append(sentences, strings.SplitAfter(paragraph.Context, ". ")...)
				for _, qa := range paragraph.QAs {
					questions = append(questions, qa.Question)
				}
			}
		}
	}
	random := rand.New(rand.NewPCG(7, 7))
	random.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	entries := make([]retriever.Entry, n)
	for i := range entries {
		var text strings.Builder
		for words := 0; words < 110; {
			s := sentences[random.IntN(len(sentences))]
			words += strings.Count(s, " ") + 1
			text.WriteString(s)
		}
		entries[i] = entry(fmt.Sprintf("doc%07d", i), "", text.String())
	}
	return entries, questions
}

func BenchmarkUpsert(b *testing.B) {
	entries, _ := benchData(b, passageCount(b)/5)
	for b.Loop() {
		index := create(b, bleve.DefaultConfig())
		start := time.Now()
		if err := index.Upsert(b.Context(), entries); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(entries))/time.Since(start).Seconds(), "passages/s")
	}
}

func BenchmarkRetrieve(b *testing.B) {
	entries, questions := benchData(b, passageCount(b))
	index := create(b, bleve.DefaultConfig())
	start := time.Now()
	if err := index.Upsert(b.Context(), entries); err != nil {
		b.Fatal(err)
	}
	stats, err := index.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("indexed %d passages in %v; %d MB on disk, average length %.1f", stats.Passages, time.Since(start), stats.Bytes>>20, stats.AverageLength)
	for _, k := range []int{10, 200} {
		b.Run(fmt.Sprintf("top%d", k), func(b *testing.B) {
			b.ReportAllocs()
			var times []time.Duration
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				results, err := index.Retrieve(b.Context(), retriever.Query{Text: questions[i%len(questions)], TopK: k, AllGroups: true})
				if err != nil {
					b.Fatal(err)
				}
				if len(results.Hits) == 0 {
					continue
				}
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
