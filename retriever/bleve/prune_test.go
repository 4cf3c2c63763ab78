package bleve_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// tester is what a test and a property check have in common.
type tester interface {
	rapid.TB
	Context() context.Context
}

// both runs a query with flat files and without and reports any difference in
// hits, scores (to the last bit), order, statistics or explanation.
func both(t tester, index *bleve.Index, query retriever.Query) retriever.Results {
	t.Helper()
	ctx := t.Context()
	index.SetFlatRecords(bleve.NoFlat)
	want, err := index.Retrieve(ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	index.SetFlatRecords(1)
	got, err := index.Retrieve(ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("query %q, top %d: results with flat files differ (-without +with):\n%s", query.Text, query.TopK, diff)
	}
	return got
}

func warm(t tester, index *bleve.Index) {
	t.Helper()
	index.SetFlatRecords(1)
	if err := index.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if index.OpenFlats() == 0 {
		t.Fatal("no flat file is open")
	}
}

// TestPrunedEqualsExhaustive changes small indexes at random and compares the
// two scorers, with filters, groups, ties, deletions and several segments.
func TestPrunedEqualsExhaustive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := bleve.DefaultConfig()
		config.Analyzer = "standard"
		config.K1 = rapid.SampledFrom([]float64{1.2, 0, 0.4, 9}).Draw(t, "k1")
		config.B = rapid.SampledFrom([]float64{0.75, 0, 1}).Draw(t, "b")
		dir, err := os.MkdirTemp("", "needle-pruned-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		backend, err := bleve.New(config, dir)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := backend.Create(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		index := opened.(*bleve.Index)
		defer func() { index.Close() }()
		word := rapid.Map(rapid.IntRange(0, 30), func(n int) string { return fmt.Sprintf("w%d", n*n/30) })
		text := rapid.SliceOfN(word, 1, 25)
		id := rapid.Map(rapid.IntRange(0, 60), func(n int) string { return fmt.Sprintf("doc%02d", n) })
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			batch := map[string]retriever.Entry{}
			for range rapid.IntRange(1, 30).Draw(t, "documents") {
				e := entry(id.Draw(t, "id"), "", strings.Join(text.Draw(t, "text"), " "))
				e.Document.Metadata = map[string]any{"n": int64(rapid.IntRange(0, 3).Draw(t, "n"))}
				if rapid.Bool().Draw(t, "restricted") {
					e.Document.Groups = []string{rapid.SampledFrom([]string{"red", "blue"}).Draw(t, "group")}
				}
				batch[e.Document.ID] = e
			}
			var entries []retriever.Entry
			for _, e := range batch {
				entries = append(entries, e)
			}
			if err := index.Upsert(t.Context(), entries); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "warm") {
				warm(t, index)
			}
			if rapid.Bool().Draw(t, "delete") {
				if _, err := index.Delete(t.Context(), []string{id.Draw(t, "deleted")}); err != nil {
					t.Fatal(err)
				}
			}
			query := retriever.Query{
				Text: strings.Join(text.Draw(t, "query"), " "), TopK: rapid.IntRange(1, 40).Draw(t, "top"),
				AllGroups: rapid.Bool().Draw(t, "all groups"), Explain: true,
			}
			if !query.AllGroups && rapid.Bool().Draw(t, "has group") {
				query.Groups = []string{"red"}
			}
			if rapid.Bool().Draw(t, "filtered") {
				query.Filter = &retriever.Filter{Field: "n", GTE: rapid.IntRange(0, 4).Draw(t, "from")}
			}
			both(t, index, query)
		}
	})
}

