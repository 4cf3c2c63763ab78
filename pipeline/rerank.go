package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// What the scores of a [RerankResult] are made of.
const (
	// ScoreRelevance is the logit of the bundle's relevance head.
	ScoreRelevance = "relevance"
	// ScoreSpanMargin is the margin of the best answer span over the null
	// answer, for bundles without a relevance head.
	ScoreSpanMargin = "span_margin"
)

// A RerankRequest asks in what order documents answer a query.
type RerankRequest struct {
	// Model is a name of the section `models` of the configuration whose bundle
	// has a relevance head, such as a cross-encoder. Empty and every other name
	// mean the bundle that reads: clients of other servers send names of theirs.
	Model string `json:"model,omitempty"`
	Query string `json:"query"`
	// Documents are texts; one without text scores 0.
	Documents []string `json:"documents"`
	// TopN is how many results are wanted; 0 means all.
	TopN int `json:"top_n,omitempty"`
	// ReturnDocuments fills RerankHit.Document.
	ReturnDocuments bool `json:"return_documents,omitempty"`
}

// A RerankResult orders the documents of a [RerankRequest].
type RerankResult struct {
	// Results come in order of falling score, ties in the order given.
	Results []RerankHit `json:"results"`
	// Score says what the scores are made of: ScoreRelevance or
	// ScoreSpanMargin.
	Score string `json:"score"`
	// Truncated says that some text was not seen by the model.
	Truncated bool     `json:"truncated"`
	Warnings  []string `json:"warnings"`
	// Model and ModelHash name the bundle.
	Model     string             `json:"model"`
	ModelHash string             `json:"model_hash"`
	TimingsMS map[string]float64 `json:"timings_ms"`
}

// A RerankHit is one document with its score.
type RerankHit struct {
	// Index is the document's position in the request, from 0.
	Index int `json:"index"`
	// RelevanceScore is the logistic function of the score of the document's
	// best passage, 0 to 1. It orders the documents of one query; it is no
	// calibrated probability.
	RelevanceScore float64         `json:"relevance_score"`
	Document       *RerankDocument `json:"document,omitempty"`
}

// A RerankDocument is the text of a document as it was sent.
type RerankDocument struct {
	Text string `json:"text"`
}

// Rerank scores documents against a query: by the relevance head if the bundle
// has one, else by the best answer span. Long documents are split; the best
// passage counts. Of more than [MaxReadPassages] passages the beginnings of all
// documents are read first, and the result is truncated. The errors are those
// of [Pipeline.Read].
func (p *Pipeline) Rerank(ctx context.Context, request RerankRequest) (result *RerankResult, err error) {
	begin := time.Now()
	defer func() { p.observer.Finished(ctx, OperationRerank, nil, begin, time.Now(), err) }()
	if err := errors.Join(checkText(request.Query), checkDocuments(request.Documents, MaxRerankDocuments)); err != nil {
		return nil, err
	}
	if request.TopN < 0 {
		return nil, fmt.Errorf("%w: top_n: %d; allowed is 0 (all) or more", ErrInvalidRequest, request.TopN)
	}
	for i, text := range request.Documents {
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return nil, fmt.Errorf("%w: documents[%d] is not UTF-8 or holds a NUL byte", ErrInvalidText, i)
		}
	}
	m, with, release, err := p.leaseRerank(request.Model)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := p.checkQuestionLength(with.tokenizer.Tokenize(request.Query)); err != nil {
		return nil, err
	}
	ctx, cancel := p.withTimeout(ctx)
	defer cancel()
	ctx, leave, err := with.service.Enter(infer.WithPriority(ctx, infer.Bulk))
	if err != nil {
		return nil, err
	}
	defer leave()
	chosen, err := p.rerankPassages(ctx, with.tokenizer, request.Documents)
	if err != nil {
		return nil, err
	}
	result = &RerankResult{Warnings: append([]string{}, with.notes...), Model: with.ref.Name, ModelHash: with.ref.Hash, Truncated: chosen.left > 0}
	if chosen.left > 0 {
		result.Warnings = append(result.Warnings, unread(chosen.left, chosen.left+len(chosen.passages), "the beginnings of the documents were; send fewer documents or shorter ones"))
	}
	// The score of each passage that was read; the greater the better.
	var scores []float64
	var truncated bool
	if with.relevance != nil {
		result.Score = ScoreRelevance
		scores, truncated, err = p.relevance(ctx, with, request.Query, chosen.passages)
	} else {
		result.Score = ScoreSpanMargin
		scores, truncated, err = p.margins(ctx, m, request.Query, chosen.passages)
	}
	if errors.Is(err, models.ErrModelClosed) {
		err = ErrClosed
	}
	if err != nil {
		return nil, p.cause(ctx, err)
	}
	result.Truncated = result.Truncated || truncated
	result.Results = order(request, chosen.documents, scores)
	result.TimingsMS = map[string]float64{"total": milliseconds(time.Since(begin))}
	return result, nil
}

