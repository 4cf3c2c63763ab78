package weights_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/weights"
)

// file joins a header and float32 values to a safetensors file.
func file(header string, values ...float32) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	out = append(out, header...)
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func TestRead(t *testing.T) {
	tensors, err := weights.Read(file(`{"__metadata__":{"format":"pt"},
		"weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},
		"bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  `, 1, 2, 3, 4, 5, 6, 7, 8))
	if err != nil {
		t.Fatal(err)
	}
	if got := tensors["bias"].Data; !slices.Equal(got, []float32{1, 2}) {
		t.Errorf("bias: got %v, want [1 2]", got)
	}
	if got := tensors["weight"]; !slices.Equal(got.Data, []float32{3, 4, 5, 6, 7, 8}) || !slices.Equal(got.Shape, []int{2, 3}) {
		t.Errorf("weight: got %v, want [3 4 5 6 7 8] in shape [2 3]", got)
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "the file has 0 bytes"},
		{"header longer than the file", []byte("\xff\x00\x00\x00\x00\x00\x00\x00{}"), "the header says it has 255 bytes"},
		{"huge header", []byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"), "the header says"},
		{"no object", file(`[]`), "it is no JSON object"},
		{"cut off header", file(`{"a":`), "tensor \"a\""},
		{"something after the header", file(`{} {}`), "something follows the object"},
		{"unknown key", file(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}}`, 1), "unknown field"},
		{"twice", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 1, 2), "name a occurs twice"},
		{"type", file(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`, 1), `the type is "F16"; only F32 is read`},
		{"null", file(`{"a":null}`), `the type is ""`},
		{"negative dimension", file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 1), "does not fit into the file"},
		{"dimensions that overflow", file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}`, 1), "does not fit into the file"},
		{"many dimensions", file(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 1), "it has 9 dimensions"},
		{"one offset", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, 1), "data_offsets must be two numbers"},
		{"beyond the end", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 1), `tensor "b"`},
		{"overlap", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 1), `tensor "b"`},
		{"gap", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 1, 2), `tensor "a"`},
		{"left over", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 1, 2), "4 bytes belong to no tensor"},
		{"not a number", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, float32(math.NaN())), "value 0 is NaN"},
		{"infinite", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, float32(math.Inf(1))), "value 0 is +Inf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := weights.Read(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file(`{"weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"bias":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}`, 1, 2))
	f.Add(file(`{"__metadata__":{"a":"b"}}`))
	f.Add(file(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, err := weights.Read(data)
		if err != nil {
			return
		}
		total := 0
		for name, tensor := range tensors {
			count := 1
			for _, n := range tensor.Shape {
				count *= n
			}
			if count != len(tensor.Data) {
				t.Errorf("tensor %q has shape %v and %d values", name, tensor.Shape, len(tensor.Data))
			}
			total += len(tensor.Data)
		}
		if size := int(binary.LittleEndian.Uint64(data)); 8+size+4*total != len(data) {
			t.Errorf("%d values and a header of %d bytes in %d bytes", total, size, len(data))
		}
	})
}

func TestLinearRefuses(t *testing.T) {
	good := file(`{"weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"bias":{"dtype":"F32","shape":[2],"data_offsets":[24,32]}}`, 1, 2, 3, 4, 5, 6, 7, 8)
	tests := []struct {
		name        string
		data        []byte
		rows, width int
		want        string
	}{
		{"rows", good, 3, 3, `head.safetensors: tensor "weight" has shape [2 3], want [3 3]`},
		{"width", good, 2, 384, `head.safetensors: tensor "weight" has shape [2 3], want [2 384]`},
		{"bias", file(`{"weight":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]},"bias":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}`, 1, 2, 3, 4, 5), 1, 3, `tensor "bias" has shape [2], want [1]`},
		{"no bias", file(`{"weight":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]}}`, 1, 2, 3), 1, 3, `tensor "bias" is missing`},
		{"another tensor", file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 1), 1, 3, `tensor "w" is unknown`},
		{"damaged", good[:40], 2, 3, "head.safetensors: weights: the header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			read := func(name string) ([]byte, error) { return tt.data, nil }
			_, err := weights.LoadLinear(read, "head.safetensors", tt.rows, tt.width)
			if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want ErrInvalidBundle with %s", err, tt.want)
			}
		})
	}
}

func TestDotEqualsTheSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float32Range(-4, 4)
		a := rapid.SliceOfN(value, 0, 50).Draw(t, "a")
		b := rapid.SliceOfN(value, len(a), len(a)+3).Draw(t, "b")
		want, scale := 0.0, 1.0
		for i := range a {
			want += float64(a[i]) * float64(b[i])
			scale += math.Abs(float64(a[i]) * float64(b[i]))
		}
		if got := float64(weights.Dot(a, b)); math.Abs(got-want) > 1e-6*scale {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestPool(t *testing.T) {
	outputs := models.Outputs{
		models.OutputHidden: {Shape: []int{2, 3}, Data: []float32{1, 2, 3, 5, 6, 7}},
		models.OutputPooled: {Shape: []int{3}, Data: []float32{8, 9, 10}},
	}
	tests := []struct {
		pooling weights.Pooling
		want    []float32
	}{
		{weights.PoolCLS, []float32{1, 2, 3}},
		{weights.PoolMean, []float32{3, 4, 5}},
		{weights.PoolGraph, []float32{8, 9, 10}},
	}
	for _, tt := range tests {
		t.Run(string(tt.pooling), func(t *testing.T) {
			got, err := tt.pooling.Pool(outputs, 2, 3)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v and error %v, want %v", got, err, tt.want)
			}
			if _, err := tt.pooling.Pool(outputs, 2, 4); err == nil {
				t.Error("another width: got no error")
			}
			if _, err := tt.pooling.Pool(models.Outputs{}, 2, 3); !errors.Is(err, models.ErrMissingOutput) {
				t.Errorf("without the output: got error %v, want ErrMissingOutput", err)
			}
		})
	}
}

func TestNormalize(t *testing.T) {
	for _, tt := range []struct{ in, want []float32 }{
		{[]float32{3, 4}, []float32{0.6, 0.8}},
		{[]float32{0, 0}, []float32{0, 0}},
		{[]float32{1e30, 0}, []float32{1, 0}},
	} {
		if got := weights.Normalize(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("Normalize(%v): got %v, want %v", tt.in, got, tt.want)
		}
	}
}

func BenchmarkDot(b *testing.B) {
	for _, n := range []int{384, 768} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x, y := make([]float32, n), make([]float32, n)
			b.ReportAllocs()
			for b.Loop() {
				weights.Dot(x, y)
			}
		})
	}
}

func TestWriteIsRead(t *testing.T) {
	tensors := map[string]models.Tensor{
		"weight": {Shape: []int{2, 3}, Data: []float32{1, -2, 3.5, 4, 5, 6}},
		"bias":   {Shape: []int{2}, Data: []float32{0.25, -1}},
	}
	data, err := weights.Write(tensors)
	if err != nil {
		t.Fatal(err)
	}
	got, err := weights.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range tensors {
		if g := got[name]; !slices.Equal(g.Data, want.Data) || !slices.Equal(g.Shape, want.Shape) {
			t.Errorf("%s: got %v, want %v", name, g, want)
		}
	}
	if _, err := weights.Write(map[string]models.Tensor{"x": {Shape: []int{2}, Data: []float32{1}}}); err == nil {
		t.Error("a tensor whose shape does not fit is written")
	}
	if _, err := weights.Write(map[string]models.Tensor{"x": {Shape: []int{1}, Data: []float32{float32(math.NaN())}}}); err == nil {
		t.Error("NaN is written")
	}
}
