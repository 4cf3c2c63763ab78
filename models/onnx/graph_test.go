package onnx_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/models/onnx"
)

func TestReadGraph(t *testing.T) {
	bundle := builtinBundle(t)
	data, err := bundle.ReadFile(bundle.Manifest.Graphs["int8"])
	if err != nil {
		t.Fatal(err)
	}
	got, err := onnx.ReadGraph(data)
	if err != nil {
		t.Fatal(err)
	}
	vary := []int64{-1, -1}
	wantInputs := []onnx.GraphTensor{
		{Name: "input_ids", Type: onnx.Int64, Shape: vary},
		{Name: "attention_mask", Type: onnx.Int64, Shape: vary},
		{Name: "token_type_ids", Type: onnx.Int64, Shape: vary},
	}
	wantOutputs := []onnx.GraphTensor{{Name: "last_hidden_state", Type: onnx.Float32, Shape: []int64{-1, -1, int64(bundle.Manifest.HiddenSize)}}}
	if diff := cmp.Diff(wantInputs, got.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantOutputs, got.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if got.External != "" {
		t.Errorf("external weights in %q, want none", got.External)
	}
	if len(got.Operators) == 0 {
		t.Error("no operators")
	}
}

func FuzzReadGraph(f *testing.F) {
	f.Add(modelstest.Graph{Words: 1}.File())
	f.Add(modelstest.Graph{Words: 1, Spans: true, Labels: 3, External: true, Domain: "example.com"}.File())
	f.Add([]byte{})
	f.Add([]byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		graph, err := onnx.ReadGraph(data)
		if err != nil {
			return
		}
		for _, list := range [][]onnx.GraphTensor{graph.Inputs, graph.Outputs} {
			for _, tensor := range list {
				if len(tensor.Shape) > len(data) {
					t.Errorf("%d dimensions out of %d bytes", len(tensor.Shape), len(data))
				}
			}
		}
	})
}
