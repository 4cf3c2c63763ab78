package onnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/internal/ort"
)

// Run computes the outputs of every encoding.
func (m *model) Run(ctx context.Context, batch []models.Encoding) ([]models.Outputs, error) {
	for i, e := range batch {
		if err := m.check(e); err != nil {
			return nil, fmt.Errorf("onnx: run: encoding %d: %w", i, err)
		}
	}
	results := make([]models.Outputs, len(batch))
	for _, group := range m.groups(batch) {
		if err := m.runGroup(ctx, batch, group, results); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("onnx: run: %w", err)
		}
	}
	return results, nil
}

func (m *model) check(e models.Encoding) error {
	switch {
	case e.Len() == 0:
		return errors.New("it is empty")
	case e.Len() > m.info.MaxLength:
		return fmt.Errorf("it has %d tokens; the model takes at most %d", e.Len(), m.info.MaxLength)
	case slices.Contains(m.inputs, inputSegments) && len(e.TypeIDs) != e.Len():
		return fmt.Errorf("it has %d tokens and %d type ids", e.Len(), len(e.TypeIDs))
	}
	return nil
}

// groups divides a batch into native calls: lists of indices.
func (m *model) groups(batch []models.Encoding) [][]int {
	order := make([]int, len(batch))
	for i := range order {
		order[i] = i
	}
	if m.batchTokens > 0 {
		// Neighbours of similar length need little padding.
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(batch[b].Len(), batch[a].Len()) })
	}
	var groups [][]int
	for len(order) > 0 {
		// The first is the longest, and all are padded to it.
		n := min(max(m.batchTokens/batch[order[0]].Len(), 1), len(order))
		groups = append(groups, order[:n])
		order = order[n:]
	}
	return groups
}

func (m *model) runGroup(ctx context.Context, batch []models.Encoding, group []int, results []models.Outputs) error {
	length := 0
	for _, i := range group {
		length = max(length, batch[i].Len())
	}
	size := len(group) * length
	buffer := m.buffer(size * len(m.inputs))
	defer m.buffers.Put(buffer)
	inputs := make([][]int64, len(m.inputs))
	for k, name := range m.inputs {
		inputs[k] = (*buffer)[k*size : (k+1)*size]
		for row, i := range group {
			fill(inputs[k][row*length:(row+1)*length], name, batch[i])
		}
	}
	outputs, err := m.session.Run(ctx, []int64{int64(len(group)), int64(length)}, inputs)
	if err != nil {
		return err
	}
	for row, i := range group {
		results[i] = make(models.Outputs, len(outputs))
		for k, o := range outputs {
			t, err := slice(o, row, len(group), length, batch[i].Len(), m.outputs[k].perToken)
			if err != nil {
				return fmt.Errorf("output %q: %w", m.outputs[k].name, err)
			}
			results[i][m.outputs[k].name] = t
		}
	}
	return nil
}

// buffer returns at least size numbers of any value.
func (m *model) buffer(size int) *[]int64 {
	if b, ok := m.buffers.Get().(*[]int64); ok && cap(*b) >= size {
		*b = (*b)[:size]
		return b
	}
	// All lengths up to the greatest share one size, else every longer
	// encoding would throw a buffer away.
	b := make([]int64, size, max(size, m.info.MaxLength*len(m.inputs)))
	return &b
}

// fill writes one row of an input. Padding is 0 in all of them; which id it has
// makes no difference under the mask.
func fill(row []int64, input string, e models.Encoding) {
	n := e.Len()
	switch input {
	case inputIDs:
		for i, id := range e.IDs {
			row[i] = int64(id)
		}
	case inputMask:
		for i := range n {
			row[i] = 1
		}
	case inputSegments:
		for i, id := range e.TypeIDs {
			row[i] = int64(id)
		}
	}
	clear(row[n:])
}

// slice returns one row of a batch without padding.
func slice(o ort.Output, row, batch, padded, tokens int, perToken bool) (models.Tensor, error) {
	if len(o.Shape) == 0 || o.Shape[0] != int64(batch) || perToken && (len(o.Shape) < 2 || o.Shape[1] != int64(padded)) {
		return models.Tensor{}, fmt.Errorf("it has shape %v for a batch of %d with %d tokens", o.Shape, batch, padded)
	}
	t := models.Tensor{Shape: make([]int, 0, len(o.Shape)-1)}
	stride := 1
	for _, n := range o.Shape[1:] {
		t.Shape = append(t.Shape, int(n))
		stride *= int(n)
	}
	size := stride
	if perToken {
		t.Shape[0] = tokens
		size = stride / padded * tokens
	}
	data := o.Data[row*stride : row*stride+size : row*stride+size]
	if batch > 1 {
		// A part of the whole would keep the whole alive.
		data = slices.Clone(data)
	}
	t.Data = data
	return t, nil
}
