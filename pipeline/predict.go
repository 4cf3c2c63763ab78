package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/models"
)

// MaxPredictTexts is how many texts a [PredictRequest] may have; all together
// may have MaxReadBytes.
const MaxPredictTexts = 256

// A PredictRequest asks a head for its prediction.
type PredictRequest struct {
	// Model is a name of the section `models` of the configuration; empty means
	// the bundle that reads.
	Model string `json:"model,omitempty"`
	// Head is models.HeadEmbedding, HeadClassification or HeadTokens. Spans and
	// relevance are about pairs; see [Pipeline.Read] and [Pipeline.Rerank].
	Head  string   `json:"head"`
	Texts []string `json:"texts"`
}

// A PredictResult holds a prediction for every text, in order.
type PredictResult struct {
	Head        string       `json:"head"`
	Predictions []Prediction `json:"predictions"`
	// Truncated says that some text was longer than the model reads.
	Truncated bool     `json:"truncated"`
	Model     ModelRef `json:"model"`
	// Warnings are about the model, for example that it runs on another device.
	Warnings  []string           `json:"warnings"`
	TimingsMS map[string]float64 `json:"timings_ms"`
}

// A Prediction is what a head says of one text; which member is set depends on
// the head.
type Prediction struct {
	// Embedding has length 1 (Euclidean norm).
	Embedding []float32 `json:"embedding,omitempty"`
	// Labels come in order of falling probability. The probabilities are the
	// softmax of the head's logits, not calibrated; they add up to 1.
	Labels []LabelScore `json:"labels,omitempty"`
	// Tokens are the best label of every token, in order.
	Tokens []TokenLabel `json:"tokens,omitempty"`
	// Truncated says that the end of the text was not seen.
	Truncated bool `json:"truncated"`
}

// A LabelScore is a label with its probability.
type LabelScore struct {
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
}

// A TokenLabel is the label of a token, which is text[Start:End] in code
// points.
type TokenLabel struct {
	Start       int     `json:"start"`
	End         int     `json:"end"`
	Text        string  `json:"text"`
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
}

// A Predictor gives the predictions of heads. A [Pipeline] is one, and so is
// the client of a server.
type Predictor interface {
	Predict(ctx context.Context, request PredictRequest) (*PredictResult, error)
}

var _ Predictor = (*Pipeline)(nil)

func (r PredictRequest) validate() error {
	if !slices.Contains(singleHeads, r.Head) {
		return fmt.Errorf("%w: head: %q; allowed are %s", ErrInvalidRequest, r.Head, strings.Join(singleHeads, ", "))
	}
	if len(r.Texts) == 0 || len(r.Texts) > MaxPredictTexts {
		return fmt.Errorf("%w: texts: there are %d; allowed are 1 to %d", ErrInvalidRequest, len(r.Texts), MaxPredictTexts)
	}
	size := 0
	for i, text := range r.Texts {
		size += len(text)
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return fmt.Errorf("%w: texts[%d] is not UTF-8 or holds a NUL byte", ErrInvalidText, i)
		}
	}
	if size > MaxReadBytes {
		return fmt.Errorf("%w: texts: they have %d bytes; at most %d are allowed", ErrInvalidRequest, size, MaxReadBytes)
	}
	return nil
}

