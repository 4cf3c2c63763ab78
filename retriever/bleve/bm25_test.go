package bleve_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// TestScoreByHand compares with numbers worked out on paper: four passages of
// 3, 5, 2 and 2 terms (titles count), average 3; k1 1.2, b 0.75.
func TestScoreByHand(t *testing.T) {
	index := create(t, bleve.DefaultConfig())
	err := index.Upsert(t.Context(), []retriever.Entry{
		entry("a", "", "red fox jump"),
		entry("b", "fox", "the fox and a fox meet red"),
		entry("c", "", "green bird"),
		entry("d", "", "blue bird"),
	})
	if err != nil {
		t.Fatal(err)
	}
	// idf(fox) = ln(1 + (4 - 2 + 0.5) / (2 + 0.5)) = ln 2
	// a: tf 1, K = 1.2 · (0.25 + 0.75 · 3/3) = 1.2:  ln 2 · 2.2 / 2.2
	// b: tf 3, K = 1.2 · (0.25 + 0.75 · 5/3) = 1.8:  ln 2 · 6.6 / 4.8
	want := []struct {
		id    string
		score float64
	}{{"b", math.Ln2 * 6.6 / 4.8}, {"a", math.Ln2}}
	for _, query := range []struct {
		text   string
		factor float64
	}{{"fox", 1}, {"the Fox", 1}, {"fox, foxes!", 2}} {
		t.Run(query.text, func(t *testing.T) {
			results, err := index.Retrieve(t.Context(), retriever.Query{Text: query.text, TopK: 10, AllGroups: true, Explain: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(results.Hits) != len(want) {
				t.Fatalf("got %d hits, want %d", len(results.Hits), len(want))
			}
			for i, hit := range results.Hits {
				score := want[i].score * query.factor
				if hit.DocumentID != want[i].id || math.Abs(hit.Scores.BM25-score) > 1e-6 {
					t.Errorf("hit %d = %s %.9f, want %s %.9f", i, hit.DocumentID, hit.Scores.BM25, want[i].id, score)
				}
				if len(hit.Explanation) != 1 || hit.Explanation[0].DocumentFrequency != 2 || math.Abs(hit.Explanation[0].Score-score) > 1e-6 {
					t.Errorf("hit %d: explanation = %+v, want one term in 2 passages with score %.9f", i, hit.Explanation, score)
				}
			}
		})
	}
}

// model is a second, plain implementation of the formula over all passages.
type model struct {
	k1, b    float64
	passages map[string][]string // passage id -> terms
}

type scored struct {
	id    string
	score float64
}

func (m *model) rank(query []string) []scored {
	total := 0
	frequency := map[string]int{}
	for _, terms := range m.passages {
		total += len(terms)
		seen := map[string]bool{}
		for _, term := range terms {
			if !seen[term] {
				seen[term] = true
				frequency[term]++
			}
		}
	}
	n := float64(len(m.passages))
	average := float64(total) / n
	var ranked []scored
	for id, terms := range m.passages {
		score := 0.0
		for _, q := range query {
			tf := 0.0
			for _, term := range terms {
				if term == q {
					tf++
				}
			}
			if tf == 0 {
				continue
			}
			df := float64(frequency[q])
			score += math.Log(1+(n-df+0.5)/(df+0.5)) * tf * (m.k1 + 1) / (tf + m.k1*(1-m.b+m.b*float64(len(terms))/average))
		}
		if score > 0 {
			ranked = append(ranked, scored{id, score})
		}
	}
	slices.SortFunc(ranked, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(a.id, b.id))
	})
	return ranked
}

// words returns n words; few distinct ones, so that terms repeat and scores tie.
func words(random *rand.Rand, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("w%d", int(random.ExpFloat64()*8)%40)
	}
	return list
}

