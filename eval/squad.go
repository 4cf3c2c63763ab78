package eval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrFormat says that a data set is not in the format it should be in.
var ErrFormat = errors.New("malformed data set")

// A Dataset is a set of questions about paragraphs.
type Dataset struct {
	Questions  []Question
	Paragraphs []Paragraph
	// Misaligned counts gold answers that do not stand at their offset. They
	// are kept, for metrics compare texts.
	Misaligned int
}

// A Paragraph is the text that questions are asked about.
type Paragraph struct {
	// ID is "source#article/paragraph", both counted from 0 as in the file. It
	// is the id that the paragraph's document gets when the file is indexed, if
	// source is the id of the file.
	ID    string
	Title string
	Text  string
}

// A Question is a question with its gold answers.
type Question struct {
	ID          string
	Text        string
	ParagraphID string
	Title       string
	// Answers are the gold answers; there are none if and only if Impossible.
	Answers    []Answer
	Impossible bool
}

func (q *Question) goldTexts() []string {
	texts := make([]string, len(q.Answers))
	for i, a := range q.Answers {
		texts[i] = a.Text
	}
	return texts
}

// An Answer is a gold answer. Start is its offset in the paragraph, in code
// points.
type Answer struct {
	Text  string
	Start int
}

// The JSON of SQuAD 1.1 and 2.0. Pointers tell a missing value from an empty
// one; keys that are not listed, such as plausible_answers, are allowed.
type (
	squadFile struct {
		Data []squadArticle `json:"data"`
	}
	squadArticle struct {
		Title      string           `json:"title"`
		Paragraphs []squadParagraph `json:"paragraphs"`
	}
	squadParagraph struct {
		Context *string         `json:"context"`
		QAs     []squadQuestion `json:"qas"`
	}
	squadQuestion struct {
		ID         *string       `json:"id"`
		Question   *string       `json:"question"`
		Answers    []squadAnswer `json:"answers"`
		Impossible *bool         `json:"is_impossible"`
	}
	squadAnswer struct {
		Text  *string `json:"text"`
		Start *int    `json:"answer_start"`
	}
)

// ReadSQuAD reads a data set in the JSON of SQuAD 1.1 or 2.0. The paragraph ids
// begin with source, so that several files can share one index. Question ids
// must be unique within the file, and is_impossible, where given, must agree
// with the answers.
//
// Errors wrap [ErrFormat] and name the place, for example
// data[3].paragraphs[0].qas[7].id.
func ReadSQuAD(r io.Reader, source string) (*Dataset, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("eval: read squad: %w", err)
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	if !utf8.Valid(raw) {
		return nil, squadError("", "the file is not valid UTF-8")
	}
	var file squadFile
	if err := json.Unmarshal(raw, &file); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, squadError(jsonPath(raw, wrong.Offset), "got a JSON %s, want %s", wrong.Value, goTypeInJSON(wrong))
		}
		return nil, fmt.Errorf("eval: read squad: %w: %w", ErrFormat, err)
	}
	if file.Data == nil {
		return nil, squadError("data", "missing")
	}
	b := squadBuilder{source: source, data: &Dataset{}, questions: make(map[string]string)}
	for i, article := range file.Data {
		if err := b.article(article, i); err != nil {
			return nil, err
		}
	}
	return b.data, nil
}

func squadError(path, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	if path != "" {
		message = path + ": " + message
	}
	return fmt.Errorf("eval: read squad: %w: %s", ErrFormat, message)
}

func goTypeInJSON(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); kind {
	case "slice":
		return "an array"
	case "struct":
		return "an object"
	case "int":
		return "an integer"
	case "bool":
		return "true or false"
	default:
		return "a " + kind
	}
}

type squadBuilder struct {
	source    string
	data      *Dataset
	questions map[string]string // question id to the place where it was seen
}

func (b *squadBuilder) article(a squadArticle, number int) error {
	path := "data[" + strconv.Itoa(number) + "]"
	if a.Paragraphs == nil {
		return squadError(path+".paragraphs", "missing")
	}
	for i, p := range a.Paragraphs {
		at := path + ".paragraphs[" + strconv.Itoa(i) + "]"
		if p.Context == nil {
			return squadError(at+".context", "missing")
		}
		if strings.TrimSpace(*p.Context) == "" {
			return squadError(at+".context", "empty")
		}
		paragraph := Paragraph{ID: fmt.Sprintf("%s#%d/%d", b.source, number, i), Title: a.Title, Text: *p.Context}
		b.data.Paragraphs = append(b.data.Paragraphs, paragraph)
		text := []rune(paragraph.Text)
		for j, q := range p.QAs {
			if err := b.question(q, paragraph, text, at+".qas["+strconv.Itoa(j)+"]"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *squadBuilder) question(q squadQuestion, p Paragraph, text []rune, path string) error {
	switch {
	case q.ID == nil:
		return squadError(path+".id", "missing")
	case *q.ID == "":
		return squadError(path+".id", "empty")
	case b.questions[*q.ID] != "":
		return squadError(path+".id", "%q was used before at %s", *q.ID, b.questions[*q.ID])
	case q.Question == nil:
		return squadError(path+".question", "missing")
	case q.Impossible == nil && q.Answers == nil:
		return squadError(path+".answers", "missing")
	case q.Impossible != nil && *q.Impossible && len(q.Answers) > 0:
		return squadError(path+".is_impossible", "true, but there are %d answers", len(q.Answers))
	case q.Impossible != nil && !*q.Impossible && len(q.Answers) == 0:
		return squadError(path+".is_impossible", "false, but there are no answers")
	}
	b.questions[*q.ID] = path + ".id"
	out := Question{ID: *q.ID, Text: *q.Question, ParagraphID: p.ID, Title: p.Title, Impossible: len(q.Answers) == 0}
	for i, a := range q.Answers {
		at := path + ".answers[" + strconv.Itoa(i) + "]"
		switch {
		case a.Text == nil:
			return squadError(at+".text", "missing")
		case a.Start == nil:
			return squadError(at+".answer_start", "missing")
		}
		if !standsAt(text, *a.Start, *a.Text) {
			b.data.Misaligned++
		}
		out.Answers = append(out.Answers, Answer{Text: *a.Text, Start: *a.Start})
	}
	b.data.Questions = append(b.data.Questions, out)
	return nil
}

// standsAt reports whether text[start:] begins with the answer.
func standsAt(text []rune, start int, answer string) bool {
	if start < 0 || start > len(text) {
		return false
	}
	for _, r := range answer {
		if start >= len(text) || text[start] != r {
			return false
		}
		start++
	}
	return true
}
