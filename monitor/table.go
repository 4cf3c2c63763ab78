package monitor

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/needle-search/needle/store"
)

// The formats of tables.
const (
	FormatParquet = "parquet"
	FormatCSV     = "csv"
	FormatJSONL   = "jsonl"
)

// TableFormats returns all formats of tables.
func TableFormats() []string { return []string{FormatParquet, FormatCSV, FormatJSONL} }

// An AskedRow is a question with its answer in a table: what [Asked] holds, with
// columns that every reader of tables knows.
type AskedRow struct {
	At                  time.Time `json:"at" parquet:"at,timestamp(microsecond)"`
	Index               string    `json:"index" parquet:"index,dict"`
	Question            string    `json:"question" parquet:"question"`
	Answerable          bool      `json:"answerable" parquet:"answerable"`
	Probability         float64   `json:"probability" parquet:"probability"`
	NoAnswerProbability float64   `json:"no_answer_probability" parquet:"no_answer_probability"`
	DocumentID          string    `json:"document_id" parquet:"document_id"`
	Model               string    `json:"model" parquet:"model,dict"`
	Generation          int64     `json:"generation" parquet:"generation"`
	Milliseconds        float64   `json:"ms" parquet:"ms"`
}

// A FeedbackRow is a judgement in a table.
type FeedbackRow struct {
	At         time.Time `json:"at" parquet:"at,timestamp(microsecond)"`
	ID         string    `json:"id" parquet:"id"`
	Case       string    `json:"case" parquet:"case"`
	Index      string    `json:"index" parquet:"index,dict"`
	Question   string    `json:"question" parquet:"question"`
	Verdict    string    `json:"verdict" parquet:"verdict,dict"`
	DocumentID string    `json:"document_id" parquet:"document_id"`
	Answer     string    `json:"answer" parquet:"answer"`
	Start      int64     `json:"start" parquet:"start"`
	End        int64     `json:"end" parquet:"end"`
	Comment    string    `json:"comment" parquet:"comment"`
	Model      string    `json:"model" parquet:"model,dict"`
	Generation int64     `json:"generation" parquet:"generation"`
	By         string    `json:"by" parquet:"by,dict"`
	User       string    `json:"user" parquet:"user,dict"`
	Standing   string    `json:"standing" parquet:"standing,dict"`
	Weight     float64   `json:"weight" parquet:"weight"`
	State      string    `json:"state" parquet:"state,dict"`
}

// A MetricRow is one number of an evaluation or of a run of the canaries.
type MetricRow struct {
	At         time.Time `json:"at" parquet:"at,timestamp(microsecond)"`
	Source     string    `json:"source" parquet:"source,dict"` // eval or canary
	Run        string    `json:"run" parquet:"run,dict"`       // id, or the reason of a canary run
	Index      string    `json:"index" parquet:"index,dict"`
	Model      string    `json:"model" parquet:"model,dict"`
	Generation int64     `json:"generation" parquet:"generation"`
	Metric     string    `json:"metric" parquet:"metric,dict"`
	Value      float64   `json:"value" parquet:"value"`
}

// AskedRows returns the questions that a directory keeps within a time, the end
// left out. An empty index means all. With redact, what may name a person is
// replaced once more, for what was kept before that was configured.
func AskedRows(dir, index string, from, to time.Time, redacted bool) ([]AskedRow, error) {
	var rows []AskedRow
	err := EachAsked(dir, from, func(a Asked) error {
		if index != "" && a.Index != index || !a.At.Before(to) {
			return nil
		}
		if redacted {
			a.Question = redact(a.Question)
		}
		rows = append(rows, AskedRow{
			At: a.At, Index: a.Index, Question: a.Question, Answerable: a.Answerable, Probability: a.Probability, NoAnswerProbability: a.NoAnswerProbability,
			DocumentID: a.DocumentID, Model: a.Model, Generation: int64(a.Generation), Milliseconds: a.Milliseconds,
		})
		return nil
	})
	return rows, err
}

