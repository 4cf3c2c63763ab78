// Command hybrid measures what a second retrieval leg by vectors adds on
// Elasticsearch: the recall of the same questions on the same index by words
// alone, by words with the vector ranker, and by both legs with the ranker behind.
//
//	export NEEDLE_ES_URL=$(deploy/elasticsearch/test-server.sh start)
//	go run ./bench/hybrid -squad dev.json -squad more.json
//	go run ./bench/hybrid -beir cranfield
//
// The index is made under a prefix of its own and dropped at the end. It prints
// a table for documentation.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

// question is a question and the documents that answer it.
type question struct {
	text string
	gold map[string]bool
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var squad []string
	flag.Func("squad", "file in SQuAD's format; may be repeated", func(path string) error { squad = append(squad, path); return nil })
	beir := flag.String("beir", "", "directory in BEIR's layout")
	limit := flag.Int("limit", 600, "how many questions are asked, spread over all; 0 for all")
	flag.Parse()
	address := os.Getenv("NEEDLE_ES_URL")
	if address == "" {
		return errors.New("NEEDLE_ES_URL is not set; see deploy/elasticsearch/test-server.sh")
	}
	documents, questions, err := read(squad, *beir)
	if err != nil {
		return err
	}
	if step := len(questions) / max(*limit, 1); *limit > 0 && step > 1 {
		var some []question
		for i := 0; i < len(questions); i += step {
			some = append(some, questions[i])
		}
		questions = some
	}
	data, err := os.MkdirTemp("", "needle-hybrid-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	prefix := "bench-" + strings.ToLower(rand.Text()) + "-"
	open := func(ranker, hybrid string) (*pipeline.Pipeline, error) {
		text := fmt.Sprintf("data: %q\nranker: {type: %s}\nlimits: {timeout: 0s, max_question_tokens: 192}\nretriever: {type: elastic, addresses: [%q], index_prefix: %q, replicas: 0, hybrid: %s}\n", data, ranker, address, prefix, hybrid)
		config, err := pipeline.ParseConfig("bench", []byte(text), builtin.Registry())
		if err != nil {
			return nil, err
		}
		return pipeline.Open(ctx, config, pipeline.WithoutReader())
	}
	filler, err := open("vector", "none")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, filler.DropIndex(ctx, ""), filler.Close(), remove(ctx, address+"/"+prefix+"store.records"))
	}()
	begin := time.Now()
	for part := range slices.Chunk(documents, 500) {
		if _, err := filler.Put(ctx, "", part); err != nil {
			return err
		}
	}
	fmt.Printf("%d documents in %.1f s", len(documents), time.Since(begin).Seconds())
	begin = time.Now()
	if err := filler.FillVectors(ctx, "", nil); err != nil {
		return err
	}
	fmt.Printf(", their vectors in %.1f s; %d questions\n\n", time.Since(begin).Seconds(), len(questions))
	fmt.Println("| ranker | hybrid | recall@1 | @5 | @10 | @20 | @50 | @200 | ms a question |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, c := range [][2]string{{"none", "none"}, {"vector", "none"}, {"vector", "rrf"}, {"vector", "weighted"}} {
		p, err := open(c[0], c[1])
		if err != nil {
			return err
		}
		err = measure(ctx, p, c, questions)
		if err := errors.Join(err, p.Close()); err != nil {
			return err
		}
	}
	return nil
}

// remove drops an Elasticsearch index.
func remove(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// depths are where recall is measured.
var depths = []int{1, 5, 10, 20, 50, 200}

// measure prints one line: the mean over the questions of the part of their
// documents that is among the first.
func measure(ctx context.Context, p *pipeline.Pipeline, setting [2]string, questions []question) error {
	sums := make([]float64, len(depths))
	ask := func(q question) ([]string, error) {
		result, err := p.Search(ctx, pipeline.SearchRequest{Query: q.text, TopK: depths[len(depths)-1], Access: pipeline.FullAccess()})
		if err != nil {
			return nil, err
		}
		if len(result.Warnings) > 0 {
			return nil, fmt.Errorf("%q: %s", q.text, strings.Join(result.Warnings, "; "))
		}
		var ids []string
		for _, h := range result.Hits {
			if !slices.Contains(ids, h.DocumentID) {
				ids = append(ids, h.DocumentID)
			}
		}
		return ids, nil
	}
	if _, err := ask(questions[0]); err != nil { // opens the model
		return err
	}
	begin := time.Now()
	for _, q := range questions {
		ids, err := ask(q)
		if err != nil {
			return err
		}
		for i, depth := range depths {
			found := 0
			for _, id := range ids[:min(depth, len(ids))] {
				if q.gold[id] {
					found++
				}
			}
			sums[i] += float64(found) / float64(len(q.gold))
		}
	}
	fmt.Printf("| %s | %s |", setting[0], setting[1])
	for _, sum := range sums {
		fmt.Printf(" %.3f |", sum/float64(len(questions)))
	}
	fmt.Printf(" %.1f |\n", float64(time.Since(begin).Microseconds())/1000/float64(len(questions)))
	return nil
}

// read reads a collection.
func read(squad []string, beir string) ([]retriever.Document, []question, error) {
	var documents []retriever.Document
	var questions []question
	if beir != "" {
		c, err := eval.ReadBEIR(os.DirFS(beir), "test")
		if err != nil {
			return nil, nil, err
		}
		for _, d := range c.Documents {
			if strings.TrimSpace(d.Text) != "" {
				documents = append(documents, retriever.Document{ID: d.ID, Title: d.Title, Text: d.Text})
			}
		}
		for _, q := range c.Queries {
			gold := map[string]bool{}
			for id, grade := range c.Judgements[q.ID] {
				if grade > 0 {
					gold[id] = true
				}
			}
			if len(gold) > 0 {
				questions = append(questions, question{q.Text, gold})
			}
		}
	}
	for _, path := range squad {
		file, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		dataset, err := eval.ReadSQuAD(file, filepath.Base(path))
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, nil, err
		}
		for _, p := range dataset.Paragraphs {
			documents = append(documents, retriever.Document{ID: p.ID, Title: p.Title, Text: p.Text})
		}
		for _, q := range dataset.Questions {
			if !q.Impossible {
				questions = append(questions, question{q.Text, map[string]bool{q.ParagraphID: true}})
			}
		}
	}
	if len(questions) == 0 {
		return nil, nil, errors.New("no questions; give -squad or -beir")
	}
	return documents, questions, nil
}
