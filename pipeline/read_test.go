package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

func readTowers() []pipeline.ReadDocument {
	var documents []pipeline.ReadDocument
	for _, d := range towers() {
		documents = append(documents, pipeline.ReadDocument{ID: d.ID, Title: d.Title, Text: d.Text})
	}
	return documents
}

func TestReadDocuments(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	cut := map[string]func(text string, start, end int) string{
		"":      func(s string, a, b int) string { return string([]rune(s)[a:b]) },
		"byte":  func(s string, a, b int) string { return s[a:b] },
		"utf16": func(s string, a, b int) string { return string(utf16.Decode(utf16.Encode([]rune(s))[a:b])) },
	}
	for unit, slice := range cut {
		result, err := p.Read(t.Context(), pipeline.ReadRequest{Question: "Who designed the tower?", Documents: readTowers(), TopK: 3, OffsetUnit: unit})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"Nobody Atall", "Gustave Eiffel", "John Andrews"}; !slices.Equal(texts(result.Answers), want) {
			t.Fatalf("unit %q: answers %v, want %v", unit, texts(result.Answers), want)
		}
		if result.Calibrated || len(result.Warnings) != 1 || result.Index != "" || result.Generation != 0 || !result.Complete || result.Truncated || result.CandidatesRead != 3 {
			t.Errorf("unit %q: unexpected result: %+v", unit, result)
		}
		a := result.Answers[1]
		if got := slice(towers()[0].Text, a.Start, a.End); got != a.Text || a.DocumentID != "eiffel" || a.Title != "Eiffel Tower" {
			t.Errorf("unit %q: the offsets give %q in %s, want %q in eiffel", unit, got, a.DocumentID, a.Text)
		}
		if got := slice(a.Context, a.ContextStart, a.ContextEnd); got != a.Text {
			t.Errorf("unit %q: the context's offsets give %q, want %q", unit, got, a.Text)
		}
		if a.Scores.BM25 != 0 || a.Scores.Fused < a.Scores.SpanLogit-a.Scores.NullLogit {
			t.Errorf("unit %q: scores %+v", unit, a.Scores)
		}
	}
	if indexes, err := p.Indexes(t.Context()); err != nil || len(indexes) != 0 {
		t.Errorf("indexes after reading: %v, %v; want none", indexes, err)
	}
}

// TestReadAgreesWithAsk: with one document that a retrieval finds, its passage
// is the best of the retrieval, so that both say the same.
func TestReadAgreesWithAsk(t *testing.T) {
	cfg := fakes(t, modelstest.Options{}, designers()...)
	p := open(t, cfg)
	put(t, p, towers()[0])
	asked := ask(t, p, pipeline.Request{Question: "Who designed the tower?"})
	read, err := p.Read(t.Context(), pipeline.ReadRequest{Question: "Who designed the tower?", Documents: readTowers()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	if len(read.Answers) == 0 || read.Answers[0].Text != asked.Answers[0].Text || read.Answers[0].Probability != asked.Answers[0].Probability || read.NoAnswerProbability != asked.NoAnswerProbability {
		t.Errorf("read %+v\nasked %+v", read, asked)
	}
}

func TestReadNoAnswer(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}))
	request := pipeline.ReadRequest{Question: "How heavy is the moon?", Documents: []pipeline.ReadDocument{{Text: "Lunch is at noon."}}}
	for _, include := range []bool{false, true} {
		request.IncludeRejected = include
		result, err := p.Read(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if result.Answerable || len(result.Answers) != 0 || (len(result.Rejected) > 0) != include {
			t.Errorf("include_rejected %v: %+v", include, result)
		}
		if include && result.Rejected[0].DocumentID != "0" {
			t.Errorf("the document without an id is called %q, want 0", result.Rejected[0].DocumentID)
		}
	}
}

// TestReadSaysWhatIsUnread: beyond the limit the first passages are read.
func TestReadSaysWhatIsUnread(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	long := strings.Repeat("The board met on a Monday and spoke of many things. ", 5000)
	documents := append(readTowers()[:1], pipeline.ReadDocument{Text: long}, pipeline.ReadDocument{Text: "It was John Andrews."})
	result, err := p.Read(t.Context(), pipeline.ReadRequest{Question: "Who designed the tower?", Documents: documents, TopK: 5})
	if err != nil {
		t.Fatal(err)
	}
	if result.Complete || !result.Truncated || result.CandidatesRead != pipeline.MaxReadPassages || !strings.Contains(strings.Join(result.Warnings, "\n"), "passages were not read") {
		t.Errorf("complete %v, truncated %v, %d read, warnings %q; want it said that the rest was not read", result.Complete, result.Truncated, result.CandidatesRead, result.Warnings)
	}
	if got := texts(result.Answers); len(got) == 0 || got[0] != "Gustave Eiffel" || slices.Contains(got, "John Andrews") {
		t.Errorf("answers %v, want those of the first document only", got)
	}
}

