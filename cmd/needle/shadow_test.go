package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/pipeline"
)

// TestShadowAndWhatIsKept has a candidate answer beside a real server, and gets
// the data out afterwards.
func TestShadowAndWhatIsKept(t *testing.T) {
	needRuntime(t)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	config := write(t, dir, "needle.yaml", "data: "+data+"\nmonitor: {keep_questions: true}\nlimits: {cache_bytes: 0}\n")
	candidate := write(t, dir, "candidate.yaml", "ranker: {type: none, top_k: 1}\n")
	write(t, dir, "docs/tower.txt", towerStory)
	write(t, dir, "docs/bridge.txt", "The bridge is made of stone and older than the town.")
	run := func(args ...string) string { return mustNeedle(t, append(args, "--config", config)...) }
	run("index", "add", filepath.Join(dir, "docs"))
	if _, err := needle(t, "shadow", "start", candidate, "--config", config); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("without a server: got %v", err)
	}
	server, _ := process(t, "serve", "--config", config, "--addr", "127.0.0.1:0")
	for deadline := time.Now().Add(60 * time.Second); runningServer(t.Context(), data).URL == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server does not come up")
		}
	}
	for name, text := range map[string]string{
		"an unknown key": "reader: {colour: red}\n", "another index": "retriever: {k1: 2}\n", "a bundle that is not there": "reader: {bundle: " + dir + "}\n",
	} {
		if out, err := needle(t, "shadow", "start", write(t, dir, "bad.yaml", text), "--config", config); err == nil {
			t.Errorf("%s was taken: %s", name, out)
		}
	}
	if out := run("shadow", "start", candidate, "--share", "1"); !strings.Contains(out, "running") || !strings.Contains(out, "ranker.top_k") {
		t.Errorf("start: got %s", out)
	}
	questions := []string{"Who designed the tower?", "When was the tower opened?", "What is the bridge made of?"}
	for _, q := range questions {
		run("ask", q)
	}
	var status pipeline.ShadowStatus
	for deadline := time.Now().Add(60 * time.Second); status.Asked < len(questions); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the candidate does not answer: %+v", status)
		}
		status = pipeline.ShadowStatus{}
		if err := json.Unmarshal([]byte(run("shadow", "status", "--json")), &status); err != nil {
			t.Fatal(err)
		}
	}
	if status.Sampled != 3 || status.Failed != 0 || status.Dropped != 0 || status.Outcomes[pipeline.ShadowSame] == 0 {
		t.Errorf("got %+v, want three questions, some of them answered alike", status)
	}
	if out := run("shadow", "stop"); !strings.Contains(out, "stopped") || !strings.Contains(out, "3 asked") {
		t.Errorf("stop: got %s", out)
	}
	// The log of questions is written within a second or so.
	var table string
	for deadline := time.Now().Add(30 * time.Second); strings.Count(table, "\n") < 4; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the questions are not kept: %s", table)
		}
		table = run("export", "questions", "--format", "csv")
	}
	if !strings.Contains(table, questions[0]) {
		t.Errorf("export: got %s", table)
	}
	file := filepath.Join(dir, "questions.parquet")
	run("export", "questions", "--out", file)
	if content, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(content), "PAR1") {
		t.Errorf("export as Parquet: got %.10q, %v", content, err)
	}
	run("export", "feedback", "--format", "jsonl")
	run("export", "metrics", "--format", "csv")
	for _, bad := range [][]string{{"export", "keys"}, {"export", "questions", "--format", "xml"}, {"export", "questions", "--since", "yesterday"}} {
		if _, err := needle(t, append(bad, "--config", config)...); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	// What was asked is asked again, under another configuration.
	terse := write(t, dir, "terse.yaml", "data: "+data+"\nreader: {max_answer_tokens: 1}\n")
	if _, err := needle(t, "compare", config, terse, "--log"); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("compare while a server holds the index: got %v", err)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Fatal(err)
	}
	var compared struct {
		Questions int         `json:"questions"`
		Differing []differing `json:"differing"`
	}
	out := mustNeedle(t, "compare", config, terse, "--log", "--json")
	if err := json.Unmarshal([]byte(out), &compared); err != nil {
		t.Fatal(err)
	}
	differs := slices.ContainsFunc(compared.Differing, func(d differing) bool {
		return d.Question == questions[0] && d.A.Predicted == "Ada Lane" && d.B.Predicted != "Ada Lane"
	})
	if compared.Questions != 3 || !differs || !strings.Contains(out, "reader.max_answer_tokens") {
		t.Errorf("compare of the log: got %s, want three questions, and the designer answered differently", out)
	}
}

func TestCompareCommand(t *testing.T) {
	needRuntime(t)
	dir := t.TempDir()
	a := write(t, dir, "a.yaml", "data: "+filepath.Join(dir, "data")+"\n")
	b := write(t, dir, "b.yaml", "data: "+filepath.Join(dir, "data")+"\nreader: {max_answer_tokens: 1}\n")
	path := write(t, dir, "questions.json", `{"version":"v2.0","data":[{"title":"t","paragraphs":[{"context":"`+towerStory+`","qas":[
		{"id":"1","question":"Who designed the tower?","is_impossible":false,"answers":[{"text":"Ada Lane","answer_start":26}]},
		{"id":"2","question":"When was the tower opened?","is_impossible":false,"answers":[{"text":"1889","answer_start":53}]}]}]}]}`)
	page := filepath.Join(dir, "page.html")
	out := mustNeedle(t, "compare", a, b, "--path", path, "--report", page)
	if !strings.Contains(out, "reader.max_answer_tokens") || !strings.Contains(out, "1 of 2 questions are answered differently") || !strings.Contains(out, "Ada Lane") {
		t.Errorf("got %s", out)
	}
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "b.yaml") {
		t.Errorf("the report: %v", err)
	}
	if out, err := needle(t, "compare", a, b); err == nil {
		t.Errorf("without questions: got %s", out)
	}
	if _, err := needle(t, "compare", a, b, "--log"); err == nil || !strings.Contains(err.Error(), "keep_questions") {
		t.Errorf("without a log: got %v", err)
	}
}
