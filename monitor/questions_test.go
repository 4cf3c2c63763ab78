package monitor_test

import (
	"encoding/csv"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
)

func keep(t *testing.T, dir string, config monitor.QuestionsConfig, do func(q *monitor.Questions)) {
	t.Helper()
	q, err := monitor.OpenQuestions(dir, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	do(q)
	for range 2 {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func send(t *testing.T, q *monitor.Questions, at time.Time, question string, answerable bool) {
	t.Helper()
	result := &pipeline.Result{Question: question, Index: "hr", Answerable: answerable}
	if answerable {
		result.Answers = []pipeline.Answer{{Text: "a secret", DocumentID: "d", Probability: 0.8}}
	}
	q.Finished(t.Context(), pipeline.OperationAsk, result, at.Add(-time.Second), at, nil)
}

func TestQuestions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "questions")
	day := time.Date(2026, 5, 10, 23, 59, 0, 0, time.UTC)
	keep(t, dir, monitor.QuestionsConfig{Retention: 30 * 24 * time.Hour, Redact: true}, func(q *monitor.Questions) {
		send(t, q, day, "Who is the head of sales?", false)
		send(t, q, day, "who is head of sales", false)
		send(t, q, day, "How long is the holiday?", true)
		send(t, q, day.Add(2*time.Minute), "Where is ann.lee@example.com or +44 20 7946 0958?", false)
		q.Finished(t.Context(), pipeline.OperationSearch, nil, day, day, nil)
		q.Finished(t.Context(), pipeline.OperationAsk, nil, day, day, pipeline.ErrClosed)
	})
	topics, asked, unanswered, err := monitor.Topics(dir, "hr", time.Time{}, 10)
	if err != nil || asked != 4 || unanswered != 3 || len(topics) != 2 {
		t.Fatalf("Topics gave %v, %d asked, %d unanswered, %v", topics, asked, unanswered, err)
	}
	if topics[0].Unanswered != 2 || topics[0].Question != "who is head of sales" || topics[1].Question != "Where is [mail] or [number]?" {
		t.Errorf("Topics gave %+v", topics)
	}
	if topics, asked, _, err := monitor.Topics(dir, "hr", day.Add(time.Minute), 10); err != nil || asked != 1 || len(topics) != 1 {
		t.Errorf("since the next day: %v, %d asked, %v", topics, asked, err)
	}
	if _, asked, _, err := monitor.Topics(dir, "other", time.Time{}, 10); err != nil || asked != 0 {
		t.Errorf("another index: %d asked, %v", asked, err)
	}
	// A line that is being written, and a file of somebody else.
	f, err := os.OpenFile(filepath.Join(dir, "2026-05-11.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"at": "2026`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := monitor.WriteCSV(&out, dir, "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil || len(rows) != 5 || strings.Contains(out.String(), "secret") {
		t.Errorf("CSV of %d rows, %v:\n%s", len(rows), err, out.String())
	}
	// A month later all of it has expired.
	keep(t, dir, monitor.QuestionsConfig{Retention: 30 * 24 * time.Hour}, func(q *monitor.Questions) {
		send(t, q, day.Add(40*24*time.Hour), "=1+1", true)
	})
	out.Reset()
	if err := monitor.WriteCSV(&out, dir, "", time.Time{}); err != nil || strings.Count(out.String(), "\n") != 2 || !strings.Contains(out.String(), ",'=1+1,") {
		t.Errorf("after the retention (%v):\n%s", err, out.String())
	}
}

func TestQuestionsFromManyGoroutines(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	keep(t, dir, monitor.QuestionsConfig{Retention: time.Hour}, func(q *monitor.Questions) {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 100 {
					send(t, q, at, "why?", false)
				}
			})
		}
		group.Wait()
	})
	if _, asked, _, err := monitor.Topics(dir, "", time.Time{}, 1); err != nil || asked != 800 {
		t.Errorf("%d questions were kept, %v; want 800", asked, err)
	}
}
