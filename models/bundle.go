package models

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ManifestName is the file that makes a directory a bundle of Needle's own.
const ManifestName = "needle.json"

// ManifestVersion is the newest manifest format that this version reads.
const ManifestVersion = 1

// A Manifest describes a bundle: which graph, tokenizer and heads belong
// together, where they come from and how good they are. Field names are those
// of needle.json.
type Manifest struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	// Languages are BCP 47 tags of the languages that the bundle was trained
	// for.
	Languages []string `json:"languages"`
	License   string   `json:"license"`
	// Architecture is the Hugging Face model type, for example "bert".
	Architecture string `json:"architecture"`
	HiddenSize   int    `json:"hidden_size"`
	// MaxLength is the greatest number of tokens of one sequence.
	MaxLength int    `json:"max_length"`
	Tokenizer string `json:"tokenizer"`
	// Graphs are the language model's ONNX files by precision: fp32, fp16,
	// int8.
	Graphs map[string]string `json:"graphs"`
	// Inputs and Outputs name the tensors of the graphs.
	Inputs  []string   `json:"inputs"`
	Outputs []string   `json:"outputs"`
	Heads   []HeadSpec `json:"heads"`
	// Profiles are score profiles (calibration, thresholds and weights of the
	// scores) that were fitted for this bundle, in the form that package pipeline
	// writes, without the hash of the bundle.
	Profiles []json.RawMessage    `json:"profiles,omitempty"`
	Metrics  map[string]float64   `json:"metrics,omitempty"`
	Origin   map[string]string    `json:"origin,omitempty"`
	Files    map[string]FileEntry `json:"files"`
}

// A HeadSpec names a prediction head of a bundle and its settings.
type HeadSpec struct {
	Kind string `json:"kind"`
	// File holds the weights (safetensors) of a split head; a head that reads
	// logits from a fused graph has none.
	File string `json:"file,omitempty"`
	// Options are read by the head's constructor; unknown ones are refused.
	Options json.RawMessage `json:"options,omitempty"`
}

// A FileEntry is what a file of a bundle must be.
type FileEntry struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// A Bundle is a language model, its tokenizer, its heads and a manifest, as
// files. Opening the parts is the business of the packages that can.
type Bundle struct {
	Manifest Manifest
	// Hash identifies the content: SHA-256 over the manifest, which itself
	// holds the hashes of all files, in hexadecimal.
	Hash string

	files       fs.FS
	huggingFace bool
}

// ReadBundle reads and checks the manifest of a bundle. It does not read the
// other files; see [Bundle.ReadFile] and [Bundle.Verify]. Files without a
// manifest in the Hugging Face layout (config.json, tokenizer.json and
// model.onnx, or onnx/*.onnx) are a bundle too: its manifest is put together
// from them, all of which are read. Errors wrap ErrInvalidBundle.
func ReadBundle(files fs.FS) (*Bundle, error) {
	data, err := fs.ReadFile(files, ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return readHuggingFace(files)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %w", ErrInvalidBundle, ManifestName, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	b := &Bundle{files: files}
	if err := decoder.Decode(&b.Manifest); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalidBundle, ManifestName, err)
	}
	if err := b.Manifest.validate(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalidBundle, ManifestName, err)
	}
	sum := sha256.Sum256(data)
	b.Hash = hex.EncodeToString(sum[:])
	return b, nil
}

func (m *Manifest) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if m.Version < 1 || m.Version > ManifestVersion {
		fault("version is %d; this version of Needle reads 1 to %d", m.Version, ManifestVersion)
	}
	if m.Name == "" {
		fault("name is empty")
	}
	if m.MaxLength < 8 {
		fault("max_length is %d; at least 8 is needed", m.MaxLength)
	}
	if len(m.Graphs) == 0 {
		fault("graphs is empty")
	}
	if len(m.Heads) == 0 {
		fault("heads is empty")
	}
	listed := func(key, name string) {
		switch _, ok := m.Files[name]; {
		case !ok:
			fault("%s names %q, which is not in files", key, name)
		case !fs.ValidPath(name) || strings.Contains(name, `\`) || path.Clean(name) != name:
			fault("%s: %q is no path inside the bundle", key, name)
		}
	}
	listed("tokenizer", m.Tokenizer)
	for precision, name := range m.Graphs {
		if !slices.Contains(precisions, precision) {
			fault("graphs: %q is no precision; allowed are %s", precision, strings.Join(precisions, ", "))
		}
		listed("graphs."+precision, name)
	}
	for _, h := range m.Heads {
		if h.File != "" {
			listed("heads."+h.Kind, h.File)
		}
	}
	return errors.Join(faults...)
}

var precisions = []string{"fp32", "fp16", "int8"}

// ReadFile returns a file of the bundle after checking its size and hash.
// Errors wrap ErrInvalidBundle and name the file.
func (b *Bundle) ReadFile(name string) ([]byte, error) {
	want, ok := b.Manifest.Files[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q is not listed in %s", ErrInvalidBundle, name, ManifestName)
	}
	data, err := fs.ReadFile(b.files, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %w", ErrInvalidBundle, name, err)
	}
	if int64(len(data)) != want.Bytes {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrInvalidBundle, name, len(data), want.Bytes)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want.SHA256 {
		return nil, fmt.Errorf("%w: %s has the wrong content (SHA-256 %x, want %s)", ErrInvalidBundle, name, sum, want.SHA256)
	}
	return data, nil
}

// Verify reads all files and checks their sizes and hashes.
func (b *Bundle) Verify() error {
	var faults []error
	for name, want := range b.Manifest.Files {
		if err := b.verifyFile(name, want); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func (b *Bundle) verifyFile(name string, want FileEntry) error {
	f, err := b.files.Open(name)
	if err != nil {
		return fmt.Errorf("%w: %s cannot be read: %w", ErrInvalidBundle, name, err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return fmt.Errorf("%w: %s cannot be read: %w", ErrInvalidBundle, name, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != want.Bytes || got != want.SHA256 {
		return fmt.Errorf("%w: %s has %d bytes with SHA-256 %s, want %d with %s", ErrInvalidBundle, name, n, got, want.Bytes, want.SHA256)
	}
	return nil
}

// Head returns the spec of the first head of a kind.
func (b *Bundle) Head(kind string) (HeadSpec, bool) {
	for _, h := range b.Manifest.Heads {
		if h.Kind == kind {
			return h, true
		}
	}
	return HeadSpec{}, false
}
