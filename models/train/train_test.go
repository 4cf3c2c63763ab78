package train_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/classification"
	"github.com/needle-search/needle/models/heads/relevance"
	"github.com/needle-search/needle/models/heads/span"
	"github.com/needle-search/needle/models/heads/weights"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/models/train"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// topics are texts whose words tell their label.
func topics(n int) []train.LabelledText {
	words := map[string][]string{"leave": {"holiday", "sick", "days"}, "travel": {"train", "hotel", "ticket"}, "pay": {"salary", "bonus", "euro"}}
	var list []train.LabelledText
	for i := range n {
		label := []string{"leave", "travel", "pay"}[i%3]
		list = append(list, train.LabelledText{Text: fmt.Sprintf("%s %s number %d", words[label][i/3%3], words[label][(i/9)%3], i%7), Label: label})
	}
	return list
}

// wide is a fake whose hidden states tell words apart; column 0, which holds
// ids of millions, is made small.
type wide struct{ *modelstest.LanguageModel }

func (w wide) Run(ctx context.Context, batch []models.Encoding) ([]models.Outputs, error) {
	results, err := w.LanguageModel.Run(ctx, batch)
	for i, r := range results {
		t := r[models.OutputHidden]
		_, width := t.Rows()
		for k := 0; k < len(t.Data); k += width {
			t.Data[k] = 0
		}
		// The fake's states depend on the position; these shall not.
		for row, id := range batch[i].IDs {
			x := uint32(id) * 2654435761
			for c := 1; c < width; c++ {
				x = x*1664525 + 1013904223
				t.Data[row*width+c] = float32(int32(x)) / (1 << 31)
			}
		}
	}
	return results, err
}

func fake() wide {
	return wide{modelstest.NewLanguageModel(modelstest.Options{Width: 48})}
}

