package ranker

import (
	"context"
	"errors"
	"fmt"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/retriever"
)

// An Embedder turns questions and passages into vectors of one space.
type Embedder struct {
	tokenizer models.Tokenizer
	model     models.Inferencer
	head      models.EmbeddingHead
	maxLength int
}

// NewEmbedder returns an embedder.
func NewEmbedder(tokenizer models.Tokenizer, model models.Inferencer, head models.EmbeddingHead) *Embedder {
	return &Embedder{tokenizer: tokenizer, model: model, head: head, maxLength: model.Info().MaxLength}
}

// Model is the hash under which vectors of this embedder are stored.
func (e *Embedder) Model() string { return e.model.Info().Hash }

// Question returns the vector of a question or query. One that is too long for
// the model is cut.
func (e *Embedder) Question(ctx context.Context, text string) ([]int8, error) {
	vectors, err := e.embed(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

// Passages returns the vectors of passages, in order. A passage is embedded with
// its title, as it is searched; one that is too long is cut.
func (e *Embedder) Passages(ctx context.Context, passages []retriever.Hit) ([][]int8, error) {
	texts := make([]string, len(passages))
	for i, p := range passages {
		texts[i] = p.Text
		if p.Title != "" {
			texts[i] = p.Title + "\n" + p.Text
		}
	}
	return e.embed(ctx, texts)
}

// errVector says that the model gave something that is no direction.
var errVector = errors.New("the embedding head gave a vector of zeros or of values that are not numbers")

func (e *Embedder) embed(ctx context.Context, texts []string) ([][]int8, error) {
	encodings := make([]models.Encoding, len(texts))
	for i, text := range texts {
		var err error
		if encodings[i], err = e.tokenizer.Single(e.tokenizer.Tokenize(text), e.maxLength); err != nil {
			return nil, fmt.Errorf("ranker: %w", err)
		}
	}
	outputs, err := e.model.Run(ctx, encodings)
	if err != nil {
		return nil, fmt.Errorf("ranker: %w", err)
	}
	if len(outputs) != len(encodings) {
		return nil, errors.New("ranker: the model lost encodings")
	}
	vectors := make([][]int8, len(texts))
	for i := range outputs {
		v, err := e.head.Embed(outputs[i], encodings[i])
		if err != nil {
			return nil, fmt.Errorf("ranker: %w", err)
		}
		if vectors[i] = retriever.Quantize(v); retriever.CheckVector(vectors[i], 0) != nil {
			return nil, fmt.Errorf("ranker: %w", errVector)
		}
	}
	return vectors, nil
}
