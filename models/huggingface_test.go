package models_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/needle-search/needle/models"
)

// field encodes a protocol buffer field that holds bytes.
func field(number int, body ...byte) []byte {
	out := binary.AppendUvarint(nil, uint64(number)<<3|2)
	return append(binary.AppendUvarint(out, uint64(len(body))), body...)
}

// An output is declared by graph; negative dimensions vary.
type output struct {
	name  string
	shape []int
}

// graph writes an ONNX file with a weight that is larger than any buffer.
func graph(outputs ...output) []byte { return sizedGraph(100_000, outputs...) }

// sizedGraph writes an ONNX file that declares outputs, with a weight before
// and a node after them.
func sizedGraph(weight int, outputs ...output) []byte {
	body := field(5, field(9, make([]byte, weight)...)...)
	for _, o := range outputs {
		var dimensions []byte
		for _, n := range o.shape {
			dimension := field(2, 'b')
			if n >= 0 {
				dimension = binary.AppendUvarint([]byte{1 << 3}, uint64(n))
			}
			dimensions = append(dimensions, field(1, dimension...)...)
		}
		tensor := append([]byte{1 << 3, 1}, field(2, dimensions...)...)
		body = append(body, field(12, append(field(1, []byte(o.name)...), field(2, field(1, tensor...)...)...)...)...)
	}
	body = append(body, field(1, field(4, []byte("Identity")...)...)...)
	return append([]byte{1 << 3, 8}, field(7, body...)...)
}

var (
	spans   = graph(output{"start_logits", []int{-1, -1}}, output{"end_logits", []int{-1, -1}})
	hidden  = graph(output{"last_hidden_state", []int{-1, -1, 384}})
	scores1 = graph(output{"logits", []int{-1, 1}})
	scores3 = graph(output{"logits", []int{-1, 3}})
	tags3   = graph(output{"logits", []int{-1, -1, 3}})
)

const bert = `"model_type": "bert", "hidden_size": 384, "max_position_embeddings": 512`

// layout returns a directory for one architecture; more files come over it, and
// nil takes a file away.
func layout(config string, graph []byte, more map[string][]byte) fstest.MapFS {
	files := map[string][]byte{"config.json": []byte("{" + config + "}"), "tokenizer.json": []byte("{}"), "model.onnx": graph}
	maps.Copy(files, more)
	out := fstest.MapFS{}
	for name, data := range files {
		if data != nil {
			out[name] = &fstest.MapFile{Data: data}
		}
	}
	return out
}