func openStates(t *testing.T, model models.Inferencer, path string) *train.States {
	t.Helper()
	s, err := train.OpenStates(path, model)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func topicTask(t *testing.T, n int) *train.Task {
	t.Helper()
	task, err := train.NewClassificationTask(topics(n), modelstest.NewTokenizer(), 64, weights.PoolMean)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// base is a bundle that fits the fake.
func base(t *testing.T, model models.Inferencer) *models.Bundle {
	t.Helper()
	b, err := modelstest.NewBundle()
	if err != nil {
		t.Fatal(err)
	}
	b.Hash = model.Info().Hash
	return b
}

// written returns the weight file of the bundle that a head makes.
func written(t *testing.T, h *train.Head, model models.Inferencer) (*models.Bundle, []byte) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := h.WriteBundle(base(t, model), dir, "", nil); err != nil {
		t.Fatal(err)
	}
	b, err := models.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(); err != nil {
		t.Fatal(err)
	}
	spec := b.Manifest.Heads[len(b.Manifest.Heads)-1]
	if len(b.Manifest.Heads) == 1 {
		spec = b.Manifest.Heads[0]
	}
	data, err := b.ReadFile(spec.File)
	if err != nil {
		t.Fatal(err)
	}
	return b, data
}

func TestClassification(t *testing.T) {
	model := fake()
	task := topicTask(t, 120)
	head, err := train.Fit(t.Context(), task, openStates(t, model, filepath.Join(t.TempDir(), "states")), train.Config{Seed: 3, LearningRate: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	if head.Best.Right < 0.95 || head.Start.Right > 0.6 || head.Best.HeldOut >= head.Start.HeldOut {
		t.Errorf("before %+v, after %+v", head.Start, head.Best)
	}
	if head.Learned+head.HeldOut != 120 || head.HeldOut < 24 {
		t.Errorf("%d learned, %d held out", head.Learned, head.HeldOut)
	}
	b, _ := written(t, head, model)
	spec, ok := b.Head(models.HeadClassification)
	if !ok || b.Manifest.Name != "fake-classification" || b.Manifest.Origin["trained_head"] != "classification" {
		t.Fatalf("manifest: %+v", b.Manifest)
	}
	opened, err := classification.New(spec, b.ReadFile, 48)
	if err != nil {
		t.Fatal(err)
	}
	labels := opened.(models.LabelHead)
	tokenizer := modelstest.NewTokenizer()
	for text, want := range map[string]string{"hotel and ticket": "travel", "sick days": "leave", "a bonus in euro": "pay"} {
		e, err := tokenizer.Single(tokenizer.Tokenize(text), 64)
		if err != nil {
			t.Fatal(err)
		}
		outputs, err := model.Run(t.Context(), []models.Encoding{e})
		if err != nil {
			t.Fatal(err)
		}
		logits, err := labels.Classify(outputs[0], e)
		if err != nil {
			t.Fatal(err)
		}
		if got := labels.Labels()[slices.Index(logits, slices.Max(logits))]; got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestRelevance(t *testing.T) {
	model := fake()
	var pairs []train.JudgedPair
	for i := range 60 {
		passage := []string{"The tower opened in 1889 .", "Nothing of use here ."}[i%2]
		pairs = append(pairs, train.JudgedPair{Question: fmt.Sprintf("When did number %d open?", i), Passage: passage, Relevant: i%2 == 0})
	}
	task, err := train.NewRelevanceTask(pairs, modelstest.NewTokenizer(), 64, weights.PoolMean)
	if err != nil {
		t.Fatal(err)
	}
	head, err := train.Fit(t.Context(), task, openStates(t, model, filepath.Join(t.TempDir(), "states")), train.Config{LearningRate: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	if head.Best.Right < 0.95 {
		t.Errorf("after: %+v", head.Best)
	}
	b, _ := written(t, head, model)
	spec, _ := b.Head(models.HeadRelevance)
	if _, err := relevance.New(spec, b.ReadFile, 48); err != nil {
		t.Error(err)
	}
}

// spans are questions whose answer is the word after "by".
func spans(n int) []train.AnsweredQuestion {
	var list []train.AnsweredQuestion
	for i := range n {
		x := train.AnsweredQuestion{Question: "Who did it?", Passage: fmt.Sprintf("Day %d: done by Ada in room %d.", i, i%9)}
		x.Start = strings.Index(x.Passage, "Ada")
		x.End = x.Start + 3
		if i%5 == 4 {
			x.Passage, x.Start, x.End = fmt.Sprintf("Day %d: nothing was done.", i), 0, 0
		}
		list = append(list, x)
	}
	return list
}

func TestSpan(t *testing.T) {
	model := fake()
	tokenizer := modelstest.NewTokenizer()
	task, err := train.NewSpanTask(append(spans(80), train.AnsweredQuestion{Question: "Who?", Passage: "x", Start: 5, End: 9}), tokenizer, train.SpanOptions{MaxSeqLength: 64, Stride: 16})
	if err != nil {
		t.Fatal(err)
	}
	if task.Skipped != 1 {
		t.Errorf("%d examples skipped, want the one whose answer is not there", task.Skipped)
	}
	states := openStates(t, model, filepath.Join(t.TempDir(), "states"))
	head, err := train.Fit(t.Context(), task, states, train.Config{LearningRate: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	if head.Best.Right < 0.95 {
		t.Errorf("after: %+v", head.Best)
	}
	b, file := written(t, head, model)
	spec, _ := b.Head(models.HeadSpan)
	if len(b.Manifest.Heads) != 1 || spec.File != "span.safetensors" {
		t.Errorf("heads: %+v", b.Manifest.Heads)
	}
	if _, err := span.New(spec, b.ReadFile, 48); err != nil {
		t.Error(err)
	}
	// Fitting anew begins where the head was.
	again, err := train.NewSpanTask(spans(80), tokenizer, train.SpanOptions{MaxSeqLength: 64, Stride: 16, Start: func() ([]byte, error) { return file, nil }})
	if err != nil {
		t.Fatal(err)
	}
	refit, err := train.Fit(t.Context(), again, states, train.Config{Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	if refit.Start.Right < 0.95 {
		t.Errorf("fitting anew starts at %+v", refit.Start)
	}
}

// TestResume: a run that was stopped after any round, and whose last features
// were cut off, ends with the same bits as one in one go.
func TestResume(t *testing.T) {
	model := fake()
	config := func(dir string) train.Config {
		return train.Config{Seed: 7, Rounds: 9, Patience: 9, LearningRate: 0.01, Checkpoint: filepath.Join(dir, "checkpoint")}
	}
	whole := t.TempDir()
	want, err := train.Fit(t.Context(), topicTask(t, 60), openStates(t, model, filepath.Join(whole, "states")), config(whole))
	if err != nil {
		t.Fatal(err)
	}
	_, wantFile := written(t, want, model)
	for _, stop := range []int{1, 4, 8} {
		t.Run(fmt.Sprintf("after round %d", stop), func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := config(dir)
			c.Round = func(r train.Round) {
				if r.Round == stop {
					cancel()
				}
			}
			first := openStates(t, model, filepath.Join(dir, "states"))
			if _, err := train.Fit(ctx, topicTask(t, 60), first, c); !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped run: %v", err)
			}
			first.Close()
			info, err := os.Stat(filepath.Join(dir, "states"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(dir, "states"), info.Size()-10); err != nil {
				t.Fatal(err)
			}
			got, err := train.Fit(t.Context(), topicTask(t, 60), openStates(t, model, filepath.Join(dir, "states")), config(dir))
			if err != nil {
				t.Fatal(err)
			}
			if _, file := written(t, got, model); !got.Resumed || !slices.Equal(file, wantFile) {
				t.Errorf("resumed %v; the weights are other ones", got.Resumed)
			}
			if !slices.EqualFunc(got.Rounds[1:], want.Rounds[1:], func(a, b train.Round) bool { return a == b }) {
				t.Errorf("rounds %+v, want %+v", got.Rounds, want.Rounds)
			}
		})
	}
	t.Run("another seed", func(t *testing.T) {
		c := config(whole)
		c.Seed = 8
		if _, err := train.Fit(t.Context(), topicTask(t, 60), openStates(t, model, filepath.Join(whole, "states")), c); !errors.Is(err, train.ErrCheckpoint) {
			t.Errorf("got %v, want ErrCheckpoint", err)
		}
		c.Checkpoint = ""
		other, err := train.Fit(t.Context(), topicTask(t, 60), openStates(t, model, filepath.Join(whole, "states")), c)
		if err != nil {
			t.Fatal(err)
		}
		if _, file := written(t, other, model); slices.Equal(file, wantFile) {
			t.Error("another seed gives the same weights")
		}
	})
	t.Run("damaged", func(t *testing.T) {
		c := config(t.TempDir())
		if err := os.WriteFile(c.Checkpoint, []byte("no checkpoint"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := train.Fit(t.Context(), topicTask(t, 60), openStates(t, model, filepath.Join(whole, "states")), c); !errors.Is(err, train.ErrCheckpoint) {
			t.Errorf("got %v, want ErrCheckpoint", err)
		}
	})
}

func TestStatesAreKept(t *testing.T) {
	model := fake()
	path := filepath.Join(t.TempDir(), "states")
	for range 2 {
		s := openStates(t, model, path)
		if _, err := train.Fit(t.Context(), topicTask(t, 30), s, train.Config{Rounds: 1}); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if _, n := model.Runs(); n > 30 {
		t.Errorf("%d encodings were computed, want each once", n)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-3] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := train.Fit(t.Context(), topicTask(t, 30), openStates(t, model, path), train.Config{Rounds: 1}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a flipped bit: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	tokenizer := modelstest.NewTokenizer()
	for _, test := range []struct {
		name string
		make func() (*train.Task, error)
		want string
	}{
		{"one label", func() (*train.Task, error) {
			return train.NewClassificationTask([]train.LabelledText{{"a", "x"}, {"b", "x"}}, tokenizer, 64, weights.PoolCLS)
		}, "at least 2 are needed"},
		{"single example", func() (*train.Task, error) {
			return train.NewClassificationTask([]train.LabelledText{{"a", "x"}, {"b", "x"}, {"c", "y"}}, tokenizer, 64, weights.PoolCLS)
		}, `label "y" has 1 examples`},
		{"all relevant", func() (*train.Task, error) {
			return train.NewRelevanceTask([]train.JudgedPair{{"q", "p", true}, {"q", "r", true}}, tokenizer, 64, weights.PoolCLS)
		}, "2 pairs are relevant and 0 are not"},
		{"no spans", func() (*train.Task, error) {
			return train.NewSpanTask(nil, tokenizer, train.SpanOptions{MaxSeqLength: 64})
		}, "0 windows are usable"},
		{"one group", func() (*train.Task, error) {
			same := slices.Repeat([]train.AnsweredQuestion{{Question: "q", Passage: "by Ada", Start: 3, End: 6}}, 8)
			task, err := train.NewSpanTask(same, tokenizer, train.SpanOptions{MaxSeqLength: 64})
			if err != nil {
				return nil, err
			}
			_, err = train.Fit(t.Context(), task, openStates(t, fake(), filepath.Join(t.TempDir(), "s")), train.Config{})
			return nil, err
		}, "share one text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := test.make(); !errors.Is(err, train.ErrExamples) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrExamples with %q", err, test.want)
			}
		})
	}
	if _, err := train.Fit(t.Context(), topicTask(t, 30), openStates(t, fake(), filepath.Join(t.TempDir(), "s")), train.Config{HoldOut: 2, Batch: -1}); err == nil || !strings.Contains(err.Error(), "hold_out") || !strings.Contains(err.Error(), "batch") {
		t.Errorf("configuration: %v", err)
	}
}
