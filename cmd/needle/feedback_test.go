package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/store"
)

const towerStory = "The tower was designed by Ada Lane. It was opened in 1889 by the mayor."

// says keeps feedback in a data directory, as users would through a server.
func says(t *testing.T, data string, list ...store.Feedback) (handles []string) {
	t.Helper()
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Data = data
	kept, err := cfg.OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for _, f := range list {
		f.Index = "default"
		if f.Answer != "" {
			f.DocumentID = "docs/tower.txt"
			f.Start = strings.Index(towerStory, f.Answer)
			f.End = f.Start + len(f.Answer)
		}
		stored, err := kept.AddFeedback(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, stored.Handle())
	}
	return handles
}

func TestFeedbackCommands(t *testing.T) {
	needRuntime(t)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	write(t, dir, "docs/tower.txt", towerStory)
	write(t, dir, "docs/bridge.txt", "The bridge is made of stone and older than the town.")
	run := func(args ...string) string { return mustNeedle(t, append(args, "--data", data)...) }
	if _, err := needle(t, "index", "add", filepath.Join(dir, "docs"), "--data", data); err != nil {
		t.Fatal(err)
	}
	document := strings.Fields(run("index", "list", "--documents"))
	if len(document) == 0 {
		t.Fatal("nothing is indexed")
	}
	handles := says(t, data,
		store.Feedback{Question: "Who designed the tower?", Verdict: store.Correct, Answer: "Ada Lane", By: "a"},
		store.Feedback{Question: "who designed the tower", Verdict: store.Wrong, Answer: "Ada Lane", By: "b"},
		store.Feedback{Question: "Who painted the tower?", Verdict: store.Unanswerable, By: "a"},
	)
	if out := run("feedback", "list"); !strings.Contains(out, "1 open, 1 disputed") || !strings.Contains(out, handles[1]) {
		t.Errorf("list: got %s", out)
	}
	if out, err := needle(t, "feedback", "export", "--data", data); err == nil || !strings.Contains(err.Error(), "nothing is settled") {
		t.Errorf("export before a review: got %s, %v; want that nothing is settled", out, err)
	}
	run("feedback", "accept", handles[0], handles[2], "--note", "seen")
	if out := run("feedback", "show", handles[1]); !strings.Contains(out, "overruled") || !strings.Contains(out, "accepted by local") {
		t.Errorf("show: got %s", out)
	}
	var set monitor.SQuAD
	if err := json.Unmarshal([]byte(run("feedback", "export")), &set); err != nil || len(set.Data) != 1 || set.LeftOut != 1 {
		t.Fatalf("export: got %+v, %v; want one article, and the question without a document left out", set, err)
	}
	if p := set.Data[0].Paragraphs[0]; p.Context[p.QAs[0].Answers[0].AnswerStart:][:8] != "Ada Lane" {
		t.Errorf("export: the answer is not at its offset: %+v", p)
	}
	beir := filepath.Join(dir, "beir")
	run("feedback", "export", "--format", "beir", "--out", beir, "--whole-corpus")
	if corpus, err := os.ReadFile(filepath.Join(beir, "corpus.jsonl")); err != nil || strings.Count(string(corpus), "\n") != 2 {
		t.Errorf("corpus: got %s, %v; want two documents", corpus, err)
	}
	if out := run("eval", "--dataset", "beir", "--path", beir, "--no-save", "--json"); !strings.Contains(out, `"recall@1": 1`) {
		t.Errorf("eval of the export: got %s", out)
	}
	// The question without an answer is a canary too.
	if out := run("canary", "add", "--feedback"); !strings.Contains(out, "2 canaries") {
		t.Errorf("canary add: got %s", out)
	}
	if out := run("canary", "add", "--feedback"); !strings.Contains(out, "2 canaries") {
		t.Errorf("canary add again: got %s, want no doubles", out)
	}
	if _, err := needle(t, "calibrate", "--feedback", "--data", data); err == nil || !strings.Contains(err.Error(), "50") {
		t.Errorf("calibrate on two questions: got %v, want how many are needed", err)
	}
	// The document changes so that the answer is gone.
	write(t, dir, "docs/tower.txt", "The tower was built long ago.")
	run("index", "add", filepath.Join(dir, "docs"))
	if _, err := needle(t, "feedback", "accept", "--all", "--data", data); err != nil {
		t.Error(err)
	}
	if out := run("feedback", "export", "--format", "squad"); !strings.Contains(out, `"left_out": 2`) {
		t.Errorf("after the document changed: got %s, want both left out", out)
	}
}
