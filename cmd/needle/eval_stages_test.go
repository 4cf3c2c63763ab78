package main

import (
	"encoding/json"
	"testing"

	"github.com/needle-search/needle/eval"
)

// TestEvalStages runs every stage from the command line with the default
// settings: each opens what it needs and nothing else.
func TestEvalStages(t *testing.T) {
	questions := write(t, t.TempDir(), "squad.json", `{"version": "v2.0", "data": [{"title": "Harbour", "paragraphs": [
		{"context": "The lighthouse of the harbour was designed by Ada Lane and built of granite.", "qas": [
			{"id": "1", "question": "Who designed the lighthouse of the harbour?", "answers": [{"text": "Ada Lane", "answer_start": 46}]},
			{"id": "2", "question": "How deep is the harbour?", "is_impossible": true, "answers": []}]},
		{"context": "The ferry to the islands leaves every morning at seven from pier nine.", "qas": [
			{"id": "3", "question": "From which pier does the ferry to the islands leave?", "answers": [{"text": "pier nine", "answer_start": 60}]}]}]}]}`)
	tests := []struct {
		stage, metric string
		questions     int
	}{
		{eval.StageRetriever, "recall@5", 2},
		{eval.StageRanker, "recall@5", 2},
		{eval.StageReader, "f1", 3},
		{eval.StageEndToEnd, "f1", 3},
	}
	for _, tt := range tests {
		t.Run(tt.stage, func(t *testing.T) {
			var report eval.Report
			out := mustNeedle(t, "eval", "--path", questions, "--stage", tt.stage, "--data", t.TempDir(), "--json")
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if report.Stage != tt.stage || report.N != tt.questions {
				t.Errorf("got stage %q with %d questions, want %q with %d", report.Stage, report.N, tt.stage, tt.questions)
			}
			if got := report.Metrics[tt.metric]; got != 1 {
				t.Errorf("%s is %v, want 1: %v", tt.metric, got, report.Metrics)
			}
		})
	}
}
