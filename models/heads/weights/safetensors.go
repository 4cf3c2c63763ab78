// Package weights reads the small weight files of split prediction heads
// (safetensors) and multiplies hidden states by them.
//
//	linear, err := weights.LoadLinear(readFile, "span.safetensors", 2, width)
//	start := linear.Apply(0, hidden[:width])
//
// Sums are made in a fixed order, so that equal input gives equal output. All
// values are read-only once made and safe for concurrent use.
package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/needle-search/needle/models"
)

// Limits of a weight file; heads are far smaller.
const (
	MaxHeaderBytes = 1 << 20
	MaxTensors     = 1024
	maxDimensions  = 8
)

type entry struct {
	name    string
	Type    string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets []uint64 `json:"data_offsets"`
}

// Read reads a safetensors file whose tensors are all float32. It is strict:
// tensors must fill the file without gap or overlap, names must differ, and
// values must be finite.
func Read(data []byte) (map[string]models.Tensor, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("weights: the file has %d bytes; a safetensors file has at least 8", len(data))
	}
	size := binary.LittleEndian.Uint64(data)
	if size > MaxHeaderBytes || size > uint64(len(data)-8) {
		return nil, fmt.Errorf("weights: the header says it has %d bytes; the file has %d and %d are allowed", size, len(data), MaxHeaderBytes)
	}
	header, body := data[8:8+size], data[8+size:]
	entries, err := readHeader(header)
	if err != nil {
		return nil, fmt.Errorf("weights: header: %w", err)
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return slices.Compare(a.Offsets, b.Offsets)
	})
	tensors := make(map[string]models.Tensor, len(entries))
	next := uint64(0)
	for _, e := range entries {
		count, err := e.count(len(body))
		if err != nil {
			return nil, fmt.Errorf("weights: tensor %q: %w", e.name, err)
		}
		if e.Offsets[0] != next || e.Offsets[1] != next+4*uint64(count) || e.Offsets[1] > uint64(len(body)) {
			return nil, fmt.Errorf("weights: tensor %q: bytes %v do not follow the tensor before, fit shape %v and lie within %d bytes", e.name, e.Offsets, e.Shape, len(body))
		}
		t := models.Tensor{Shape: e.Shape, Data: make([]float32, count)}
		for i := range t.Data {
			v := math.Float32frombits(binary.LittleEndian.Uint32(body[next+4*uint64(i):]))
			if v != v || math.IsInf(float64(v), 0) {
				return nil, fmt.Errorf("weights: tensor %q: value %d is %v", e.name, i, v)
			}
			t.Data[i] = v
		}
		tensors[e.name] = t
		next = e.Offsets[1]
	}
	if next != uint64(len(body)) {
		return nil, fmt.Errorf("weights: %d bytes belong to no tensor", uint64(len(body))-next)
	}
	return tensors, nil
}

// count returns the number of elements, which fit into limit bytes.
func (e entry) count(limit int) (int, error) {
	if e.Type != "F32" {
		return 0, fmt.Errorf("the type is %q; only F32 is read", e.Type)
	}
	if len(e.Offsets) != 2 {
		return 0, errors.New("data_offsets must be two numbers")
	}
	if len(e.Shape) > maxDimensions {
		return 0, fmt.Errorf("it has %d dimensions; at most %d are read", len(e.Shape), maxDimensions)
	}
	count := 1
	for _, n := range e.Shape {
		if n < 0 || n > limit/4 || count > limit/4 {
			return 0, fmt.Errorf("shape %v does not fit into the file", e.Shape)
		}
		count *= n
	}
	if count > limit/4 {
		return 0, fmt.Errorf("shape %v does not fit into the file", e.Shape)
	}
	return count, nil
}

// readHeader reads the header object by tokens, because a map would swallow
// names that occur twice.
func readHeader(header []byte) ([]entry, error) {
	decoder := json.NewDecoder(bytes.NewReader(header))
	decoder.DisallowUnknownFields()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	var entries []entry
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok || seen[name] {
			return nil, fmt.Errorf("name %v occurs twice", token)
		}
		seen[name] = true
		if len(seen) > MaxTensors {
			return nil, fmt.Errorf("it has more than %d tensors", MaxTensors)
		}
		if name == "__metadata__" {
			var metadata map[string]string
			if err := decoder.Decode(&metadata); err != nil {
				return nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		e := entry{name: name}
		if err := decoder.Decode(&e); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		entries = append(entries, e)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("it does not end: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return entries, nil
}
