package bleve_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

var update = flag.Bool("update", false, "write testdata/rank_stats.txt anew")

// statsWords is how many words a passage of the relevance file has at most. The
// passages are cut here, by blank lines, so that a change of the splitter does
// not look like one of the ranking.
const statsWords = 120

// handbookEntries makes documents of the example handbook's text files.
func handbookEntries(t *testing.T) []retriever.Entry {
	t.Helper()
	root := filepath.Join("..", "..", "examples", "handbook")
	var entries []retriever.Entry
	err := filepath.WalkDir(root, func(path string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() || !slices.Contains([]string{".md", ".txt"}, filepath.Ext(path)) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		id, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		e := retriever.Entry{Document: retriever.Document{ID: filepath.ToSlash(id), Text: strings.ReplaceAll(string(data), "\r\n", "\n")}}
		for from := 0; from < len(e.Document.Text); {
			to := passageEnd(e.Document.Text, from)
			e.Passages = append(e.Passages, retriever.Passage{
				DocumentID: e.Document.ID, Ordinal: len(e.Passages), Text: e.Document.Text[from:to],
				Start: utf8.RuneCountInString(e.Document.Text[:from]), End: utf8.RuneCountInString(e.Document.Text[:to]),
			})
			from = to
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// passageEnd returns the end of the passage that starts at from: the last blank
// line before it gets too long.
func passageEnd(text string, from int) int {
	end, words := from, 0
	for end < len(text) {
		next := len(text)
		if i := strings.Index(text[end:], "\n\n"); i >= 0 {
			next = end + i + 2
		}
		words += len(strings.Fields(text[end:next]))
		if end > from && words > statsWords {
			break
		}
		end = next
	}
	return end
}

// TestRankStats compares the ranking of the example handbook with a file, so
// that every change of ranking is a diff that can be read. After a change that
// is meant: go test ./retriever/bleve -run RankStats -update
func TestRankStats(t *testing.T) {
	index := create(t, bleve.DefaultConfig())
	if err := index.Upsert(t.Context(), handbookEntries(t)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join("..", "..", "examples", "questions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var questions []struct{ Question, Document string }
	if err := json.Unmarshal(data, &questions); err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	counts := map[int]int{1: 0, 3: 0, 10: 0}
	asked, reciprocal := 0, 0.0
	for _, q := range questions {
		if ext := filepath.Ext(q.Document); ext != ".md" && ext != ".txt" {
			continue // unanswerable, or in a file of another format
		}
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: q.Question, TopK: 200})
		if err != nil {
			t.Fatal(err)
		}
		asked++
		rank := 1 + slices.IndexFunc(results.Hits, func(h retriever.Hit) bool { return h.DocumentID == q.Document })
		if rank > 0 {
			reciprocal += 1 / float64(rank)
			for depth := range counts {
				if rank <= depth {
					counts[depth]++
				}
			}
		}
		fmt.Fprintf(&body, "\n%s\n  %s: rank %d of %d\n", q.Question, q.Document, rank, len(results.Hits))
		for _, hit := range results.Hits[:min(3, len(results.Hits))] {
			fmt.Fprintf(&body, "  %7.3f  %s#%d\n", hit.Scores.BM25, hit.DocumentID, hit.Ordinal)
		}
	}
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%d questions, %d documents, %d passages, average length %.3f\n", asked, stats.Documents, stats.Passages, stats.AverageLength) +
		fmt.Sprintf("right document first %d, in the first 3 %d, in the first 10 %d; mean reciprocal rank %.4f\n",
			counts[1], counts[3], counts[10], reciprocal/float64(asked)) + body.String()
	path := filepath.Join("testdata", "rank_stats.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the ranking changed (-before +now); if that is meant, run with -update and judge the difference:\n%s", diff)
	}
}
