package models

// The kinds of prediction heads.
const (
	HeadSpan           = "span"
	HeadRelevance      = "relevance"
	HeadEmbedding      = "embedding"
	HeadClassification = "classification"
	HeadTokens         = "tokens"
)

// A Head turns the outputs of a language model into a prediction. Each kind
// has an interface of its own that adds the prediction. A head is immutable and
// safe for concurrent use.
type Head interface {
	// Kind is the registered name, for example HeadSpan.
	Kind() string
	// Requires names the outputs of the language model that the head reads.
	Requires() []string
}

// SpanLogits are the unnormalised scores of an answer starting and ending at
// each token of an encoding, special tokens included.
type SpanLogits struct{ Start, End []float32 }

// A SpanHead predicts where an answer starts and ends.
type SpanHead interface {
	Head
	Spans(outputs Outputs, encoding Encoding) (SpanLogits, error)
}

// A RelevanceHead predicts whether a passage answers a question.
type RelevanceHead interface {
	Head
	// Relevance returns an unbounded logit; greater means more relevant.
	Relevance(outputs Outputs, encoding Encoding) (float32, error)
}

// An EmbeddingHead gives a text a place in a vector space.
type EmbeddingHead interface {
	Head
	// Embed returns a vector of length 1 (Euclidean norm).
	Embed(outputs Outputs, encoding Encoding) ([]float32, error)
	// Dimensions is the length of the vectors.
	Dimensions() int
}

// A LabelHead (classification) gives one logit a label for a whole text.
type LabelHead interface {
	Head
	Labels() []string
	Classify(outputs Outputs, encoding Encoding) ([]float32, error)
}

// A TokenHead (tokens) gives one logit a label for every token.
type TokenHead interface {
	Head
	Labels() []string
	// Tag returns logits [tokens, labels].
	Tag(outputs Outputs, encoding Encoding) (Tensor, error)
}
