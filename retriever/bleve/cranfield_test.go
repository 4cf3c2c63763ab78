package bleve_test

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// jsonLines calls each with every line of a file.
func jsonLines[T any](t testing.TB, path string, each func(T)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		each(v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// beir is a line of a corpus or of queries.
type beir struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// TestCranfield measures ranking quality on a classic collection. Lucene's BM25
// with the same analysis gives MAP 0.313 and nDCG@10 0.372.
func TestCranfield(t *testing.T) {
	index := create(t, bleve.DefaultConfig())
	var entries []retriever.Entry
	jsonLines(t, testenv.Shared(t, "data", "cranfield", "corpus.jsonl"), func(d beir) {
		if strings.TrimSpace(d.Text) == "" {
			return // two of the abstracts are empty
		}
		entries = append(entries, entry(d.ID, d.Title, d.Text))
	})
	if err := index.Upsert(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	grades := map[string]map[string]int{}
	data, err := os.ReadFile(testenv.Shared(t, "data", "cranfield", "qrels", "test.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		cells := strings.Split(line, "\t")
		grade, err := strconv.Atoi(cells[2])
		if err != nil {
			t.Fatal(err)
		}
		if grades[cells[0]] == nil {
			grades[cells[0]] = map[string]int{}
		}
		grades[cells[0]][cells[1]] = grade
	}
	var precision, gain, recall float64
	queries := 0
	jsonLines(t, testenv.Shared(t, "data", "cranfield", "queries.jsonl"), func(q beir) {
		relevant := grades[q.ID]
		if len(relevant) == 0 {
			return
		}
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: q.Text, TopK: 1000, AllGroups: true})
		if err != nil {
			t.Fatal(err)
		}
		queries++
		ranking := make([]int, len(results.Hits))
		for i, hit := range results.Hits {
			ranking[i] = relevant[hit.DocumentID]
		}
		precision += averagePrecision(ranking, len(relevant))
		gain += ndcg(ranking, relevant, 10)
		found := 0
		for _, grade := range ranking[:min(50, len(ranking))] {
			if grade > 0 {
				found++
			}
		}
		recall += float64(found) / float64(len(relevant))
	})
	n := float64(queries)
	t.Logf("%d queries: MAP %.4f, nDCG@10 %.4f, recall@50 %.4f", queries, precision/n, gain/n, recall/n)
	for _, c := range []struct {
		metric    string
		got, want float64
	}{{"MAP", precision / n, 0.313}, {"nDCG@10", gain / n, 0.372}} {
		if math.Abs(c.got-c.want) > 0.002 {
			t.Errorf("%s = %.4f, want %.3f", c.metric, c.got, c.want)
		}
	}
}

func averagePrecision(ranking []int, relevant int) float64 {
	sum, found := 0.0, 0
	for i, grade := range ranking {
		if grade > 0 {
			found++
			sum += float64(found) / float64(i+1)
		}
	}
	return sum / float64(relevant)
}

func ndcg(ranking []int, relevant map[string]int, k int) float64 {
	gain := func(grades []int) float64 {
		sum := 0.0
		for i, grade := range grades[:min(k, len(grades))] {
			sum += float64(grade) / math.Log2(float64(i)+2)
		}
		return sum
	}
	ideal := make([]int, 0, len(relevant))
	for _, grade := range relevant {
		ideal = append(ideal, grade)
	}
	slices.SortFunc(ideal, func(a, b int) int { return b - a })
	return gain(ranking) / gain(ideal)
}
