package modelstest

import (
	"encoding/binary"
	"math"
)

// A graphBuilder writes ONNX files, so that tests can have graphs with every
// fault without any of them being stored. Numbers of fields are those of
// onnx.proto.
type graphBuilder struct{ body []byte }

func message(number int, body []byte) []byte {
	out := binary.AppendUvarint(nil, uint64(number)<<3|2)
	out = binary.AppendUvarint(out, uint64(len(body)))
	return append(out, body...)
}

func number(field int, value uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field)<<3), value)
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func (g *graphBuilder) node(operator, domain string, inputs, outputs []string, attributes ...[]byte) {
	var body []byte
	for _, name := range inputs {
		body = append(body, message(1, []byte(name))...)
	}
	for _, name := range outputs {
		body = append(body, message(2, []byte(name))...)
	}
	body = append(body, message(4, []byte(operator))...)
	for _, a := range attributes {
		body = append(body, message(5, a)...)
	}
	if domain != "" {
		body = append(body, message(7, []byte(domain))...)
	}
	g.body = append(g.body, message(1, body)...)
}

func integer(name string, value uint64) []byte {
	return join(message(1, []byte(name)), number(3, value), number(20, 2))
}

func (g *graphBuilder) floats(name string, shape []int, values []float32) {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	g.initializer(name, 1, shape, message(9, raw))
}

func (g *graphBuilder) integers(name string, values ...int64) {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	g.initializer(name, 7, []int{len(values)}, message(9, raw))
}

func (g *graphBuilder) initializer(name string, elementType uint64, shape []int, data []byte) {
	var body []byte
	for _, n := range shape {
		body = append(body, number(1, uint64(n))...)
	}
	body = join(body, number(2, elementType), message(8, []byte(name)), data)
	g.body = append(g.body, message(5, body)...)
}

// declare adds an input (11) or an output (12); negative dimensions vary.
func (g *graphBuilder) declare(field int, name string, elementType uint64, shape ...int) {
	var dims []byte
	for i, n := range shape {
		dim := number(1, uint64(n))
		if n < 0 {
			dim = message(2, []byte{"bt"[i%2]})
		}
		dims = append(dims, message(1, dim)...)
	}
	tensor := message(1, join(number(1, elementType), message(2, dims)))
	g.body = append(g.body, message(field, join(message(1, []byte(name)), message(2, tensor)))...)
}

func (g *graphBuilder) file() []byte {
	opset := func(domain string, version uint64) []byte {
		return message(8, join(message(1, []byte(domain)), number(2, version)))
	}
	graph := join(g.body, message(2, []byte("tiny")))
	return join(number(1, 8), message(7, graph), opset("", 17), opset("example.com", 1))
}

// The size of a [Graph] that names none.
const (
	GraphWords = 1000
	GraphWidth = 6
)

// A Graph describes a tiny ONNX file with real dependencies: a hidden state is
// the sum of the embeddings of token and segment and of the mean of the
// sequence under its mask. Its weights are those of [GraphValues], so that a
// test can compute what comes out. Several fields make files that must be
// refused.
type Graph struct {
	Words      int    // size of the vocabulary, GraphWords when 0
	Width      int    // hidden size, GraphWidth when 0
	MaskName   string // attention_mask when empty
	IDType     uint64 // of the ids, an ONNX element type; int64 when 0
	OutputType uint64 // of the hidden states; float32 when 0
	Fixed      int    // number of tokens, varying when 0
	Spans      bool   // also start_logits and end_logits
	Labels     int    // also logits [batch, labels], when not 0
	PerToken   bool   // logits are [batch, tokens, labels]
	Domain     string // of an extra node that no runtime knows
	External   bool   // weights in another file
}

