package onnx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/needle-search/needle/models"
)

// match checks that a graph is what the manifest says and returns the inputs
// and outputs to use, in the graph's order. A manifest that names none takes
// them all.
func match(graph Graph, manifest models.Manifest) ([]string, []output, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if graph.External != "" {
		fault("the graph keeps weights in another file (%q); all must be in one file", graph.External)
	}

	known := []string{inputIDs, inputMask, inputSegments}
	var inputs []string
	for _, t := range graph.Inputs {
		switch {
		case !slices.Contains(known, t.Name):
			fault("the graph has an input %q; inputs can be %s", t.Name, strings.Join(known, ", "))
		case t.Type != Int64:
			fault("input %q is of type %v, want %v", t.Name, t.Type, Int64)
		case t.Shape != nil && len(t.Shape) != 2:
			fault("input %q has shape %v, want [batch, tokens]", t.Name, t.Shape)
		case len(t.Shape) == 2 && (t.Shape[0] > 1 || t.Shape[1] >= 0):
			fault("input %q has the fixed shape %v; both dimensions must vary", t.Name, t.Shape)
		}
		inputs = append(inputs, t.Name)
	}
	if !slices.Contains(inputs, inputIDs) {
		fault("the graph has no input %q; it has: %s", inputIDs, names(graph.Inputs))
	}
	for _, name := range manifest.Inputs {
		if !slices.Contains(inputs, name) {
			fault("%s names the input %q, which the graph does not have; it has: %s", models.ManifestName, name, names(graph.Inputs))
		}
	}
	if len(manifest.Inputs) > 0 {
		for _, name := range inputs {
			if !slices.Contains(manifest.Inputs, name) {
				fault("the graph has the input %q, which %s does not name", name, models.ManifestName)
			}
		}
	}

	wanted := manifest.Outputs
	if len(wanted) == 0 {
		for _, t := range graph.Outputs {
			wanted = append(wanted, t.Name)
		}
	}
	var outputs []output
	for _, name := range wanted {
		t, ok := graph.Output(name)
		switch {
		case !ok:
			fault("%s names the output %q, which the graph does not have; it has: %s", models.ManifestName, name, names(graph.Outputs))
			continue
		case t.Type != Float32:
			fault("output %q is of type %v, want %v", name, t.Type, Float32)
		}
		if name == models.OutputHidden && len(t.Shape) == 3 && t.Shape[2] >= 0 && t.Shape[2] != int64(manifest.HiddenSize) {
			fault("output %q has shape %v, want [batch, tokens, %d] (hidden_size)", name, t.Shape, manifest.HiddenSize)
		}
		outputs = append(outputs, output{name: name, perToken: perToken(t)})
	}
	if len(outputs) == 0 {
		fault("the graph has no output to use")
	}
	return inputs, outputs, errors.Join(faults...)
}

// perToken tells [batch, tokens, ...] from [batch, labels]: the number of
// labels does not vary.
func perToken(t GraphTensor) bool {
	switch t.Name {
	case models.OutputHidden, models.OutputStartLogits, models.OutputEndLogits:
		return true
	case models.OutputPooled:
		return false
	}
	return len(t.Shape) == 3 || len(t.Shape) == 2 && t.Shape[1] < 0
}

// smoke runs the graph on a few tokens and checks the shapes of what comes out.
func (m *model) smoke(ctx context.Context, vocabularySize int) error {
	const length = 8
	e := models.Encoding{IDs: make([]int32, length), TypeIDs: make([]int32, length)}
	if vocabularySize > 0 {
		e.IDs[1] = int32(vocabularySize - 1)
	}
	results, err := m.Run(ctx, []models.Encoding{e})
	if err != nil {
		if vocabularySize > 0 {
			return fmt.Errorf("a test run with the tokenizer's greatest id, %d, failed (does the vocabulary belong to the graph?): %w", vocabularySize-1, err)
		}
		return fmt.Errorf("a test run failed: %w", err)
	}
	for _, o := range m.outputs {
		t := results[0][o.name]
		switch rows, width := t.Rows(); {
		case o.perToken && rows != length:
			return fmt.Errorf("output %q has shape %v for %d tokens", o.name, t.Shape, length)
		case o.name == models.OutputHidden && (len(t.Shape) != 2 || width != m.info.Width):
			return fmt.Errorf("output %q has shape %v, want [%d, %d] (hidden_size)", o.name, t.Shape, length, m.info.Width)
		case (o.name == models.OutputStartLogits || o.name == models.OutputEndLogits) && width != 1:
			return fmt.Errorf("output %q has shape %v, want [%d]", o.name, t.Shape, length)
		}
	}
	return nil
}
