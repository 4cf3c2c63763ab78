package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// Limits of [Pipeline.Read] and [Pipeline.Rerank]. More documents or bytes are
// refused; passages beyond the limit stay unread, and the result says so.
const (
	MaxReadDocuments   = 100
	MaxRerankDocuments = 1000
	MaxReadBytes       = 4 << 20
	MaxReadPassages    = 128
)

// A ReadRequest asks a question about documents that it brings along.
type ReadRequest struct {
	Question string `json:"question"`
	// Documents are read in the order given: put the most likely ones first.
	Documents []ReadDocument `json:"documents"`
	// TopK is how many answers are wanted; 0 means the configured number.
	TopK int `json:"top_k,omitempty"`
	// Budget ends reading early with the best answers so far; 0 means the
	// configured budget.
	Budget time.Duration `json:"-"`
	// OffsetUnit is codepoint (default), byte or utf16.
	OffsetUnit string `json:"offset_unit,omitempty"`
	// IncludeRejected fills Result.Rejected when nothing is answerable.
	IncludeRejected bool `json:"include_rejected,omitempty"`
}

// A ReadDocument is a document of a [ReadRequest]. Without an id it is named by
// its position, from 0.
type ReadDocument struct {
	ID    string `json:"id,omitempty"`
	Title string `json:"title,omitempty"`
	Text  string `json:"text"`
}

// Read answers a question from the documents of the request, which are split
// and read as if they had been found in an index, but nothing is stored. The
// result is that of [Pipeline.Ask] with these differences: Index is empty,
// Generation is 0, BM25 scores are 0, and in fused scores every passage counts
// as the best one of a retrieval, which is what the score profile was not
// fitted for: Calibrated is always false. When more than [MaxReadPassages]
// passages were given, the first are read, Complete is false and Truncated
// true. The errors are those of Ask less the retriever's.
func (p *Pipeline) Read(ctx context.Context, request ReadRequest) (result *Result, err error) {
	begin := time.Now()
	defer func() { p.observer.Finished(ctx, OperationRead, result, begin, time.Now(), err) }()
	if err := errors.Join(checkText(request.Question), checkOptions(request.TopK, request.OffsetUnit)); err != nil {
		return nil, err
	}
	if request.Budget < 0 {
		return nil, fmt.Errorf("%w: budget: %v; allowed is 0 (none) or more", ErrInvalidRequest, request.Budget)
	}
	documents, err := request.documents()
	if err != nil {
		return nil, err
	}
	m, release, err := p.slot.lease()
	if err != nil {
		return nil, err
	}
	defer release()
	if err := p.checkQuestion(m, request.Question); err != nil {
		return nil, err
	}
	ctx, cancel := p.withTimeout(ctx)
	defer cancel()
	ctx, leave, err := m.service.Enter(infer.WithPriority(ctx, infer.Bulk))
	if err != nil {
		return nil, err
	}
	defer leave()
	hits, total, err := p.splitAll(ctx, m, documents)
	if err != nil {
		return nil, err
	}
	result = &Result{
		Question:  request.Question,
		Answers:   []Answer{},
		Warnings:  append(append([]string{}, m.notes...), "the documents came with the question, which no score profile is fitted for: probabilities are rough"),
		Model:     m.ref,
		TimingsMS: map[string]float64{"split": milliseconds(time.Since(begin))},
	}
	options := reader.Options{}
	if budget := cmp.Or(request.Budget, p.limits().Budget); budget > 0 {
		options.Deadline = begin.Add(budget)
		options.Round = 2 * m.service.Stats().Workers
	}
	passages := passagesOf(hits)
	reading, err := p.readObserved(ctx, m, request.Question, passages, options)
	if err != nil {
		return nil, p.cause(ctx, err)
	}
	p.fillAnswers(ctx, m.profile, result, Request{TopK: request.TopK, IncludeRejected: request.IncludeRejected}, hits, passages, reading)
	if left := total - len(hits); left > 0 {
		result.Complete, result.Truncated = false, true
		result.Warnings = append(result.Warnings, unread(left, total, "the first ones were read; send fewer documents or shorter ones"))
	}
	units := offsetConverter{unit: request.OffsetUnit, texts: make(map[string]string, len(documents))}
	for _, d := range documents {
		units.texts[d.ID] = d.Text
	}
	if err := units.result(ctx, result); err != nil {
		return nil, err
	}
	result.TimingsMS["total"] = milliseconds(time.Since(begin))
	return result, nil
}

