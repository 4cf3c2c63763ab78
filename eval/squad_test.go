package eval

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const smallSQuAD = `{"version": "v2.0", "data": [
 {"title": "Cold", "paragraphs": [
  {"context": "Ice 🧊 is cold.", "qas": [
   {"id": "1", "question": "What is ice?", "answers": [{"text": "cold", "answer_start": 9}], "is_impossible": false},
   {"id": "2", "question": "What is fire?", "answers": [], "is_impossible": true, "plausible_answers": [{"text": "cold", "answer_start": 9}]}]},
  {"context": "Second.", "qas": []}]},
 {"title": "Cold", "paragraphs": [
  {"context": "Snow", "summary": "extra keys are allowed", "qas": [
   {"id": "3", "question": "?", "answers": [{"text": "Snow", "answer_start": 0}, {"text": "now", "answer_start": 0}]},
   {"id": "4", "question": "Nothing?", "answers": []}]}]}]}`

func TestReadSQuAD(t *testing.T) {
	got, err := ReadSQuAD(strings.NewReader("\ufeff"+smallSQuAD), "src")
	if err != nil {
		t.Fatal(err)
	}
	want := &Dataset{
		Paragraphs: []Paragraph{
			{ID: "src#0/0", Title: "Cold", Text: "Ice 🧊 is cold."},
			{ID: "src#0/1", Title: "Cold", Text: "Second."},
			{ID: "src#1/0", Title: "Cold", Text: "Snow"},
		},
		Questions: []Question{
			{ID: "1", Text: "What is ice?", ParagraphID: "src#0/0", Title: "Cold", Answers: []Answer{{"cold", 9}}},
			{ID: "2", Text: "What is fire?", ParagraphID: "src#0/0", Title: "Cold", Impossible: true},
			{ID: "3", Text: "?", ParagraphID: "src#1/0", Title: "Cold", Answers: []Answer{{"Snow", 0}, {"now", 0}}},
			{ID: "4", Text: "Nothing?", ParagraphID: "src#1/0", Title: "Cold", Impossible: true},
		},
		Misaligned: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ReadSQuAD (-want +got):\n%s", diff)
	}
}

func TestReadSQuADErrors(t *testing.T) {
	question := func(body string) string {
		return `{"data": [{"title": "T", "paragraphs": [{"context": "c", "qas": [{"id": "0", "question": "q", "answers": []}, ` + body + `]}]}]}`
	}
	for _, c := range []struct{ name, input, want string }{
		{"empty", ``, "unexpected end of JSON input"},
		{"no JSON", `hello`, "invalid character 'h'"},
		{"two values", `{"data": []} {}`, "invalid character '{' after top-level value"},
		{"an array", `[]`, "got a JSON array, want an object"},
		{"no data", `{"version": "1"}`, "data: missing"},
		{"data is an object", `{"data": {}}`, "data: got a JSON object, want an array"},
		{"no paragraphs", `{"data": [{"title": "T"}]}`, "data[0].paragraphs: missing"},
		{"no context", `{"data": [{"paragraphs": []}, {"paragraphs": [{"qas": []}]}]}`, "data[1].paragraphs[0].context: missing"},
		{"blank context", `{"data": [{"paragraphs": [{"context": " \n"}]}]}`, "data[0].paragraphs[0].context: empty"},
		{"context is a number", `{"data": [{"paragraphs": [{"context": "a"}, {"context": 5}]}]}`, "data[0].paragraphs[1].context: got a JSON number, want a string"},
		{"invalid UTF-8", "{\"data\": [\"\xff\"]}", "not valid UTF-8"},
		{"no id", question(`{"question": "q", "answers": []}`), "data[0].paragraphs[0].qas[1].id: missing"},
		{"empty id", question(`{"id": "", "question": "q", "answers": []}`), "qas[1].id: empty"},
		{"id is a number", question(`{"id": 7, "question": "q", "answers": []}`), "data[0].paragraphs[0].qas[1].id: got a JSON number, want a string"},
		{"repeated id", question(`{"id": "0", "question": "q", "answers": []}`), `qas[1].id: "0" was used before at data[0].paragraphs[0].qas[0].id`},
		{"no question", question(`{"id": "1", "answers": []}`), "qas[1].question: missing"},
		{"no answers", question(`{"id": "1", "question": "q"}`), "qas[1].answers: missing"},
		{"no text", question(`{"id": "1", "question": "q", "answers": [{"answer_start": 0}]}`), "qas[1].answers[0].text: missing"},
		{"no start", question(`{"id": "1", "question": "q", "answers": [{"text": "c", "answer_start": 0}, {"text": "c"}]}`), "qas[1].answers[1].answer_start: missing"},
		{"start is a string", question(`{"id": "1", "question": "q", "answers": [{"text": "c", "answer_start": "0"}]}`), "data[0].paragraphs[0].qas[1].answers[0].answer_start: got a JSON string, want an integer"},
		{"start is a fraction", question(`{"id": "1", "question": "q", "answers": [{"text": "c", "answer_start": 1.5}]}`), "answers[0].answer_start: got a JSON number 1.5, want an integer"},
		{"answers of another library", question(`{"id": "1", "question": "q", "answers": {"text": ["c"], "answer_start": [0]}}`), "data[0].paragraphs[0].qas[1].answers: got a JSON object, want an array"},
		{"impossible with answers", question(`{"id": "1", "question": "q", "is_impossible": true, "answers": [{"text": "c", "answer_start": 0}]}`), "qas[1].is_impossible: true, but there are 1 answers"},
		{"possible without answers", question(`{"id": "1", "question": "q", "is_impossible": false, "answers": []}`), "qas[1].is_impossible: false, but there are no answers"},
		{"impossible is a word", question(`{"id": "1", "question": "q", "is_impossible": "yes", "answers": []}`), "qas[1].is_impossible: got a JSON string, want true or false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadSQuAD(strings.NewReader(c.input), "")
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that wraps ErrFormat and contains %q", err, c.want)
			}
		})
	}

	broken := errors.New("broken")
	if _, err := ReadSQuAD(iotest.ErrReader(broken), ""); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
		t.Errorf("a reader that fails: got %v, want its error alone", err)
	}
}

func TestMisalignedAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		start int
		text  string
		want  bool
	}{
		{"at its place", 1, "bc", true},
		{"to the end", 2, "c", true},
		{"other text", 0, "bc", false},
		{"beyond the end", 2, "cd", false},
		{"start beyond the end", 9, "c", false},
		{"negative", -1, "a", false},
		{"empty at the end", 3, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := standsAt([]rune("abc"), c.start, c.text); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// The counts are those of the data sets' own description.
func TestSharedDataSets(t *testing.T) {
	for _, c := range []struct {
		file                            string
		questions, answered, paragraphs int
	}{
		{"squad2/dev-half.json", 6078, 2910, 646},
		{"squadshifts/new_wiki.json", 7938, 7938, 1581},
		{"squadshifts/reddit.json", 9803, 9803, 2035},
		{"squadshifts/amazon_reviews.json", 9885, 9885, 2050},
		{"policyqa/dev.json", 3809, 3809, 574},
		{"policyqa/test.json", 4152, 4152, 500},
	} {
		t.Run(c.file, func(t *testing.T) {
			data := readShared(t, filepath.FromSlash(c.file))
			answered := 0
			for _, q := range data.Questions {
				if !q.Impossible {
					answered++
				}
			}
			if len(data.Questions) != c.questions || answered != c.answered || len(data.Paragraphs) != c.paragraphs {
				t.Errorf("got %d questions, %d answered, %d paragraphs, want %d, %d, %d",
					len(data.Questions), answered, len(data.Paragraphs), c.questions, c.answered, c.paragraphs)
			}
			if data.Misaligned != 0 {
				t.Errorf("%d answers are misaligned, want 0", data.Misaligned)
			}
		})
	}
}

func FuzzReadSQuAD(f *testing.F) {
	f.Add([]byte(smallSQuAD))
	f.Add([]byte(`{"data": [{"paragraphs": [{"context": "c", "qas": [{"id": 1}]}]}]}`))
	f.Add([]byte(`{"data": {"a": [1, {"b": null}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		data, err := ReadSQuAD(strings.NewReader(string(raw)), "s")
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("error %v does not wrap ErrFormat", err)
			}
			return
		}
		paragraphs := make(map[string]bool)
		for _, p := range data.Paragraphs {
			if paragraphs[p.ID] || !utf8.ValidString(p.Title) || p.Text == "" {
				t.Errorf("bad or repeated paragraph %+q", p.ID)
			}
			paragraphs[p.ID] = true
		}
		questions := make(map[string]bool)
		for _, q := range data.Questions {
			if questions[q.ID] || !paragraphs[q.ParagraphID] || q.Impossible != (len(q.Answers) == 0) {
				t.Errorf("bad question %+v", q)
			}
			questions[q.ID] = true
		}
	})
}

// FuzzJSONPath checks that the search for the place of a fault ends and never
// fails, whatever the text and the offset.
func FuzzJSONPath(f *testing.F) {
	f.Add([]byte(smallSQuAD), int64(100))
	f.Add([]byte(`{"a": [{"b": [[], {}]}, 1]`), int64(20))
	f.Add([]byte(`]`), int64(5))
	f.Fuzz(func(t *testing.T, raw []byte, offset int64) { jsonPath(raw, offset) })
}
