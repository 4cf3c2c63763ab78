package models

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A graphOutput is an output that an ONNX file declares.
type graphOutput struct {
	name string
	// shape has -1 for dimensions that vary; nil when the graph says nothing.
	shape []int64
}

func outputNames(outputs []graphOutput) string {
	if len(outputs) == 0 {
		return "no output"
	}
	names := make([]string, len(outputs))
	for i, o := range outputs {
		names[i] = o.name
	}
	return strings.Join(names, ", ")
}

// readGraphOutputs reads what an ONNX file declares as outputs. It reads the
// stream to its end and keeps no weights, so that one pass serves the hash too;
// package onnx, which holds the file in memory anyway, checks the rest. The
// numbers of fields are those of onnx.proto.
func readGraphOutputs(data io.Reader, size int64) ([]graphOutput, error) {
	var outputs []graphOutput
	found := false
	file := &message{bufio.NewReaderSize(data, 1<<16), size}
	err := file.fields(func(number int, _ uint64, graph *message) error {
		if number != 7 || graph == nil {
			return nil
		}
		found = true
		return graph.fields(func(number int, _ uint64, value *message) error {
			if number != 12 || value == nil {
				return nil
			}
			o, err := readGraphOutput(value)
			outputs = append(outputs, o)
			return err
		})
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is no ONNX graph, or damaged: %w", err)
	case !found:
		return nil, errors.New("it is no ONNX graph: there is no graph in it")
	}
	return outputs, nil
}

const maxOutputName = 1 << 10

func readGraphOutput(info *message) (graphOutput, error) {
	var o graphOutput
	err := info.fields(func(number int, _ uint64, value *message) error {
		switch {
		case number == 1 && value != nil:
			if value.left > maxOutputName {
				return errors.New("the name of an output is too long")
			}
			name := make([]byte, value.left)
			_, err := io.ReadFull(value.data, name)
			value.left = 0
			o.name = string(name)
			return err
		case number == 2 && value != nil:
			return value.within([]int{1, 2}, func(shape *message) error {
				o.shape = []int64{}
				return shape.within([]int{1}, func(dimension *message) error {
					size := int64(-1)
					err := dimension.fields(func(number int, n uint64, value *message) error {
						if number == 1 && value == nil {
							size = int64(n)
						}
						return nil
					})
					if len(o.shape) == 8 {
						return errors.New("an output has more than 8 dimensions")
					}
					o.shape = append(o.shape, size)
					return err
				})
			})
		}
		return nil
	})
	return o, err
}

// A message is a protocol buffer message that is read from a stream.
type message struct {
	data *bufio.Reader
	left int64
}

// fields calls visit for every field: with a number, or with a message, of
// which visit may read as much as it likes.
func (m *message) fields(visit func(number int, value uint64, body *message) error) error {
	for m.left > 0 {
		tag, err := m.varint()
		if err != nil {
			return err
		}
		var value uint64
		var body *message
		switch tag & 7 {
		case 0:
			value, err = m.varint()
		case 1:
			err = m.skip(8)
		case 5:
			err = m.skip(4)
		case 2:
			if value, err = m.varint(); err == nil && value > uint64(max(m.left, 0)) {
				err = io.ErrUnexpectedEOF
			}
			if err == nil {
				body = &message{m.data, int64(value)}
				m.left -= body.left
			}
		default:
			err = fmt.Errorf("wire type %d", tag&7)
		}
		if err != nil {
			return err
		}
		if err := visit(int(tag>>3), value, body); err != nil {
			return err
		}
		if body != nil {
			if err := body.skip(body.left); err != nil {
				return err
			}
		}
	}
	return nil
}

// within calls visit for every message at a path of field numbers.
func (m *message) within(path []int, visit func(*message) error) error {
	return m.fields(func(number int, _ uint64, body *message) error {
		switch {
		case number != path[0] || body == nil:
			return nil
		case len(path) == 1:
			return visit(body)
		}
		return body.within(path[1:], visit)
	})
}

func (m *message) varint() (uint64, error) {
	n, err := binary.ReadUvarint((*counted)(m))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (m *message) skip(n int64) error {
	if n > m.left {
		return io.ErrUnexpectedEOF
	}
	m.left -= n
	for n > 0 {
		step := int(min(n, 1<<30)) // Discard takes an int
		if _, err := m.data.Discard(step); err != nil {
			return io.ErrUnexpectedEOF
		}
		n -= int64(step)
	}
	return nil
}

// counted reads single bytes of a message.
type counted message

func (c *counted) ReadByte() (byte, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	c.left--
	return c.data.ReadByte()
}
