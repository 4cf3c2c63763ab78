package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/store"
)

// TestTrainHeadFromFeedback fits a span head and a relevance head on what
// users said, right and wrong.
func TestTrainHeadFromFeedback(t *testing.T) {
	needRuntime(t)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	const towers = 8
	name := func(i int) string { return "Ada " + strings.Repeat("Lo", 1+i%towers) + "ne" }
	story := func(i int) string {
		return fmt.Sprintf("Tower %d was designed by %s. It was opened in %d by the mayor.", i%towers, name(i), 1880+i%towers)
	}
	for i := range towers {
		write(t, dir, fmt.Sprintf("docs/tower%d.txt", i), story(i))
	}
	run := func(args ...string) string { return mustNeedle(t, append(args, "--data", data)...) }
	run("index", "add", filepath.Join(dir, "docs"))
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Data = data
	kept, err := cfg.OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	say := func(i, of int, verdict store.Verdict, answer string) {
		start := strings.Index(story(of), answer)
		if _, err := kept.AddFeedback(t.Context(), store.Feedback{
			Index: "default", Question: fmt.Sprintf("Who designed tower %d?", i), Verdict: verdict, By: "a",
			DocumentID: fmt.Sprintf("docs/tower%d.txt", of%towers), Answer: answer, Start: start, End: start + len(answer),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range towers {
		say(i, i, store.Correct, name(i))
		say(i, i+1, store.Wrong, name(i+1))
		say(i, i, store.Wrong, "the mayor") // beside the right answer, so it says nothing of relevance
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	train := func(kind string) (string, error) {
		return needle(t, "train", "head", "--feedback", "--kind", kind, "--rounds", "20", "--out", filepath.Join(dir, kind), "--data", data)
	}
	if out, err := train("relevance"); err == nil || !strings.Contains(err.Error(), "nothing is settled") {
		t.Errorf("before a review: got %s, %v", out, err)
	}
	run("feedback", "accept", "--all")
	for kind, want := range map[string]string{
		"relevance": fmt.Sprintf("%d encodings learned from", 2*towers-4), // 4 of 16 are held out: whole questions
		"span":      "encodings learned from",
	} {
		out, err := train(kind)
		if err != nil || !strings.Contains(out, want) || !strings.Contains(out, kind+" head") {
			t.Errorf("%s: got %s, %v; want %q", kind, out, err, want)
			continue
		}
		if out := run("models", "verify", filepath.Join(dir, kind)); strings.Contains(out, "fault") || !strings.Contains(out, "head "+kind) {
			t.Errorf("%s: verify says %s", kind, out)
		}
	}
	if _, err := train("classification"); err == nil || !strings.Contains(err.Error(), "puts no labels on texts") {
		t.Errorf("classification: got %v", err)
	}
}
