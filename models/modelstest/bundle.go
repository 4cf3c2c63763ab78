package modelstest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"testing/fstest"

	"github.com/needle-search/needle/models"
)

// BundleFS returns the files of a bundle: the given contents and a manifest
// whose list of files fits them.
func BundleFS(manifest models.Manifest, contents map[string][]byte) (fs.FS, error) {
	files := fstest.MapFS{}
	manifest.Files = maps.Clone(manifest.Files)
	if manifest.Files == nil {
		manifest.Files = map[string]models.FileEntry{}
	}
	for name, data := range contents {
		sum := sha256.Sum256(data)
		manifest.Files[name] = models.FileEntry{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(data))}
		files[name] = &fstest.MapFile{Data: data}
	}
	data, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("modelstest: write manifest: %w", err)
	}
	files[models.ManifestName] = &fstest.MapFile{Data: data}
	return files, nil
}

// NewBundle returns a bundle with a manifest that fits the fakes. Its graph and
// its tokenizer are placeholders that no real implementation can open.
func NewBundle() (*models.Bundle, error) {
	files, err := BundleFS(models.Manifest{
		Version:      models.ManifestVersion,
		Name:         "fake",
		Languages:    []string{"en"},
		License:      "Apache-2.0",
		Architecture: "fake",
		HiddenSize:   8,
		MaxLength:    512,
		Tokenizer:    "tokenizer.json",
		Graphs:       map[string]string{"fp32": "model.onnx"},
		Inputs:       []string{"input_ids", "attention_mask", "token_type_ids"},
		Outputs:      []string{models.OutputHidden},
		Heads:        []models.HeadSpec{{Kind: models.HeadSpan, File: "span.safetensors"}},
	}, map[string][]byte{
		"tokenizer.json":   []byte("{}"),
		"model.onnx":       []byte("no graph"),
		"span.safetensors": []byte("no weights"),
	})
	if err != nil {
		return nil, err
	}
	return models.ReadBundle(files)
}
