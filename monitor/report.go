package monitor

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/needle-search/needle/eval"
)

//go:embed report.html
var reportHTML string

// WriteReport writes an evaluation as one HTML page that needs no other file:
// metrics with their intervals, the reliability diagram, breakdowns, latency,
// and the questions it did worst on. The comparison may be nil; its B must be
// the record.
func WriteReport(w io.Writer, record Record, outcomes []eval.Outcome, comparison *Comparison) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"fixed":  func(v float64) string { return fmt.Sprintf("%.3f", v) },
		"signed": func(v float64) string { return fmt.Sprintf("%+.3f", v) },
		"join":   strings.Join,
		// Of a style, so without a space before the sign.
		"percent": func(v float64) int { return int(math.Round(100 * min(1, max(0, v)))) },
	}).Parse(reportHTML)
	if err != nil {
		return fmt.Errorf("monitor: report: %w", err)
	}
	if err := page.Execute(w, newReport(record, outcomes, comparison)); err != nil {
		return fmt.Errorf("monitor: report: %w", err)
	}
	return nil
}

// worst is how many examples of a kind a report shows.
const worst = 15

type reportPage struct {
	Record     Record
	Comparison *Comparison
	Metrics    []metricRow
	Breakdowns []breakdown
	Metric     string // what the breakdowns are of
	Bins       []plotBin
	Latency    []latency
	Examples   []examples
	Questions  int
}

type metricRow struct {
	Name       string
	Value      float64
	Interval   eval.Range
	HasRange   bool
	Difference *Difference
}

type breakdown struct {
	Name   string
	Groups []eval.Group
}

type latency struct {
	Name string
	MS   float64
}

// examples are questions of one way to fail.
type examples struct {
	Name, Meaning string
	Total         int
	Outcomes      []eval.Outcome
}

// plotBin is a bin of the reliability diagram in its coordinates: 0 to 100,
// from the lower left.
type plotBin struct {
	eval.Bin
	X, Y, Radius float64
}

func newReport(record Record, outcomes []eval.Outcome, comparison *Comparison) reportPage {
	page := reportPage{Record: record, Comparison: comparison, Questions: len(outcomes)}
	differences := make(map[string]*Difference)
	if comparison != nil {
		for i, d := range comparison.Differences {
			differences[d.Metric] = &comparison.Differences[i]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(record.Report.Metrics)) {
		row := metricRow{Name: name, Value: record.Report.Metrics[name], Difference: differences[name]}
		row.Interval, row.HasRange = record.Intervals[name]
		page.Metrics = append(page.Metrics, row)
	}
	page.Metric = mainMetric(record)
	for _, b := range []struct {
		name     string
		property func(eval.Outcome) string
	}{
		{"question type", func(o eval.Outcome) string { return eval.QuestionType(o.Question) }},
		{"words in the question", func(o eval.Outcome) string {
			return eval.LengthBucket(len(strings.Fields(o.Question)), 5, 8, 11, 15, 20)
		}},
		{"words in the gold paragraph", func(o eval.Outcome) string {
			if o.PassageWords == 0 {
				return ""
			}
			return eval.LengthBucket(o.PassageWords, 60, 100, 150, 200, 300)
		}},
		{"words in the gold answer", func(o eval.Outcome) string {
			if !o.Answered() {
				return ""
			}
			return eval.LengthBucket(len(strings.Fields(o.Gold[0])), 1, 2, 4, 8)
		}},
		{"rank of the gold document", func(o eval.Outcome) string {
			if record.Report.Stage == eval.StageReader || !o.Answered() || o.GoldDocument == "" {
				return ""
			}
			if o.Rank == 0 {
				return "not found"
			}
			return eval.LengthBucket(o.Rank, 1, 2, 5, 10, 20)
		}},
		{"title", func(o eval.Outcome) string { return o.Title }},
	} {
		if groups := eval.Breakdown(outcomes, page.Metric, b.property, 20); len(groups) > 1 {
			page.Breakdowns = append(page.Breakdowns, breakdown{b.name, groups})
		}
	}
	greatest := 1
	for _, b := range record.Reliability {
		greatest = max(greatest, b.Count)
	}
	for _, b := range record.Reliability {
		page.Bins = append(page.Bins, plotBin{b, 100 * b.Probability, 100 * b.Accuracy, 0.8 + 1.6*math.Sqrt(float64(b.Count)/float64(greatest))})
	}
	page.Latency = latencies(outcomes)
	page.Examples = failures(outcomes)
	return page
}

// mainMetric is the one that the breakdowns are of.
func mainMetric(record Record) string {
	for _, name := range []string{eval.MetricF1, eval.MetricF1All, eval.RecallName(10)} {
		if _, ok := record.Report.Metrics[name]; ok {
			return name
		}
	}
	return eval.MetricEM
}

func latencies(outcomes []eval.Outcome) []latency {
	var times []float64
	for _, o := range outcomes {
		if o.Milliseconds > 0 {
			times = append(times, o.Milliseconds)
		}
	}
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	at := func(q float64) float64 { return times[int(q*float64(len(times)-1))] }
	return []latency{{"median", at(0.5)}, {"95th percentile", at(0.95)}, {"99th percentile", at(0.99)}, {"greatest", at(1)}}
}

// failures sorts the questions by how they failed.
func failures(outcomes []eval.Outcome) []examples {
	kinds := []examples{
		{Name: "Sure and wrong", Meaning: "The answer is wrong and its probability is high: what hurts users most."},
		{Name: "Answered where there is no answer", Meaning: "The data set says that the documents hold no answer."},
		{Name: "Held back", Meaning: "The best span was right, and was not given."},
		{Name: "Not retrieved", Meaning: "The gold document was not among the retrieved."},
	}
	add := func(kind int, o eval.Outcome) { kinds[kind].Outcomes = append(kinds[kind].Outcomes, o) }
	for _, o := range outcomes {
		em, hasEM := o.Scores[eval.MetricEM]
		all, hasAll := o.Scores[eval.MetricEMAll]
		switch {
		case o.Answered() && hasEM && em == 0 && o.Scores[eval.MetricF1] < 0.5:
			add(0, o)
		case !o.Answered() && hasAll && all == 0:
			add(1, o)
		case o.Answered() && hasEM && hasAll && em == 1 && all == 0:
			add(2, o)
		}
		if _, ranked := o.Scores[eval.RecallName(50)]; ranked && o.Rank == 0 {
			add(3, o)
		}
	}
	var filled []examples
	for _, kind := range kinds {
		if kind.Total = len(kind.Outcomes); kind.Total == 0 {
			continue
		}
		slices.SortStableFunc(kind.Outcomes, func(a, b eval.Outcome) int { return cmp.Compare(b.Probability, a.Probability) })
		kind.Outcomes = kind.Outcomes[:min(worst, kind.Total)]
		filled = append(filled, kind)
	}
	return filled
}