// leaseRerank returns what scores the documents: a named model with a relevance
// head, and then m is nil, or the bundle that reads.
func (p *Pipeline) leaseRerank(name string) (m *loadedModel, with *predictor, release func(), err error) {
	if named, ok := p.named[name]; ok {
		if named.relevance == nil {
			return nil, nil, nil, fmt.Errorf("%w: model: %q has no %s head; it has %s", ErrInvalidRequest, name, models.HeadRelevance, strings.Join(headKinds(named.bundle), ", "))
		}
		return nil, &named.predictor, func() {}, nil
	}
	if m, release, err = p.slot.lease(); err != nil {
		return nil, nil, nil, err
	}
	return m, m.predictor(), release, nil
}

// chosenPassages are the passages of a rerank request that are read.
type chosenPassages struct {
	passages  []retriever.Passage
	documents []int // the document of each passage
	left      int   // passages that are not read
}

// rerankPassages splits the documents. A document's n-th passage comes before
// the n+1st of any other, so that what does not fit is what matters least.
func (p *Pipeline) rerankPassages(ctx context.Context, tokenizer models.Tokenizer, texts []string) (chosenPassages, error) {
	splitter, err := ingest.NewSplitter(p.config.Split, tokenizer)
	if err != nil {
		return chosenPassages{}, err
	}
	var all chosenPassages
	split := make([][]retriever.Passage, len(texts))
	longest, total := 0, 0
	for i, text := range texts {
		if ctx.Err() != nil {
			return chosenPassages{}, context.Cause(ctx)
		}
		split[i] = splitter.Split(ingest.Extracted{Document: retriever.Document{ID: strconv.Itoa(i), Text: text}})
		longest = max(longest, len(split[i]))
		total += len(split[i])
	}
	// Every document must be read in part: one that is not would have no score.
	most := max(MaxReadPassages, len(texts))
	for n := range longest {
		for i, passages := range split {
			if n < len(passages) && len(all.passages) < most {
				all.passages = append(all.passages, passages[n])
				all.documents = append(all.documents, i)
			}
		}
	}
	all.left = total - len(all.passages)
	return all, nil
}

// rerankRound is how many passages are read at once, so that memory does not
// grow with the request.
const rerankRound = 32

// margins scores each passage by its best answer span.
func (p *Pipeline) margins(ctx context.Context, m *loadedModel, query string, passages []retriever.Passage) ([]float64, bool, error) {
	scores := lowest(len(passages))
	truncated := false
	for from := 0; from < len(passages); from += rerankRound {
		part := passages[from:min(from+rerankRound, len(passages))]
		reading, err := m.reader.Read(ctx, query, part, reader.Options{})
		if err != nil {
			return nil, false, err
		}
		for _, span := range reading.Spans {
			scores[from+span.Candidate] = max(scores[from+span.Candidate], span.Margin())
		}
		truncated = truncated || reading.Truncated
	}
	return scores, truncated, nil
}

// relevance scores each passage by the relevance head; of several windows the
// best counts.
func (p *Pipeline) relevance(ctx context.Context, m *predictor, query string, passages []retriever.Passage) ([]float64, bool, error) {
	config := p.config.Reader.Config
	question, length, stride := m.tokenizer.Tokenize(query), config.MaxSeqLength, config.Stride
	if most := m.service.Info().MaxLength; most < length {
		// A named model may take less than the one that reads.
		length, stride = most, min(stride, most/4)
	}
	var windows []models.Encoding
	var owners []int
	truncated := false
	for i, passage := range passages {
		encodings, err := m.tokenizer.Pair(question, m.tokenizer.Tokenize(passage.Text), length, stride)
		if err != nil {
			return nil, false, err
		}
		for _, e := range encodings {
			windows, owners = append(windows, e), append(owners, i)
			truncated = truncated || e.Truncated
		}
	}
	logits := make([]float32, len(windows))
	err := m.service.Each(ctx, windows, func(w int, outputs models.Outputs) (err error) {
		logits[w], err = m.relevance.Relevance(outputs, windows[w])
		return err
	})
	if err != nil {
		return nil, false, err
	}
	scores := lowest(len(passages))
	for w, logit := range logits {
		if logit != logit {
			return nil, false, errors.New("pipeline: the relevance head gave a score that is not a number")
		}
		scores[owners[w]] = max(scores[owners[w]], float64(logit))
	}
	return scores, truncated, nil
}

func lowest(n int) []float64 {
	scores := make([]float64, n)
	for i := range scores {
		scores[i] = math.Inf(-1)
	}
	return scores
}

// order gives every document the score of its best passage and sorts.
func order(request RerankRequest, documents []int, scores []float64) []RerankHit {
	best := lowest(len(request.Documents))
	for i, score := range scores {
		best[documents[i]] = max(best[documents[i]], score)
	}
	hits := make([]RerankHit, len(best))
	for i, score := range best {
		hits[i] = RerankHit{Index: i, RelevanceScore: 1 / (1 + math.Exp(-score))}
		if request.ReturnDocuments {
			hits[i].Document = &RerankDocument{Text: request.Documents[i]}
		}
	}
	slices.SortStableFunc(hits, func(a, b RerankHit) int { return -cmp.Compare(best[a.Index], best[b.Index]) })
	if request.TopN > 0 {
		hits = hits[:min(request.TopN, len(hits))]
	}
	return hits
}
