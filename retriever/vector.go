package retriever

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// ErrInvalidVector says that a vector is empty, all zeros, or has another number
// of dimensions than those that the index keeps for the model.
var ErrInvalidVector = errors.New("invalid vector")

// A VectorStore is an index that keeps a vector beside each passage: an ability
// that not every index has. Vectors are bytes in 384 or so dimensions, see
// [Quantize]. They belong to a model, named by its hash, and to what a passage
// said when they were put: the vector of a passage that has changed since is
// never returned. What is lost of them can be made again, so a store may drop
// vectors, but never give wrong ones. It is safe for concurrent use.
type VectorStore interface {
	// MissingVectors returns up to limit passages without a vector of the
	// model, and none when the index is complete. Scores are zero. Call it
	// again after PutVectors.
	MissingVectors(ctx context.Context, model string, limit int) ([]Hit, error)
	// PutVectors stores the vectors of passages that MissingVectors returned,
	// in the same order. Passages that changed or vanished meanwhile are
	// passed over without an error. When it returns nil, the others are on
	// disk. Errors wrap [ErrInvalidVector] where a vector is at fault.
	PutVectors(ctx context.Context, model string, passages []Hit, vectors [][]int8) error
	// Vectors returns the vectors of hits of this index in the same order, nil
	// for those without. The caller must not change them.
	Vectors(ctx context.Context, model string, hits []Hit) ([][]int8, error)
	// VectorCoverage counts the passages and those with a vector of the model.
	// It is exact when it says that the index is complete, and else good
	// enough to show progress.
	VectorCoverage(ctx context.Context, model string) (VectorCoverage, error)
	// DropVectors removes the vectors of all models but one; an empty name
	// keeps none. It returns whether there were any.
	DropVectors(ctx context.Context, keep string) (bool, error)
}

// VectorCoverage says how far the vectors of an index are.
type VectorCoverage struct {
	Passages uint64 `json:"passages"`
	Vectors  uint64 `json:"vectors"`
}

// Complete reports whether every passage has a vector. An index without
// passages is complete.
func (c VectorCoverage) Complete() bool { return c.Vectors >= c.Passages }

// Fraction is the part of the passages that have a vector, from 0 to 1; it is 1
// only if the coverage is complete.
func (c VectorCoverage) Fraction() float64 {
	if c.Complete() {
		return 1
	}
	return math.Min(float64(c.Vectors)/float64(c.Passages), 0.9999)
}

// Quantize rounds a vector to bytes so that its greatest value becomes 127 or
// -127: 256 values of each dimension are enough to compare directions. A vector
// of zeros stays one.
func Quantize(vector []float32) []int8 {
	greatest := 0.0
	for _, v := range vector {
		greatest = max(greatest, math.Abs(float64(v)))
	}
	out := make([]int8, len(vector))
	if greatest == 0 || math.IsNaN(greatest) || math.IsInf(greatest, 0) {
		return out
	}
	for i, v := range vector {
		out[i] = int8(math.Round(float64(v) / greatest * 127))
	}
	return out
}

// Cosine returns the cosine of the angle between two vectors of the same
// number of dimensions, from -1 to 1, and 0 if one is all zeros.
func Cosine(a, b []int8) float64 {
	var dot, aa, bb int32
	b = b[:len(a)]
	for i, v := range a {
		x, y := int32(v), int32(b[i])
		dot += x * y
		aa += x * x
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return float64(dot) / math.Sqrt(float64(aa)*float64(bb))
}

// MaxDimensions is how many dimensions a vector has at most; sums of products
// of bytes stay within 32 bits.
const MaxDimensions = 4096

// CheckVector reports why a vector cannot be stored beside others with the given
// number of dimensions; 0 stands for any. The error wraps [ErrInvalidVector].
func CheckVector(vector []int8, dimensions int) error {
	switch {
	case len(vector) == 0 || len(vector) > MaxDimensions:
		return fmt.Errorf("%w: it has %d dimensions; allowed are 1 to %d", ErrInvalidVector, len(vector), MaxDimensions)
	case dimensions > 0 && len(vector) != dimensions:
		return fmt.Errorf("%w: it has %d dimensions, those of the model have %d", ErrInvalidVector, len(vector), dimensions)
	}
	for _, v := range vector {
		if v != 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: all its values are 0", ErrInvalidVector)
}
