package modelstest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/needle-search/needle/models"
)

// Predict returns what a head gives for one encoding as plain numbers, after
// checking that there are as many as its interface promises.
func Predict(head models.Head, outputs models.Outputs, e models.Encoding) ([]float32, error) {
	var values []float32
	var err error
	want := -1
	switch h := head.(type) {
	case models.SpanHead:
		var logits models.SpanLogits
		logits, err = h.Spans(outputs, e)
		values, want = slices.Concat(logits.Start, logits.End), 2*e.Len()
	case models.RelevanceHead:
		var logit float32
		logit, err = h.Relevance(outputs, e)
		values, want = []float32{logit}, 1
	case models.EmbeddingHead:
		values, err = h.Embed(outputs, e)
		want = h.Dimensions()
	case models.LabelHead:
		values, err = h.Classify(outputs, e)
		want = len(h.Labels())
	case models.TokenHead:
		var tags models.Tensor
		tags, err = h.Tag(outputs, e)
		values, want = tags.Data, e.Len()*len(h.Labels())
	default:
		return nil, fmt.Errorf("modelstest: a head of type %T predicts nothing", head)
	}
	if err == nil && len(values) != want {
		err = fmt.Errorf("modelstest: the %s head gives %d values, want %d", head.Kind(), len(values), want)
	}
	return values, err
}

// TestHead checks that a head behaves as its interface says, on the outputs of
// a language model that it fits: what it predicts depends on its encoding
// alone, not on what else was in the batch or how it was padded; it may be used
// by many at once; it changes nothing that it is given; it refuses outputs that
// are not there or belong to another encoding. Run it with -race.
func TestHead(t *testing.T, head models.Head, model models.LanguageModel) {
	batch := Encodings(9, min(model.Info().MaxLength, 200))
	together := run(t, model, batch)
	want := make([][]float32, len(batch))
	for i, e := range batch {
		values, err := Predict(head, together[i], e)
		if err != nil {
			t.Fatalf("encoding %d of %d tokens: %v", i, e.Len(), err)
		}
		for k, v := range values {
			if v != v || math.IsInf(float64(v), 0) {
				t.Fatalf("encoding %d: value %d is %v", i, k, v)
			}
		}
		want[i] = slices.Clone(values)
	}
	t.Run("Description", func(t *testing.T) {
		if head.Kind() == "" || len(head.Requires()) == 0 {
			t.Errorf("kind %q, requires %q; want both", head.Kind(), head.Requires())
		}
		for _, name := range head.Requires() {
			if _, ok := together[0][name]; !ok {
				t.Errorf("the head requires %q, which the model does not give", name)
			}
		}
	})
	t.Run("BatchAndPadding", func(t *testing.T) {
		for i, e := range batch {
			alone := run(t, model, []models.Encoding{e})[0]
			compareValues(t, head, alone, e, want[i], Tolerance)
		}
	})
	t.Run("OutputsStay", func(t *testing.T) {
		before := cloneOutputs(together[1])
		compareValues(t, head, together[1], batch[1], want[1], 0)
		compare(t, 1, before, together[1], 0)
	})
	t.Run("Concurrent", func(t *testing.T) {
		var group sync.WaitGroup
		for k := range 8 {
			group.Go(func() {
				for i := range batch {
					at := (i + k) % len(batch)
					compareValues(t, head, together[at], batch[at], want[at], 0)
				}
			})
		}
		group.Wait()
	})
	t.Run("Missing", func(t *testing.T) {
		for _, name := range head.Requires() {
			part := maps.Clone(together[0])
			delete(part, name)
			if _, err := Predict(head, part, batch[0]); !errors.Is(err, models.ErrMissingOutput) {
				t.Errorf("without %q: %v, want ErrMissingOutput", name, err)
			}
		}
	})
	t.Run("OtherShape", func(t *testing.T) {
		for _, name := range head.Requires() {
			part := maps.Clone(together[0])
			part[name] = models.Tensor{Shape: []int{1, 7}, Data: make([]float32, 7)}
			if _, err := Predict(head, part, batch[0]); err == nil {
				t.Errorf("%q of shape [1 7]: got no error", name)
			}
		}
	})
}

func cloneOutputs(outputs models.Outputs) models.Outputs {
	out := make(models.Outputs, len(outputs))
	for name, tensor := range outputs {
		out[name] = models.Tensor{Shape: slices.Clone(tensor.Shape), Data: slices.Clone(tensor.Data)}
	}
	return out
}

func compareValues(t *testing.T, head models.Head, outputs models.Outputs, e models.Encoding, want []float32, tolerance float64) {
	t.Helper()
	got, err := Predict(head, outputs, e)
	if err != nil {
		t.Errorf("%d tokens: %v", e.Len(), err)
		return
	}
	if len(got) != len(want) {
		t.Errorf("%d tokens: %d values, want %d", e.Len(), len(got), len(want))
		return
	}
	for i := range got {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= tolerance) {
			t.Errorf("%d tokens: value %d is %v, want %v within %v", e.Len(), i, got[i], want[i], tolerance)
			return
		}
	}
}
