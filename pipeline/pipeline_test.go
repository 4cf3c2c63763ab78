package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakes returns a configuration with the real retriever and a fake model that
// knows some answers, so that these tests need no native library.
func fakes(t testing.TB, options modelstest.Options, answers ...modelstest.Span) *pipeline.Config {
	t.Helper()
	if fault := options.BeforeRun; fault != nil {
		// Opening runs a single text; what tests inject is about questions.
		options.BeforeRun = func(ctx context.Context, batch []models.Encoding) error {
			if !slices.Contains(batch[0].Sequences, models.SequenceSecond) {
				return nil
			}
			return fault(ctx, batch)
		}
	}
	tokenizer := modelstest.NewTokenizer()
	registry := builtin.Registry()
	registry.SetTokenizer(func([]byte) (models.Tokenizer, error) { return tokenizer, nil })
	registry.SetModel(func(context.Context, *models.Bundle, pipeline.ModelOptions) (models.LanguageModel, error) {
		return modelstest.NewLanguageModel(options), nil
	})
	registry.AddHead(models.HeadSpan, func(models.HeadSpec, func(string) ([]byte, error), models.ModelInfo) (models.Head, error) {
		return modelstest.NewSpanHead(tokenizer, answers...), nil
	})
	registry.AddBundle("fake", modelstest.NewBundle)
	cfg := pipeline.DefaultConfig(registry)
	cfg.Data = t.TempDir()
	cfg.Reader.Bundle = "fake"
	cfg.Ranker.Type = pipeline.RankerNone // vector_test.go has the others
	return cfg
}

