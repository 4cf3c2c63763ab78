package modelstest

import (
	"math"
	"slices"

	"github.com/needle-search/needle/models"
)

// A Span tells a [SpanHead] what the answer to a question is.
type Span struct {
	// Question is compared token by token; empty means every question.
	Question string
	// Answer wins at every place in a passage where its tokens occur.
	Answer string
	// Score is the sum of the start and end logits there.
	Score float32
}

// Logits of a [SpanHead] away from its answers.
const (
	// BackgroundLogit is the start and end logit of every other token.
	BackgroundLogit float32 = -10
	// NullScore is the sum of the start and end logits of the first token,
	// which stands for "no answer". See [SpanHead.WithNull].
	NullScore float32 = 0
)

// A SpanHead is a fake that finds the answers which it was told. It fails when
// it is given the outputs of another encoding.
type SpanHead struct {
	null  float32
	spans []knownSpan
}

type knownSpan struct {
	question, answer []int32
	score            float32
}

var _ models.SpanHead = (*SpanHead)(nil)

// NewSpanHead returns a head that knows some answers.
func NewSpanHead(tokenizer models.Tokenizer, spans ...Span) *SpanHead {
	h := &SpanHead{null: NullScore}
	for _, s := range spans {
		h.spans = append(h.spans, knownSpan{
			question: tokenizer.Tokenize(s.Question).IDs,
			answer:   tokenizer.Tokenize(s.Answer).IDs,
			score:    s.Score,
		})
	}
	return h
}

// WithNull returns a copy of the head with another null score.
func (h *SpanHead) WithNull(score float32) *SpanHead {
	other := *h
	other.null = score
	return &other
}

// Kind returns models.HeadSpan.
func (*SpanHead) Kind() string { return models.HeadSpan }

// Requires returns the name of the hidden states.
func (*SpanHead) Requires() []string { return []string{models.OutputHidden} }

// Spans marks the known answers to the encoding's question.
func (h *SpanHead) Spans(outputs models.Outputs, e models.Encoding) (models.SpanLogits, error) {
	if err := checkHidden(outputs, e); err != nil {
		return models.SpanLogits{}, err
	}
	logits := models.SpanLogits{Start: make([]float32, e.Len()), End: make([]float32, e.Len())}
	for i := range logits.Start {
		logits.Start[i], logits.End[i] = BackgroundLogit, BackgroundLogit
	}
	logits.Start[0], logits.End[0] = h.null/2, h.null/2
	question, passage := parts(e)
	for _, s := range h.spans {
		if len(s.answer) == 0 || len(s.question) > 0 && !slices.Equal(s.question, question) {
			continue
		}
		for i := 0; i+len(s.answer) <= len(passage); i++ {
			if slices.Equal(passage[i:i+len(s.answer)], s.answer) {
				first, last := e.First+i, e.First+i+len(s.answer)-1
				logits.Start[first] = max(logits.Start[first], s.score/2)
				logits.End[last] = max(logits.End[last], s.score/2)
			}
		}
	}
	return logits, nil
}

func parts(e models.Encoding) (question, passage []int32) {
	for i, s := range e.Sequences {
		if s == models.SequenceFirst {
			question = append(question, e.IDs[i])
		}
	}
	return question, e.IDs[e.First:e.Last]
}

// A RelevanceHead is a fake: the share of the question's words that the passage
// has, as a logit from -4 to 4.
type RelevanceHead struct{}

var _ models.RelevanceHead = RelevanceHead{}

// Kind returns models.HeadRelevance.
func (RelevanceHead) Kind() string { return models.HeadRelevance }

// Requires returns the name of the hidden states.
func (RelevanceHead) Requires() []string { return []string{models.OutputHidden} }

// Relevance counts shared words.
func (RelevanceHead) Relevance(outputs models.Outputs, e models.Encoding) (float32, error) {
	if err := checkHidden(outputs, e); err != nil {
		return 0, err
	}
	question, passage := parts(e)
	if len(question) == 0 {
		return -4, nil
	}
	shared := 0
	for _, id := range question {
		if slices.Contains(passage, id) {
			shared++
		}
	}
	return 8*float32(shared)/float32(len(question)) - 4, nil
}

// An EmbeddingHead is a fake: the counts of words, hashed into a few
// dimensions.
type EmbeddingHead struct {
	// Size is the number of dimensions, at least 1.
	Size int
}

var _ models.EmbeddingHead = EmbeddingHead{}

// Kind returns models.HeadEmbedding.
func (EmbeddingHead) Kind() string { return models.HeadEmbedding }

// Requires returns the name of the hidden states.
func (EmbeddingHead) Requires() []string { return []string{models.OutputHidden} }

// Dimensions returns Size.
func (h EmbeddingHead) Dimensions() int { return h.Size }

// Embed counts the words of the encoding's last text.
func (h EmbeddingHead) Embed(outputs models.Outputs, e models.Encoding) ([]float32, error) {
	if err := checkHidden(outputs, e); err != nil {
		return nil, err
	}
	vector := make([]float32, h.Size)
	for _, id := range e.IDs[e.First:e.Last] {
		vector[int(id)%h.Size]++
	}
	if e.First == e.Last {
		vector[0] = 1
	}
	var sum float64
	for _, v := range vector {
		sum += float64(v) * float64(v)
	}
	for i := range vector {
		vector[i] /= float32(math.Sqrt(sum))
	}
	return vector, nil
}
