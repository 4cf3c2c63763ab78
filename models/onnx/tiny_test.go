package onnx_test

import (
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
)

// tinyBundle wraps a graph in a bundle whose manifest change may spoil.
func tinyBundle(graph []byte, change func(*models.Manifest)) (*models.Bundle, error) {
	manifest := models.Manifest{
		Version:    models.ManifestVersion,
		Name:       "tiny",
		HiddenSize: modelstest.GraphWidth,
		MaxLength:  300,
		Tokenizer:  "tokenizer.json",
		Graphs:     map[string]string{"fp32": "tiny.onnx"},
		Inputs:     []string{"input_ids", "attention_mask", "token_type_ids"},
		Outputs:    []string{models.OutputHidden},
		Heads:      []models.HeadSpec{{Kind: models.HeadSpan}},
	}
	if change != nil {
		change(&manifest)
	}
	files, err := modelstest.BundleFS(manifest, map[string][]byte{"tiny.onnx": graph, "tokenizer.json": []byte("{}")})
	if err != nil {
		return nil, err
	}
	return models.ReadBundle(files)
}
