package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/heads/weights"
	"github.com/needle-search/needle/pipeline"
	everything "github.com/needle-search/needle/pipeline/builtin"
)

// part encodes a field of a protocol buffer message that holds bytes. Numbers
// of fields in this file are those of onnx.proto.
func part(number int, body ...[]byte) []byte {
	joined := bytes.Join(body, nil)
	out := binary.AppendUvarint(nil, uint64(number)<<3|2)
	return append(binary.AppendUvarint(out, uint64(len(joined))), joined...)
}

func number(field int, value uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field)<<3), value)
}

func node(operator string, inputs []string, output string, attributes ...[]byte) []byte {
	var body []byte
	for _, name := range inputs {
		body = append(body, part(1, []byte(name))...)
	}
	body = append(body, part(2, []byte(output))...)
	body = append(body, part(4, []byte(operator))...)
	for _, a := range attributes {
		body = append(body, part(5, a)...)
	}
	return part(1, body)
}

func floats(name string, values []float32, shape ...uint64) []byte {
	var dims, raw []byte
	for _, n := range shape {
		dims = append(dims, number(1, n)...)
	}
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return part(5, dims, number(2, 1), part(8, []byte(name)), part(9, raw))
}

func declared(name string, shape ...int) []byte {
	var dims []byte
	for i, n := range shape {
		dim := number(1, uint64(n))
		if n < 0 {
			dim = part(2, []byte{"bt"[i]})
		}
		dims = append(dims, part(1, dim)...)
	}
	return part(12, part(1, []byte(name)), part(2, part(1, number(1, 1), part(2, dims))))
}

func builtinFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(builtin.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// spanGraph adds the weights of the embedded span head to the embedded graph.
// Protocol buffers are merged by writing one after the other.
func spanGraph(t *testing.T) []byte {
	t.Helper()
	tensors, err := weights.Read(builtinFile(t, "span.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	weight, bias := tensors["weight"], tensors["bias"]
	width := weight.Shape[1]
	var more [][]byte
	for i, name := range []string{"start_logits", "end_logits"} {
		more = append(more,
			floats(name+"_w", weight.Data[i*width:(i+1)*width], uint64(width)),
			floats(name+"_b", bias.Data[i:i+1], 1),
			node("MatMul", []string{"last_hidden_state", name + "_w"}, name+"_x"),
			node("Add", []string{name + "_x", name + "_b"}, name),
			declared(name, -1, -1))
	}
	return append(builtinFile(t, "model.int8.onnx"), part(7, more...)...)
}

// labelGraph gives logits for every token, or for the text by its first token.
func labelGraph(t *testing.T, labels int, perToken bool) []byte {
	t.Helper()
	const width = 384
	values := make([]float32, width*labels)
	for i := range values {
		values[i] = float32(i%7) - 3
	}
	more := [][]byte{floats("labels_w", values, width, uint64(labels))}
	hidden, shape := "last_hidden_state", []int{-1, -1, labels}
	if !perToken {
		zero := part(5, number(2, 7), part(8, []byte("zero")), part(9, make([]byte, 8)))
		more = append(more, zero, node("Gather", []string{hidden, "zero"}, "first", bytes.Join([][]byte{part(1, []byte("axis")), number(3, 1), number(20, 2)}, nil)))
		hidden, shape = "first", []int{-1, labels}
	}
	more = append(more, node("MatMul", []string{hidden, "labels_w"}, "logits"), declared("logits", shape...))
	return append(builtinFile(t, "model.int8.onnx"), part(7, more...)...)
}

// hubDirectory writes a directory in the Hugging Face layout.
func hubDirectory(t *testing.T, config, graphName string, graph []byte) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "config.json", `{"model_type": "bert", "hidden_size": 384, "max_position_embeddings": 512, `+config+`}`)
	write(t, dir, "tokenizer.json", string(builtinFile(t, "tokenizer.json")))
	write(t, dir, graphName, string(graph))
	return dir
}

// shareProfiles makes a data directory answer with the profiles of the embedded
// bundle for the inspected bundle too: with other profiles the same spans are
// other answers. The relevance, which a bundle with one head does not have, counts
// for neither.
func shareProfiles(t *testing.T, data, inspected string) {
	t.Helper()
	var bundle struct {
		Hash string `json:"hash"`
	}
	if err := json.Unmarshal([]byte(inspected), &bundle); err != nil || bundle.Hash == "" {
		t.Fatalf("%v: no hash in %s", err, inspected)
	}
	files, err := filepath.Glob("../../pipeline/builtin/profiles/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d profiles: %v", len(files), err)
	}
	config := pipeline.DefaultConfig(everything.Registry())
	config.Data = data
	for _, file := range files {
		embedded, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var profile pipeline.Profile
		if err := json.Unmarshal(embedded, &profile); err != nil {
			t.Fatal(err)
		}
		profile.RelevanceWeight, profile.NoAnswer.Relevance = 0, 0
		for _, hash := range []string{profile.Bundle, bundle.Hash} {
			profile.Bundle = hash
			if _, err := config.SaveProfile(profile); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestFusedEqualsSplit: the same weights as a bundle of ours with a head beside
// the graph, and as a Hugging Face directory with the head inside it.
func TestFusedEqualsSplit(t *testing.T) {
	needRuntime(t)
	fused := hubDirectory(t, `"architectures": ["BertForQuestionAnswering"]`, "onnx/model_quantized.onnx", spanGraph(t))
	config := write(t, t.TempDir(), "fused.yaml", "reader:\n  bundle: "+fused+"\n")
	data := t.TempDir()
	mustNeedle(t, "index", "add", "../../examples/handbook", "--data", data)
	shareProfiles(t, data, mustNeedle(t, "models", "inspect", fused, "--json"))
	questions := []string{
		"How many days of paid annual leave does a full-time employee have?",
		"Who chairs the works council?",
		"What is the capital of Peru?",
		"When was the company founded?",
	}
	for _, q := range questions {
		want := answerTo(t, data, q)
		out := mustNeedle(t, "ask", q, "--json", "--data", data, "--config", config)
		got := *want
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if got.Model.Hash == want.Model.Hash || got.Model.Name != filepath.Base(fused) {
			t.Fatalf("the fused bundle did not answer: %+v", got.Model)
		}
		if len(got.Answers) != len(want.Answers) {
			t.Errorf("%q: %d answers fused, %d split", q, len(got.Answers), len(want.Answers))
			continue
		}
		for i := range got.Answers {
			g, w := got.Answers[i], want.Answers[i]
			if g.Text != w.Text || g.DocumentID != w.DocumentID || g.Start != w.Start || g.End != w.End || math.Abs(g.Scores.SpanLogit-w.Scores.SpanLogit) > 1e-3 {
				t.Errorf("%q: answer %d is %q (%v) fused, %q (%v) split", q, i, g.Text, g.Scores.SpanLogit, w.Text, w.Scores.SpanLogit)
			}
		}
	}
}

func TestModelsVerifyHuggingFace(t *testing.T) {
	needRuntime(t)
	tests := []struct {
		name, config string
		graph        []byte
		want         []string
	}{
		{"span", `"architectures": ["BertForQuestionAnswering"]`, spanGraph(t), []string{"head span", "start and end"}},
		{"relevance", `"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}`, labelGraph(t, 1, false), []string{"head relevance", "relevance "}},
		{"classification", `"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b", "2": "c"}`, labelGraph(t, 3, false), []string{"head classification", "3 labels"}},
		{"tokens", `"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B"}`, labelGraph(t, 2, true), []string{"head tokens", "2 labels for"}},
		{"embedding", `"architectures": ["BertModel"]`, builtinFile(t, "model.int8.onnx"), []string{"head embedding", "384 dimensions"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := needle(t, "models", "verify", hubDirectory(t, test.config, "model_int8.onnx", test.graph))
			if err != nil || strings.Contains(out, "fault") {
				t.Fatalf("verify: %v\n%s", err, out)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("verify does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

// strangeVocabulary is a model whose tokenizer gives an id beyond those of the
// graph.
func strangeVocabulary(t *testing.T) string {
	t.Helper()
	dir := hubDirectory(t, `"architectures": ["BertForQuestionAnswering"]`, "model_int8.onnx", spanGraph(t))
	vocabulary := regexp.MustCompile(`"\[PAD\]": ?0,`)
	plain := builtinFile(t, "tokenizer.json")
	if !vocabulary.Match(plain) {
		t.Fatal("the embedded tokenizer has no [PAD] with id 0")
	}
	write(t, dir, "tokenizer.json", vocabulary.ReplaceAllString(string(plain), `"[PAD]": 0, "needleneedle": 40000,`))
	return dir
}

// TestVocabularyAtOpen: what would fail at some question fails before the first.
func TestVocabularyAtOpen(t *testing.T) {
	needRuntime(t)
	config := write(t, t.TempDir(), "needle.yaml", "reader:\n  bundle: "+strangeVocabulary(t)+"\n")
	data := t.TempDir()
	_, err := needle(t, "ask", "Who?", "--data", data, "--config", config)
	if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), "tokenizer.json has ids up to 40000") {
		t.Errorf("got %v, want ErrInvalidBundle that names tokenizer.json", err)
	}
}

func TestModelsVerifyFaults(t *testing.T) {
	needRuntime(t)
	const qa = `"architectures": ["BertForQuestionAnswering"]`
	vocabulary := strangeVocabulary(t)
	damaged := t.TempDir()
	if err := os.CopyFS(damaged, builtin.Files()); err != nil {
		t.Fatal(err)
	}
	write(t, damaged, "span.safetensors", "x")

	custom := hubDirectory(t, qa, "model_int8.onnx", append(spanGraph(t), part(7, part(1,
		part(1, []byte("end_logits")), part(2, []byte("odd")), part(4, []byte("Odd")), part(7, []byte("example.com"))), declared("odd", -1, -1))...))

	tests := []struct{ name, dir, want string }{
		{"vocabulary does not fit", vocabulary, "tokenizer.json has ids up to 40000"},
		{"damaged file", damaged, "span.safetensors has 1 bytes"},
		{"custom operator", custom, "model_int8.onnx"},
		{"empty directory", t.TempDir(), "needle.json is missing, and so is config.json"},
		{"no directory", "nowhere", `"nowhere" is neither a directory nor a known name`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := needle(t, "models", "verify", test.dir)
			if !errors.Is(err, errUnsound) || !strings.Contains(out, test.want) || !strings.Contains(out, "fault") {
				t.Errorf("verify: %v, want a fault with %q:\n%s", err, test.want, out)
			}
		})
	}
}

func TestModelsListInspect(t *testing.T) {
	needRuntime(t)
	dir := hubDirectory(t, `"architectures": ["BertForQuestionAnswering"]`, "model_int8.onnx", spanGraph(t))
	write(t, dir, "README.md", "---\nlicense: mit\nlanguage: en\n---\n")
	config := write(t, t.TempDir(), "needle.yaml", "reader:\n  bundle: "+dir+"\n")
	var list []modelSummary
	if err := json.Unmarshal([]byte(mustNeedle(t, "models", "list", "--json", "--config", config)), &list); err != nil {
		t.Fatal(err)
	}
	last := list[len(list)-1]
	if len(list) != 3 || list[0].Bundle != "builtin" || list[0].Configured || !last.Configured || !last.Active || last.Chosen || last.License != "mit" || last.Heads[0] != models.HeadSpan {
		t.Errorf("list %+v", list)
	}
	var report modelReport
	if err := json.Unmarshal([]byte(mustNeedle(t, "models", "inspect", dir, "--json")), &report); err != nil {
		t.Fatal(err)
	}
	if report.Layout != "huggingface" || report.License != "mit" || len(report.Graphs) != 1 || len(report.Graphs[0].Inputs) != 3 {
		t.Fatalf("report %+v", report)
	}
	if s := report.Graphs[0].Speed; s == nil || s.Tokens != passageTokens || s.Runs < 5 || s.MedianMS <= 0 {
		t.Errorf("speed %+v, %s", s, report.Graphs[0].SpeedFault)
	}
	if out := mustNeedle(t, "models", "inspect", "builtin"); !strings.Contains(out, "span.safetensors") || !strings.Contains(out, "ONNX Runtime") {
		t.Errorf("inspect builtin:\n%s", out)
	}
}

// builtinName is the name of the embedded bundle, whichever it is.
func builtinName(t *testing.T) string {
	t.Helper()
	bundle, err := builtin.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Manifest.Name
}

// TestModelsCompare: a bundle agrees with itself in another form and has no
// advantage over it.
func TestModelsCompare(t *testing.T) {
	needRuntime(t)
	dir := hubDirectory(t, `"architectures": ["BertForQuestionAnswering"]`, "model_int8.onnx", spanGraph(t))
	path := write(t, t.TempDir(), "set.json", `{"version": "v2.0", "data": [{"title": "Tower", "paragraphs": [{"context": "The Eiffel Tower was designed by Gustave Eiffel. It opened in 1889.", "qas": [
		{"id": "1", "question": "Who designed the Eiffel Tower?", "is_impossible": false, "answers": [{"text": "Gustave Eiffel", "answer_start": 33}]},
		{"id": "2", "question": "When did the Eiffel Tower open?", "is_impossible": false, "answers": [{"text": "1889", "answer_start": 62}]},
		{"id": "3", "question": "Who painted the Eiffel Tower?", "is_impossible": true, "answers": []}]}]}]}`)
	var c comparison
	if err := json.Unmarshal([]byte(mustNeedle(t, "models", "compare", "builtin:int8", dir+":int8", "--path", path, "--json")), &c); err != nil {
		t.Fatal(err)
	}
	if c.N != 3 || c.Answered != 2 || c.Agreement != 1 || c.F1.Mean != 0 || c.F1.Lower != 0 || c.F1.P != 1 || c.A.F1.Mean < 0.5 || c.A.F1 != c.B.F1 {
		t.Errorf("comparison %+v", c)
	}
	if c.A.Model.Name != builtinName(t) || c.B.Model.Name != filepath.Base(dir) || c.Speedup <= 0 {
		t.Errorf("sides %+v, %+v", c.A, c.B)
	}
	if _, err := needle(t, "models", "compare", "builtin:fp32", dir, "--path", path); !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), "no graph of precision fp32") {
		t.Errorf("a precision that is not there: %v", err)
	}
	for _, args := range [][]string{{"builtin", dir}, {"builtin", dir, "--path", path, "--dataset", "beir"}} {
		if _, err := needle(t, append([]string{"models", "compare"}, args...)...); err == nil {
			t.Errorf("compare %v is accepted", args)
		}
	}
}

// TestModelsPull: a bundle of ours comes from a hub and can be used at once.
func TestModelsPull(t *testing.T) {
	needRuntime(t)
	const commit = "0123456789abcdef0123456789abcdef01234567"
	type lfs struct {
		SHA256 string `json:"sha256"`
		Size   int64  `json:"size"`
	}
	type sibling struct {
		Name string `json:"rfilename"`
		LFS  lfs    `json:"lfs"`
	}
	listing := struct {
		Commit string    `json:"sha"`
		Files  []sibling `json:"siblings"`
	}{Commit: commit}
	entries, err := fs.ReadDir(builtin.Files(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data := builtinFile(t, e.Name())
		listing.Files = append(listing.Files, sibling{e.Name(), lfs{fmt.Sprintf("%x", sha256.Sum256(data)), int64(len(data))}})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/me/mini/revision/v1", func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(listing); err != nil {
			t.Error(err)
		}
	})
	mux.Handle("GET /me/mini/resolve/"+commit+"/", http.StripPrefix("/me/mini/resolve/"+commit, http.FileServerFS(builtin.Files())))
	server := httptest.NewServer(mux)
	defer server.Close()

	dir := filepath.Join(t.TempDir(), "mini")
	out := mustNeedle(t, "models", "pull", "me/mini", "--hub", server.URL, "--revision", "v1", "--dir", dir)
	if !strings.Contains(out, "0123456789ab") {
		t.Errorf("pull says %q", out)
	}
	server.Close()
	if out := mustNeedle(t, "models", "pull", "me/mini", "--revision", "v1", "--dir", dir, "--offline", "--json"); !strings.Contains(out, `"fetched": 0`) {
		t.Errorf("pull --offline says %q", out)
	}
	if out := mustNeedle(t, "models", "verify", dir); strings.Contains(out, "fault") || !strings.Contains(out, builtinName(t)) {
		t.Errorf("verify says %q", out)
	}
	t.Setenv("HF_ENDPOINT", "")
	if _, err := needle(t, "models", "pull", "me/mini", "--dir", dir); err == nil || !strings.Contains(err.Error(), "--hub") {
		t.Errorf("without a hub: %v", err)
	}
}

func TestSplitPrecision(t *testing.T) {
	tests := []struct{ in, bundle, precision string }{
		{"builtin", "builtin", ""}, {"builtin:int8", "builtin", "int8"}, {"./a:b", "./a:b", ""}, {`C:\m`, `C:\m`, ""}, {`C:\m:fp32`, `C:\m`, "fp32"}, {":int8", ":int8", ""},
	}
	for _, test := range tests {
		if b, p := splitPrecision(test.in); b != test.bundle || p != test.precision {
			t.Errorf("splitPrecision(%q) = %q, %q, want %q, %q", test.in, b, p, test.bundle, test.precision)
		}
	}
}
