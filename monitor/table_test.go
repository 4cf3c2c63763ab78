package monitor_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/store"
)

func TestWriteTable(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	rows := []monitor.AskedRow{
		{At: at, Index: "hr", Question: "=SUM(A1), \"größer\" 😀\nnext", Answerable: true, Probability: 0.1 + 0.2, DocumentID: "a/1", Model: "m", Generation: 1 << 40, Milliseconds: 12.5},
		{At: at.Add(time.Hour), Index: "hr", Question: "plain"},
	}
	var out bytes.Buffer
	if err := monitor.WriteTable(&out, monitor.FormatParquet, rows); err != nil {
		t.Fatal(err)
	}
	back, err := parquet.Read[monitor.AskedRow](bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range back {
		back[i].At = back[i].At.UTC()
	}
	if !slices.Equal(back, rows) {
		t.Errorf("parquet: got %+v, want %+v", back, rows)
	}
	out.Reset()
	if err := monitor.WriteTable(&out, monitor.FormatCSV, rows); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(lines) != 3 || lines[0][2] != "question" || lines[1][2] != "'"+rows[0].Question || lines[1][0] != "2026-01-02T03:04:05.000678Z" {
		t.Errorf("csv: got %q, %v", lines, err)
	}
	out.Reset()
	if err := monitor.WriteTable(&out, monitor.FormatJSONL, rows); err != nil {
		t.Fatal(err)
	}
	var first monitor.AskedRow
	if err := json.NewDecoder(&out).Decode(&first); err != nil || first != rows[0] {
		t.Errorf("jsonl: got %+v, %v", first, err)
	}
	for _, format := range monitor.TableFormats() {
		if err := monitor.WriteTable(&bytes.Buffer{}, format, []monitor.MetricRow(nil)); err != nil {
			t.Errorf("%s without rows: %v", format, err)
		}
	}
	if err := monitor.WriteTable(&out, "xml", rows); err == nil {
		t.Error("an unknown format was taken")
	}
}

func TestRowsKeepToTheirTime(t *testing.T) {
	from := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	to := from.Add(24 * time.Hour)
	judged := func(at time.Time) store.Judgement {
		return store.Judgement{Feedback: store.Feedback{At: at, Question: "Who is ada@example.org?", Comment: "call 0123456789"}}
	}
	rows := monitor.FeedbackRows([]store.Case{{Judgements: []store.Judgement{judged(to), judged(from), judged(from.Add(-1))}}}, from, to, true)
	if len(rows) != 1 || rows[0].Question != "Who is [mail]?" || rows[0].Comment != "call [number]" {
		t.Errorf("got %+v, want one redacted row", rows)
	}
	metrics := monitor.MetricRows([]monitor.Record{{Created: from}, {Created: to}}, []monitor.CanaryRun{{At: from}, {At: to}}, from, to)
	if len(metrics) != 3 {
		t.Errorf("got %d rows, want the three of one canary run", len(metrics))
	}
	dir := t.TempDir()
	kept, err := monitor.OpenQuestions(dir, monitor.QuestionsConfig{Retention: 240 * time.Hour}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{from.Add(-time.Second), from, to} {
		kept.Finished(t.Context(), pipeline.OperationAsk, &pipeline.Result{Index: "hr", Question: "Who is ada@example.org?"}, at, at, nil)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	asked, err := monitor.AskedRows(dir, "hr", from, to, true)
	if err != nil || len(asked) != 1 || asked[0].Question != "Who is [mail]?" {
		t.Errorf("got %+v, %v; want one redacted question", asked, err)
	}
}