func TestReadRefuses(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}))
	one := []pipeline.ReadDocument{{Text: "x"}}
	tests := []struct {
		name    string
		request pipeline.ReadRequest
		want    error
		names   string
	}{
		{"no question", pipeline.ReadRequest{Documents: one}, pipeline.ErrEmptyQuestion, ""},
		{"long question", pipeline.ReadRequest{Question: strings.Repeat("why ", 500), Documents: one}, pipeline.ErrQuestionTooLong, "limits.max_question_tokens"},
		{"no documents", pipeline.ReadRequest{Question: "x"}, pipeline.ErrInvalidRequest, "1 to 100"},
		{"too many documents", pipeline.ReadRequest{Question: "x", Documents: make([]pipeline.ReadDocument, 101)}, pipeline.ErrInvalidRequest, "101"},
		{"too much text", pipeline.ReadRequest{Question: "x", Documents: []pipeline.ReadDocument{{Text: strings.Repeat("x ", 3<<20)}}}, pipeline.ErrInvalidRequest, "4194304"},
		{"no text", pipeline.ReadRequest{Question: "x", Documents: []pipeline.ReadDocument{{Text: "x"}, {Text: " \n"}}}, pipeline.ErrInvalidRequest, "documents[1]"},
		{"not UTF-8", pipeline.ReadRequest{Question: "x", Documents: []pipeline.ReadDocument{{Text: "\xff"}}}, pipeline.ErrInvalidRequest, "documents[0]"},
		{"one id twice", pipeline.ReadRequest{Question: "x", Documents: []pipeline.ReadDocument{{ID: "1", Text: "x"}, {Text: "y"}}}, pipeline.ErrInvalidRequest, `"1"`},
		{"top_k", pipeline.ReadRequest{Question: "x", Documents: one, TopK: -1}, pipeline.ErrInvalidRequest, "top_k"},
		{"budget", pipeline.ReadRequest{Question: "x", Documents: one, Budget: -1}, pipeline.ErrInvalidRequest, "budget"},
		{"offset unit", pipeline.ReadRequest{Question: "x", Documents: one, OffsetUnit: "line"}, pipeline.ErrInvalidRequest, "offset_unit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.Read(t.Context(), tt.request)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("got %v, want %v that names %q", err, tt.want, tt.names)
			}
		})
	}
	blind := open(t, fakes(t, modelstest.Options{}), pipeline.WithoutReader())
	if _, err := blind.Read(t.Context(), pipeline.ReadRequest{Question: "x", Documents: one}); !errors.Is(err, pipeline.ErrNoReader) {
		t.Errorf("read without a reader: got %v, want %v", err, pipeline.ErrNoReader)
	}
	if _, err := blind.Rerank(t.Context(), pipeline.RerankRequest{Query: "x", Documents: []string{"x"}}); !errors.Is(err, pipeline.ErrNoReader) {
		t.Errorf("rerank without a reader: got %v, want %v", err, pipeline.ErrNoReader)
	}
}

