package eval

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func collectionFS(corpus, queries, qrels string) fstest.MapFS {
	return fstest.MapFS{
		"corpus.jsonl":   {Data: []byte(corpus)},
		"queries.jsonl":  {Data: []byte(queries)},
		"qrels/test.tsv": {Data: []byte(qrels)},
	}
}

const (
	smallCorpus  = "{\"_id\": \"d1\", \"title\": \"T\", \"text\": \"one\", \"metadata\": {}}\n\n{\"_id\": \"d2\", \"text\": \"\"}\n"
	smallQueries = "\ufeff{\"_id\": \"q1\", \"text\": \"first\"}\r\n{\"_id\": \"q2\", \"text\": \"second\"}"
	smallQrels   = "query-id\tcorpus-id\tscore\r\nq1\td1\t2\nq1\td2\t0\nq1\tgone\t1\nq1\tlost\t0\n"
)

func TestReadBEIR(t *testing.T) {
	got, err := ReadBEIR(collectionFS(smallCorpus, smallQueries, smallQrels), "test")
	if err != nil {
		t.Fatal(err)
	}
	want := &Collection{
		Documents:  []CorpusDocument{{"d1", "T", "one"}, {"d2", "", ""}},
		Queries:    []CollectionQuery{{"q1", "first"}, {"q2", "second"}},
		Judgements: map[string]Grades{"q1": {"d1": 2, "d2": 0, "gone": 1, "lost": 0}},
		Unknown:    1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ReadBEIR (-want +got):\n%s", diff)
	}
	ranked := got.Ranked(map[string][]string{"q1": {"d1"}, "q2": {"d2"}})
	if diff := cmp.Diff([]RankedQuery{{ID: "q1", Grades: want.Judgements["q1"], Ranking: []string{"d1"}}}, ranked); diff != "" {
		t.Errorf("Ranked (-want +got):\n%s", diff)
	}
}

func TestReadBEIRErrors(t *testing.T) {
	for _, c := range []struct{ name, corpus, queries, qrels, want string }{
		{"broken line", smallCorpus + "{", smallQueries, smallQrels, "corpus.jsonl:4: unexpected end of JSON input"},
		{"no id", `{"text": "x"}`, smallQueries, smallQrels, "corpus.jsonl:1: _id is missing or empty"},
		{"id of a wrong type", `{"_id": 1, "text": "x"}`, smallQueries, smallQrels, "corpus.jsonl:1: json: cannot unmarshal number"},
		{"no text", smallCorpus, `{"_id": "q1"}`, smallQrels, "queries.jsonl:1: text is missing"},
		{"repeated id", smallCorpus + `{"_id": "d1", "text": "x"}`, smallQueries, smallQrels, `corpus.jsonl:4: _id "d1" was used before on line 1`},
		{"invalid UTF-8", "\xff", smallQueries, smallQrels, "corpus.jsonl:1: not valid UTF-8"},
		{"two columns", smallCorpus, smallQueries, "q1\td1", "qrels/test.tsv:1: got 2 columns"},
		{"spaces for tabs", smallCorpus, smallQueries, "q1 0 d1 1", "qrels/test.tsv:1: got 1 columns"},
		{"fraction", smallCorpus, smallQueries, "q1\td1\t0.5", `qrels/test.tsv:1: score "0.5" is no integer`},
		{"second header", smallCorpus, smallQueries, "q1\td1\t1\nquery-id\tcorpus-id\tscore", `qrels/test.tsv:2: score "score" is no integer`},
		{"empty id", smallCorpus, smallQueries, "q1\t\t1", "qrels/test.tsv:1: an id is empty"},
		{"judged twice", smallCorpus, smallQueries, "q1\td1\t1\nq1\td1\t1", `qrels/test.tsv:2: query "q1" and document "d1" were judged before`},
		{"unknown query", smallCorpus, smallQueries, "q9\td1\t1", `qrels/test.tsv:1: query "q9" is not among the queries`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadBEIR(collectionFS(c.corpus, c.queries, c.qrels), "test")
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that wraps ErrFormat and contains %q", err, c.want)
			}
		})
	}
	for _, missing := range []string{"corpus.jsonl", "queries.jsonl", "qrels/test.tsv"} {
		t.Run("without "+missing, func(t *testing.T) {
			files := collectionFS(smallCorpus, smallQueries, smallQrels)
			delete(files, missing)
			_, err := ReadBEIR(files, "test")
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
				t.Errorf("got error %v, want fs.ErrNotExist for %s", err, missing)
			}
		})
	}
}

func TestCranfield(t *testing.T) {
	c, err := ReadBEIR(os.DirFS(sharedData(t, "cranfield")), "test")
	if err != nil {
		t.Fatal(err)
	}
	judgements := 0
	for _, grades := range c.Judgements {
		judgements += len(grades)
	}
	if len(c.Documents) != 1400 || len(c.Queries) != 225 || judgements != 1612 || c.Unknown != 0 {
		t.Errorf("got %d documents, %d queries, %d judgements, %d unknown, want 1400, 225, 1612, 0",
			len(c.Documents), len(c.Queries), judgements, c.Unknown)
	}
}

func FuzzReadBEIR(f *testing.F) {
	f.Add(smallCorpus, smallQueries, smallQrels)
	f.Add("{}", "null", "query-id\n")
	f.Fuzz(func(t *testing.T, corpus, queries, qrels string) {
		c, err := ReadBEIR(collectionFS(corpus, queries, qrels), "test")
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("error %v does not wrap ErrFormat", err)
			}
			return
		}
		for _, q := range c.Ranked(nil) {
			if q.ID == "" || len(q.Grades) == 0 {
				t.Errorf("bad judged query %+v", q)
			}
		}
		if s := ScoreRankings(c.Ranked(nil)); s.MRR != 0 || s.Queries+s.Skipped != len(c.Judgements) {
			t.Errorf("empty rankings of %d judged queries: got %+v", len(c.Judgements), s)
		}
	})
}
