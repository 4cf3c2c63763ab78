package models_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/needle-search/needle/models"
)

// ownBundle returns a small bundle with a manifest of Needle's own, spoiled by
// change before the files are listed, and by after once they are.
func ownBundle(t *testing.T, change func(*models.Manifest, map[string][]byte), after func(fstest.MapFS)) fstest.MapFS {
	t.Helper()
	m := models.Manifest{
		Version: models.ManifestVersion, Name: "own", HiddenSize: 8, MaxLength: 64, Tokenizer: "tokenizer.json",
		Graphs: map[string]string{"fp32": "model.onnx"}, Outputs: []string{models.OutputHidden},
		Heads: []models.HeadSpec{{Kind: models.HeadSpan, File: "heads/span.safetensors"}}, Files: map[string]models.FileEntry{},
	}
	files := map[string][]byte{"tokenizer.json": []byte("{}"), "model.onnx": []byte("graph"), "heads/span.safetensors": []byte("weights")}
	for name, data := range files {
		m.Files[name] = models.FileEntry{SHA256: fmt.Sprintf("%x", sha256.Sum256(data)), Bytes: int64(len(data))}
	}
	if change != nil {
		change(&m, files)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := fstest.MapFS{models.ManifestName: {Data: data}}
	for name, data := range files {
		out[name] = &fstest.MapFile{Data: data}
	}
	if after != nil {
		after(out)
	}
	return out
}

// TestManifestRefuses: what a manifest says wrongly is named together with what
// was expected.
func TestManifestRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*models.Manifest, map[string][]byte)
		after  func(fstest.MapFS)
		want   string
	}{
		{"another version", func(m *models.Manifest, _ map[string][]byte) { m.Version = 2 }, nil, "needle.json: version is 2; this version of Needle reads 1 to 1"},
		{"no name", func(m *models.Manifest, _ map[string][]byte) { m.Name = "" }, nil, "needle.json: name is empty"},
		{"no length", func(m *models.Manifest, _ map[string][]byte) { m.MaxLength = 0 }, nil, "max_length is 0; at least 8 is needed"},
		{"no graph", func(m *models.Manifest, _ map[string][]byte) { m.Graphs = nil }, nil, "graphs is empty"},
		{"no head", func(m *models.Manifest, _ map[string][]byte) { m.Heads = nil }, nil, "heads is empty"},
		{"a precision of its own", func(m *models.Manifest, _ map[string][]byte) { m.Graphs["int4"] = "model.onnx" }, nil, `graphs: "int4" is no precision; allowed are fp32, fp16, int8`},
		{"a tokenizer that is not listed", func(m *models.Manifest, _ map[string][]byte) { m.Tokenizer = "other.json" }, nil, `tokenizer names "other.json", which is not in files`},
		{"a head that is not listed", func(m *models.Manifest, _ map[string][]byte) { m.Heads[0].File = "x" }, nil, `heads.span names "x", which is not in files`},
		{"a graph above", outside("../model.onnx"), nil, `graphs.fp32: "../model.onnx" is no path inside the bundle`},
		{"a graph above, hidden", outside("a/../../model.onnx"), nil, "is no path inside the bundle"},
		{"an absolute path", outside("/etc/passwd"), nil, `graphs.fp32: "/etc/passwd" is no path inside the bundle`},
		{"a path of another system", outside(`..\model.onnx`), nil, "is no path inside the bundle"},
		{"an unknown key", nil, func(f fstest.MapFS) {
			f[models.ManifestName].Data = []byte(`{"version": 1, "colour": "red"}`)
		}, `needle.json: json: unknown field "colour"`},
		{"cut off", nil, func(f fstest.MapFS) {
			f[models.ManifestName].Data = f[models.ManifestName].Data[:40]
		}, "needle.json: unexpected EOF"},
		{"nothing at all", nil, func(f fstest.MapFS) { clear(f) }, "needle.json is missing, and so is config.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := models.ReadBundle(ownBundle(t, test.change, test.after))
			if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrInvalidBundle with %s", err, test.want)
			}
		})
	}
}

// outside makes the graph a file beyond the bundle, which its list of files
// names as well.
func outside(name string) func(*models.Manifest, map[string][]byte) {
	return func(m *models.Manifest, _ map[string][]byte) {
		m.Graphs["fp32"] = name
		m.Files[name] = m.Files["model.onnx"]
	}
}

// TestReadFileRefuses: a file is what the manifest says, or it is not read.
func TestReadFileRefuses(t *testing.T) {
	const file = "heads/span.safetensors"
	tests := []struct {
		name  string
		read  string
		after func(fstest.MapFS)
		want  string
	}{
		{"missing", file, func(f fstest.MapFS) { delete(f, file) }, file + " cannot be read"},
		{"shorter", file, func(f fstest.MapFS) { f[file].Data = []byte("weight") }, file + " has 6 bytes, want 7"},
		{"another content", file, func(f fstest.MapFS) { f[file].Data = []byte("Weights") }, file + " has the wrong content (SHA-256 "},
		{"not listed", "other", nil, `"other" is not listed in needle.json`},
		{"outside", "../other", nil, `"../other" is not listed in needle.json`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := models.ReadBundle(ownBundle(t, nil, test.after))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.ReadFile(test.read); !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("read: %v, want ErrInvalidBundle with %s", err, test.want)
			}
			if err := b.Verify(); test.after != nil && (!errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), file)) {
				t.Errorf("verify: %v, want ErrInvalidBundle that names %s", err, file)
			}
		})
	}
}

// FuzzManifest: whatever a stranger writes into needle.json gives a bundle or
// ErrInvalidBundle, and no bundle reaches beyond its directory.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version": 1, "name": "x", "max_length": 64, "tokenizer": "t", "graphs": {"fp32": "g"}, "heads": [{"kind": "span", "file": "h"}], "files": {"t": {}, "g": {}, "h": {}}}`))
	f.Add([]byte(`{"version": 1, "graphs": {"fp32": "../x"}, "files": {"../x": {"sha256": "", "bytes": -1}}}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		b, err := models.ReadBundle(fstest.MapFS{models.ManifestName: {Data: manifest}, "t": {}, "g": {}, "h": {}})
		if err != nil {
			if !errors.Is(err, models.ErrInvalidBundle) {
				t.Fatalf("got %v, want ErrInvalidBundle", err)
			}
			return
		}
		for _, name := range b.Manifest.Graphs {
			if !staysInside(name) {
				t.Errorf("the graph %q is accepted", name)
			}
		}
		if err := b.Verify(); err != nil && !errors.Is(err, models.ErrInvalidBundle) {
			t.Errorf("verify: %v, want ErrInvalidBundle", err)
		}
	})
}

// staysInside reports whether no element of a path leads up.
func staysInside(name string) bool {
	for element := range strings.SplitSeq(name, "/") {
		if element == ".." {
			return false
		}
	}
	return true
}
