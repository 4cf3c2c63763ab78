package reader_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/models/tokenizer"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// goldenAnswer is what Python transformers decoded for one question and
// passage; training/README.md describes the file.
type goldenAnswer struct {
	File    string
	ID      string
	Windows []struct{ Tokens int }
	Answer  struct {
		Start, End int
		Score      float64 // start logit + end logit
		Margin     float64 // less those of the null answer of the window
	}
}

// TestParity: on 1,000 questions with their passages the decoded answers are
// those of Python transformers with the same weights.
func TestParity(t *testing.T) {
	dir := os.Getenv("NEEDLE_FP32_BUNDLE")
	if dir == "" {
		testenv.Missing(t, false, "NEEDLE_FP32_BUNDLE is not set: make the bundle with training/export.py")
	}
	library, err := onnx.Locate(onnx.LocateOptions{})
	if err != nil {
		testenv.Missing(t, false, "%v", err)
	}
	bundle, err := models.ReadBundle(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	model, err := onnx.Open(t.Context(), onnx.Config{LibraryPath: library.Path, Precision: "fp32"}, bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	data, err := bundle.ReadFile(bundle.Manifest.Tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	spec, _ := bundle.Head(models.HeadSpan)
	head, err := span.New(spec, bundle.ReadFile, model.Info().Width)
	if err != nil {
		t.Fatal(err)
	}
	r, err := reader.New(tok, model, head.(models.SpanHead), nil, reader.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}

	questions := sharedQuestions(t)
	golden := goldenAnswers(t)
	readings := make([]reader.Reading, len(golden))
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, g := range golden {
		q, ok := questions[g.File+" "+g.ID]
		if !ok {
			t.Fatalf("%s: question %s is not in the data", g.File, g.ID)
		}
		group.Go(func() (err error) {
			readings[i], err = r.Read(ctx, q.question, []retriever.Passage{passage("p", 0, q.passage)}, reader.Options{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, g := range golden {
		best, want := readings[i].Forced, g.Answer
		if best.Start != want.Start || best.End != want.End || math.Abs(best.Logit-want.Score) > 2e-4 || math.Abs(best.Margin()-want.Margin) > 4e-4 || readings[i].Windows != len(g.Windows) {
			t.Errorf("%s %s: got [%d:%d] %q with %.5f in %d windows, want [%d:%d] with %.5f in %d",
				g.File, g.ID, best.Start, best.End, best.Text, best.Logit, readings[i].Windows,
				want.Start, want.End, want.Score, len(g.Windows))
		}
	}
	if len(golden) != 1000 {
		t.Errorf("compared %d pairs, want 1000", len(golden))
	}
}

type pair struct{ question, passage string }

// sharedQuestions reads the data sets that the golden file refers to, by file
// and question id.
func sharedQuestions(t *testing.T) map[string]pair {
	t.Helper()
	pairs := make(map[string]pair)
	for _, name := range []string{"squad2/dev-half.json", "squadshifts/amazon_reviews.json", "squadshifts/new_wiki.json", "squadshifts/reddit.json", "policyqa/dev.json", "policyqa/test.json"} {
		f, err := os.Open(testenv.Shared(t, "data", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		dataset, err := eval.ReadSQuAD(f, "")
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		texts := make(map[string]string)
		for _, p := range dataset.Paragraphs {
			texts[p.ID] = p.Text
		}
		for _, q := range dataset.Questions {
			pairs[name+" "+q.ID] = pair{q.Text, texts[q.ParagraphID]}
		}
	}
	return pairs
}

func goldenAnswers(t *testing.T) []goldenAnswer {
	t.Helper()
	f, err := os.Open("../training/testdata/parity.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<20)
	lines.Scan() // the header
	var list []goldenAnswer
	for lines.Scan() {
		var g goldenAnswer
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		list = append(list, g)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}
