package models

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The files of a directory in the Hugging Face layout.
const (
	hfConfigName    = "config.json"
	hfTokenizerName = "tokenizer.json"
	hfTokenizerConf = "tokenizer_config.json"
	hfModulesName   = "modules.json"
	hfSentenceConf  = "sentence_bert_config.json"
	hfCardName      = "README.md"
)

// hfGraphs are the names of graphs, by precision; of several the first counts.
var hfGraphs = []struct{ precision, file string }{
	{"fp32", "model.onnx"}, {"fp32", "onnx/model.onnx"},
	{"fp16", "model_fp16.onnx"}, {"fp16", "onnx/model_fp16.onnx"},
	{"int8", "model_quantized.onnx"}, {"int8", "onnx/model_quantized.onnx"},
	{"int8", "model_int8.onnx"}, {"int8", "onnx/model_int8.onnx"},
}

// hfMaxJSON bounds the JSON files that are read whole.
const hfMaxJSON = 16 << 20

// OpenDirectory reads the bundle in a directory as [ReadBundle] does. A bundle
// in the Hugging Face layout, which has no name of its own, is named after the
// directory.
func OpenDirectory(dir string) (*Bundle, error) {
	b, err := ReadBundle(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if path, err := filepath.Abs(dir); err == nil && b.HuggingFace() {
		b.Manifest.Name = filepath.Base(path)
	}
	return b, nil
}

// HuggingFace says that the bundle is a directory in the Hugging Face layout,
// so that its manifest was not read but put together.
func (b *Bundle) HuggingFace() bool { return b.huggingFace }

// hfConfig is what is read of config.json.
type hfConfig struct {
	Architectures    []string       `json:"architectures"`
	ModelType        string         `json:"model_type"`
	HiddenSize       int            `json:"hidden_size"`
	Dim              int            `json:"dim"` // of DistilBERT
	MaxPositions     int            `json:"max_position_embeddings"`
	PadTokenID       *int           `json:"pad_token_id"`
	LabelNames       map[string]any `json:"id2label"`
	NumLabels        int            `json:"num_labels"`
	IsEncoderDecoder bool           `json:"is_encoder_decoder"`
}

// hfReader puts the manifest of a directory together.
type hfReader struct {
	files    fs.FS
	config   hfConfig
	manifest Manifest
	// outputs are those of every graph; the first graph decides and the others
	// must agree.
	outputs []graphOutput
}

// readHuggingFace makes a bundle of a directory with config.json,
// tokenizer.json and ONNX graphs. All files that count are read once, because
// the hash of the bundle is that of their content.
func readHuggingFace(files fs.FS) (*Bundle, error) {
	r := &hfReader{files: files, manifest: Manifest{Version: ManifestVersion, Graphs: map[string]string{}, Files: map[string]FileEntry{}}}
	if err := r.read(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidBundle, err)
	}
	// What people write about the model is not part of its identity.
	identity, err := json.Marshal(r.manifest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidBundle, err)
	}
	sum := sha256.Sum256(identity)
	r.describe()
	if err := r.manifest.validate(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalidBundle, hfConfigName, err)
	}
	return &Bundle{Manifest: r.manifest, Hash: hex.EncodeToString(sum[:]), files: files, huggingFace: true}, nil
}

func (r *hfReader) read() error {
	found, err := r.json(hfConfigName, &r.config)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s is missing, and so is %s; a bundle has the first, or the second with %s and an ONNX graph", ManifestName, hfConfigName, hfTokenizerName)
	}
	if r.config.IsEncoderDecoder {
		return fmt.Errorf("%s: %q is an encoder-decoder; only encoders can be read", hfConfigName, r.config.ModelType)
	}
	r.manifest.Architecture = r.config.ModelType
	r.manifest.HiddenSize = cmp.Or(r.config.HiddenSize, r.config.Dim)
	r.manifest.Tokenizer = hfTokenizerName
	switch err := r.add(hfTokenizerName, nil); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing; save it with the fast tokenizer of the model (vocab.txt or spiece.model alone are not read)", hfTokenizerName)
	case err != nil:
		return err
	}
	if err := r.readGraphs(); err != nil {
		return err
	}
	head, err := r.head()
	if err != nil {
		return err
	}
	r.manifest.Heads = []HeadSpec{head}
	return r.maxLength()
}

// json decodes a file and lists it. Unknown keys are normal there.
func (r *hfReader) json(name string, value any) (found bool, err error) {
	f, err := r.files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, hfMaxJSON+1))
	if err != nil {
		return false, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	if len(data) > hfMaxJSON {
		return false, fmt.Errorf("%s has more than %d bytes", name, hfMaxJSON)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	sum := sha256.Sum256(data)
	r.manifest.Files[name] = FileEntry{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(data))}
	return true, nil
}

// add lists a file; look may read it while it is hashed.
func (r *hfReader) add(name string, look func(io.Reader, int64) error) error {
	f, err := r.files.Open(name)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", name)
	}
	h := sha256.New()
	if look != nil {
		if err := look(io.TeeReader(f, h), info.Size()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	} else if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("%s cannot be read: %w", name, err)
	}
	r.manifest.Files[name] = FileEntry{SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: info.Size()}
	return nil
}

