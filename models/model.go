package models

import (
	"context"
	"errors"
	"fmt"
)

// A Tensor is a dense array of float32 in row-major order, without a batch
// dimension. The holder of the value owns Data.
type Tensor struct {
	Shape []int
	Data  []float32
}

// Rows returns the first dimension and the product of the others.
func (t Tensor) Rows() (rows, width int) {
	if len(t.Shape) == 0 {
		return 1, len(t.Data)
	}
	width = 1
	for _, n := range t.Shape[1:] {
		width *= n
	}
	return t.Shape[0], width
}

// The names under which language models give their outputs. A fused graph has
// logits, a split one has hidden states.
const (
	OutputHidden      = "last_hidden_state" // [tokens, width]
	OutputPooled      = "pooler_output"     // [width]
	OutputStartLogits = "start_logits"      // [tokens]
	OutputEndLogits   = "end_logits"        // [tokens]
	OutputLogits      = "logits"            // [labels] or [tokens, labels]
)

// Outputs are the tensors that a language model computed for one encoding, by
// name.
type Outputs map[string]Tensor

// ErrMissingOutput says that a head looked for a tensor that the language
// model does not give.
var ErrMissingOutput = errors.New("the language model has no such output")

// Get returns the named tensor after checking that its first dimension is rows.
// A negative rows lets every length pass.
func (o Outputs) Get(name string, rows int) (Tensor, error) {
	t, ok := o[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%w: %q", ErrMissingOutput, name)
	}
	if rows >= 0 && (len(t.Shape) == 0 || t.Shape[0] != rows) {
		return Tensor{}, fmt.Errorf("output %q has shape %v, want %d rows", name, t.Shape, rows)
	}
	return t, nil
}

// ModelInfo describes an open language model.
type ModelInfo struct {
	Name      string `json:"name"`      // of the bundle
	Hash      string `json:"hash"`      // of the bundle's content
	Precision string `json:"precision"` // fp32, fp16 or int8
	Device    string `json:"device"`    // cpu, cuda:0
	Width     int    `json:"width"`     // hidden size, 0 when the graph is fused
	MaxLength int    `json:"max_length"`
	// Runtime names the library that runs the graph, with its version.
	Runtime string `json:"runtime"`
	// OutputNames are the tensors of every [Outputs].
	OutputNames []string `json:"outputs"`
}

// A LanguageModel turns encodings into outputs. It is safe for concurrent use.
type LanguageModel interface {
	// Run computes the outputs of every encoding, in order. The result of an
	// encoding does not depend on what else is in the batch beyond rounding.
	// On cancellation Run returns the context's error after the native call
	// has ended, never before.
	Run(ctx context.Context, batch []Encoding) ([]Outputs, error)
	Info() ModelInfo
	// Close waits for running calls and frees the model; closing twice is
	// allowed. Later calls of Run return ErrModelClosed.
	Close() error
}

// An Inferencer runs encodings on a language model that it shares fairly among
// all callers in the process. It is what readers and rankers are given.
type Inferencer interface {
	// Run is like [LanguageModel.Run]. It fails with ErrOverloaded when the
	// queue is full.
	Run(ctx context.Context, batch []Encoding) ([]Outputs, error)
	Info() ModelInfo
}

// Errors of models, for errors.Is.
var (
	// ErrModelClosed says that the language model was closed.
	ErrModelClosed = errors.New("model is closed")
	// ErrOverloaded says that the queue in front of the model is full.
	ErrOverloaded = errors.New("too many requests are waiting for the model")
	// ErrRuntimeMissing says that the ONNX Runtime library was not found; the
	// message says what to run.
	ErrRuntimeMissing = errors.New("ONNX Runtime was not found")
	// ErrInvalidBundle says that a bundle is incomplete, damaged or does not
	// fit together; the message names the file and what was expected.
	ErrInvalidBundle = errors.New("invalid model bundle")
)