// Predict runs texts through a head that is about single texts (embedding,
// classification or tokens) of the bundle that reads, or of one that the
// section `models` of the configuration names. A bundle without such a head and
// a name that is not configured give ErrInvalidRequest; the other errors are
// those of [Pipeline.Read].
func (p *Pipeline) Predict(ctx context.Context, request PredictRequest) (*PredictResult, error) {
	begin := time.Now()
	if err := request.validate(); err != nil {
		return nil, err
	}
	m, release, err := p.leasePredictor(request.Model)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := p.withTimeout(ctx)
	defer cancel()
	head, err := m.heads.open(p.config.registry, m.bundle, request.Head, m.service.Info())
	if err != nil {
		if with := p.modelsWith(request.Head); with != "" && errors.Is(err, ErrInvalidRequest) {
			err = fmt.Errorf("%w; models that have one: %s", err, with)
		}
		return nil, err
	}
	result := &PredictResult{Head: request.Head, Predictions: make([]Prediction, len(request.Texts)), Model: m.ref, Warnings: append([]string{}, m.notes...)}
	encodings := make([]models.Encoding, len(request.Texts))
	for i, text := range request.Texts {
		if encodings[i], err = m.tokenizer.Single(m.tokenizer.Tokenize(text), m.service.Info().MaxLength); err != nil {
			return nil, err
		}
		result.Predictions[i].Truncated = encodings[i].Truncated
		result.Truncated = result.Truncated || encodings[i].Truncated
	}
	err = m.service.Each(ctx, encodings, func(i int, outputs models.Outputs) error {
		return result.Predictions[i].fill(head, outputs, encodings[i], request.Texts[i])
	})
	if errors.Is(err, models.ErrModelClosed) {
		err = ErrClosed
	}
	if err != nil {
		return nil, p.cause(ctx, err)
	}
	result.TimingsMS = map[string]float64{"total": milliseconds(time.Since(begin))}
	return result, nil
}

func (p *Prediction) fill(head models.Head, outputs models.Outputs, e models.Encoding, text string) (err error) {
	switch h := head.(type) {
	case models.EmbeddingHead:
		p.Embedding, err = h.Embed(outputs, e)
		if err == nil && slices.ContainsFunc(p.Embedding, func(v float32) bool { return v != v }) {
			err = errNoNumber
		}
		return err
	case models.LabelHead:
		logits, err := h.Classify(outputs, e)
		if err != nil {
			return err
		}
		probabilities, err := softmax(logits)
		if err != nil {
			return err
		}
		for i, label := range h.Labels() {
			p.Labels = append(p.Labels, LabelScore{label, probabilities[i]})
		}
		slices.SortStableFunc(p.Labels, func(a, b LabelScore) int { return -cmp.Compare(a.Probability, b.Probability) })
		return nil
	case models.TokenHead:
		return p.tag(h, outputs, e, text)
	}
	return fmt.Errorf("pipeline: the head registered as %q predicts nothing about single texts", head.Kind())
}

func (p *Prediction) tag(h models.TokenHead, outputs models.Outputs, e models.Encoding, text string) error {
	logits, err := h.Tag(outputs, e)
	if err != nil {
		return err
	}
	runes, labels := []rune(text), h.Labels()
	for t := e.First; t < e.Last; t++ {
		probabilities, err := softmax(logits.Data[t*len(labels) : (t+1)*len(labels)])
		if err != nil {
			return err
		}
		best := slices.Index(probabilities, slices.Max(probabilities))
		o := e.Offsets[t]
		p.Tokens = append(p.Tokens, TokenLabel{
			Start: int(o.Start), End: int(o.End), Text: string(runes[o.Start:o.End]), Label: labels[best], Probability: probabilities[best],
		})
	}
	return nil
}

var errNoNumber = errors.New("pipeline: the model gave values that are not numbers")

func softmax(logits []float32) ([]float64, error) {
	if len(logits) == 0 {
		return nil, errNoNumber
	}
	top, sum := float64(slices.Max(logits)), 0.0
	p := make([]float64, len(logits))
	for i, v := range logits {
		p[i] = math.Exp(float64(v) - top)
		sum += p[i]
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return nil, errNoNumber
	}
	for i := range p {
		p[i] /= sum
	}
	return p, nil
}

// openHeads are the heads of a model that were asked for.
type openHeads struct {
	mu   sync.Mutex
	kept map[string]models.Head
}

func (o *openHeads) open(registry *Registry, bundle *models.Bundle, kind string, info models.ModelInfo) (models.Head, error) {
	if _, ok := bundle.Head(kind); !ok {
		return nil, fmt.Errorf("%w: head: the bundle %q has no %s head; it has %s", ErrInvalidRequest, bundle.Manifest.Name, kind, strings.Join(headKinds(bundle), ", "))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if head, ok := o.kept[kind]; ok {
		return head, nil
	}
	head, err := registry.openHead(bundle, kind, info)
	if err != nil {
		return nil, err
	}
	o.kept = put(o.kept, kind, head)
	return head, nil
}
