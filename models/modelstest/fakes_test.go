package modelstest_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
)

func TestFakesConform(t *testing.T) {
	open := func(*testing.T) models.LanguageModel {
		return modelstest.NewLanguageModel(modelstest.Options{MaxLength: 256})
	}
	modelstest.TestLanguageModel(t, open)
	for _, head := range []models.Head{modelstest.NewSpanHead(modelstest.NewTokenizer()), modelstest.RelevanceHead{}, modelstest.EmbeddingHead{Size: 16}} {
		t.Run(head.Kind(), func(t *testing.T) {
			model := open(t)
			defer model.Close()
			modelstest.TestHead(t, head, model)
		})
	}
	t.Run("tokenizer", func(t *testing.T) { modelstest.TestTokenizer(t, modelstest.NewTokenizer()) })
}

func TestTokenizerOffsetsAreCodePoints(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"words", "The tower, built 1889.", []string{"The", "tower", ",", "built", "1889", "."}},
		{"accents", "Zürich—Genève", []string{"Zürich", "—", "Genève"}},
		{"broken UTF-8", "a\xffb", []string{"a", "\uFFFD", "b"}},
		{"empty", "", nil},
		{"spaces", " \t\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runes := []rune(tt.text)
			var got []string
			tokens := modelstest.NewTokenizer().Tokenize(tt.text)
			for _, o := range tokens.Offsets {
				got = append(got, string(runes[o.Start:o.End]))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenizerWindowsCoverThePassage(t *testing.T) {
	tokenizer := modelstest.NewTokenizer()
	question := tokenizer.Tokenize("who was it")
	passage := tokenizer.Tokenize("a b c d e f g h i j k l m n o p q r s t u v w x y z")
	const maxLength, stride = 16, 4
	windows, err := tokenizer.Pair(question, passage, maxLength, stride)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for i, w := range windows {
		if w.Len() > maxLength {
			t.Errorf("window %d has %d tokens, want at most %d", i, w.Len(), maxLength)
		}
		from := int(w.Offsets[w.First].Start) / 2
		if i > 0 && from != next-stride {
			t.Errorf("window %d starts at token %d, want %d", i, from, next-stride)
		}
		next = from + w.Last - w.First
	}
	if next != passage.Len() {
		t.Errorf("windows end at token %d, want %d", next, passage.Len())
	}
	if _, err := tokenizer.Pair(question, passage, 10, 4); !errors.Is(err, models.ErrQuestionTooLong) {
		t.Errorf("Pair without room: got error %v, want ErrQuestionTooLong", err)
	}
}

func TestSpanHeadMarksTheAnswer(t *testing.T) {
	tokenizer := modelstest.NewTokenizer()
	model := modelstest.NewLanguageModel(modelstest.Options{})
	head := modelstest.NewSpanHead(tokenizer, modelstest.Span{Question: "Who designed the tower?", Answer: "Gustave Eiffel", Score: 8}).WithNull(-2)
	windows, err := tokenizer.Pair(tokenizer.Tokenize("who designed the tower?"), tokenizer.Tokenize("It was Gustave Eiffel."), 64, 8)
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := model.Run(t.Context(), windows)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := head.Spans(outputs[0], windows[0])
	if err != nil {
		t.Fatal(err)
	}
	first := windows[0].First
	if got := logits.Start[first+2] + logits.End[first+3]; got != 8 {
		t.Errorf("score of the answer: got %v, want 8", got)
	}
	if got := logits.Start[0] + logits.End[0]; got != -2 {
		t.Errorf("null score: got %v, want -2", got)
	}
	if got := logits.Start[first]; got != modelstest.BackgroundLogit {
		t.Errorf("start logit of another token: got %v, want %v", got, modelstest.BackgroundLogit)
	}

	other, err := tokenizer.Pair(tokenizer.Tokenize("who built the tower?"), tokenizer.Tokenize("It was Gustave Eiffel."), 64, 8)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := head.Spans(outputs[0], other[0]); err == nil {
		t.Error("outputs of another encoding: got no error")
	}
}

func TestNewBundle(t *testing.T) {
	bundle, err := modelstest.NewBundle()
	if err != nil {
		t.Fatal(err)
	}
	if err := bundle.Verify(); err != nil {
		t.Error(err)
	}
}

func TestFakeConforms(t *testing.T) {
	modelstest.TestLanguageModel(t, func(*testing.T) models.LanguageModel {
		return modelstest.NewLanguageModel(modelstest.Options{})
	})
}
