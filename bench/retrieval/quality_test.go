package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// collection is a set of documents and of judged questions.
type collection struct {
	documents []document
	questions []question // Gold is not used
	grades    []eval.Grades
}

// cranfield reads the classic collection.
func cranfield(t *testing.T) collection {
	t.Helper()
	folder := testenv.Shared(t, "data", "cranfield")
	type line struct {
		ID    string `json:"_id"`
		Title string `json:"title"`
		Text  string `json:"text"`
	}
	var c collection
	must(t, readLines(filepath.Join(folder, "corpus.jsonl"), func(l line) error {
		if strings.TrimSpace(l.Text) != "" {
			c.documents = append(c.documents, document{l.ID, l.Title + "\n" + l.Text})
		}
		return nil
	}))
	judged := map[string]eval.Grades{}
	data, err := os.ReadFile(filepath.Join(folder, "qrels", "test.tsv"))
	must(t, err)
	for _, row := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		cells := strings.Split(row, "\t")
		grade, err := strconv.Atoi(cells[2])
		must(t, err)
		if judged[cells[0]] == nil {
			judged[cells[0]] = eval.Grades{}
		}
		judged[cells[0]][cells[1]] = grade
	}
	must(t, readLines(filepath.Join(folder, "queries.jsonl"), func(l line) error {
		if grades := judged[l.ID]; grades != nil {
			c.questions = append(c.questions, question{Text: l.Text})
			c.grades = append(c.grades, grades)
		}
		return nil
	}))
	return c
}

// paragraphs reads sets in SQuAD's format as one collection: a document a
// paragraph, every fifth question.
func paragraphs(t *testing.T, paths ...string) collection {
	t.Helper()
	var c collection
	asked := 0
	for _, path := range paths {
		data, err := os.ReadFile(testenv.Shared(t, "data", path))
		must(t, err)
		var set squad
		must(t, json.Unmarshal(data, &set))
		for _, article := range set.Data {
			for _, p := range article.Paragraphs {
				id := documentID(len(c.documents))
				c.documents = append(c.documents, document{id, p.Context})
				for _, qa := range p.QAs {
					if len(qa.Answers) == 0 {
						continue
					}
					if asked++; asked%5 == 0 {
						c.questions = append(c.questions, question{Text: strings.Join(strings.Fields(qa.Question), " ")})
						c.grades = append(c.grades, eval.Grades{id: 1})
					}
				}
			}
		}
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quality are means over the questions of a collection.
type quality struct{ NDCG10, Recall1, Recall10, Recall50 float64 }

func (c *collection) judge(t *testing.T, ask func(string) ([]string, error)) quality {
	t.Helper()
	var q quality
	for i, question := range c.questions {
		ids, err := ask(question.Text)
		must(t, err)
		share := 1 / float64(len(c.questions))
		q.NDCG10 += share * eval.NDCGAt(ids, c.grades[i], 10)
		q.Recall1 += share * eval.RecallAt(ids, c.grades[i], 1)
		q.Recall10 += share * eval.RecallAt(ids, c.grades[i], 10)
		q.Recall50 += share * eval.RecallAt(ids, c.grades[i], 50)
	}
	return q
}

// TestQualityIsLucenes compares ranking quality with Lucene's BM25 and English
// analysis, with the same stop words. It needs Java, Maven and the network, so
// it runs when NEEDLE_LUCENE_TESTS names a folder to keep Lucene in.
func TestQualityIsLucenes(t *testing.T) {
	if os.Getenv("NEEDLE_LUCENE_TESTS") == "" {
		t.Skip("set NEEDLE_LUCENE_TESTS to a folder to compare with Lucene (needs java, javac, mvn)")
	}
	for name, c := range map[string]collection{
		"cranfield": cranfield(t),
		"squad": paragraphs(t, "squad2/dev-half.json", "squadshifts/new_wiki.json", "squadshifts/reddit.json",
			"squadshifts/amazon_reviews.json"),
	} {
		t.Run(name, func(t *testing.T) {
			needle, lucene := c.askNeedle(t), c.askLucene(t)
			t.Logf("%d documents, %d questions\nNeedle %+v\nLucene %+v", len(c.documents), len(c.questions), needle, lucene)
			for _, pair := range []struct {
				what      string
				got, want float64
			}{
				{"nDCG@10", needle.NDCG10, lucene.NDCG10}, {"recall@1", needle.Recall1, lucene.Recall1},
				{"recall@10", needle.Recall10, lucene.Recall10}, {"recall@50", needle.Recall50, lucene.Recall50},
			} {
				if pair.got < pair.want-0.01 {
					t.Errorf("%s = %.4f, more than 0.01 below Lucene's %.4f", pair.what, pair.got, pair.want)
				}
			}
		})
	}
}

func (c *collection) askNeedle(t *testing.T) quality {
	t.Helper()
	backend, err := bleve.New(bleve.DefaultConfig(), t.TempDir())
	must(t, err)
	index, err := backend.Create(t.Context(), "quality")
	must(t, err)
	defer index.Close()
	entries := make([]retriever.Entry, len(c.documents))
	for i, d := range c.documents {
		entries[i] = retriever.Entry{
			Document: retriever.Document{ID: d.ID, Text: d.Text},
			Passages: []retriever.Passage{{DocumentID: d.ID, Text: d.Text, End: utf8.RuneCountInString(d.Text)}},
		}
	}
	must(t, index.Upsert(t.Context(), entries))
	return c.judge(t, func(text string) ([]string, error) {
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: text, TopK: topK, AllGroups: true})
		ids := make([]string, len(results.Hits))
		for i, hit := range results.Hits {
			ids[i] = hit.DocumentID
		}
		return ids, err
	})
}

func (c *collection) askLucene(t *testing.T) quality {
	t.Helper()
	work := t.TempDir()
	var corpus, stop strings.Builder
	words := map[string]bool{}
	collect := func(text string) {
		for _, w := range strings.Fields(strings.ToLower(text)) {
			words[w] = true
		}
	}
	for _, d := range c.documents {
		fmt.Fprintf(&corpus, "%s\t%s\n", d.ID, strings.Join(strings.Fields(d.Text), " "))
		collect(d.Text)
	}
	for _, q := range c.questions {
		collect(q.Text)
	}
	for w := range words {
		removed, err := bleve.Terms("standard", w)
		must(t, err)
		kept, err := bleve.Terms("words", w)
		must(t, err)
		if len(removed) == 0 && len(kept) == 1 && kept[0] == w {
			fmt.Fprintln(&stop, w)
		}
	}
	j := job{
		System: "lucene", Mode: "english", Corpus: filepath.Join(work, "corpus.tsv"), Stop: filepath.Join(work, "stop.txt"),
		Dir: filepath.Join(work, "index"),
	}
	must(t, os.WriteFile(j.Corpus, []byte(corpus.String()), 0o600))
	must(t, os.WriteFile(j.Stop, []byte(stop.String()), 0o600))
	o := options{work: os.Getenv("NEEDLE_LUCENE_TESTS")}
	_, err := index(t.Context(), o, j)
	must(t, err)
	p, err := start(t.Context(), o, j)
	must(t, err)
	defer func() { must(t, p.stop()) }()
	return c.judge(t, func(text string) ([]string, error) {
		_, ids, err := p.ask(text)
		return ids, err
	})
}