func open(t testing.TB, cfg *pipeline.Config, options ...pipeline.Option) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Open(context.Background(), cfg, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func put(t testing.TB, p *pipeline.Pipeline, documents ...retriever.Document) {
	t.Helper()
	if _, err := p.Put(context.Background(), "", documents); err != nil {
		t.Fatal(err)
	}
}

func ask(t testing.TB, p *pipeline.Pipeline, request pipeline.Request) *pipeline.Result {
	t.Helper()
	request.Access = pipeline.FullAccess()
	result, err := p.Ask(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func towers() []retriever.Document {
	return []retriever.Document{
		{ID: "eiffel", Title: "Eiffel Tower", Text: "🗼 The tower in Paris was designed by Gustave Eiffel. It opened in 1889.", Metadata: map[string]any{"city": "Paris", "height": int64(330)}},
		{ID: "cn", Title: "CN Tower", Text: "The tower in Toronto was designed by John Andrews. It opened in 1976.", Metadata: map[string]any{"city": "Toronto", "height": int64(553)}},
		{ID: "secret", Title: "A tower", Text: "The hidden tower was designed by Nobody Atall.", Groups: []string{"board"}},
	}
}

func designers() []modelstest.Span {
	return []modelstest.Span{{Answer: "Gustave Eiffel", Score: 9}, {Answer: "John Andrews", Score: 7}, {Answer: "Nobody Atall", Score: 12}}
}

func texts(answers []pipeline.Answer) []string {
	var list []string
	for _, a := range answers {
		list = append(list, a.Text)
	}
	return list
}

func TestAsk(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	put(t, p, towers()...)
	result := ask(t, p, pipeline.Request{Question: "Who designed the tower?", TopK: 2})
	if want := []string{"Nobody Atall", "Gustave Eiffel"}; !slices.Equal(texts(result.Answers), want) {
		t.Fatalf("answers %v, want %v", texts(result.Answers), want)
	}
	if !result.Answerable || !result.Complete || result.Truncated || result.CandidatesRead != 3 || result.Index != "default" || result.Generation == 0 {
		t.Errorf("unexpected result: %+v", result)
	}
	if result.Calibrated || len(result.Warnings) != 1 {
		t.Errorf("calibrated %v, warnings %v; a bundle without a profile must say so", result.Calibrated, result.Warnings)
	}
	if result.Model.Name == "" || result.Model.Hash == "" {
		t.Errorf("the model is not named: %+v", result.Model)
	}
	a := result.Answers[1]
	if a.DocumentID != "eiffel" || a.Title != "Eiffel Tower" || a.Scores.BM25 <= 0 || a.Scores.SpanLogit-a.Scores.NullLogit != 9 {
		t.Errorf("provenance of the answer: %+v", a)
	}
	for i := 1; i < len(result.Answers); i++ {
		if result.Answers[i-1].Probability < result.Answers[i].Probability {
			t.Errorf("probabilities rise from %v to %v", result.Answers[i-1].Probability, result.Answers[i].Probability)
		}
	}
}

// TestOffsets: answer.text == document.text[start:end] in every unit, and the
// same holds within the context.
func TestOffsets(t *testing.T) {
	cut := map[string]func(text string, start, end int) string{
		"":          func(s string, a, b int) string { return string([]rune(s)[a:b]) },
		"byte":      func(s string, a, b int) string { return s[a:b] },
		"utf16":     func(s string, a, b int) string { return string(utf16.Decode(utf16.Encode([]rune(s))[a:b])) },
		"codepoint": func(s string, a, b int) string { return string([]rune(s)[a:b]) },
	}
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	put(t, p, towers()...)
	for unit, slice := range cut {
		result := ask(t, p, pipeline.Request{Question: "Who designed the tower in Paris?", TopK: 10, OffsetUnit: unit, Explain: true})
		if len(result.Answers) < 3 || len(result.Candidates) != 3 {
			t.Fatalf("unit %q: %d answers, %d candidates", unit, len(result.Answers), len(result.Candidates))
		}
		for _, a := range result.Answers {
			document, err := p.Document(t.Context(), "", a.DocumentID)
			if err != nil {
				t.Fatal(err)
			}
			if got := slice(document.Text, a.Start, a.End); got != a.Text {
				t.Errorf("unit %q: document[%d:%d] is %q, the answer says %q", unit, a.Start, a.End, got, a.Text)
			}
			if got := slice(a.Context, a.ContextStart, a.ContextEnd); got != a.Text {
				t.Errorf("unit %q: context[%d:%d] is %q, the answer says %q", unit, a.ContextStart, a.ContextEnd, got, a.Text)
			}
		}
		for _, c := range result.Candidates {
			document, err := p.Document(t.Context(), "", c.DocumentID)
			if err != nil {
				t.Fatal(err)
			}
			if got := slice(document.Text, c.Start, c.End); got != c.Text {
				t.Errorf("unit %q: candidate %s says %q, the document %q", unit, c.PassageID, c.Text, got)
			}
		}
	}
}

// TestTopKIsPrefix: asking for k gives the first k of asking for more.
func TestTopKIsPrefix(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	put(t, p, towers()...)
	all := ask(t, p, pipeline.Request{Question: "Who designed the tower?", TopK: 20})
	if len(all.Answers) < 5 {
		t.Fatalf("only %d answers", len(all.Answers))
	}
	for k := 1; k <= len(all.Answers); k++ {
		some := ask(t, p, pipeline.Request{Question: "Who designed the tower?", TopK: k})
		if diff := cmp.Diff(all.Answers[:k], some.Answers); diff != "" {
			t.Fatalf("top_k %d (-want +got):\n%s", k, diff)
		}
		if some.NoAnswerProbability != all.NoAnswerProbability {
			t.Errorf("top_k %d changes the no-answer probability from %v to %v", k, all.NoAnswerProbability, some.NoAnswerProbability)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, modelstest.Span{Answer: "Gustave Eiffel", Score: -3}))
	put(t, p, towers()...)
	tests := []struct {
		name, question string
		rejected       bool
		wantRejected   int
	}{
		{"weak evidence", "Who designed the tower in Paris?", false, 0},
		{"weak evidence, shown on request", "Who designed the tower in Paris?", true, 2},
		{"nothing retrieved", "Zirconium?", true, 0},
		{"stop words only", "what is it?", true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ask(t, p, pipeline.Request{Question: tt.question, TopK: 2, IncludeRejected: tt.rejected})
			if r.Answerable || r.Answers == nil || len(r.Answers) != 0 || len(r.Rejected) != tt.wantRejected {
				t.Errorf("answerable %v, answers %v, %d rejected; want a decision against and %d rejected", r.Answerable, r.Answers, len(r.Rejected), tt.wantRejected)
			}
			if r.NoAnswerProbability < 0.5 || r.NoAnswerProbability > 1 {
				t.Errorf("no-answer probability %v", r.NoAnswerProbability)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	put(t, p, towers()...)
	tests := []struct {
		name   string
		access pipeline.Access
		sees   bool
	}{
		{"no groups", pipeline.Access{}, false},
		{"another group", pipeline.Access{Groups: []string{"sales"}}, false},
		{"the group", pipeline.Access{Groups: []string{"sales", "board"}}, true},
		{"everything", pipeline.FullAccess(), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := p.Ask(t.Context(), pipeline.Request{Question: "Who designed the hidden tower?", TopK: 10, Access: tt.access, Explain: true})
			if err != nil {
				t.Fatal(err)
			}
			s, err := p.Search(t.Context(), pipeline.SearchRequest{
				Query: "hidden tower", Access: tt.access, Facets: []retriever.FacetRequest{{Field: "height"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			seen := uint64(len(towers()))
			if !tt.sees {
				seen--
			}
			if *s.MatchedDocuments != seen {
				t.Errorf("%d documents are counted, want %d", *s.MatchedDocuments, seen)
			}
			answered := slices.ContainsFunc(r.Answers, func(a pipeline.Answer) bool { return a.DocumentID == "secret" })
			read := slices.ContainsFunc(r.Candidates, func(c pipeline.Candidate) bool { return c.DocumentID == "secret" })
			found := slices.ContainsFunc(s.Hits, func(c pipeline.Candidate) bool { return c.DocumentID == "secret" })
			if answered != tt.sees || read != tt.sees || found != tt.sees {
				t.Errorf("answered %v, read %v, found %v; want %v", answered, read, found, tt.sees)
			}
		})
	}
}

func TestFilter(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, designers()...))
	put(t, p, towers()...)
	r := ask(t, p, pipeline.Request{Question: "Who designed the tower?", TopK: 1, Filter: &retriever.Filter{Field: "height", GT: 400}})
	if len(r.Answers) != 1 || r.Answers[0].Text != "John Andrews" {
		t.Errorf("answers %v, want John Andrews", texts(r.Answers))
	}
	_, err := p.Ask(t.Context(), pipeline.Request{Question: "Who?", Filter: &retriever.Filter{Field: "colour", Equals: "red"}})
	if !errors.Is(err, retriever.ErrInvalidFilter) || !strings.Contains(err.Error(), "colour") {
		t.Errorf("got error %v, want one that names the field", err)
	}
}

func TestBadRequests(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}))
	put(t, p, towers()...)
	tests := []struct {
		name    string
		request pipeline.Request
		want    error
	}{
		{"empty", pipeline.Request{}, pipeline.ErrEmptyQuestion},
		{"white space", pipeline.Request{Question: " \t\n\u00a0"}, pipeline.ErrEmptyQuestion},
		{"100 kB", pipeline.Request{Question: strings.Repeat("why ", 25_000)}, pipeline.ErrQuestionTooLong},
		{"too many tokens", pipeline.Request{Question: strings.Repeat("why ", 100)}, pipeline.ErrQuestionTooLong},
		{"not UTF-8", pipeline.Request{Question: "who \xff\xfe?"}, pipeline.ErrInvalidText},
		{"NUL", pipeline.Request{Question: "who\x00?"}, pipeline.ErrInvalidText},
		{"negative top_k", pipeline.Request{Question: "who?", TopK: -1}, pipeline.ErrInvalidRequest},
		{"huge top_k", pipeline.Request{Question: "who?", TopK: 1 << 30}, pipeline.ErrInvalidRequest},
		{"unknown unit", pipeline.Request{Question: "who?", OffsetUnit: "lines"}, pipeline.ErrInvalidRequest},
		{"negative budget", pipeline.Request{Question: "who?", Budget: -1}, pipeline.ErrInvalidRequest},
		{"missing index", pipeline.Request{Question: "who?", Index: "absent"}, retriever.ErrIndexNotFound},
		{"a path as index", pipeline.Request{Question: "who?", Index: "../../etc"}, retriever.ErrInvalidIndexName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.Ask(t.Context(), tt.request)
			if !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("the message has %d bytes; it must not repeat the question", len(err.Error()))
			}
		})
	}
}

func TestPut(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}), pipeline.WithoutReader())
	first, err := p.Put(t.Context(), "", towers())
	if err != nil {
		t.Fatal(err)
	}
	again := towers()
	again[1].Text = "Changed."
	again = append(again, retriever.Document{ID: "new", Text: "New."}, retriever.Document{Text: "no id"},
		retriever.Document{ID: "conflict", Text: "x", Metadata: map[string]any{"height": "tall"}}, retriever.Document{ID: "new", Text: "twice"})
	results, err := p.Put(t.Context(), "", again)
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprint(r.ID, " ", r.Status))
	}
	if want := []string{"eiffel unchanged", "cn updated", "secret unchanged", "new created"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !errors.Is(err, retriever.ErrInvalidDocument) || !errors.Is(err, retriever.ErrFieldConflict) {
		t.Errorf("got error %v, want both refusals", err)
	}
	if len(results) > 1 && results[1].Generation <= first[0].Generation {
		t.Errorf("generation went from %d to %d; it must grow", first[0].Generation, results[1].Generation)
	}
	document, err := p.Document(t.Context(), "", "new")
	if err != nil || document.Text != "New." {
		t.Errorf("document %+v, %v", document, err)
	}
	if _, err := p.Ask(t.Context(), pipeline.Request{Question: "who?"}); !errors.Is(err, pipeline.ErrNoReader) {
		t.Errorf("got %v, want ErrNoReader", err)
	}
}

