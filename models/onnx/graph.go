package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Graph is what an ONNX file says about itself. It is read without ONNX
// Runtime, which would need to open a second session for it.
type Graph struct {
	Inputs, Outputs []GraphTensor
	// Operators counts the nodes by operator; those outside the standard set
	// have their domain in front, as in "com.microsoft.MatMulNBits".
	Operators map[string]int
	// External names a file that holds weights beside the graph, empty when
	// all are inside.
	External string
}

// A GraphTensor is an input or an output of a graph.
type GraphTensor struct {
	Name string
	Type ElementType
	// Shape has -1 for every dimension that varies. It is nil when the graph
	// says nothing.
	Shape []int64
}

// An ElementType is the type of a tensor's elements, numbered as in ONNX.
type ElementType int32

// The element types that messages name; there are more.
const (
	Float32 ElementType = 1
	Int8    ElementType = 3
	Int32   ElementType = 6
	Int64   ElementType = 7
	Float16 ElementType = 10
)

func (t ElementType) String() string {
	switch t {
	case Float32:
		return "float32"
	case Int8:
		return "int8"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case Float16:
		return "float16"
	}
	return fmt.Sprintf("ONNX type %d", int32(t))
}

// Input returns the named input.
func (g Graph) Input(name string) (GraphTensor, bool) { return find(g.Inputs, name) }

// Output returns the named output.
func (g Graph) Output(name string) (GraphTensor, bool) { return find(g.Outputs, name) }

// ownDomains are the sets of operators that ONNX Runtime brings.
var ownDomains = []string{"ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}

// foreign explains why a graph was refused that uses operators which need a
// library beside ONNX Runtime; nil if it uses none. It is asked after a refusal
// only, because a file may define such operators itself.
func (g Graph) foreign() error {
	var foreign []string
	for operator := range g.Operators {
		i := strings.LastIndexByte(operator, '.')
		if i >= 0 && !slices.Contains(ownDomains, operator[:i]) {
			foreign = append(foreign, operator)
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	slices.Sort(foreign)
	return fmt.Errorf("the graph uses custom operators (%s); export it with the operators of ai.onnx, ai.onnx.ml and com.microsoft only", strings.Join(foreign, ", "))
}

func find(list []GraphTensor, name string) (GraphTensor, bool) {
	i := slices.IndexFunc(list, func(t GraphTensor) bool { return t.Name == name })
	if i < 0 {
		return GraphTensor{}, false
	}
	return list[i], true
}

func names(list []GraphTensor) string {
	all := make([]string, len(list))
	for i, t := range list {
		all[i] = t.Name
	}
	return strings.Join(all, ", ")
}

// ReadGraph reads the declarations of an ONNX file (the protocol buffer
// ModelProto) and skips its weights.
func ReadGraph(data []byte) (Graph, error) {
	g := Graph{Operators: map[string]int{}}
	found := false
	err := fields(data, func(number int, value field) error {
		if number != 7 { // ModelProto.graph
			return nil
		}
		found = true
		return g.read(value.bytes)
	})
	if err == nil && !found {
		err = errors.New("there is no graph in it")
	}
	if err != nil {
		return Graph{}, fmt.Errorf("onnx: read graph: %w", err)
	}
	return g, nil
}

// The numbers below are those of GraphProto and its parts in onnx.proto.
func (g *Graph) read(data []byte) error {
	initializers := map[string]bool{}
	err := fields(data, func(number int, value field) error {
		switch number {
		case 1:
			return g.readNode(value.bytes)
		case 5:
			name, external, err := readInitializer(value.bytes)
			initializers[name] = true
			if external != "" {
				g.External = external
			}
			return err
		case 11:
			t, err := readTensor(value.bytes)
			g.Inputs = append(g.Inputs, t)
			return err
		case 12:
			t, err := readTensor(value.bytes)
			g.Outputs = append(g.Outputs, t)
			return err
		}
		return nil
	})
	// Old files list their weights among the inputs.
	g.Inputs = slices.DeleteFunc(g.Inputs, func(t GraphTensor) bool { return initializers[t.Name] })
	return err
}

func (g *Graph) readNode(data []byte) error {
	var operator, domain string
	err := fields(data, func(number int, value field) error {
		switch number {
		case 4:
			operator = string(value.bytes)
		case 7:
			domain = string(value.bytes)
		}
		return nil
	})
	if domain != "" && domain != "ai.onnx" {
		operator = domain + "." + operator
	}
	g.Operators[operator]++
	return err
}

func readInitializer(data []byte) (name, external string, err error) {
	err = fields(data, func(number int, value field) error {
		switch number {
		case 8:
			name = string(value.bytes)
		case 13: // an entry of external_data
			key, text := "", ""
			err := fields(value.bytes, func(number int, value field) error {
				switch number {
				case 1:
					key = string(value.bytes)
				case 2:
					text = string(value.bytes)
				}
				return nil
			})
			if key == "location" {
				external = text
			}
			return err
		}
		return nil
	})
	return name, external, err
}

// readTensor reads a ValueInfoProto.
func readTensor(data []byte) (GraphTensor, error) {
	var t GraphTensor
	err := fields(data, func(number int, value field) error {
		switch number {
		case 1:
			t.Name = string(value.bytes)
		case 2:
			return fields(value.bytes, func(number int, value field) error {
				if number != 1 { // TypeProto.tensor_type
					return nil
				}
				return t.readType(value.bytes)
			})
		}
		return nil
	})
	return t, err
}

func (t *GraphTensor) readType(data []byte) error {
	return fields(data, func(number int, value field) error {
		switch number {
		case 1:
			t.Type = ElementType(value.number)
		case 2:
			t.Shape = []int64{}
			return fields(value.bytes, func(number int, value field) error {
				if number != 1 { // TensorShapeProto.dim
					return nil
				}
				size := int64(-1)
				err := fields(value.bytes, func(number int, value field) error {
					if number == 1 && value.bytes == nil {
						size = int64(value.number)
					}
					return nil
				})
				t.Shape = append(t.Shape, size)
				return err
			})
		}
		return nil
	})
}
