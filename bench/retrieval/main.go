// Command retrieval measures Needle's embedded index beside Lucene,
// Elasticsearch, tantivy and bm25s: quality, speed, index rate, disk and memory
// on the same passages and questions. See README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/needle-search/needle/retriever/bleve"
)

// job is one system's work on one corpus; child processes get it as JSON.
type job struct {
	System string
	Mode   string // stop or keep
	N      int
	Corpus string // for the system: corpus.jsonl, or corpus.tsv for peers in other languages
	Stop   string // file of stop words
	Dir    string
}

// options are the command's flags.
type options struct {
	data, work, out, python, run string
	sizes, modes, systems        string
	rounds, questions            int
}

func main() {
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	var child, work string
	flag.StringVar(&o.data, "data", "", "folder of the shared data sets")
	flag.StringVar(&o.work, "work", "", "folder for corpora and indexes, which are kept and used again")
	flag.StringVar(&o.out, "out", "", "JSON file for the results")
	flag.StringVar(&o.run, "run", "", "a name for this run in the results, which may hold several")
	flag.StringVar(&o.python, "python", "python3", "a Python that has requirements.txt")
	flag.StringVar(&o.sizes, "n", "10000,100000", "numbers of passages")
	flag.StringVar(&o.modes, "modes", "stop,keep", "whether stop words are removed")
	flag.StringVar(&o.systems, "systems", "needle,lucene,elastic,tantivy,bm25s", "what to measure")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds in turn; 0 only indexes")
	flag.IntVar(&o.questions, "questions", 300, "questions a round")
	flag.StringVar(&child, "child", "", "used by the command itself: index or serve")
	flag.StringVar(&work, "job", "", "used by the command itself")
	flag.Parse()
	if err := run(ctx, o, child, work); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options, child, work string) error {
	if child != "" {
		var j job
		if err := json.Unmarshal([]byte(work), &j); err != nil {
			return err
		}
		return runChild(ctx, child, j)
	}
	if o.data == "" || o.work == "" {
		return fmt.Errorf("-data and -work are needed")
	}
	var all []*measured
	for size := range strings.SplitSeq(o.sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			return err
		}
		dir := filepath.Join(o.work, size)
		if err := prepare(o.data, dir, n); err != nil {
			return err
		}
		for mode := range strings.SplitSeq(o.modes, ",") {
			results, err := compare(ctx, o, dir, mode, n)
			if err != nil {
				return err
			}
			all = append(all, results...)
			if err := save(o.out, all); err != nil {
				return err
			}
		}
	}
	fmt.Print(table(all))
	return nil
}

func runChild(ctx context.Context, what string, j job) error {
	work := map[string]func(context.Context, job) error{
		"needle index": needleIndex, "needle serve": needleServe, "elastic index": elasticIndex, "elastic serve": elasticServe,
	}[j.System+" "+what]
	if work == nil {
		return fmt.Errorf("%s %s: unknown", j.System, what)
	}
	return work(ctx, j)
}

// prepare makes the corpus of n passages unless it is there.
func prepare(data, dir string, n int) error {
	done := filepath.Join(dir, "stop.txt")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	log.Printf("making %d passages", n)
	if err := generate(data, dir, n); err != nil {
		return err
	}
	words, err := tabbed(filepath.Join(dir, "corpus.jsonl"), filepath.Join(dir, "corpus.tsv"))
	if err != nil {
		return err
	}
	err = readLines(filepath.Join(dir, "questions.jsonl"), func(q question) error {
		for _, w := range strings.Fields(strings.ToLower(q.Text)) {
			words[w] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The stop words are those that Needle's analysis removes, so that all
	// systems remove the same.
	var stop []string
	for w := range words {
		terms, err := bleve.Terms("standard", w)
		if err != nil {
			return err
		}
		kept, err := bleve.Terms("words", w)
		if err != nil {
			return err
		}
		if len(terms) == 0 && len(kept) == 1 && kept[0] == w {
			stop = append(stop, w)
		}
	}
	return os.WriteFile(done, []byte(strings.Join(stop, "\n")), 0o600)
}

// tabbed writes a corpus as lines of id and text for the peers, and returns its
// distinct words.
func tabbed(from, to string) (map[string]bool, error) {
	file, err := os.Create(to)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	words := map[string]bool{}
	var buffer []byte
	space := strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")
	err = readLines(from, func(d document) error {
		text := space.Replace(d.Text)
		if len(words) < 1<<20 {
			for _, w := range strings.Fields(strings.ToLower(text)) {
				words[w] = true
			}
		}
		buffer = append(buffer[:0], d.ID...)
		buffer = append(append(append(buffer, '\t'), text...), '\n')
		_, err := file.Write(buffer)
		return err
	})
	return words, err
}