// TestUpdateChangesAnswer: a changed fact changes the answer, a deleted
// document gives none.
func TestUpdateChangesAnswer(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}, modelstest.Span{Answer: "Alice", Score: 8}, modelstest.Span{Answer: "Bob", Score: 8}))
	for _, name := range []string{"Alice", "Bob"} {
		put(t, p, retriever.Document{ID: "boss", Text: "The head of sales is " + name + " now."})
		if r := ask(t, p, pipeline.Request{Question: "Who is head of sales?", TopK: 1}); !slices.Equal(texts(r.Answers), []string{name}) {
			t.Errorf("answers %v, want %s", texts(r.Answers), name)
		}
	}
	if n, err := p.Delete(t.Context(), "", []string{"boss", "absent"}); n != 1 || err != nil {
		t.Errorf("deleted %d, %v; want 1", n, err)
	}
	if r := ask(t, p, pipeline.Request{Question: "Who is head of sales?"}); r.Answerable {
		t.Errorf("answers %v after the deletion", texts(r.Answers))
	}
}

// TestReadingFails: what was retrieved is still told, with a warning.
func TestReadingFails(t *testing.T) {
	broken := errors.New("the graph broke")
	p := open(t, fakes(t, modelstest.Options{BeforeRun: func(context.Context, []models.Encoding) error { return broken }}))
	put(t, p, towers()...)
	r := ask(t, p, pipeline.Request{Question: "Who designed the tower?"})
	if r.Answerable || r.Complete || len(r.Candidates) != 3 || !strings.Contains(strings.Join(r.Warnings, " "), "the model failed") {
		t.Errorf("got %+v, want unread candidates and a warning", r)
	}
}