// FeedbackRows returns the judgements of cases within a time, in order of time.
// Answers are text of documents and are not redacted.
func FeedbackRows(cases []store.Case, from, to time.Time, redacted bool) []FeedbackRow {
	var rows []FeedbackRow
	for _, c := range cases {
		for _, j := range c.Judgements {
			if j.At.Before(from) || !j.At.Before(to) {
				continue
			}
			if redacted {
				j.Question, j.Comment = redact(j.Question), redact(j.Comment)
			}
			rows = append(rows, FeedbackRow{
				At: j.At, ID: j.ID, Case: c.ID, Index: c.Index, Question: j.Question, Verdict: string(j.Verdict), DocumentID: j.DocumentID, Answer: j.Answer,
				Start: int64(j.Start), End: int64(j.End), Comment: j.Comment, Model: j.Model, Generation: int64(j.Generation), By: j.By, User: j.User,
				Standing: string(j.Standing), Weight: j.Weight, State: string(c.State),
			})
		}
	}
	slices.SortStableFunc(rows, func(a, b FeedbackRow) int { return a.At.Compare(b.At) })
	return rows
}

// MetricRows returns the numbers of evaluations and canary runs within a time, in
// order of time.
func MetricRows(records []Record, runs []CanaryRun, from, to time.Time) []MetricRow {
	var rows []MetricRow
	within := func(at time.Time) bool { return !at.Before(from) && at.Before(to) }
	for _, r := range records {
		if !within(r.Created) {
			continue
		}
		model := ""
		if r.Report.Model != nil {
			model = r.Report.Model.Hash
		}
		for _, name := range sortedKeys(r.Report.Metrics) {
			rows = append(rows, MetricRow{r.Created, "eval", r.ID, r.Report.Index, model, int64(r.Generation), name, r.Report.Metrics[name]})
		}
	}
	for _, r := range runs {
		if !within(r.At) {
			continue
		}
		for i, value := range []float64{r.Score, r.Brier, float64(len(r.Alarms))} {
			name := [...]string{"score", "brier", "alarms"}[i]
			rows = append(rows, MetricRow{r.At, "canary", r.Reason, r.Index, r.Model.Hash, int64(r.Generation), name, value})
		}
	}
	slices.SortStableFunc(rows, func(a, b MetricRow) int { return a.At.Compare(b.At) })
	return rows
}

// WriteTable writes rows in a format. Row is a struct whose fields have json and
// parquet tags, in the same order. In CSV a value that a spreadsheet would take
// for a formula gets an apostrophe in front.
func WriteTable[Row any](w io.Writer, format string, rows []Row) error {
	var err error
	switch format {
	case FormatParquet:
		writer := parquet.NewGenericWriter[Row](w, parquet.Compression(&parquet.Snappy))
		if _, err = writer.Write(rows); err == nil {
			err = writer.Close()
		}
	case FormatCSV:
		err = writeCSVRows(w, rows)
	case FormatJSONL:
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		for _, row := range rows {
			if err = encoder.Encode(row); err != nil {
				break
			}
		}
	default:
		err = fmt.Errorf("unknown format %q; allowed are parquet, csv, jsonl", format)
	}
	if err != nil {
		return fmt.Errorf("monitor: write table: %w", err)
	}
	return nil
}

func writeCSVRows[Row any](w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	typ := reflect.TypeFor[Row]()
	header := make([]string, typ.NumField())
	for i := range header {
		header[i] = typ.Field(i).Tag.Get("json")
	}
	if err := out.Write(header); err != nil {
		return err
	}
	line := make([]string, len(header))
	for _, row := range rows {
		value := reflect.ValueOf(row)
		for i := range line {
			line[i] = cell(value.Field(i).Interface())
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func cell(value any) string {
	switch v := value.(type) {
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return plainCell(v)
	}
	return fmt.Sprint(value)
}