// File returns the bytes of the ONNX file.
func (o Graph) File() []byte {
	width, words := o.Width, o.Words
	if width == 0 {
		width = GraphWidth
	}
	if words == 0 {
		words = GraphWords
	}
	tokens := -1
	if o.Fixed > 0 {
		tokens = o.Fixed
	}
	mask := "attention_mask"
	if o.MaskName != "" {
		mask = o.MaskName
	}
	idType, outputType := uint64(7), uint64(1)
	if o.IDType != 0 {
		idType = o.IDType
	}
	if o.OutputType != 0 {
		outputType = o.OutputType
	}
	g := &graphBuilder{}
	g.declare(11, "input_ids", idType, -1, tokens)
	g.declare(11, mask, 7, -1, tokens)
	g.declare(11, "token_type_ids", 7, -1, tokens)
	g.floats("words", []int{words, width}, GraphValues(words*width, 1))
	g.floats("segments", []int{2, width}, GraphValues(2*width, 2))
	if o.External {
		g.initializer("more", 1, []int{1}, join(message(13, join(message(1, []byte("location")), message(2, []byte("weights.bin")))), number(14, 1)))
	}
	g.integers("axis1", 1)
	g.integers("axis2", 2)
	g.node("Gather", "", []string{"words", "input_ids"}, []string{"word"})
	g.node("Gather", "", []string{"segments", "token_type_ids"}, []string{"segment"})
	g.node("Add", "", []string{"word", "segment"}, []string{"embedded"})
	g.node("Cast", "", []string{mask}, []string{"m"}, integer("to", 1))
	g.node("Unsqueeze", "", []string{"m", "axis2"}, []string{"m3"})
	g.node("Mul", "", []string{"embedded", "m3"}, []string{"masked"})
	g.node("ReduceSum", "", []string{"masked", "axis1"}, []string{"sum"})
	g.node("ReduceSum", "", []string{"m3", "axis1"}, []string{"count"})
	g.node("Div", "", []string{"sum", "count"}, []string{"mean"})
	last := "embedded"
	if o.Domain != "" {
		g.node("Strange", o.Domain, []string{last}, []string{"strange"})
		last = "strange"
	}
	if outputType == 1 {
		g.node("Add", "", []string{last, "mean"}, []string{"last_hidden_state"})
	} else {
		g.node("Add", "", []string{last, "mean"}, []string{"h"})
		g.node("Cast", "", []string{"h"}, []string{"last_hidden_state"}, integer("to", outputType))
	}
	g.declare(12, "last_hidden_state", outputType, -1, tokens, width)
	o.heads(g, width, tokens)
	return g.file()
}

// heads adds the outputs of a fused graph.
func (o Graph) heads(g *graphBuilder, width, tokens int) {
	if o.Spans {
		for i, name := range []string{"start_logits", "end_logits"} {
			g.floats(name+"_w", []int{width}, GraphValues(width, uint32(10+i)))
			g.node("Mul", "", []string{"last_hidden_state", name + "_w"}, []string{name + "_x"})
			g.node("ReduceSum", "", []string{name + "_x", "axis2"}, []string{name}, integer("keepdims", 0))
			g.declare(12, name, 1, -1, tokens)
		}
	}
	switch {
	case o.Labels == 0:
	case o.PerToken:
		g.floats("logits_w", []int{width, o.Labels}, GraphValues(width*o.Labels, 20))
		g.node("MatMul", "", []string{"last_hidden_state", "logits_w"}, []string{"logits"})
		g.declare(12, "logits", 1, -1, tokens, o.Labels)
	default:
		g.floats("logits_w", []int{width, o.Labels}, GraphValues(width*o.Labels, 20))
		g.integers("flat", 0, int64(width))
		g.node("Reshape", "", []string{"mean", "flat"}, []string{"mean2"})
		g.node("MatMul", "", []string{"mean2", "logits_w"}, []string{"logits"})
		g.declare(12, "logits", 1, -1, o.Labels)
	}
}

// GraphValues are the weights of a [Graph], between -1 and 1: with seed 1 those
// of the words, 2 the segments, 10 and 11 the span logits, 20 the labels.
func GraphValues(n int, seed uint32) []float32 {
	out := make([]float32, n)
	for i := range out {
		seed = seed*1664525 + 1013904223
		out[i] = float32(int32(seed)) / (1 << 31)
	}
	return out
}
