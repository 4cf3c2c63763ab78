package eval_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/eval"
)

func TestQuestionType(t *testing.T) {
	for question, want := range map[string]string{
		"Who designed the tower?":           "who",
		"In which year was it opened?":      "which",
		"How many people live there?":       "how many",
		"How is steel made?":                "how",
		"Whose idea was it?":                "who",
		"Is the tower open?":                "yes/no",
		"What's the name of the architect?": "what",
		"Name the river.":                   "other",
		"":                                  "other",
	} {
		if got := eval.QuestionType(question); got != want {
			t.Errorf("QuestionType(%q) = %q, want %q", question, got, want)
		}
	}
}

func TestLengthBucket(t *testing.T) {
	for words, want := range map[int]string{1: "1-5", 5: "1-5", 6: "6-10", 10: "6-10", 11: "over 10"} {
		if got := eval.LengthBucket(words, 5, 10); got != want {
			t.Errorf("LengthBucket(%d) = %q, want %q", words, got, want)
		}
	}
}

func TestBreakdown(t *testing.T) {
	outcomes := []eval.Outcome{
		{ID: "1", Title: "a", Scores: map[string]float64{"f1": 1}},
		{ID: "2", Title: "a", Scores: map[string]float64{"f1": 0}},
		{ID: "3", Title: "b", Scores: map[string]float64{"f1": 0.5}},
		{ID: "4", Title: "", Scores: map[string]float64{"f1": 0.5}},
		{ID: "5", Title: "b", Scores: map[string]float64{"em": 0.5}},
	}
	got := eval.Breakdown(outcomes, "f1", func(o eval.Outcome) string { return o.Title }, 0)
	want := []eval.Group{
		{Name: "a", N: 2, Mean: 0.5, Interval: eval.Range{Lower: 0, Upper: 1}},
		{Name: "b", N: 1, Mean: 0.5, Interval: eval.Range{Lower: 0.5, Upper: 0.5}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Breakdown: (-want +got)\n%s", diff)
	}
	if got := eval.Breakdown(outcomes, "f1", func(o eval.Outcome) string { return o.Title }, 1); len(got) != 1 {
		t.Errorf("Breakdown with limit 1 gave %d groups", len(got))
	}
}

func TestPaired(t *testing.T) {
	score := func(id string, v float64) eval.Outcome {
		return eval.Outcome{ID: id, Scores: map[string]float64{"em": v}}
	}
	a := []eval.Outcome{score("1", 1), score("2", 0), score("3", 1)}
	b := []eval.Outcome{score("3", 0), score("1", 1), {ID: "2", Scores: map[string]float64{}}}
	first, second := eval.Paired(a, b, "em")
	if diff := cmp.Diff([][]float64{{1, 1}, {1, 0}}, [][]float64{first, second}); diff != "" {
		t.Errorf("Paired: (-want +got)\n%s", diff)
	}
}

func TestReadNQOpen(t *testing.T) {
	data, err := eval.ReadNQOpen(strings.NewReader(`{"question": "who wrote it", "answer": ["Ann", "Ann Lee"]}

{"id": "x", "question": "when", "answer": "1990"}
{"question": "why", "answers": []}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []eval.Question{
		{ID: "1", Text: "who wrote it", Answers: []eval.Answer{{Text: "Ann"}, {Text: "Ann Lee"}}},
		{ID: "x", Text: "when", Answers: []eval.Answer{{Text: "1990"}}},
		{ID: "4", Text: "why", Impossible: true},
	}
	if diff := cmp.Diff(want, data.Questions); diff != "" {
		t.Errorf("questions: (-want +got)\n%s", diff)
	}
}

func TestReadNQOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct{ input, message string }{
		"no JSON":      {`{"question": `, "line 1"},
		"no question":  {`{"answer": ["a"]}`, "question: missing"},
		"no answer":    {"{\"question\": \"q\", \"answer\": [\"a\"]}\n{\"question\": \"q\"}", "line 2: answer: missing"},
		"id twice":     {"{\"id\": \"a\", \"question\": \"q\", \"answer\": []}\n{\"id\": \"a\", \"question\": \"q\", \"answer\": []}", "used before in line 1"},
		"not a list":   {`{"question": "q", "answer": 3}`, "line 1"},
		"bad encoding": {"{\"question\": \"\xff\", \"answer\": []}", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := eval.ReadNQOpen(strings.NewReader(c.input))
			if !errors.Is(err, eval.ErrFormat) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("error %v, want ErrFormat with %q", err, c.message)
			}
		})
	}
}

func FuzzReadNQOpen(f *testing.F) {
	f.Add([]byte(`{"question": "who", "answer": ["a"]}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		data, err := eval.ReadNQOpen(strings.NewReader(string(input)))
		if err != nil && !errors.Is(err, eval.ErrFormat) {
			t.Fatalf("error %v, want ErrFormat", err)
		}
		if err == nil {
			for _, q := range data.Questions {
				if q.Impossible != (len(q.Answers) == 0) {
					t.Fatalf("question %q: impossible %v with %d answers", q.ID, q.Impossible, len(q.Answers))
				}
			}
		}
	})
}
