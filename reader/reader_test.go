package reader_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

func passage(id string, start int, text string) retriever.Passage {
	return retriever.Passage{DocumentID: id, Start: start, End: start + len([]rune(text)), Text: text}
}

// open returns a reader over fakes that know the given answers.
func open(t testing.TB, config reader.Config, options modelstest.Options, answers ...modelstest.Span) (*reader.Reader, *modelstest.LanguageModel) {
	t.Helper()
	tokenizer := modelstest.NewTokenizer()
	model := modelstest.NewLanguageModel(options)
	t.Cleanup(func() { model.Close() })
	r, err := reader.New(tokenizer, model, modelstest.NewSpanHead(tokenizer, answers...), nil, config)
	if err != nil {
		t.Fatal(err)
	}
	return r, model
}

type found struct {
	Document   string
	Start, End int
	Text       string
	Margin     float64
}

func summary(reading reader.Reading, passages []retriever.Passage, atLeast float64) []found {
	var list []found
	for _, s := range reading.Spans {
		if s.Margin() >= atLeast {
			list = append(list, found{passages[s.Candidate].DocumentID, s.Start, s.End, s.Text, s.Margin()})
		}
	}
	return list
}

// TestRelevanceOfSpans: a span carries what the relevance head says of its window.
func TestRelevanceOfSpans(t *testing.T) {
	const question = "who designed the tower?"
	tokenizer, model := modelstest.NewTokenizer(), modelstest.NewLanguageModel(modelstest.Options{})
	t.Cleanup(func() { model.Close() })
	head := modelstest.NewSpanHead(tokenizer, modelstest.Span{Answer: "Gustave Eiffel", Score: 8}, modelstest.Span{Answer: "Bakers", Score: 3})
	r, err := reader.New(tokenizer, model, head, modelstest.RelevanceHead{}, reader.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	passages := []retriever.Passage{passage("a", 0, "Bakers bake."), passage("b", 0, "Gustave Eiffel designed the tower.")}
	reading, err := r.Read(t.Context(), question, passages, reader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	relevance := map[string]float64{}
	for _, s := range reading.Spans {
		relevance[s.Text] = s.Relevance
	}
	if relevance["Gustave Eiffel"] <= relevance["Bakers"] {
		t.Errorf("got the relevances %v; the passage that shares the question's words should have the greater one", relevance)
	}
	plain, _ := open(t, reader.DefaultConfig(), modelstest.Options{}, modelstest.Span{Answer: "Bakers", Score: 3})
	if reading, err = plain.Read(t.Context(), question, passages, reader.Options{}); err != nil || reading.Spans[0].Relevance != 0 {
		t.Errorf("without a relevance head: got %+v, %v; want none", reading.Spans, err)
	}
}

func TestRead(t *testing.T) {
	const question = "who designed it?"
	long := strings.Repeat("filler words without any use, ", 40)
	tests := []struct {
		name     string
		answers  []modelstest.Span
		passages []retriever.Passage
		want     []found
	}{
		{
			name:     "position in the document, not in the passage",
			answers:  []modelstest.Span{{Answer: "Gustave Eiffel", Score: 8}},
			passages: []retriever.Passage{passage("tower", 1000, "It was Gustave Eiffel who did.")},
			want:     []found{{"tower", 1007, 1021, "Gustave Eiffel", 8}},
		},
		{
			name:     "code points outside ASCII",
			answers:  []modelstest.Span{{Answer: "Zoë Müller", Score: 5}},
			passages: []retriever.Passage{passage("a", 7, "🗼 — Zoë Müller did it")},
			want:     []found{{"a", 11, 21, "Zoë Müller", 5}},
		},
		{
			name:     "scores are compared across passages",
			answers:  []modelstest.Span{{Answer: "Koechlin", Score: 9}, {Answer: "Eiffel", Score: 4}},
			passages: []retriever.Passage{passage("a", 0, "Some say Eiffel did."), passage("b", 0, "In truth Koechlin did.")},
			want:     []found{{"b", 9, 17, "Koechlin", 9}, {"a", 9, 15, "Eiffel", 4}},
		},
		{
			name:     "ties by document id, then by start",
			answers:  []modelstest.Span{{Answer: "Eiffel", Score: 6}},
			passages: []retriever.Passage{passage("b", 0, "Eiffel."), passage("a", 50, "Eiffel!"), passage("a", 0, "Eiffel?")},
			want:     []found{{"a", 0, 6, "Eiffel", 6}, {"a", 50, 56, "Eiffel", 6}, {"b", 0, 6, "Eiffel", 6}},
		},
		{
			name:     "overlapping passages give one answer",
			answers:  []modelstest.Span{{Answer: "Eiffel", Score: 6}},
			passages: []retriever.Passage{passage("a", 0, "It was Eiffel here"), passage("a", 7, "Eiffel here and on")},
			want:     []found{{"a", 7, 13, "Eiffel", 6}},
		},
		{
			name:     "a long passage is read to its end",
			answers:  []modelstest.Span{{Answer: "Sauvestre", Score: 7}},
			passages: []retriever.Passage{passage("a", 0, long+"then Sauvestre.")},
			want:     []found{{"a", len(long) + 5, len(long) + 14, "Sauvestre", 7}},
		},
		{name: "no passages", answers: []modelstest.Span{{Answer: "Eiffel", Score: 6}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := reader.DefaultConfig()
			config.MaxSeqLength, config.Stride = 64, 16
			r, _ := open(t, config, modelstest.Options{}, tt.answers...)
			reading, err := r.Read(t.Context(), question, tt.passages, reader.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, summary(reading, tt.passages, 1)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if !reading.Complete || reading.Truncated || reading.Candidates != len(tt.passages) {
				t.Errorf("complete %v, truncated %v, %d candidates; want all %d read", reading.Complete, reading.Truncated, reading.Candidates, len(tt.passages))
			}
		})
	}
}

func TestLongestAnswer(t *testing.T) {
	answer := "one two three four five six"
	config := reader.DefaultConfig()
	config.MaxAnswerTokens = 4
	r, _ := open(t, config, modelstest.Options{}, modelstest.Span{Answer: answer, Score: 9})
	reading, err := r.Read(t.Context(), "which?", []retriever.Passage{passage("a", 0, "they are "+answer+" here")}, reader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range reading.Spans {
		if n := len(strings.Fields(s.Text)); n > 4 {
			t.Errorf("span %q has %d tokens, want at most 4", s.Text, n)
		}
	}
}

// TestDeadline: the first round is always read, the rest only in time.
func TestDeadline(t *testing.T) {
	var passages []retriever.Passage
	for i := range 10 {
		passages = append(passages, passage(fmt.Sprintf("d%d", i), 0, "It was Eiffel."))
	}
	r, model := open(t, reader.DefaultConfig(), modelstest.Options{}, modelstest.Span{Answer: "Eiffel", Score: 3})
	reading, err := r.Read(t.Context(), "who?", passages, reader.Options{Deadline: time.Now().Add(-time.Second), Round: 3})
	if err != nil {
		t.Fatal(err)
	}
	if reading.Complete || reading.Candidates != 3 || reading.Windows != 3 {
		t.Errorf("complete %v, %d candidates, %d windows; want the first 3 only", reading.Complete, reading.Candidates, reading.Windows)
	}
	if _, encodings := model.Runs(); encodings != 3 {
		t.Errorf("the model ran %d encodings, want 3", encodings)
	}
	reading, err = r.Read(t.Context(), "who?", passages, reader.Options{Deadline: time.Now().Add(time.Hour), Round: 3})
	if err != nil {
		t.Fatal(err)
	}
	if !reading.Complete || reading.Candidates != 10 {
		t.Errorf("complete %v, %d candidates; want all 10", reading.Complete, reading.Candidates)
	}
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("the graph broke")
	tests := []struct {
		name     string
		question string
		before   func(context.Context, []models.Encoding) error
		want     error
	}{
		{"a question that leaves no room", strings.Repeat("why ", 500), nil, models.ErrQuestionTooLong},
		{"a model that fails", "why?", func(context.Context, []models.Encoding) error { return broken }, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := open(t, reader.DefaultConfig(), modelstest.Options{BeforeRun: tt.before})
			_, err := r.Read(t.Context(), tt.question, []retriever.Passage{passage("a", 0, "Because.")}, reader.Options{})
			if !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNewRefusesWrongConfig(t *testing.T) {
	tokenizer := modelstest.NewTokenizer()
	model := modelstest.NewLanguageModel(modelstest.Options{MaxLength: 128})
	defer model.Close()
	tests := []struct {
		name   string
		change func(*reader.Config)
		want   string
	}{
		{"longer than the model", func(*reader.Config) {}, "max_seq_length: 384"},
		{"stride as long as the window", func(c *reader.Config) { c.MaxSeqLength, c.Stride = 100, 60 }, "stride: 60"},
		{"no answer length", func(c *reader.Config) { c.MaxSeqLength, c.Stride, c.MaxAnswerTokens = 100, 10, 0 }, "max_answer_tokens: 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := reader.DefaultConfig()
			tt.change(&config)
			_, err := reader.New(tokenizer, model, modelstest.NewSpanHead(tokenizer), nil, config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one that names %q", err, tt.want)
			}
		})
	}
}

// TestSpanProperties: whatever the text, spans lie inside their passage, say
// what stands there, never overlap within a document and come in order.
func TestSpanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := reader.DefaultConfig()
		config.MaxSeqLength, config.Stride, config.MaxAnswerTokens = 40, 8, 6
		tokenizer := modelstest.NewTokenizer()
		model := modelstest.NewLanguageModel(modelstest.Options{})
		defer model.Close()
		words := rapid.SliceOfN(rapid.StringMatching(`[a-cé東🗼]{1,4}`), 1, 60)
		r, err := reader.New(tokenizer, model, modelstest.NewSpanHead(tokenizer, modelstest.Span{Answer: rapid.StringMatching(`[a-c]{1,2}`).Draw(t, "answer"), Score: 5}), nil, config)
		if err != nil {
			t.Fatal(err)
		}
		var passages []retriever.Passage
		for i := range rapid.IntRange(1, 4).Draw(t, "passages") {
			passages = append(passages, passage(fmt.Sprint("d", i%2), 10*i, strings.Join(words.Draw(t, "words"), " ")))
		}
		reading, err := r.Read(context.Background(), "what?", passages, reader.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range reading.Spans {
			p := passages[s.Candidate]
			if s.Start < p.Start || s.End > p.End || s.Start >= s.End {
				t.Fatalf("span [%d:%d] is not inside its passage [%d:%d]", s.Start, s.End, p.Start, p.End)
			}
			if got := retriever.SliceRunes(p.Text, s.Start-p.Start, s.End-p.Start); got != s.Text {
				t.Fatalf("span says %q, the passage has %q", s.Text, got)
			}
			if i > 0 && reading.Spans[i-1].Margin() < s.Margin() {
				t.Fatalf("span %d is better than the one before", i)
			}
			for _, o := range reading.Spans[:i] {
				if passages[o.Candidate].DocumentID == p.DocumentID && s.Start < o.End && o.Start < s.End {
					t.Fatalf("[%d:%d] and [%d:%d] overlap", s.Start, s.End, o.Start, o.End)
				}
			}
		}
	})
}