// TestScoreAgainstModel changes an index at random, in many segments, and
// compares whole rankings with the plain implementation.
func TestScoreAgainstModel(t *testing.T) {
	for _, parameters := range []struct{ k1, b float64 }{{1.2, 0.75}, {0.9, 0.4}, {0, 0}, {2, 1}} {
		t.Run(fmt.Sprintf("k1=%v b=%v", parameters.k1, parameters.b), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			config := bleve.DefaultConfig()
			config.Analyzer, config.K1, config.B = "standard", parameters.k1, parameters.b
			dir := t.TempDir()
			backend, err := bleve.New(config, dir)
			if err != nil {
				t.Fatal(err)
			}
			index, err := backend.Create(t.Context(), "test")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { index.Close() }()
			m := &model{k1: parameters.k1, b: parameters.b, passages: map[string][]string{}}
			remove := func(id string) {
				for passage := range m.passages {
					if strings.HasPrefix(passage, id+"#") {
						delete(m.passages, passage)
					}
				}
			}
			for round := range 40 {
				var batch []retriever.Entry
				for range 1 + random.IntN(6) {
					id := fmt.Sprintf("doc%02d", random.IntN(30))
					remove(id)
					e := randomEntry(random, id, m)
					batch = slices.DeleteFunc(batch, func(e retriever.Entry) bool { return e.Document.ID == id })
					batch = append(batch, e)
				}
				if err := index.Upsert(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
				if round%3 == 0 {
					id := fmt.Sprintf("doc%02d", random.IntN(30))
					if _, err := index.Delete(t.Context(), []string{id}); err != nil {
						t.Fatal(err)
					}
					remove(id)
				}
				if round%13 == 12 {
					if err := index.Close(); err != nil {
						t.Fatal(err)
					}
					if index, err = backend.Open(t.Context(), "test"); err != nil {
						t.Fatal(err)
					}
				}
				query := words(random, 1+random.IntN(5))
				k := 1 + random.IntN(60)
				results, err := index.Retrieve(t.Context(), retriever.Query{Text: strings.Join(query, " "), TopK: k, AllGroups: true})
				if err != nil {
					t.Fatal(err)
				}
				compareRanking(t, round, results.Hits, m.rank(query), k)
			}
			if err := index.(*bleve.Index).Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// compareRanking compares hits with the model's ranking. Scores that are equal
// on paper may differ in their last bit, so passages within 1e-9 of each other
// may stand in either order; exactly equal ones must be in order of id.
func compareRanking(t *testing.T, round int, hits []retriever.Hit, want []scored, k int) {
	t.Helper()
	if len(hits) != min(k, len(want)) {
		t.Fatalf("round %d: got %d hits, want %d", round, len(hits), min(k, len(want)))
	}
	scores := map[string]float64{}
	for _, s := range want {
		scores[s.id] = s.score
	}
	for i, hit := range hits {
		score, ok := scores[hit.ID()]
		if !ok || math.Abs(hit.Scores.BM25-score) > 1e-9 || math.Abs(hit.Scores.BM25-want[i].score) > 1e-9 {
			t.Fatalf("round %d, hit %d = %s %.12f, want score %.12f at this rank and %.12f for it", round, i, hit.ID(), hit.Scores.BM25, want[i].score, score)
		}
		if i > 0 && (hits[i-1].Scores.BM25 < hit.Scores.BM25 || hits[i-1].Scores.BM25 == hit.Scores.BM25 && hits[i-1].ID() >= hit.ID()) {
			t.Fatalf("round %d: hits %d and %d are out of order", round, i-1, i)
		}
		delete(scores, hit.ID())
	}
}

// randomEntry makes a document of one to three overlapping passages and tells
// the model of it.
func randomEntry(random *rand.Rand, id string, m *model) retriever.Entry {
	title := words(random, random.IntN(3))
	text := words(random, 3+random.IntN(30))
	e := retriever.Entry{Document: retriever.Document{ID: id, Title: strings.Join(title, " "), Text: strings.Join(text, " ")}}
	parts := 1 + random.IntN(3)
	for i := range parts {
		from := i * len(text) / parts
		to := min(len(text), (i+1)*len(text)/parts+random.IntN(3))
		start := len(strings.Join(text[:from], " "))
		if from > 0 {
			start++
		}
		part := strings.Join(text[from:to], " ")
		p := retriever.Passage{DocumentID: id, Ordinal: i, Start: start, End: start + len(part), Text: part}
		e.Passages = append(e.Passages, p)
		m.passages[p.ID()] = slices.Concat(title, text[from:to])
	}
	return e
}
