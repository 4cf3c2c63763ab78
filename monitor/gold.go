package monitor

import (
	"archive/zip"
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// A GoldQuestion is a question whose right answer feedback has told.
type GoldQuestion struct {
	ID       string
	Question string
	// Answers stand in the documents as they are now; without any the index
	// holds no answer.
	Answers []store.Span
	// Near is a document that somebody named with a question without an answer;
	// empty if nobody did.
	Near string
}

// A GoldSet is what feedback about an index has settled.
type GoldSet struct {
	Questions []GoldQuestion
	// Refuted are stretches that are settled to be no answers, of these and of
	// other questions.
	Refuted []RefutedSpan
	// Documents are those that questions name, by id, as they are now.
	Documents map[string]retriever.Document
	// LeftOut counts questions of which nothing could be taken: those that are
	// not settled, and those whose documents are gone or have changed.
	LeftOut int
}

// ReadDocument returns a document of an index; the error wraps
// [retriever.ErrDocumentNotFound] if there is none, or none to be seen.
type ReadDocument func(ctx context.Context, index, id string) (retriever.Document, error)

// Gold makes a set of cases of one index. With pending, it also takes what
// nobody contradicts yet.
func Gold(ctx context.Context, cases []store.Case, pending bool, read ReadDocument) (*GoldSet, error) {
	g := &GoldSet{Documents: make(map[string]retriever.Document)}
	gone := make(map[string]bool)
	document := func(index, id string) (retriever.Document, bool, error) {
		if d, ok := g.Documents[id]; ok || gone[id] {
			return d, ok, nil
		}
		d, err := read(ctx, index, id)
		if errors.Is(err, retriever.ErrDocumentNotFound) {
			gone[id] = true
			return d, false, nil
		}
		if err == nil {
			g.Documents[id] = d
		}
		return d, err == nil, err
	}
	for _, c := range cases {
		spans, none := c.Answers, c.Unanswerable
		if pending && !c.Settled() && c.State == store.CaseOpen {
			spans, none = undisputed(c)
		}
		q := GoldQuestion{ID: c.ID, Question: strings.TrimSpace(c.Question)}
		for _, s := range spans {
			d, ok, err := document(c.Index, s.DocumentID)
			if err != nil {
				return nil, fmt.Errorf("monitor: feedback of %q: %w", c.Index, err)
			}
			if text, stands := d.Slice(s.Start, s.End); ok && stands && text == s.Answer {
				q.Answers = append(q.Answers, s)
			}
		}
		for _, s := range c.Candidates {
			if !s.Refuted && (!pending || c.State != store.CaseOpen || s.For > 0 || s.Against == 0) {
				continue
			}
			d, ok, err := document(c.Index, s.DocumentID)
			if err != nil {
				return nil, fmt.Errorf("monitor: feedback of %q: %w", c.Index, err)
			}
			if text, stands := d.Slice(s.Start, s.End); ok && stands && (text == s.Answer || s.Answer == "") {
				g.Refuted = append(g.Refuted, RefutedSpan{q.ID, q.Question, s})
			}
		}
		for _, j := range c.Judgements {
			if none && j.Verdict == store.Unanswerable && j.DocumentID != "" {
				if _, ok, err := document(c.Index, j.DocumentID); err != nil {
					return nil, fmt.Errorf("monitor: feedback of %q: %w", c.Index, err)
				} else if ok {
					q.Near = j.DocumentID
				}
			}
		}
		if len(q.Answers) == 0 && (!none || len(spans) > 0) {
			g.LeftOut++
			continue
		}
		g.Questions = append(g.Questions, q)
	}
	slices.SortFunc(g.Questions, func(a, b GoldQuestion) int {
		return cmp.Or(strings.Compare(a.Question, b.Question), strings.Compare(a.ID, b.ID))
	})
	return g, nil
}

// undisputed returns what an open case would say if nobody else came.
func undisputed(c store.Case) (spans []store.Span, none bool) {
	for _, s := range c.Candidates {
		if s.For > 0 && s.Against == 0 && s.Answer != "" {
			spans = append(spans, s)
		}
	}
	none = len(c.Candidates) == 0
	for _, j := range c.Judgements {
		none = none && (j.Verdict == store.Unanswerable || j.Standing != store.StandingPending)
	}
	return spans, none && slices.ContainsFunc(c.Judgements, func(j store.Judgement) bool { return j.Standing == store.StandingPending })
}

// SQuAD is a data set in the format of SQuAD 2.0.
type SQuAD struct {
	Version string         `json:"version"`
	Data    []SQuADArticle `json:"data"`
	// LeftOut counts questions of which nothing could be taken, and those
	// without an answer for which nobody named a document.
	LeftOut int `json:"left_out"`
}

// A SQuADArticle is one document.
type SQuADArticle struct {
	Title      string           `json:"title"`
	Paragraphs []SQuADParagraph `json:"paragraphs"`
}

// A SQuADParagraph is the text of a document with questions about it.
type SQuADParagraph struct {
	DocumentID string          `json:"document_id"`
	Context    string          `json:"context"`
	QAs        []SQuADQuestion `json:"qas"`
}

// A SQuADQuestion is one question; impossible ones have no answers.
type SQuADQuestion struct {
	ID           string        `json:"id"`
	Question     string        `json:"question"`
	IsImpossible bool          `json:"is_impossible"`
	Answers      []SQuADAnswer `json:"answers"`
}

// A SQuADAnswer is a stretch of the context; AnswerStart counts code points.
type SQuADAnswer struct {
	Text        string `json:"text"`
	AnswerStart int    `json:"answer_start"`
}

// SQuAD returns the set by document. A question with answers in several
// documents is there once for each.
func (g *GoldSet) SQuAD() SQuAD {
	set := SQuAD{Version: "v2.0", Data: []SQuADArticle{}, LeftOut: g.LeftOut}
	byDocument := make(map[string][]SQuADQuestion)
	for _, q := range g.Questions {
		answers := make(map[string][]SQuADAnswer)
		var order []string
		for _, s := range q.Answers {
			if answers[s.DocumentID] == nil {
				order = append(order, s.DocumentID)
			}
			answers[s.DocumentID] = append(answers[s.DocumentID], SQuADAnswer{Text: s.Answer, AnswerStart: s.Start})
		}
		switch {
		case len(q.Answers) > 0:
			for i, id := range order {
				name := q.ID
				if i > 0 {
					name = fmt.Sprintf("%s-%d", q.ID, i+1)
				}
				byDocument[id] = append(byDocument[id], SQuADQuestion{ID: name, Question: q.Question, Answers: answers[id]})
			}
		case q.Near != "":
			byDocument[q.Near] = append(byDocument[q.Near], SQuADQuestion{ID: q.ID, Question: q.Question, IsImpossible: true, Answers: []SQuADAnswer{}})
		default:
			set.LeftOut++
		}
	}
	for _, id := range sortedKeys(byDocument) {
		d := g.Documents[id]
		title := d.Title
		if title == "" {
			title = id
		}
		set.Data = append(set.Data, SQuADArticle{Title: title, Paragraphs: []SQuADParagraph{{DocumentID: id, Context: d.Text, QAs: byDocument[id]}}})
	}
	return set
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Dataset returns the set for evaluation: a paragraph is a whole document, with
// its id.
func (g *GoldSet) Dataset() *eval.Dataset {
	d := &eval.Dataset{}
	for _, id := range sortedKeys(g.Documents) {
		d.Paragraphs = append(d.Paragraphs, eval.Paragraph{ID: id, Title: g.Documents[id].Title, Text: g.Documents[id].Text})
	}
	for _, q := range g.Questions {
		question := eval.Question{ID: q.ID, Text: q.Question, ParagraphID: q.Near, Impossible: len(q.Answers) == 0}
		for i, s := range q.Answers {
			if i == 0 {
				question.ParagraphID = s.DocumentID
			}
			question.Answers = append(question.Answers, eval.Answer{Text: s.Answer, Start: s.Start})
		}
		question.Title = g.Documents[question.ParagraphID].Title
		d.Questions = append(d.Questions, question)
	}
	return d
}

// WriteBEIR writes the answered questions as a ZIP archive in the layout of
// BEIR: corpus.jsonl, queries.jsonl and qrels/test.tsv. The corpus holds the
// documents that answers stand in, and those that more yields.
func (g *GoldSet) WriteBEIR(w io.Writer, more func(add func(retriever.Document) error) error) error {
	archive := zip.NewWriter(w)
	err := errors.Join(g.beirCorpus(archive, more), g.beirQueries(archive), g.beirQrels(archive), archive.Close())
	if err != nil {
		return fmt.Errorf("monitor: write BEIR: %w", err)
	}
	return nil
}

type beirRecord struct {
	ID    string `json:"_id"`
	Title string `json:"title,omitempty"`
	Text  string `json:"text"`
}

func (g *GoldSet) beirCorpus(archive *zip.Writer, more func(add func(retriever.Document) error) error) error {
	file, err := archive.Create("corpus.jsonl")
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(file)
	for _, id := range sortedKeys(g.Documents) {
		d := g.Documents[id]
		if err := encoder.Encode(beirRecord{d.ID, d.Title, d.Text}); err != nil {
			return err
		}
	}
	if more == nil {
		return nil
	}
	return more(func(d retriever.Document) error {
		if _, known := g.Documents[d.ID]; known {
			return nil
		}
		return encoder.Encode(beirRecord{d.ID, d.Title, d.Text})
	})
}

func (g *GoldSet) beirQueries(archive *zip.Writer) error {
	file, err := archive.Create("queries.jsonl")
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(file)
	for _, q := range g.Questions {
		if len(q.Answers) == 0 {
			continue
		}
		if err := encoder.Encode(beirRecord{ID: q.ID, Text: q.Question}); err != nil {
			return err
		}
	}
	return nil
}

func (g *GoldSet) beirQrels(archive *zip.Writer) error {
	file, err := archive.Create("qrels/test.tsv")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	fmt.Fprintln(out, "query-id\tcorpus-id\tscore")
	for _, q := range g.Questions {
		seen := make(map[string]bool)
		for _, s := range q.Answers {
			// Lines of the format cannot hold tabs or line ends, ids may.
			if seen[s.DocumentID] || strings.ContainsAny(s.DocumentID, "\t\r\n") {
				continue
			}
			seen[s.DocumentID] = true
			fmt.Fprintf(out, "%s\t%s\t1\n", q.ID, s.DocumentID)
		}
	}
	return out.Flush()
}
