package builtin_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/models/tokenizer"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

func needRuntime(t *testing.T) {
	t.Helper()
	if _, err := onnx.Locate(onnx.LocateOptions{}); err != nil {
		testenv.Missing(t, false, "%v", err)
	}
}

// tinyModel writes a model in the Hugging Face layout.
func tinyModel(t *testing.T, architecture string, graph modelstest.Graph, labels ...string) string {
	t.Helper()
	files, err := modelstest.HuggingFaceFS(architecture, graph, labels...)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, files)
}

func written(t *testing.T, files fs.FS) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

func configured(t *testing.T, format string, args ...any) *pipeline.Config {
	t.Helper()
	cfg, err := pipeline.ParseConfig("needle.yaml", fmt.Appendf(nil, format, args...), builtin.Registry())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = t.TempDir()
	return cfg
}

// expected computes the logits of a text from the formula of the tiny graph.
func expected(e models.Encoding, labels int) (perToken [][]float64, whole []float64) {
	const width = modelstest.GraphWidth
	words, segments := modelstest.GraphValues(modelstest.GraphWords*width, 1), modelstest.GraphValues(2*width, 2)
	weights := modelstest.GraphValues(width*labels, 20)
	mean := make([]float64, width)
	embedded := make([][]float64, e.Len())
	for i, id := range e.IDs {
		for j := range width {
			embedded[i] = append(embedded[i], float64(words[int(id)*width+j])+float64(segments[int(e.TypeIDs[i])*width+j]))
			mean[j] += embedded[i][j] / float64(e.Len())
		}
	}
	project := func(state []float64) []float64 {
		logits := make([]float64, labels)
		for k := range logits {
			for j := range width {
				logits[k] += state[j] * float64(weights[j*labels+k])
			}
		}
		return logits
	}
	for i := range embedded {
		state := make([]float64, width)
		for j := range width {
			state[j] = embedded[i][j] + mean[j]
		}
		perToken = append(perToken, project(state))
	}
	return perToken, project(mean)
}

// TestNamedModels: an embedding model, a classifier and a tagger, none of which
// can read, predict beside the one that reads, and give what their graphs say.
func TestNamedModels(t *testing.T) {
	needRuntime(t)
	topics := []string{"towers", "bridges", "tunnels"}
	tags := []string{"O", "B-PER"}
	cfg := configured(t, `
models:
  topics: {bundle: %q}
  people: {bundle: %q, precision: fp32}
  sentences: {bundle: builtin-embedding}
  cross: {bundle: %q}
`,
		tinyModel(t, "BertForSequenceClassification", modelstest.Graph{Labels: 3}, topics...),
		tinyModel(t, "BertForTokenClassification", modelstest.Graph{Labels: 2, PerToken: true}, tags...),
		tinyModel(t, "BertForSequenceClassification", modelstest.Graph{Labels: 1}, "LABEL_0"))
	p, err := pipeline.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	vocabulary, err := modelstest.WordPiece("who", "designed", "the", "tower")
	if err != nil {
		t.Fatal(err)
	}
	cutter, err := tokenizer.Load(vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	const text = "Who designed the tower?"
	encoding, err := cutter.Single(cutter.Tokenize(text), 64)
	if err != nil {
		t.Fatal(err)
	}

	labelled, err := p.Predict(t.Context(), pipeline.PredictRequest{Model: "topics", Head: models.HeadClassification, Texts: []string{text, "A bridge."}})
	if err != nil {
		t.Fatal(err)
	}
	_, logits := expected(encoding, len(topics))
	for _, got := range labelled.Predictions[0].Labels {
		if want := share(logits, slices.Index(topics, got.Label)); math.Abs(got.Probability-want) > 1e-5 {
			t.Errorf("%s has the probability %v, want %v", got.Label, got.Probability, want)
		}
	}
	if n := len(labelled.Predictions[0].Labels); n != 3 || len(labelled.Predictions) != 2 || labelled.Truncated || labelled.Warnings == nil {
		t.Errorf("%d labels in %+v", n, labelled)
	}

	tagged, err := p.Predict(t.Context(), pipeline.PredictRequest{Model: "people", Head: models.HeadTokens, Texts: []string{text}})
	if err != nil {
		t.Fatal(err)
	}
	perToken, _ := expected(encoding, len(tags))
	if got := len(tagged.Predictions[0].Tokens); got != encoding.Last-encoding.First {
		t.Fatalf("%d tokens, want %d", got, encoding.Last-encoding.First)
	}
	for i, got := range tagged.Predictions[0].Tokens {
		if want := share(perToken[encoding.First+i], slices.Index(tags, got.Label)); math.Abs(got.Probability-want) > 1e-5 || want < 0.5 {
			t.Errorf("token %d: %+v, want the probability %v", i, got, want)
		}
		if text[got.Start:got.End] != got.Text {
			t.Errorf("token %d: %+v is at another place", i, got)
		}
	}

	vectors, err := p.Predict(t.Context(), pipeline.PredictRequest{Model: "sentences", Head: models.HeadEmbedding, Texts: []string{"How many days of leave are there?", "What is the annual leave allowance?", "The bridge was painted red."}})
	if err != nil {
		t.Fatal(err)
	}
	near, far := dot(vectors.Predictions[0], vectors.Predictions[1]), dot(vectors.Predictions[0], vectors.Predictions[2])
	if len(vectors.Predictions[0].Embedding) != 384 || near < far+0.2 || dot(vectors.Predictions[0], vectors.Predictions[0]) < 0.999 {
		t.Errorf("like texts have the product %v, others %v", near, far)
	}

	documents := []string{"The tower was designed by him.", "A red bridge."}
	reranked, err := p.Rerank(t.Context(), pipeline.RerankRequest{Model: "cross", Query: text, Documents: documents})
	if err != nil {
		t.Fatal(err)
	}
	if reranked.Score != pipeline.ScoreRelevance || len(reranked.Results) != 2 || reranked.Results[0].RelevanceScore < reranked.Results[1].RelevanceScore {
		t.Errorf("reranked: %+v", reranked)
	}
	for _, hit := range reranked.Results {
		pair, err := cutter.Pair(cutter.Tokenize(text), cutter.Tokenize(documents[hit.Index]), 64, 16)
		if err != nil {
			t.Fatal(err)
		}
		_, logit := expected(pair[0], 1)
		if want := 1 / (1 + math.Exp(-logit[0])); math.Abs(hit.RelevanceScore-want) > 1e-5 {
			t.Errorf("document %d has the score %v, want %v", hit.Index, hit.RelevanceScore, want)
		}
	}
	if other, err := p.Rerank(t.Context(), pipeline.RerankRequest{Model: "rerank-of-another-server", Query: text, Documents: documents}); err != nil || other.Model == reranked.Model {
		t.Errorf("an unknown name: %+v, %v; want the bundle that reads", other, err)
	}
	if _, err := p.Rerank(t.Context(), pipeline.RerankRequest{Model: "people", Query: text, Documents: documents}); !errors.Is(err, pipeline.ErrInvalidRequest) || !strings.Contains(err.Error(), "has no relevance head; it has tokens") {
		t.Errorf("a tagger: %v", err)
	}

	status, err := p.Models(t.Context())
	if err != nil || len(status) != 5 || status[0].Role != pipeline.RoleReader || status[4].Name != "topics" || status[4].Role != pipeline.RolePredict || !slices.Equal(status[4].Heads, []string{models.HeadClassification}) {
		t.Errorf("models: %+v, %v", status, err)
	}
	for _, test := range []struct{ model, head, want string }{
		{"absent", models.HeadTokens, "(cross, people, sentences, topics)"},
		{"topics", models.HeadTokens, "has no tokens head; it has classification; models that have one: people"},
		{"", models.HeadEmbedding, "has no embedding head; it has span, relevance; models that have one: sentences"},
		{"topics", models.HeadSpan, `head: "span"`},
	} {
		_, err := p.Predict(t.Context(), pipeline.PredictRequest{Model: test.model, Head: test.head, Texts: []string{"x"}})
		if !errors.Is(err, pipeline.ErrInvalidRequest) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s of %q: %v, want %q", test.head, test.model, err, test.want)
		}
	}

	// They stay when the reader is exchanged, whose gate they share, and end
	// with the pipeline.
	if _, err := p.UseModel(t.Context(), pipeline.ModelUse{Bundle: "builtin"}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := p.Predict(t.Context(), pipeline.PredictRequest{Model: "topics", Head: models.HeadClassification, Texts: []string{text}}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Predict(t.Context(), pipeline.PredictRequest{Model: "topics", Head: models.HeadClassification, Texts: []string{text}}); !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("after close: %v, want ErrClosed", err)
	}
}

// share is the softmax of one logit.
func share(logits []float64, i int) float64 {
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(l)
	}
	return math.Exp(logits[i]) / sum
}

