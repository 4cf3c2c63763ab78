package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// document is a line of corpus.jsonl.
type document struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// question is a line of questions.jsonl; Gold is the document that answers it.
type question struct {
	Text string `json:"text"`
	Gold string `json:"gold"`
}

// squad is the part of SQuAD's format that is used here.
type squad struct {
	Data []struct {
		Paragraphs []struct {
			Context string `json:"context"`
			QAs     []struct {
				Question string `json:"question"`
				Answers  []struct {
					Start int `json:"answer_start"`
				} `json:"answers"`
			} `json:"qas"`
		} `json:"paragraphs"`
	} `json:"data"`
}

// The shape of the corpus.
const (
	passageWords = 110
	questionsMin = 8
	questionsMax = 15
	maxQuestions = 1000
)

// generate writes n passages and questions about them to dir, the same for the
// same n. The real paragraphs are among them; all others are put together from
// single sentences of real paragraphs, so that words are as frequent, and as
// often side by side, as in real text. Sentences that answer one of the
// questions appear nowhere but in their own paragraph.
func generate(data, dir string, n int) error {
	type asked struct {
		question
		paragraph, sentence int
	}
	var paragraphs []string
	var sentences [][]string
	var questions []asked
	for _, name := range []string{"new_wiki.json", "reddit.json", "amazon_reviews.json"} {
		raw, err := os.ReadFile(filepath.Join(data, "squadshifts", name))
		if err != nil {
			return err
		}
		var set squad
		if err := json.Unmarshal(raw, &set); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, article := range set.Data {
			for _, paragraph := range article.Paragraphs {
				number := len(paragraphs)
				paragraphs = append(paragraphs, paragraph.Context)
				parts := strings.SplitAfter(paragraph.Context, ". ")
				sentences = append(sentences, parts)
				for _, qa := range paragraph.QAs {
					words := len(strings.Fields(qa.Question))
					if words < questionsMin || words > questionsMax || len(qa.Answers) == 0 {
						continue
					}
					questions = append(questions, asked{
						question{qa.Question, documentID(number)}, number, sentenceAt(parts, qa.Answers[0].Start),
					})
				}
			}
		}
	}
	if n < len(paragraphs) {
		return fmt.Errorf("%d passages are too few: there are %d real paragraphs", n, len(paragraphs))
	}
	random := rand.New(rand.NewPCG(11, 11))
	random.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	questions = questions[:min(maxQuestions, len(questions))]
	kept := map[[2]int]bool{}
	for _, q := range questions {
		kept[[2]int{q.paragraph, q.sentence}] = true
	}
	var filler []string
	for i, parts := range sentences {
		for j, s := range parts {
			if !kept[[2]int{i, j}] {
				filler = append(filler, strings.TrimSpace(s))
			}
		}
	}
	lines := make([]question, len(questions))
	for i, q := range questions {
		lines[i] = q.question
	}
	if err := writeLines(filepath.Join(dir, "questions.jsonl"), slices.Values(lines)); err != nil {
		return err
	}
	// The real paragraphs lie scattered among the others.
	order := random.Perm(n)
	return writeLines(filepath.Join(dir, "corpus.jsonl"), func(yield func(document) bool) {
		var text strings.Builder
		for _, number := range order {
			d := document{ID: documentID(number)}
			if number < len(paragraphs) {
				d.Text = paragraphs[number]
			} else {
				text.Reset()
				for words := 0; words < passageWords; {
					s := filler[random.IntN(len(filler))]
					words += strings.Count(s, " ") + 1
					text.WriteString(s)
					text.WriteByte(' ')
				}
				d.Text = strings.TrimSpace(text.String())
			}
			if !yield(d) {
				return
			}
		}
	})
}

func documentID(number int) string { return fmt.Sprintf("d%07d", number) }

// sentenceAt returns which of the sentences holds a code point.
func sentenceAt(sentences []string, at int) int {
	for i, s := range sentences {
		if at -= len([]rune(s)); at < 0 {
			return i
		}
	}
	return len(sentences) - 1
}

func writeLines[T any](path string, lines func(func(T) bool)) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for line := range lines {
		if err = encoder.Encode(line); err != nil {
			break
		}
	}
	return errors.Join(err, buffered.Flush(), file.Close())
}

// readLines calls each with every line of a file.
func readLines[T any](path string, each func(T) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := json.NewDecoder(bufio.NewReaderSize(file, 1<<20))
	for decoder.More() {
		var line T
		if err := decoder.Decode(&line); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := each(line); err != nil {
			return err
		}
	}
	return nil
}
