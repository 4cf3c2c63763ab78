package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/pipeline"
	pipelinebuiltin "github.com/needle-search/needle/pipeline/builtin"
)

// squadFile writes questions about a text, each with its answer.
func squadFile(t *testing.T, text string, questions map[string]string) string {
	t.Helper()
	type answer struct {
		Text  string `json:"text"`
		Start int    `json:"answer_start"`
	}
	type qa struct {
		ID       string   `json:"id"`
		Question string   `json:"question"`
		Answers  []answer `json:"answers"`
	}
	var qas []qa
	for question, a := range questions {
		qas = append(qas, qa{fmt.Sprint(len(qas)), question, []answer{{a, strings.Index(text, a)}}})
	}
	data, err := json.Marshal(map[string]any{"data": []any{map[string]any{"title": "x", "paragraphs": []any{map[string]any{"context": text, "qas": qas}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, t.TempDir(), "questions.json", string(data))
}

const towerText = "The Eiffel Tower was designed by Gustave Eiffel. It opened in 1889. It stands in Paris."

func towerQuestions(t *testing.T) string {
	return squadFile(t, towerText, map[string]string{
		"Who designed the Eiffel Tower?": "Gustave Eiffel", "When did it open?": "1889", "In which city does it stand?": "Paris",
	})
}

// otherBundle copies the embedded bundle under another name.
func otherBundle(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(dir, builtin.Files()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "needle.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), `"`+builtinName(t)+`"`, `"other-reader"`, 1)
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestModelsUse: the model of a running server is exchanged, a broken one is
// refused, and the choice survives a restart.
func TestModelsUse(t *testing.T) {
	needRuntime(t)
	data, files := t.TempDir(), t.TempDir()
	write(t, files, "tower.txt", towerText)
	mustNeedle(t, "index", "add", files, "--data", data)
	questions, other := towerQuestions(t), otherBundle(t)
	broken := otherBundle(t)
	if err := os.WriteFile(filepath.Join(broken, "span.safetensors"), []byte("cut off"), 0o644); err != nil {
		t.Fatal(err)
	}
	reads := func() string { return answerTo(t, data, "Who designed the Eiffel Tower?").Model.Name }

	server, log := process(t, "serve", "--data", data, "--addr", "127.0.0.1:0")
	for deadline := time.Now().Add(60 * time.Second); runningServer(t.Context(), data).URL == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not come up:\n%s", log)
		}
	}
	if got := reads(); got != builtinName(t) {
		t.Fatalf("%s reads at first", got)
	}
	if _, err := needle(t, "models", "use", broken, "--data", data); !errors.Is(err, pipeline.ErrModelRefused) || !strings.Contains(err.Error(), "span.safetensors") {
		t.Errorf("a broken bundle: %v", err)
	}
	if got := reads(); got != builtinName(t) {
		t.Fatalf("%s reads after a refusal", got)
	}
	out := mustNeedle(t, "models", "use", other, "--data", data, "--path", questions, "--bound", "0")
	if !strings.Contains(out, "the server now reads with other-reader") || !strings.Contains(out, "bound: F1") {
		t.Errorf("use says:\n%s", out)
	}
	if got := reads(); got != "other-reader" {
		t.Errorf("%s reads after use", got)
	}
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if got := reads(); got != "other-reader" {
		t.Errorf("%s reads without the server", got)
	}
	if out := mustNeedle(t, "models", "list", "--data", data); !strings.Contains(out, "* "+other) || !strings.Contains(out, "c builtin") {
		t.Errorf("list says:\n%s", out)
	}
	mustNeedle(t, "models", "use", "--reset", "--data", data)
	if got := reads(); got != builtinName(t) {
		t.Errorf("%s reads after a reset", got)
	}
	for _, args := range [][]string{{}, {"builtin", "--reset"}, {"builtin", "--path", questions, "--limit", "0"}} {
		if _, err := needle(t, append([]string{"models", "use", "--data", data}, args...)...); err == nil {
			t.Errorf("use %v is accepted", args)
		}
	}
}

// TestTrainHead: a bundle comes of examples, is sound, can be compared and
// used, and predicts labels.
func TestTrainHead(t *testing.T) {
	needRuntime(t)
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 30 {
		fmt.Fprintf(&lines, "{\"text\": \"Employee %d has %d days of annual leave left.\", \"label\": \"leave\"}\n", i, i+3)
		fmt.Fprintf(&lines, "{\"text\": \"Book the train to town %d and a hotel room.\", \"label\": \"travel\"}\n", i)
	}
	examples := write(t, dir, "labels.jsonl", lines.String())
	out := filepath.Join(dir, "labelled")
	if text := mustNeedle(t, "train", "head", "--kind", "classification", "--pooling", "mean", "--path", examples, "--out", out, "--rounds", "30"); !strings.Contains(text, "12 held out") {
		t.Errorf("train says:\n%s", text)
	}
	if _, err := os.Stat(out + ".work"); err == nil {
		t.Error("the working directory was left behind")
	}
	if text := mustNeedle(t, "models", "verify", out); strings.Contains(text, "fault") || !strings.Contains(text, "head classification int8: 2 labels") {
		t.Errorf("verify says:\n%s", text)
	}
	spans := filepath.Join(dir, "spans")
	if _, err := needle(t, "train", "head", "--path", towerQuestions(t), "--out", spans); err == nil || !strings.Contains(err.Error(), "at least 4") && !strings.Contains(err.Error(), "share one text") {
		t.Errorf("three questions about one text: %v", err)
	}
	for _, test := range []struct{ args, want string }{
		{"--path x.jsonl", "--out is missing"},
		{"--out " + filepath.Join(dir, "n"), "--path is missing"},
		{"--path " + examples + " --out " + out, "file already exists"},
		{"--kind relevance --path " + examples + " --out " + filepath.Join(dir, "n"), "line 1"},
		{"--kind colour --path " + examples + " --out " + filepath.Join(dir, "n"), "allowed are span, relevance, classification"},
	} {
		if _, err := needle(t, append([]string{"train", "head"}, strings.Fields(test.args)...)...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("train head %s: %v, want %q", test.args, err, test.want)
		}
	}
	// The new head changes nothing about reading, so the calibration goes along.
	plain, labelled := t.TempDir(), t.TempDir()
	text := write(t, t.TempDir(), "tower.txt", towerText)
	for _, data := range []string{plain, labelled} {
		mustNeedle(t, "index", "add", text, "--data", data)
	}
	if note := mustNeedle(t, "models", "use", out, "--data", labelled); strings.Contains(note, "no score profile") {
		t.Errorf("use says:\n%s", note)
	}
	want, got := answerTo(t, plain, "Who designed the Eiffel Tower?"), answerTo(t, labelled, "Who designed the Eiffel Tower?")
	if !got.Calibrated || got.Model.Hash == want.Model.Hash || len(got.Answers) == 0 || got.Answers[0].Probability != want.Answers[0].Probability {
		t.Errorf("with the new head: calibrated %v, %+v; want the probabilities of the embedded bundle: %+v", got.Calibrated, got.Answers, want.Answers)
	}
	// The server's way to the labels.
	data := t.TempDir()
	mustNeedle(t, "models", "use", out, "--data", data)
	a := &app{registry: pipelinebuiltin.Registry(), dataDir: data}
	cfg, err := a.config()
	if err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	result, err := p.Predict(t.Context(), pipeline.PredictRequest{Head: "classification", Texts: []string{"How many days of leave are left?", "Which hotel and train did she book?"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"leave", "travel"} {
		if got := result.Predictions[i].Labels; len(got) != 2 || got[0].Label != want {
			t.Errorf("text %d: %+v, want %s first", i, got, want)
		}
	}
	if _, err := p.Predict(t.Context(), pipeline.PredictRequest{Head: "embedding", Texts: []string{"x"}}); !errors.Is(err, pipeline.ErrInvalidRequest) || !strings.Contains(err.Error(), "has no embedding head") {
		t.Errorf("a head that is not there: %v", err)
	}
}
