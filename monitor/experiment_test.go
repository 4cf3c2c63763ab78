package monitor_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/monitor"
)

func record(t *testing.T, label string, created time.Time, f1 float64) monitor.Record {
	t.Helper()
	return monitor.Record{
		ID: monitor.NewID(created), Label: label, Created: created, Needle: "v0", Machine: monitor.ThisMachine(),
		Config:  "data: ./x\nreader:\n  top_k: 3\n  workers: 0\nserver:\n  hosts:\n  - a\n  - b\n",
		Request: monitor.EvalRequest{Dataset: "squad", Path: "dev.json", Stage: eval.StageEndToEnd},
		Data:    []monitor.DataFile{{Path: "dev.json", Bytes: 3, SHA256: strings.Repeat("ab", 32)}},
		Report: eval.Report{Dataset: "dev.json", Stage: eval.StageEndToEnd, N: 4, Metrics: map[string]float64{"f1": f1, "em": f1, "ece": 0.1},
			Model: &eval.Model{Name: "m", Hash: strings.Repeat("cd", 32)}},
		Intervals:   map[string]eval.Range{"f1": {Lower: 0.1, Upper: 0.9}},
		Reliability: []eval.Bin{{Lower: 0.1, Upper: 0.4, Count: 2, Probability: 0.3, Accuracy: 0.5}},
	}
}

func outcomes(right ...float64) []eval.Outcome {
	list := make([]eval.Outcome, len(right))
	for i, r := range right {
		list[i] = eval.Outcome{
			ID: string(rune('a' + i)), Question: "Who is <b>number</b> " + string(rune('0'+i)) + "?", Title: "T", Gold: []string{"Ann"},
			Predicted: "Bob", Scores: map[string]float64{"f1": r, "em": r}, Probability: 0.3, Milliseconds: 5, PassageWords: 90,
		}
	}
	return list
}

func TestExperimentsKeepAndFind(t *testing.T) {
	runs := monitor.OpenExperiments(filepath.Join(t.TempDir(), "experiments"))
	if records, err := runs.List(); err != nil || len(records) != 0 {
		t.Fatalf("List of nothing gave %v, %v", records, err)
	}
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	old, young := record(t, "base", begin, 0.5), record(t, "", begin.Add(time.Hour), 0.75)
	for r, its := range map[*monitor.Record][]eval.Outcome{&old: outcomes(1, 0), &young: outcomes(1, 1)} {
		if err := runs.Add(*r, its); err != nil {
			t.Fatal(err)
		}
	}
	records, err := runs.List()
	if err != nil || len(records) != 2 || records[0].ID != young.ID {
		t.Fatalf("List gave %v, %v; want the newest first", records, err)
	}
	for name, want := range map[string]string{"latest": young.ID, "base": old.ID, old.ID: old.ID, young.ID[:13]: young.ID} {
		got, its, err := runs.Get(name)
		if err != nil || got.ID != want || len(its) != 2 {
			t.Errorf("Get(%q) gave %s with %d outcomes, %v; want %s", name, got.ID, len(its), err, want)
		}
	}
	old.Version = 1
	got, its, err := runs.Get("base")
	if diff := cmp.Diff(old, got); err != nil || diff != "" {
		t.Errorf("the record changed, %v (-want +got)\n%s", err, diff)
	}
	if diff := cmp.Diff(outcomes(1, 0), its); diff != "" {
		t.Errorf("the outcomes changed (-want +got)\n%s", diff)
	}
	for _, name := range []string{"", "none", "../x"} {
		if _, _, err := runs.Get(name); !errors.Is(err, monitor.ErrExperimentNotFound) {
			t.Errorf("Get(%q) gave %v, want ErrExperimentNotFound", name, err)
		}
	}
	if err := runs.Add(old, nil); err == nil {
		t.Error("a record was replaced by one with its id")
	}
}

func TestExperimentsRefuseANewerRecord(t *testing.T) {
	dir := t.TempDir()
	id := monitor.NewID(time.Now())
	if err := os.Mkdir(filepath.Join(dir, id), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, id, "record.json"), []byte(`{"version": 99}`), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := monitor.OpenExperiments(dir).List(); err == nil || !strings.Contains(err.Error(), "newer needle") {
		t.Errorf("List gave %v, want an error that says to use a newer needle", err)
	}
}

func TestCompare(t *testing.T) {
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	a, b := record(t, "", begin, 0.5), record(t, "", begin, 0.75)
	b.Config = "data: ./x\nreader:\n  top_k: 5\n  workers: 0\nserver:\n  hosts:\n  - a\n"
	c, err := monitor.Compare(a, outcomes(1, 0, 0, 1), b, outcomes(1, 1, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := []monitor.SettingChange{{Key: "reader.top_k", A: "3", B: "5"}, {Key: "server.hosts", A: "- a - b", B: "- a"}}
	if diff := cmp.Diff(want, c.Settings); diff != "" {
		t.Errorf("settings (-want +got)\n%s", diff)
	}
	if len(c.Won) != 2 || len(c.Lost) != 1 || c.Lost[0].B.ID != "d" {
		t.Errorf("won %v, lost %v; want b and c won, d lost", c.Won, c.Lost)
	}
	for _, d := range c.Differences {
		switch d.Metric {
		case "f1":
			// Of the 8 sign flips of +1, +1, -1 all are at least as extreme as +1.
			if d.N != 4 || d.Mean != 0.25 || d.P != 1 || d.Significant() {
				t.Errorf("f1 gave %+v", d)
			}
		case "ece":
			if d.N != 0 || d.Mean != 0 || d.Significant() {
				t.Errorf("ece gave %+v", d)
			}
		}
	}
}

func TestReport(t *testing.T) {
	a, b := record(t, "", time.Now(), 0.5), record(t, "", time.Now(), 0.75)
	first, second := outcomes(1, 0), outcomes(0, 1)
	second[0].Question = "When was <b>number</b> one?"
	c, err := monitor.Compare(a, first, b, second)
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := monitor.WriteReport(&page, b, second, c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Reliability", "&lt;b&gt;number&lt;/b&gt;", "Sure and wrong (1)", "needle eval rerun " + b.ID, "f1 by question type", "width:100%", "width:0%", "0.100 to 0.900"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	for _, unwanted := range []string{"<script", "http://", "https://", "<b>number"} {
		if strings.Contains(page.String(), unwanted) {
			t.Errorf("the report holds %q", unwanted)
		}
	}
	if err := monitor.WriteReport(io.Discard, monitor.Record{}, nil, nil); err != nil {
		t.Errorf("an empty record: %v", err)
	}
}