func unread(left, total int, what string) string {
	return fmt.Sprintf("%d of %d passages were not read: %s", left, total, what)
}

// documents checks the documents and names those that have no id.
func (r ReadRequest) documents() ([]retriever.Document, error) {
	texts := make([]string, len(r.Documents))
	for i, d := range r.Documents {
		texts[i] = d.Text
	}
	if err := checkDocuments(texts, MaxReadDocuments); err != nil {
		return nil, err
	}
	documents := make([]retriever.Document, len(r.Documents))
	seen := make(map[string]int, len(r.Documents))
	for i, d := range r.Documents {
		documents[i] = retriever.Document{ID: cmp.Or(d.ID, strconv.Itoa(i)), Title: d.Title, Text: d.Text}
		if err := documents[i].Validate(); err != nil {
			return nil, fmt.Errorf("%w: documents[%d]: %w", ErrInvalidRequest, i, err)
		}
		if first, ok := seen[documents[i].ID]; ok {
			return nil, fmt.Errorf("%w: documents[%d]: has the id %q, as documents[%d] has", ErrInvalidRequest, i, documents[i].ID, first)
		}
		seen[documents[i].ID] = i
	}
	return documents, nil
}

// checkDocuments bounds what a request brings along.
func checkDocuments(texts []string, most int) error {
	if len(texts) == 0 || len(texts) > most {
		return fmt.Errorf("%w: documents: there are %d; allowed are 1 to %d", ErrInvalidRequest, len(texts), most)
	}
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	if size > MaxReadBytes {
		return fmt.Errorf("%w: documents: their texts have %d bytes; at most %d are allowed. Index large documents and ask", ErrInvalidRequest, size, MaxReadBytes)
	}
	return nil
}

// checkQuestion makes sure that the question leaves room for passages.
func (p *Pipeline) checkQuestion(m *loadedModel, question string) error {
	return p.checkQuestionLength(m.reader.Tokenize(question))
}

func (p *Pipeline) checkQuestionLength(question models.Tokens) error {
	if n := question.Len(); n > p.limits().MaxQuestionTokens {
		return fmt.Errorf("%w: it has %d tokens; limits.max_question_tokens allows %d. Ask in one sentence", ErrQuestionTooLong, n, p.limits().MaxQuestionTokens)
	}
	return nil
}

// splitAll returns the first MaxReadPassages passages of the documents, and how
// many there are in all.
func (p *Pipeline) splitAll(ctx context.Context, m *loadedModel, documents []retriever.Document) (hits []retriever.Hit, total int, err error) {
	splitter, err := p.splitterFor(m)
	if err != nil {
		return nil, 0, err
	}
	for _, d := range documents {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		for _, passage := range splitter.Split(ingest.Extracted{Document: d}) {
			if total++; total <= MaxReadPassages {
				hits = append(hits, retriever.Hit{Passage: passage, Title: d.Title})
			}
		}
	}
	return hits, total, nil
}

func passagesOf(hits []retriever.Hit) []retriever.Passage {
	passages := make([]retriever.Passage, len(hits))
	for i, h := range hits {
		passages[i] = h.Passage
	}
	return passages
}

// ReadPassages reads the given passages without retrieval and returns the raw
// spans: the reader alone, for evaluation and benchmarks. The errors are those
// of [Pipeline.Ask].
func (p *Pipeline) ReadPassages(ctx context.Context, question string, passages []retriever.Passage) (reader.Reading, error) {
	if err := checkText(question); err != nil {
		return reader.Reading{}, err
	}
	m, release, err := p.slot.lease()
	if err != nil {
		return reader.Reading{}, err
	}
	defer release()
	return m.reader.Read(ctx, question, passages, reader.Options{})
}

// Judge makes a prediction of a reading without retrieval, in which every
// passage counts as the best one: the span that the model must give, what the
// score profile makes of the greatest margin, and the probability that the
// first answer is right.
func (p *Pipeline) Judge(reading reader.Reading) (eval.Prediction, float64) {
	return p.profile().judge(reading)
}

// NoAnswerThreshold is the no-answer probability from which on a question
// counts as not answerable.
func (p *Pipeline) NoAnswerThreshold() float64 { return p.profile().NoAnswerThreshold }

// profile is the one of the model that answers now.
func (p *Pipeline) profile() Profile {
	if m := p.slot.peek(); m != nil {
		return m.profile
	}
	return fallbackProfile()
}