func TestRerankBySpans(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	request := pipeline.RerankRequest{Query: "Who designed the tower?", ReturnDocuments: true, Documents: []string{
		"Lunch is at noon.", "It was John Andrews.", " ", strings.Repeat("Nothing to see here at all. ", 200) + "It was Nobody Atall.",
	}}
	result, err := p.Rerank(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := places(result), []int{3, 1, 0, 2}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	if result.Score != pipeline.ScoreSpanMargin || result.Truncated || result.Model == "" || result.ModelHash == "" {
		t.Errorf("unexpected result: %+v", result)
	}
	// Nobody Atall has a margin of 12, John Andrews of 7.
	for i, want := range []float64{1 / (1 + math.Exp(-12)), 1 / (1 + math.Exp(-7))} {
		if got := result.Results[i].RelevanceScore; math.Abs(got-want) > 1e-6 {
			t.Errorf("result %d has the score %v, want %v", i, got, want)
		}
	}
	if last := result.Results[3]; last.RelevanceScore != 0 || last.Document == nil || last.Document.Text != " " {
		t.Errorf("the document without text: %+v, want 0", last)
	}
	request.TopN, request.ReturnDocuments = 2, false
	short, err := p.Rerank(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := places(short), []int{3, 1}; !slices.Equal(got, want) || short.Results[0].Document != nil {
		t.Errorf("top 2: %v, want %v without texts", got, want)
	}
}

func places(r *pipeline.RerankResult) []int {
	list := make([]int, len(r.Results))
	for i, hit := range r.Results {
		list[i] = hit.Index
	}
	return list
}

// TestRerankReadsEveryDocument: with more passages than are read, all documents
// get a score from their beginnings.
func TestRerankReadsEveryDocument(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	request := pipeline.RerankRequest{Query: "Who designed the tower?", Documents: []string{strings.Repeat("The board met on a Monday and spoke of many things. ", 5000)}}
	for i := range 150 {
		request.Documents = append(request.Documents, fmt.Sprintf("Note %d.", i))
	}
	request.Documents = append(request.Documents, "It was Gustave Eiffel.")
	result, err := p.Rerank(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Truncated || len(result.Warnings) != 1 || result.Results[0].Index != 151 || len(result.Results) != 152 {
		t.Errorf("truncated %v, warnings %q, first %+v, %d results", result.Truncated, result.Warnings, result.Results[0], len(result.Results))
	}
	for _, hit := range result.Results {
		if hit.RelevanceScore == 0 {
			t.Errorf("document %d was not read", hit.Index)
		}
	}
}

// TestRerankByRelevance uses the relevance head of a bundle that has one.
func TestRerankByRelevance(t *testing.T) {
	tokenizer := modelstest.NewTokenizer()
	registry := builtin.Registry()
	registry.SetTokenizer(func([]byte) (models.Tokenizer, error) { return tokenizer, nil })
	registry.SetModel(func(context.Context, *models.Bundle, pipeline.ModelOptions) (models.LanguageModel, error) {
		return modelstest.NewLanguageModel(modelstest.Options{}), nil
	})
	registry.AddHead(models.HeadSpan, func(models.HeadSpec, func(string) ([]byte, error), models.ModelInfo) (models.Head, error) {
		return modelstest.NewSpanHead(tokenizer), nil
	})
	registry.AddHead(models.HeadRelevance, func(models.HeadSpec, func(string) ([]byte, error), models.ModelInfo) (models.Head, error) {
		return modelstest.RelevanceHead{}, nil
	})
	registry.AddBundle("fake", func() (*models.Bundle, error) {
		bundle, err := modelstest.NewBundle()
		if err == nil {
			bundle.Manifest.Heads = append(bundle.Manifest.Heads, models.HeadSpec{Kind: models.HeadRelevance})
		}
		return bundle, err
	})
	cfg := pipeline.DefaultConfig(registry)
	cfg.Data = t.TempDir()
	cfg.Reader.Bundle = "fake"
	p := open(t, cfg)
	result, err := p.Rerank(t.Context(), pipeline.RerankRequest{Query: "tower designed", Documents: []string{"Lunch is at noon.", "the tower was designed", "the tower"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := places(result), []int{1, 2, 0}; !slices.Equal(got, want) || result.Score != pipeline.ScoreRelevance {
		t.Errorf("order %v by %s, want %v by relevance", got, result.Score, want)
	}
}

func TestRerankRefuses(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}))
	tests := []struct {
		name    string
		request pipeline.RerankRequest
		want    error
	}{
		{"no query", pipeline.RerankRequest{Documents: []string{"x"}}, pipeline.ErrEmptyQuestion},
		{"no documents", pipeline.RerankRequest{Query: "x"}, pipeline.ErrInvalidRequest},
		{"too many", pipeline.RerankRequest{Query: "x", Documents: make([]string, 1001)}, pipeline.ErrInvalidRequest},
		{"too much", pipeline.RerankRequest{Query: "x", Documents: []string{strings.Repeat("x", 5<<20)}}, pipeline.ErrInvalidRequest},
		{"not UTF-8", pipeline.RerankRequest{Query: "x", Documents: []string{"\xff"}}, pipeline.ErrInvalidText},
		{"NUL", pipeline.RerankRequest{Query: "x", Documents: []string{"a\x00"}}, pipeline.ErrInvalidText},
		{"top_n", pipeline.RerankRequest{Query: "x", Documents: []string{"x"}, TopN: -1}, pipeline.ErrInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := p.Rerank(t.Context(), tt.request); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