func (r *hfReader) readGraphs() error {
	first := ""
	for _, g := range hfGraphs {
		if _, ok := r.manifest.Graphs[g.precision]; ok {
			continue
		}
		var outputs []graphOutput
		err := r.add(g.file, func(data io.Reader, size int64) (err error) {
			outputs, err = readGraphOutputs(data, size)
			return err
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if first == "" {
			first, r.outputs = g.file, outputs
		} else if a, b := outputNames(r.outputs), outputNames(outputs); a != b {
			return fmt.Errorf("%s gives %s and %s gives %s; they must be the same model", first, a, g.file, b)
		}
		r.manifest.Graphs[g.precision] = g.file
	}
	if first == "" {
		return fmt.Errorf("there is no ONNX graph; looked for %s, here and in onnx/", strings.Join([]string{"model.onnx", "model_fp16.onnx", "model_quantized.onnx", "model_int8.onnx"}, ", "))
	}
	return nil
}

// hfTasks are the endings of the names of architectures, with the head that
// each stands for.
var hfTasks = []struct{ suffix, head string }{
	{"ForQuestionAnswering", HeadSpan},
	{"ForSequenceClassification", HeadClassification},
	{"ForTokenClassification", HeadTokens},
	{"ForMaskedLM", HeadEmbedding}, // when the graph leaves the language modelling head out
	{"ForPreTraining", HeadEmbedding},
	{"Model", HeadEmbedding},
	{"ForMultipleChoice", ""}, {"ForCausalLM", ""}, {"LMHeadModel", ""}, {"ForConditionalGeneration", ""},
}

// head decides by architecture and outputs which prediction the graph makes.
func (r *hfReader) head() (HeadSpec, error) {
	kind, err := r.headKind()
	if err != nil {
		return HeadSpec{}, err
	}
	switch kind {
	case HeadSpan:
		_, err := r.output(kind, OutputStartLogits, 2)
		if err == nil {
			_, err = r.output(kind, OutputEndLogits, 2)
		}
		r.manifest.Outputs = []string{OutputStartLogits, OutputEndLogits}
		return HeadSpec{Kind: kind}, err
	case HeadEmbedding:
		return r.embeddingHead()
	}
	rank := 2
	if kind == HeadTokens {
		rank = 3
	}
	logits, err := r.output(kind, OutputLogits, rank)
	if err != nil {
		return HeadSpec{}, err
	}
	labels, err := r.labels(logits)
	if err != nil {
		return HeadSpec{}, err
	}
	r.manifest.Outputs = []string{OutputLogits}
	if kind == HeadClassification && len(labels) == 1 {
		return HeadSpec{Kind: HeadRelevance}, nil
	}
	options, err := json.Marshal(map[string]any{"labels": labels})
	return HeadSpec{Kind: kind, Options: options}, err
}

func (r *hfReader) headKind() (string, error) {
	for _, architecture := range r.config.Architectures {
		for _, task := range hfTasks {
			if strings.HasSuffix(architecture, task.suffix) && task.head != "" {
				return task.head, nil
			}
		}
	}
	if len(r.config.Architectures) > 0 {
		return "", fmt.Errorf("%s: architectures is %s; needed is a name that ends in ForQuestionAnswering, ForSequenceClassification, ForTokenClassification or Model", hfConfigName, strings.Join(r.config.Architectures, ", "))
	}
	// Without a name only what cannot be anything else is taken.
	switch {
	case r.has(OutputStartLogits) && r.has(OutputEndLogits):
		return HeadSpan, nil
	case r.has(OutputHidden):
		return HeadEmbedding, nil
	}
	return "", fmt.Errorf("%s names no architectures, and the outputs of the graph (%s) do not say what it predicts", hfConfigName, outputNames(r.outputs))
}

func (r *hfReader) has(name string) bool {
	return slices.ContainsFunc(r.outputs, func(o graphOutput) bool { return o.name == name })
}

// output returns an output of the graph that a head reads.
func (r *hfReader) output(kind, name string, rank int) (graphOutput, error) {
	i := slices.IndexFunc(r.outputs, func(o graphOutput) bool { return o.name == name })
	graph := r.manifest.Graphs[slices.Sorted(maps.Keys(r.manifest.Graphs))[0]]
	if i < 0 {
		return graphOutput{}, fmt.Errorf("%s gives %s; the %s head of %s needs the output %s (was it exported for another task?)",
			graph, outputNames(r.outputs), kind, strings.Join(r.config.Architectures, ", "), name)
	}
	if o := r.outputs[i]; o.shape != nil && len(o.shape) != rank {
		return graphOutput{}, fmt.Errorf("%s: output %s has shape %v; the %s head needs %d dimensions", graph, name, o.shape, kind, rank)
	}
	return r.outputs[i], nil
}

// labels returns the names of the labels in the order of the logits.
func (r *hfReader) labels(logits graphOutput) ([]string, error) {
	count := int64(len(r.config.LabelNames))
	if count == 0 {
		count = int64(r.config.NumLabels)
	}
	width := int64(-1)
	if len(logits.shape) > 0 {
		width = logits.shape[len(logits.shape)-1]
	}
	switch {
	case count == 0 && width > 0:
		count = width
	case count == 0:
		return nil, fmt.Errorf("%s has neither id2label nor num_labels, and the graph does not say how many labels there are", hfConfigName)
	case width > 0 && width != count:
		return nil, fmt.Errorf("%s has %d labels, but the output %s has shape %v", hfConfigName, count, OutputLogits, logits.shape)
	case count > 1<<16:
		return nil, fmt.Errorf("%s has %d labels; at most %d are read", hfConfigName, count, 1<<16)
	}
	labels := make([]string, count)
	for i := range labels {
		key := strconv.Itoa(i)
		labels[i] = "LABEL_" + key // the name that transformers gives
		if len(r.config.LabelNames) > 0 {
			name, ok := r.config.LabelNames[key]
			if !ok {
				return nil, fmt.Errorf("%s: id2label has %d labels but none for %s", hfConfigName, count, key)
			}
			labels[i] = fmt.Sprint(name)
		}
	}
	return labels, nil
}