func TestHuggingFaceHeads(t *testing.T) {
	labels := `, "id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}`
	cls := []byte(`{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}`)
	sentence := []byte(`[{"path": "", "type": "sentence_transformers.models.Transformer"},
		{"path": "9_Pool", "type": "sentence_transformers.models.Pooling"}, {"path": "2", "type": "sentence_transformers.models.Normalize"}]`)
	tests := []struct {
		name          string
		config        string
		graph         []byte
		more          map[string][]byte
		kind, options string
	}{
		{"question answering", `"architectures": ["BertForQuestionAnswering"], ` + bert, spans, nil, models.HeadSpan, ""},
		{"cross-encoder", `"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}, ` + bert, scores1, nil, models.HeadRelevance, ""},
		{"cross-encoder by its graph", `"architectures": ["BertForSequenceClassification"], ` + bert, scores1, nil, models.HeadRelevance, ""},
		{"labels", `"architectures": ["BertForSequenceClassification"], ` + bert + labels, scores3, nil, models.HeadClassification, `{"labels":["O","B-PER","I-PER"]}`},
		{"unnamed labels", `"architectures": ["BertForSequenceClassification"], "num_labels": 3, ` + bert, scores3, nil, models.HeadClassification, `{"labels":["LABEL_0","LABEL_1","LABEL_2"]}`},
		{"tokens", `"architectures": ["BertForTokenClassification"], ` + bert + labels, tags3, nil, models.HeadTokens, `{"labels":["O","B-PER","I-PER"]}`},
		{"encoder", `"architectures": ["BertModel"], ` + bert, hidden, nil, models.HeadEmbedding, `{"pooling":"mean"}`},
		{"encoder with pooling", `"architectures": ["BertModel"], ` + bert, hidden, map[string][]byte{"1_Pooling/config.json": cls}, models.HeadEmbedding, `{"pooling":"cls"}`},
		{"encoder with modules", `"architectures": ["BertModel"], ` + bert, hidden, map[string][]byte{"modules.json": sentence, "9_Pool/config.json": cls}, models.HeadEmbedding, `{"pooling":"cls"}`},
		{"no architectures, spans", bert, spans, nil, models.HeadSpan, ""},
		{"no architectures, hidden states", bert, hidden, nil, models.HeadEmbedding, `{"pooling":"mean"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := models.ReadBundle(layout(test.config, test.graph, test.more))
			if err != nil {
				t.Fatal(err)
			}
			m := b.Manifest
			if len(m.Heads) != 1 || m.Heads[0].Kind != test.kind || string(m.Heads[0].Options) != test.options || m.Heads[0].File != "" {
				t.Errorf("heads %+v, want %s %s", m.Heads, test.kind, test.options)
			}
			if m.HiddenSize != 384 || m.MaxLength != 512 || m.Architecture != "bert" || m.Graphs["fp32"] != "model.onnx" || !b.HuggingFace() {
				t.Errorf("manifest %+v", m)
			}
			if err := b.Verify(); err != nil {
				t.Errorf("verify: %v", err)
			}
		})
	}
}

func TestHuggingFacePrecisions(t *testing.T) {
	config := `"architectures": ["BertForQuestionAnswering"], ` + bert
	b, err := models.ReadBundle(layout(config, nil, map[string][]byte{
		"onnx/model.onnx": spans, "onnx/model_fp16.onnx": spans, "onnx/model_int8.onnx": spans, "onnx/model_quantized.onnx": spans, "onnx/model_q4.onnx": spans,
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"fp32": "onnx/model.onnx", "fp16": "onnx/model_fp16.onnx", "int8": "onnx/model_quantized.onnx"}
	if !maps.Equal(b.Manifest.Graphs, want) {
		t.Errorf("graphs %v, want %v", b.Manifest.Graphs, want)
	}
	if got := slices.Sorted(maps.Keys(b.Manifest.Files)); len(got) != 5 {
		t.Errorf("files %v, want config, tokenizer and three graphs", got)
	}
}

func TestHuggingFaceMaxLength(t *testing.T) {
	tests := []struct {
		name, config string
		more         map[string][]byte
		want         int
	}{
		{"positions", `"model_type": "bert", "max_position_embeddings": 512`, nil, 512},
		{"positions count from the padding", `"model_type": "roberta", "pad_token_id": 1, "max_position_embeddings": 514`, nil, 512},
		{"the tokenizer has no limit", `"model_type": "bert", "max_position_embeddings": 256`, map[string][]byte{"tokenizer_config.json": []byte(`{"model_max_length": 1000000000000000019884624838656}`)}, 256},
		{"the tokenizer is shorter", `"model_type": "bert", "max_position_embeddings": 512`, map[string][]byte{"tokenizer_config.json": []byte(`{"model_max_length": 128}`)}, 128},
		{"trained on sentences", `"model_type": "bert", "max_position_embeddings": 512`, map[string][]byte{"sentence_bert_config.json": []byte(`{"max_seq_length": 256}`)}, 256},
		{"only the tokenizer knows", `"model_type": "deberta"`, map[string][]byte{"tokenizer_config.json": []byte(`{"model_max_length": 512}`)}, 512},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := models.ReadBundle(layout(`"architectures": ["XModel"], `+test.config, hidden, test.more))
			if err != nil {
				t.Fatal(err)
			}
			if b.Manifest.MaxLength != test.want || b.Manifest.HiddenSize != 384 {
				t.Errorf("max length %d, width %d; want %d, 384", b.Manifest.MaxLength, b.Manifest.HiddenSize, test.want)
			}
		})
	}
}

func TestHuggingFaceHash(t *testing.T) {
	config := `"architectures": ["BertForQuestionAnswering"], ` + bert
	card := []byte("---\nlicense: apache-2.0\nlanguage:\n- en\n- \"de\"\nbase_model: [a/b, 'c']\nwidget:\n  - text: \"language: x\"\n---\n# Model\nlicense: other\n")
	plain, err := models.ReadBundle(layout(config, spans, nil))
	if err != nil {
		t.Fatal(err)
	}
	described, err := models.ReadBundle(layout(config, spans, map[string][]byte{"README.md": card, "vocab.txt": []byte("x")}))
	if err != nil {
		t.Fatal(err)
	}
	if plain.Hash != described.Hash {
		t.Error("a model card changes the hash of the content")
	}
	m := described.Manifest
	if m.License != "apache-2.0" || !slices.Equal(m.Languages, []string{"en", "de"}) || m.Origin["base_model"] != "a/b, c" {
		t.Errorf("licence %q, languages %v, origin %v", m.License, m.Languages, m.Origin)
	}
	changed, err := models.ReadBundle(layout(config, graph(output{"start_logits", []int{-1, -1}}, output{"end_logits", []int{-1, -1}}, output{"more", nil}), nil))
	if err != nil {
		t.Fatal(err)
	}
	if changed.Hash == plain.Hash {
		t.Error("another graph has the same hash")
	}
}

func TestOpenDirectoryName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my-model")
	if err := os.CopyFS(dir, layout(`"architectures": ["BertForQuestionAnswering"], `+bert, spans, nil)); err != nil {
		t.Fatal(err)
	}
	b, err := models.OpenDirectory(dir)
	if err != nil || b.Manifest.Name != "my-model" {
		t.Fatalf("bundle %+v, %v; want the name my-model", b, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("[]"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadFile("tokenizer.json"); !errors.Is(err, models.ErrInvalidBundle) {
		t.Errorf("a file that changed after opening is read: %v", err)
	}
}

func TestHuggingFaceWrong(t *testing.T) {
	qa := `"architectures": ["BertForQuestionAnswering"], ` + bert
	tests := []struct {
		name   string
		config string
		graph  []byte
		more   map[string][]byte
		want   string
	}{
		{"empty", "", nil, map[string][]byte{"config.json": nil, "tokenizer.json": nil}, "needle.json is missing, and so is config.json"},
		{"no tokenizer", qa, spans, map[string][]byte{"tokenizer.json": nil}, "tokenizer.json is missing"},
		{"no graph", qa, nil, nil, "looked for model.onnx"},
		{"broken config", `"architectures": 3`, spans, nil, "config.json: json: cannot unmarshal"},
		{"text as graph", qa, []byte("version https://git-lfs.github.com/spec/v1\n"), nil, "model.onnx: it is no ONNX graph"},
		{"empty graph", qa, []byte{}, nil, "model.onnx: it is no ONNX graph"},
		{"graph cut off", qa, spans[:len(spans)-20], nil, "model.onnx: it is no ONNX graph, or damaged"},
		{"graph for another task", qa, hidden, nil, "model.onnx gives last_hidden_state; the span head of BertForQuestionAnswering needs the output start_logits"},
		{"masked language model", `"architectures": ["BertForMaskedLM"], ` + bert, tags3, nil, "needs the output last_hidden_state"},
		{"generator", `"architectures": ["LlamaForCausalLM"], ` + bert, tags3, nil, "architectures is LlamaForCausalLM"},
		{"encoder-decoder", `"architectures": ["T5Model"], "is_encoder_decoder": true, ` + bert, hidden, nil, "is an encoder-decoder"},
		{"nothing says what it is", bert, scores3, nil, "names no architectures"},
		{"labels do not fit", `"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}, ` + bert, scores3, nil, "config.json has 2 labels, but the output logits has shape [-1 3]"},
		{"labels with a gap", `"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b", "3": "c"}, ` + bert, scores3, nil, "none for 2"},
		{"tokens for texts", `"architectures": ["BertForSequenceClassification"], "num_labels": 3, ` + bert, tags3, nil, "needs 2 dimensions"},
		{"dense module", `"architectures": ["BertModel"], ` + bert, hidden, map[string][]byte{"modules.json": []byte(`[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]`)}, "modules.json has the module sentence_transformers.models.Dense"},
		{"two poolings", `"architectures": ["BertModel"], ` + bert, hidden, map[string][]byte{"1_Pooling/config.json": []byte(`{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}`)}, "1_Pooling/config.json: exactly one"},
		{"pooling outside", `"architectures": ["BertModel"], ` + bert, hidden, map[string][]byte{"modules.json": []byte(`[{"path": "../..", "type": "x.Pooling"}]`)}, "../../config.json"},
		{"pooling missing", `"architectures": ["BertModel"], ` + bert, hidden, map[string][]byte{"modules.json": []byte(`[{"path": "1_Pooling", "type": "x.Pooling"}]`)}, "1_Pooling/config.json is missing"},
		{"no length", `"architectures": ["BertModel"], "hidden_size": 384`, hidden, nil, "do not say how many tokens"},
		{"precisions differ", qa, spans, map[string][]byte{"model_quantized.onnx": hidden}, "they must be the same model"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := models.ReadBundle(layout(test.config, test.graph, test.more))
			if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrInvalidBundle with %q", err, test.want)
			}
		})
	}
}