func TestTimeoutAndCancellation(t *testing.T) {
	block := func(ctx context.Context, _ []models.Encoding) error { <-ctx.Done(); return ctx.Err() }
	cfg := fakes(t, modelstest.Options{BeforeRun: block})
	cfg.Limits.Timeout = 50 * time.Millisecond
	p := open(t, cfg)
	put(t, p, towers()...)
	if _, err := p.Ask(t.Context(), pipeline.Request{Question: "Who designed the tower?"}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "limits.timeout") {
		t.Errorf("got %v, want the timeout with the key that sets it", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Ask(ctx, pipeline.Request{Question: "Who designed the tower?"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancellation", err)
	}
}

func TestIndexes(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}), pipeline.WithoutReader())
	for _, name := range []string{"hr", "sales"} {
		if err := p.CreateIndex(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.CreateIndex(t.Context(), "hr"); !errors.Is(err, retriever.ErrIndexExists) {
		t.Errorf("got %v, want ErrIndexExists", err)
	}
	if _, err := p.Put(t.Context(), "hr", towers()); err != nil {
		t.Fatal(err)
	}
	all, err := p.Indexes(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "hr" || all[0].Documents != 3 || all[1].Documents != 0 {
		t.Errorf("indexes %+v, %v", all, err)
	}
	if err := p.Verify(t.Context(), "hr"); err != nil {
		t.Errorf("verify: %v", err)
	}
	if err := p.DropIndex(t.Context(), "hr"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Stats(t.Context(), "hr"); !errors.Is(err, retriever.ErrIndexNotFound) {
		t.Errorf("got %v, want ErrIndexNotFound", err)
	}
}

// TestClosed: closing twice is fine, and nothing works afterwards.
func TestClosed(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}))
	put(t, p, towers()...)
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ask(t.Context(), pipeline.Request{Question: "who?"}); !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := p.Ready(t.Context()); !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestOpenFailures: the error says what is wrong, and nothing stays open.
func TestOpenFailures(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, cfg *pipeline.Config)
		want   error
		says   string
	}{
		{"a bundle that is not there", func(_ *testing.T, c *pipeline.Config) { c.Reader.Bundle = "no-such-bundle" }, models.ErrInvalidBundle, "no-such-bundle"},
		{"an empty directory as bundle", func(t *testing.T, c *pipeline.Config) { c.Reader.Bundle = t.TempDir() }, models.ErrInvalidBundle, models.ManifestName},
		{"a wrong value", func(_ *testing.T, c *pipeline.Config) { c.Reader.TopK = 0 }, pipeline.ErrInvalidConfig, "reader.top_k"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := fakes(t, modelstest.Options{})
			tt.change(t, cfg)
			_, err := pipeline.Open(t.Context(), cfg)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v that names %q", err, tt.want, tt.says)
			}
		})
	}
}
