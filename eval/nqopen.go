package eval

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ReadNQOpen reads questions without paragraphs in the form of Natural
// Questions open: JSON lines with "question" and "answer", a list of accepted
// texts (a single text is allowed, "answers" too), and optionally "id". Without an id
// the number of the line, from 1, is the id. An empty list says that the
// documents hold no answer.
//
// Errors wrap [ErrFormat] and name the line.
func ReadNQOpen(r io.Reader) (*Dataset, error) {
	data := &Dataset{}
	seen := make(map[string]int)
	err := eachLine(r, "nq-open", func(number int, line []byte) error {
		q, err := nqQuestion(line)
		if err != nil {
			return fmt.Errorf("eval: read nq-open: %w: line %d: %w", ErrFormat, number, err)
		}
		if q.ID == "" {
			q.ID = strconv.Itoa(number)
		}
		if before, ok := seen[q.ID]; ok {
			return fmt.Errorf("eval: read nq-open: %w: line %d: id %q was used before in line %d", ErrFormat, number, q.ID, before)
		}
		seen[q.ID] = number
		data.Questions = append(data.Questions, q)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

func nqQuestion(line []byte) (Question, error) {
	var entry struct {
		ID       string    `json:"id"`
		Question string    `json:"question"`
		Answer   *textList `json:"answer"`
		Answers  *textList `json:"answers"`
	}
	if !utf8.Valid(line) {
		return Question{}, errors.New("not valid UTF-8")
	}
	if err := json.Unmarshal(line, &entry); err != nil {
		return Question{}, err
	}
	answers := cmp.Or(entry.Answer, entry.Answers)
	switch {
	case strings.TrimSpace(entry.Question) == "":
		return Question{}, errors.New("question: missing or empty")
	case answers == nil:
		return Question{}, errors.New("answer: missing; an empty list says that there is none")
	}
	q := Question{ID: entry.ID, Text: entry.Question, Impossible: len(*answers) == 0}
	for _, text := range *answers {
		q.Answers = append(q.Answers, Answer{Text: text})
	}
	return q, nil
}

// textList is a list of texts, or one text.
type textList []string

func (l *textList) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*l = make([]string, 1)
		return json.Unmarshal(data, &(*l)[0])
	}
	list := []string{}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*l = list
	return nil
}