func dot(a, b pipeline.Prediction) float64 {
	sum := 0.0
	for i, v := range a.Embedding {
		sum += float64(v) * float64(b.Embedding[i])
	}
	return sum
}

func TestNamedModelsAreOptional(t *testing.T) {
	needRuntime(t)
	cfg := configured(t, "models: {broken: {bundle: %q}}", t.TempDir())
	if p, err := pipeline.Open(t.Context(), cfg); err == nil {
		p.Close()
		t.Fatal("an empty directory opens")
	} else if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), "models.broken: ") || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("got %v, want models.broken and the missing file", err)
	}
	p, err := pipeline.Open(t.Context(), cfg, pipeline.WithoutModels())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	cfg = configured(t, "models: {reads: {bundle: %q}}", tinyModel(t, "BertForQuestionAnswering", modelstest.Graph{Spans: true}))
	if p, err := pipeline.Open(t.Context(), cfg); err == nil {
		p.Close()
		t.Error("a bundle without a head for single texts opens")
	} else if !strings.Contains(err.Error(), "has the heads span; needed is one of embedding, classification, tokens, relevance") {
		t.Errorf("got %v", err)
	}
}

// TestNamedModelsRoundTrip: what a record of a run holds is read again.
func TestNamedModelsRoundTrip(t *testing.T) {
	cfg := configured(t, "models:\n  topics: {bundle: ./a, precision: int8}\n  people: {bundle: ./b}\n")
	data, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := pipeline.ParseConfig("again", data, builtin.Registry())
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if len(again.Models) != 2 || again.Models["topics"] != cfg.Models["topics"] || again.Models["people"] != cfg.Models["people"] {
		t.Errorf("models are %+v after the round trip, want %+v", again.Models, cfg.Models)
	}
	again.Models = map[string]pipeline.ModelSection{"topics": {Bundle: "./c", Precision: "int8"}}
	if _, restart := cfg.Reloadable(again); !slices.Contains(restart, "models.topics.bundle") {
		t.Errorf("keys that need a restart: %v, want models.topics.bundle among them", restart)
	}
}