// TestPrunedOnText compares the two scorers on real text in several segments,
// part of them with a flat file, with deletions, replacements and filters.
func TestPrunedOnText(t *testing.T) {
	entries, questions := benchData(t, 12_000)
	for i := range entries {
		entries[i].Document.Metadata = map[string]any{"n": int64(i % 100)}
		if i%3 == 0 {
			entries[i].Document.Groups = []string{"staff"}
		}
	}
	index := create(t, bleve.DefaultConfig())
	half := len(entries) / 2
	if err := index.Upsert(t.Context(), entries[:half]); err != nil {
		t.Fatal(err)
	}
	warm(t, index)
	compare := func(what string) {
		t.Run(what, func(t *testing.T) {
			found := 0
			for i, question := range questions[:150] {
				query := retriever.Query{Text: question, TopK: []int{1, 10, 200, 5000}[i%4], AllGroups: i%2 == 0}
				switch i % 3 {
				case 1:
					query.Filter = &retriever.Filter{Field: "n", LT: 3}
				case 2:
					query.Filter = &retriever.Filter{Not: &retriever.Filter{Field: "n", Equals: 5}}
				}
				found += len(both(t, index, query).Hits)
			}
			if found == 0 {
				t.Error("nothing was found")
			}
		})
	}
	compare("one part")
	if err := index.Upsert(t.Context(), entries[half-500:]); err != nil {
		t.Fatal(err)
	}
	compare("some without a flat file")
	var ids []string
	for i := 0; i < len(entries); i += 7 {
		ids = append(ids, entries[i].Document.ID)
	}
	if _, err := index.Delete(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	warm(t, index)
	compare("with deletions")
}

// TestPrunedTies ranks passages that are all alike: order is by document id
// whatever the segment.
func TestPrunedTies(t *testing.T) {
	index := create(t, bleve.DefaultConfig())
	random := rand.New(rand.NewPCG(3, 3))
	order := random.Perm(900)
	for part := range 3 {
		var entries []retriever.Entry
		for _, n := range order[300*part : 300*part+300] {
			entries = append(entries, entry(fmt.Sprintf("doc%03d", n), "", "the same tower everywhere"))
		}
		if err := index.Upsert(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		warm(t, index)
	}
	results := both(t, index, retriever.Query{Text: "tower everywhere", TopK: 250})
	for i, hit := range results.Hits {
		if want := fmt.Sprintf("doc%03d", i); hit.DocumentID != want {
			t.Fatalf("hit %d = %s, want %s", i, hit.DocumentID, want)
		}
	}
}

// TestFlatFilesAreExpendable damages, removes and swaps flat files. Results stay
// the same, and good files take the place of the bad ones.
func TestFlatFilesAreExpendable(t *testing.T) {
	entries, questions := benchData(t, 3000)
	dir := t.TempDir()
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := backend.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { opened.Close() }()
	if err := opened.Upsert(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	warm(t, opened.(*bleve.Index))
	query := retriever.Query{Text: questions[0], TopK: 20}
	want, err := opened.Retrieve(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	change := func(edit func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, edit(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name   string
		damage func(*testing.T, string)
	}{
		{"removed", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
		{"empty", change(func([]byte) []byte { return nil })},
		{"cut short", change(func(b []byte) []byte { return b[:len(b)/2] })},
		{"one bit", change(func(b []byte) []byte { b[len(b)/3] ^= 4; return b })},
		{"header", change(func(b []byte) []byte { b[20]++; return b })},
		{"newer version", change(func(b []byte) []byte { b[8]++; return b })},
		{"of another segment", change(func(b []byte) []byte { b[12]++; return b })},
		{"appended", change(func(b []byte) []byte { return append(b, 0) })},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := opened.Close(); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "test", bleve.FlatFolder, "*"))
			if err != nil || len(files) == 0 {
				t.Fatalf("flat files: %v, %v", files, err)
			}
			for _, file := range files {
				test.damage(t, file)
			}
			if opened, err = backend.Open(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			for _, state := range []string{"before", "after"} {
				got, err := opened.Retrieve(t.Context(), query)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s the files are made again:\n%s", state, diff)
				}
				warm(t, opened.(*bleve.Index))
			}
			if err := opened.(*bleve.Index).Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFlatFilesFollowSegments checks that files of segments that are gone go
// too, while readers and writers are at work.
func TestFlatFilesFollowSegments(t *testing.T) {
	entries, questions := benchData(t, 3000)
	index := create(t, bleve.DefaultConfig())
	index.SetFlatRecords(100)
	var work sync.WaitGroup
	stop := make(chan struct{})
	for reader := range 2 {
		work.Go(func() {
			for i := reader; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := index.Retrieve(t.Context(), retriever.Query{Text: questions[i%len(questions)], TopK: 20}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for from := 0; from < len(entries); from += 250 {
		if err := index.Upsert(t.Context(), entries[from:from+250]); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	work.Wait()
	for _, question := range questions[:30] {
		both(t, index, retriever.Query{Text: question, TopK: 50})
	}
	warm(t, index)
	stats, err := index.Stats(t.Context())
	if err != nil || stats.Passages != uint64(len(entries)) {
		t.Errorf("%d passages, want %d (%v)", stats.Passages, len(entries), err)
	}
}
