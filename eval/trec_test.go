package eval

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRankingsAsTrecEval repeats the ranking of testdata/make_trec_golden.py
// and compares query by query with what trec_eval printed for it.
func TestRankingsAsTrecEval(t *testing.T) {
	c, err := ReadBEIR(os.DirFS(sharedData(t, "cranfield")), "test")
	if err != nil {
		t.Fatal(err)
	}
	ranked := make(map[string]RankedQuery)
	for _, q := range c.Ranked(sharedWordRankings(c)) {
		ranked[q.ID] = q
	}

	raw, err := os.ReadFile(filepath.Join("testdata", "trec.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	names := strings.Split(lines[0], "\t")[1:]
	sums := make(map[string]float64)
	for _, line := range lines[1:] {
		fields := strings.Split(line, "\t")
		q, ok := ranked[fields[0]]
		if !ok {
			t.Fatalf("query %q is not in the collection", fields[0])
		}
		got := map[string]float64{
			"recip_rank":  ReciprocalRank(q.Ranking, q.Grades),
			"map":         AveragePrecision(q.Ranking, q.Grades),
			"ndcg_cut_10": NDCGAt(q.Ranking, q.Grades, 10),
		}
		for _, k := range RecallDepths() {
			got["recall_"+strconv.Itoa(k)] = RecallAt(q.Ranking, q.Grades, k)
		}
		if len(got) != len(names) {
			t.Fatalf("the golden file has %d measures, want %d", len(names), len(got))
		}
		for i, name := range names {
			want, err := strconv.ParseFloat(fields[i+1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sums[name] += want
			if !near(got[name], want, 1e-8) {
				t.Errorf("query %s, %s: got %.9f, want %.9f", q.ID, name, got[name], want)
			}
		}
	}

	var all []RankedQuery
	for _, q := range ranked {
		all = append(all, q)
	}
	s := ScoreRankings(all)
	if s.Queries != len(lines)-1 {
		t.Fatalf("scored %d queries, trec_eval %d", s.Queries, len(lines)-1)
	}
	means := map[string]float64{"recip_rank": s.MRR, "map": s.MAP, "ndcg_cut_10": s.NDCG10}
	for _, k := range RecallDepths() {
		means["recall_"+strconv.Itoa(k)] = s.Recall[k]
	}
	for name, got := range means {
		if want := sums[name] / float64(s.Queries); !near(got, want, 1e-8) {
			t.Errorf("mean %s: got %.9f, want %.9f", name, got, want)
		}
	}
}

// sharedWordRankings ranks by the number of shared words, at least three, with
// trec_eval's order of ties: document id, descending.
func sharedWordRankings(c *Collection) map[string][]string {
	words := func(text string) map[string]bool {
		set := make(map[string]bool)
		for _, w := range strings.FieldsFunc(text, isPythonSpace) {
			set[w] = true
		}
		return set
	}
	documents := make([]map[string]bool, len(c.Documents))
	for i, d := range c.Documents {
		documents[i] = words(d.Text)
	}
	rankings := make(map[string][]string)
	for _, q := range c.Queries {
		type scored struct {
			id    string
			score int
		}
		var hits []scored
		asked := words(q.Text)
		for i, d := range c.Documents {
			n := 0
			for w := range asked {
				if documents[i][w] {
					n++
				}
			}
			if n >= 3 {
				hits = append(hits, scored{d.ID, n})
			}
		}
		slices.SortFunc(hits, func(a, b scored) int {
			return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(b.id, a.id))
		})
		for _, h := range hits {
			rankings[q.ID] = append(rankings[q.ID], h.id)
		}
	}
	return rankings
}
