package weights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/needle-search/needle/models"
)

// A Linear is a layer with one output a row: weight [rows, width] and bias
// [rows].
type Linear struct {
	Rows, Width  int
	weight, bias []float32
}

// NewLinear takes the tensors prefix+"weight" and prefix+"bias" and checks
// their shapes. A negative rows lets every number of rows pass.
func NewLinear(tensors map[string]models.Tensor, prefix string, rows, width int) (*Linear, error) {
	weight, ok := tensors[prefix+"weight"]
	if !ok {
		return nil, fmt.Errorf("tensor %q is missing", prefix+"weight")
	}
	bias, ok := tensors[prefix+"bias"]
	if !ok {
		return nil, fmt.Errorf("tensor %q is missing", prefix+"bias")
	}
	if rows < 0 && len(weight.Shape) == 2 {
		rows = weight.Shape[0]
	}
	if want := []int{rows, width}; !slices.Equal(weight.Shape, want) {
		return nil, fmt.Errorf("tensor %q has shape %v, want %v", prefix+"weight", weight.Shape, want)
	}
	if !slices.Equal(bias.Shape, []int{rows}) {
		return nil, fmt.Errorf("tensor %q has shape %v, want [%d]", prefix+"bias", bias.Shape, rows)
	}
	return &Linear{Rows: rows, Width: width, weight: weight.Data, bias: bias.Data}, nil
}

// LoadFile reads a weight file of a bundle that holds only the named tensors;
// errors wrap models.ErrInvalidBundle and name the file.
func LoadFile(readFile func(name string) ([]byte, error), name string, allowed ...string) (map[string]models.Tensor, error) {
	data, err := readFile(name)
	if err != nil {
		return nil, err
	}
	tensors, err := Read(data)
	if err != nil {
		return nil, Invalid(name, err)
	}
	for tensor := range tensors {
		if !slices.Contains(allowed, tensor) {
			return nil, Invalid(name, fmt.Errorf("tensor %q is unknown; the head has %q", tensor, allowed))
		}
	}
	return tensors, nil
}

// LoadLinear reads a file that holds one layer as "weight" and "bias".
func LoadLinear(readFile func(name string) ([]byte, error), name string, rows, width int) (*Linear, error) {
	tensors, err := LoadFile(readFile, name, "weight", "bias")
	if err != nil {
		return nil, err
	}
	linear, err := NewLinear(tensors, "", rows, width)
	if err != nil {
		return nil, Invalid(name, err)
	}
	return linear, nil
}

// Invalid wraps an error about a file of a bundle in models.ErrInvalidBundle.
func Invalid(name string, err error) error {
	return fmt.Errorf("%w: %s: %w", models.ErrInvalidBundle, name, err)
}

// Apply returns one output for the first Width values of x.
func (l *Linear) Apply(row int, x []float32) float32 {
	return Dot(l.weight[row*l.Width:(row+1)*l.Width], x) + l.bias[row]
}

// ApplyAll returns all outputs.
func (l *Linear) ApplyAll(x []float32) []float32 {
	y := make([]float32, l.Rows)
	for i := range y {
		y[i] = l.Apply(i, x)
	}
	return y
}

// Dot returns the scalar product of a and the first len(a) values of b.
func Dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	// Four sums at a time, because each addition waits for the one before it;
	// eight values at a time, because one check of bounds then serves them all.
	for len(a) >= 8 && len(b) >= 8 {
		x, y := (*[8]float32)(a), (*[8]float32)(b)
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		s0 += x[4] * y[4]
		s1 += x[5] * y[5]
		s2 += x[6] * y[6]
		s3 += x[7] * y[7]
		a, b = a[8:], b[8:]
	}
	for i, v := range a {
		s0 += v * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// DecodeOptions decodes the options of a head over the defaults that are in
// options already; unknown keys are refused.
func DecodeOptions(spec models.HeadSpec, options any) error {
	if len(spec.Options) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(spec.Options))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(options)
	if err == nil {
		if _, end := decoder.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return fmt.Errorf("%w: options of the %s head: %w", models.ErrInvalidBundle, spec.Kind, err)
	}
	return nil
}
