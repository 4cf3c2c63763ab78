package elastic_test

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/blevesearch/bleve/v2/analysis/lang/en"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// shared returns the path of a file among the shared data, or skips the test.
// Where the data is promised (NEEDLE_SHARED is set, or CI=true) its absence is
// a failure.
func shared(t testing.TB, elements ...string) string {
	t.Helper()
	root, promised := os.LookupEnv("NEEDLE_SHARED")
	if !promised {
		// The folder of this package lies two below the repository's root.
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		if promised || os.Getenv("CI") == "true" {
			t.Fatalf("missing data: %v", err)
		}
		t.Skipf("missing data: %v; set NEEDLE_SHARED to the folder that holds it", err)
	}
	return path
}

// beir is a line of a corpus or of queries.
type beir struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

func readLines(t testing.TB, path string) []beir {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []beir
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v beir
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		list = append(list, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// stopWords returns Bleve's English list, which its analyzer "standard" uses.
func stopWords() []string {
	var words []string
	for line := range strings.Lines(string(en.EnglishStopWords)) {
		line, _, _ = strings.Cut(line, "|")
		words = append(words, strings.Fields(line)...)
	}
	return words
}

// TestCranfield compares the ranking with that of the embedded retriever under
// the same analysis. The scores differ by Lucene's rounding of lengths alone.
func TestCranfield(t *testing.T) {
	c := config(t)
	c.StopWords = stopWords()
	if len(c.StopWords) < 100 {
		t.Fatalf("Bleve has %d stop words", len(c.StopWords))
	}
	local := bleve.DefaultConfig()
	local.Analyzer = "standard"
	backend, err := bleve.New(local, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := backend.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer embedded.Close()
	remote := create(t, c)
	var entries []retriever.Entry
	for _, d := range readLines(t, shared(t, "data", "cranfield", "corpus.jsonl")) {
		if strings.TrimSpace(d.Text) == "" {
			continue // two of the abstracts are empty
		}
		entries = append(entries, retriever.Entry{
			Document: retriever.Document{ID: d.ID, Title: d.Title, Text: d.Text},
			Passages: []retriever.Passage{{DocumentID: d.ID, End: len([]rune(d.Text)), Text: d.Text}},
		})
	}
	grades := readGrades(t, shared(t, "data", "cranfield", "qrels", "test.tsv"))
	indexes := []retriever.Index{embedded, remote}
	var average [2]float64
	for i, index := range indexes {
		if err := index.Upsert(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		stats, err := index.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		average[i] = stats.AverageLength
	}
	var gain, precision [2]float64
	queries, sameFirst, overlap, worst := 0, 0, 0.0, 0.0
	for _, q := range readLines(t, shared(t, "data", "cranfield", "queries.jsonl")) {
		relevant := grades[q.ID]
		if len(relevant) == 0 {
			continue
		}
		queries++
		var top [2][]retriever.Hit
		var terms [2][]string
		for i, index := range indexes {
			results, err := index.Retrieve(t.Context(), retriever.Query{Text: q.Text, TopK: 1000, AllGroups: true})
			if err != nil {
				t.Fatal(err)
			}
			top[i], terms[i] = results.Hits, results.Terms
			g, p := rate(results.Hits, relevant)
			gain[i] += g
			precision[i] += p
		}
		if !slices.Equal(terms[0], terms[1]) {
			t.Errorf("query %s: terms %q and %q; the analyses differ", q.ID, terms[0], terms[1])
		}
		if top[0][0].DocumentID == top[1][0].DocumentID {
			sameFirst++
		}
		scores := map[string]float64{}
		for _, hit := range top[0] {
			scores[hit.ID()] = hit.Scores.BM25
		}
		for _, hit := range top[1] {
			if score, ok := scores[hit.ID()]; ok {
				worst = max(worst, math.Abs(hit.Scores.BM25/score-1))
			}
		}
		overlap += shares(top[0][:50], top[1][:50])
	}
	n := float64(queries)
	t.Logf("%d queries, Bleve and Elasticsearch: nDCG@10 %.4f %.4f, MAP %.4f %.4f, average length %.4f %.4f; same first hit %.3f, overlap of the top 50 %.4f, largest difference of a score %.2f %%",
		queries, gain[0]/n, gain[1]/n, precision[0]/n, precision[1]/n, average[0], average[1], float64(sameFirst)/n, overlap/n, 100*worst)
	if d := math.Abs(gain[0]-gain[1]) / n; d > 0.005 {
		t.Errorf("nDCG@10 differs by %.4f, want at most 0.005", d)
	}
	if d := math.Abs(precision[0]-precision[1]) / n; d > 0.005 {
		t.Errorf("MAP differs by %.4f, want at most 0.005", d)
	}
	if math.Abs(average[0]-average[1]) > 0.001 {
		t.Errorf("average lengths are %v and %v, want the same", average[0], average[1])
	}
	// One byte of length has a relative error of at most 1/8.
	if worst > 0.125 {
		t.Errorf("a score differs by %.2f %%, want at most 12.5 %%", 100*worst)
	}
}

func readGrades(t *testing.T, path string) map[string]map[string]int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	grades := map[string]map[string]int{}
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
	return grades
}

// rate returns nDCG@10 and the average precision of hits.
func rate(hits []retriever.Hit, relevant map[string]int) (ndcg, precision float64) {
	var ideal []int
	for _, grade := range relevant {
		ideal = append(ideal, grade)
	}
	slices.SortFunc(ideal, func(a, b int) int { return b - a })
	best := 0.0
	for i, grade := range ideal[:min(10, len(ideal))] {
		best += float64(grade) / math.Log2(float64(i)+2)
	}
	found := 0
	for i, hit := range hits {
		grade := relevant[hit.DocumentID]
		if i < 10 {
			ndcg += float64(grade) / math.Log2(float64(i)+2)
		}
		if grade > 0 {
			found++
			precision += float64(found) / float64(i+1)
		}
	}
	return ndcg / best, precision / float64(len(relevant))
}

// shares returns which part of the hits are in both lists.
func shares(a, b []retriever.Hit) float64 {
	in := map[string]bool{}
	for _, hit := range a {
		in[hit.ID()] = true
	}
	n := 0
	for _, hit := range b {
		if in[hit.ID()] {
			n++
		}
	}
	return float64(n) / float64(len(a))
}
