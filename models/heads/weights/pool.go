package weights

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/needle-search/needle/models"
)

// Pooling is how one vector is made of the hidden states of a text.
type Pooling string

// The ways of pooling.
const (
	// PoolCLS takes the first token, as BERT does.
	PoolCLS Pooling = "cls"
	// PoolMean takes the mean of all tokens, special ones included, as
	// sentence-transformers does.
	PoolMean Pooling = "mean"
	// PoolGraph takes the vector that the graph pooled itself (pooler_output).
	PoolGraph Pooling = "pooled"
)

// Validate refuses other values.
func (p Pooling) Validate() error {
	all := []Pooling{PoolCLS, PoolMean, PoolGraph}
	if slices.Contains(all, p) {
		return nil
	}
	allowed := make([]string, len(all))
	for i, a := range all {
		allowed[i] = string(a)
	}
	return fmt.Errorf("pooling is %q; allowed are %s", p, strings.Join(allowed, ", "))
}

// Requires returns the name of the output that Pool reads.
func (p Pooling) Requires() string {
	if p == PoolGraph {
		return models.OutputPooled
	}
	return models.OutputHidden
}

// Pool returns a vector of the given width. The caller must not change it.
func (p Pooling) Pool(outputs models.Outputs, tokens, width int) ([]float32, error) {
	if p == PoolGraph {
		t, err := outputs.Get(models.OutputPooled, width)
		return t.Data, err
	}
	hidden, err := Hidden(outputs, tokens, width)
	if err != nil {
		return nil, err
	}
	if p == PoolCLS {
		return hidden[:width], nil
	}
	mean := make([]float32, width)
	for i := range tokens {
		for j, v := range hidden[i*width : (i+1)*width] {
			mean[j] += v
		}
	}
	for j := range mean {
		mean[j] /= float32(tokens)
	}
	return mean, nil
}

// Hidden returns the hidden states [tokens, width], which must have at least
// one token.
func Hidden(outputs models.Outputs, tokens, width int) ([]float32, error) {
	t, err := outputs.Get(models.OutputHidden, tokens)
	if err != nil {
		return nil, err
	}
	if _, w := t.Rows(); w != width || len(t.Data) != tokens*width || tokens == 0 {
		return nil, fmt.Errorf("output %q has shape %v, want [%d, %d]", models.OutputHidden, t.Shape, tokens, width)
	}
	return t.Data, nil
}

// Normalize returns x divided by its Euclidean norm; a vector of zeros stays.
func Normalize(x []float32) []float32 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	y := make([]float32, len(x))
	if sum == 0 {
		return y
	}
	scale := 1 / math.Sqrt(sum)
	for i, v := range x {
		y[i] = float32(float64(v) * scale)
	}
	return y
}
