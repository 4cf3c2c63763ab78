package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// measured is what was measured of one system on one corpus.
type measured struct {
	Run      string  `json:"run,omitempty"`
	System   string  `json:"system"`
	Passages int     `json:"passages"`
	Mode     string  `json:"mode"`
	Index    indexed `json:"index"`
	// P50 and P99 are milliseconds a question, one number a round.
	P50 []float64 `json:"p50_ms"`
	P99 []float64 `json:"p99_ms"`
	// CPU is milliseconds of all cores a question, one number a round: what a
	// busy machine disturbs least.
	CPU []float64 `json:"cpu_ms"`
	// P50Ratio and P99Ratio compare with Lucene in the same round.
	P50Ratio []float64 `json:"p50_to_lucene,omitempty"`
	P99Ratio []float64 `json:"p99_to_lucene,omitempty"`
	CPURatio []float64 `json:"cpu_to_lucene,omitempty"`
	OwnMB    int64     `json:"own_mb"`
	FilesMB  int64     `json:"mapped_mb"`
	Recall1  float64   `json:"recall@1"`
	Recall10 float64   `json:"recall@10"`
	Recall   float64   `json:"recall@200"`
	NDCG10   float64   `json:"ndcg@10"`
	Load     []string  `json:"load"`
}

// compare indexes one corpus with all systems and asks them in turn.
func compare(ctx context.Context, o options, dir, mode string, n int) (results []*measured, err error) {
	var jobs []job
	for system := range strings.SplitSeq(o.systems, ",") {
		corpus := "corpus.tsv"
		if system == "needle" || system == "elastic" {
			corpus = "corpus.jsonl"
		}
		j := job{
			System: system, Mode: mode, N: n, Corpus: filepath.Join(dir, corpus), Stop: filepath.Join(dir, "stop.txt"),
			Dir: filepath.Join(dir, system+"-"+mode),
		}
		took, err := index(ctx, o, j)
		if err != nil {
			return nil, err
		}
		log.Printf("%s %d %s: indexed in %.1f s (%.0f/s, %.1f s of CPU), %d MB", system, n, mode, took.Seconds, float64(n)/took.Seconds, took.CPUSeconds, took.DiskMB)
		jobs = append(jobs, j)
		results = append(results, &measured{Run: o.run, System: system, Passages: n, Mode: mode, Index: took})
	}
	if o.rounds == 0 {
		return results, nil
	}
	var questions []question
	err = readLines(filepath.Join(dir, "questions.jsonl"), func(q question) error {
		questions = append(questions, q)
		return nil
	})
	if err != nil {
		return nil, err
	}
	questions = questions[:min(o.questions, len(questions))]
	peers := make([]*peer, len(jobs))
	defer func() {
		for _, p := range peers {
			if p != nil {
				err = errors.Join(err, p.stop())
			}
		}
	}()
	for i, j := range jobs {
		if peers[i], err = start(ctx, o, j); err != nil {
			return nil, err
		}
	}
	for round := range o.rounds + warmUp {
		for turn := range jobs {
			// Who goes first changes, so that nobody always follows the same.
			i := (turn + round) % len(jobs)
			if err := ask(peers[i], questions, results[i], round < warmUp, round == 0); err != nil {
				return nil, fmt.Errorf("%s: %w", jobs[i].System, err)
			}
		}
	}
	for i, r := range results {
		r.OwnMB, r.FilesMB = peers[i].memory()
	}
	ratios(results)
	for _, r := range results {
		log.Printf("%s %d %s: p50 %.2f ms, p99 %.2f ms, recall@10 %.3f, %d MB", r.System, n, mode, median(r.P50), median(r.P99), r.Recall10, r.OwnMB)
	}
	return results, nil
}

// warmUp is how many rounds are not counted: Java compiles what it runs while it
// runs it. The first of them judges quality.
const warmUp = 4

// ask asks one system all questions, once.
func ask(p *peer, questions []question, r *measured, warming, judge bool) error {
	times := make([]time.Duration, len(questions))
	before := p.cpu()
	for i, q := range questions {
		took, ids, err := p.ask(q.Text)
		if err != nil {
			return err
		}
		times[i] = took
		if !judge {
			continue
		}
		rank := slices.Index(ids, q.Gold)
		share := 1 / float64(len(questions))
		if rank == 0 {
			r.Recall1 += share
		}
		if rank >= 0 && rank < 10 {
			r.Recall10 += share
			r.NDCG10 += share / math.Log2(float64(rank)+2)
		}
		if rank >= 0 {
			r.Recall += share
		}
	}
	if warming {
		return nil
	}
	slices.Sort(times)
	r.P50 = append(r.P50, times[len(times)/2].Seconds()*1000)
	r.P99 = append(r.P99, times[len(times)*99/100].Seconds()*1000)
	r.CPU = append(r.CPU, (p.cpu()-before).Seconds()*1000/float64(len(questions)))
	r.Load = append(r.Load, load())
	return nil
}

func ratios(results []*measured) {
	i := slices.IndexFunc(results, func(r *measured) bool { return r.System == "lucene" })
	if i < 0 {
		return
	}
	for _, r := range results {
		for round := range r.P50 {
			r.P50Ratio = append(r.P50Ratio, r.P50[round]/results[i].P50[round])
			r.P99Ratio = append(r.P99Ratio, r.P99[round]/results[i].P99[round])
			if results[i].CPU[round] > 0 {
				r.CPURatio = append(r.CPURatio, r.CPU[round]/results[i].CPU[round])
			}
		}
	}
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func save(path string, all []*measured) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// table writes the results as Markdown.
func table(all []*measured) string {
	var b strings.Builder
	b.WriteString("| passages | stop words | system | p50 ms | to Lucene | p99 ms | to Lucene | CPU ms | to Lucene | passages/s | disk MB | own memory MB | mapped MB | recall@10 | recall@200 | nDCG@10 |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range all {
		mode := "removed"
		if r.Mode == "keep" {
			mode = "kept"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s | %s | %s | %.0f | %d | %d | %d | %.3f | %.3f | %.3f |\n",
			r.Passages, mode, r.System, spread(r.P50), spread(r.P50Ratio), spread(r.P99), spread(r.P99Ratio), spread(r.CPU), spread(r.CPURatio),
			float64(r.Passages)/r.Index.Seconds, r.Index.DiskMB, r.OwnMB, r.FilesMB, r.Recall10, r.Recall, r.NDCG10)
	}
	return b.String()
}

// spread writes lowest, median and highest.
func spread(list []float64) string {
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f / %.2f / %.2f", slices.Min(list), median(list), slices.Max(list))
}