// FuzzHuggingFace: whatever a stranger puts into the files gives a bundle that
// verifies, or ErrInvalidBundle.
func FuzzHuggingFace(f *testing.F) {
	f.Add(`{"architectures": ["BertForQuestionAnswering"], `+bert+`}`, sizedGraph(9, output{"start_logits", []int{-1, -1}}, output{"end_logits", nil}), "---\nlicense: mit\n---\n", `[]`)
	f.Add(`{"architectures": ["BertModel"], `+bert+`}`, sizedGraph(9, output{"last_hidden_state", []int{-1, -1, 384}}), "---\n- a\n", `[{"path": "1", "type": "Pooling"}]`)
	f.Add(`{"architectures": ["XForTokenClassification"], `+bert+`}`, sizedGraph(9, output{"logits", []int{-1, -1, 3}}), "", `{}`)
	f.Fuzz(func(t *testing.T, config string, graph []byte, card, modules string) {
		files := fstest.MapFS{
			"config.json": {Data: []byte(config)}, "tokenizer.json": {Data: []byte("{}")}, "model.onnx": {Data: graph},
			"README.md": {Data: []byte(card)}, "modules.json": {Data: []byte(modules)},
		}
		b, err := models.ReadBundle(fs.FS(files))
		if err == nil {
			err = b.Verify()
			if err != nil {
				t.Fatal(err)
			}
		}
		if err != nil && !errors.Is(err, models.ErrInvalidBundle) {
			t.Fatalf("got %v, want ErrInvalidBundle", err)
		}
	})
}
