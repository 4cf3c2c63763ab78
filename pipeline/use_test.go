package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
)

// exchange is a configuration with several bundles, each of which answers in
// its own way: bundle X marks the answer "X".
type exchange struct {
	*pipeline.Config
	// before, when set, is called at the start of every run.
	before func(name string, batch []models.Encoding)

	mu     sync.Mutex
	opened map[string]*modelstest.LanguageModel
}

func exchangeable(t testing.TB, answers map[string]string) *exchange {
	t.Helper()
	x := &exchange{Config: fakes(t, modelstest.Options{}), opened: map[string]*modelstest.LanguageModel{}}
	tokenizer := modelstest.NewTokenizer()
	registry := x.Registry()
	for name := range answers {
		registry.AddBundle(name, func() (*models.Bundle, error) {
			files, err := modelstest.BundleFS(models.Manifest{
				Version: models.ManifestVersion, Name: name, HiddenSize: 8, MaxLength: 512, Tokenizer: "tokenizer.json",
				Graphs: map[string]string{"fp32": "model.onnx"}, Outputs: []string{models.OutputHidden},
				Heads: []models.HeadSpec{{Kind: models.HeadSpan, File: "span"}},
			}, map[string][]byte{"tokenizer.json": []byte("{}"), "model.onnx": []byte(name), "span": []byte(name)})
			if err != nil {
				return nil, err
			}
			return models.ReadBundle(files)
		})
	}
	registry.SetModel(func(_ context.Context, bundle *models.Bundle, _ pipeline.ModelOptions) (models.LanguageModel, error) {
		if bundle.Manifest.Name == "broken" {
			return nil, fmt.Errorf("%w: model.onnx is broken", models.ErrInvalidBundle)
		}
		m := modelstest.NewLanguageModel(modelstest.Options{Name: bundle.Manifest.Name, Hash: bundle.Hash, BeforeRun: func(_ context.Context, batch []models.Encoding) error {
			if x.before != nil && len(batch) > 0 {
				x.before(bundle.Manifest.Name, batch)
			}
			return nil
		}})
		x.mu.Lock()
		defer x.mu.Unlock()
		x.opened[bundle.Manifest.Name] = m
		return m, nil
	})
	registry.AddHead(models.HeadSpan, func(spec models.HeadSpec, read func(string) ([]byte, error), _ models.ModelInfo) (models.Head, error) {
		name, err := read(spec.File)
		if err != nil {
			return nil, err
		}
		return modelstest.NewSpanHead(tokenizer, modelstest.Span{Answer: answers[string(name)], Score: 9}), nil
	})
	x.Reader.Bundle = "a"
	return x
}

// closed reports whether the model of a bundle was closed.
func (x *exchange) closed(t testing.TB, name string) bool {
	t.Helper()
	x.mu.Lock()
	m := x.opened[name]
	x.mu.Unlock()
	if m == nil {
		t.Fatalf("the model of %s was not opened", name)
	}
	_, err := m.Run(context.Background(), nil)
	return errors.Is(err, models.ErrModelClosed)
}

func towerBundles() map[string]string {
	return map[string]string{"a": "Gustave Eiffel", "b": "John Andrews", "broken": ""}
}

func (x *exchange) question() pipeline.Request {
	return pipeline.Request{Question: "Who designed the tower?", TopK: 1, Access: pipeline.FullAccess()}
}

func TestUseModel(t *testing.T) {
	x := exchangeable(t, towerBundles())
	p := open(t, x.Config)
	put(t, p, towers()...)
	before := ask(t, p, x.question())
	swap, err := p.UseModel(t.Context(), pipeline.ModelUse{Bundle: "b"})
	if err != nil {
		t.Fatal(err)
	}
	after := ask(t, p, x.question())
	if texts(before.Answers)[0] != "Gustave Eiffel" || texts(after.Answers)[0] != "John Andrews" {
		t.Errorf("answers before and after: %v, %v", texts(before.Answers), texts(after.Answers))
	}
	if before.Model.Hash == after.Model.Hash || after.Model != swap.Current.Model || before.Model != swap.Previous.Model {
		t.Errorf("models: before %v, after %v, swap %+v", before.Model, after.Model, swap)
	}
	if !swap.Current.Chosen || swap.Current.Configured != "a" || swap.Current.Bundle != "b" || swap.Previous.Chosen || len(swap.Checks) < 3 {
		t.Errorf("swap: %+v", swap)
	}
	status, err := p.Models(t.Context())
	if err != nil || len(status) != 1 || status[0].Model != after.Model {
		t.Errorf("models: %+v, %v", status, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !x.closed(t, "a") {
		if time.Now().After(deadline) {
			t.Fatal("the replaced model was not closed")
		}
		time.Sleep(time.Millisecond)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if !x.closed(t, "b") {
		t.Error("the present model was not closed")
	}
	if _, err := p.UseModel(t.Context(), pipeline.ModelUse{Bundle: "a"}); !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("use after close: %v", err)
	}
}

func TestUseModelSurvivesARestart(t *testing.T) {
	x := exchangeable(t, towerBundles())
	model := func(options ...pipeline.Option) string {
		p := open(t, x.Config, options...)
		defer p.Close()
		return p.Model().Name
	}
	p := open(t, x.Config)
	if _, err := p.UseModel(t.Context(), pipeline.ModelUse{Bundle: "b"}); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if got := model(); got != "b" {
		t.Errorf("after a restart %s reads, want b", got)
	}
	x.Reader.Bundle = "b"
	if got := model(); got != "b" {
		t.Errorf("with an edited configuration %s reads, want b", got)
	}
	if _, stale, err := x.Choice(); !stale || err != nil {
		t.Errorf("the choice is not stale after the configuration was edited: %v", err)
	}
	x.Reader.Bundle = "a"
	if got := model(); got != "b" {
		t.Errorf("with the configuration as it was %s reads, want b", got)
	}
	if _, err := pipeline.ChooseModel(t.Context(), x.Config, pipeline.ModelUse{Reset: true}); err != nil {
		t.Fatal(err)
	}
	if got := model(); got != "a" {
		t.Errorf("after a reset %s reads, want a", got)
	}
	if _, err := pipeline.ChooseModel(t.Context(), x.Config, pipeline.ModelUse{Bundle: "b", Questions: boundQuestions("John Andrews")}); err != nil {
		t.Fatal(err)
	}
	if got := model(); got != "b" {
		t.Errorf("after a choice without a server %s reads, want b", got)
	}

	// What was chosen and what is there by now are two things.
	choice := filepath.Join(x.Data, "reader.json")
	data, err := os.ReadFile(choice)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), `"hash": "`, `"hash": "f`, 1)
	for _, test := range []struct{ name, content, want string }{
		{"another content", changed, "has another content"},
		{"cut off", string(data[:20]), "cannot be read"},
	} {
		if err := os.WriteFile(choice, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := pipeline.Open(t.Context(), x.Config); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "--reset") {
			t.Errorf("%s: %v", test.name, err)
			if p != nil {
				p.Close()
			}
		}
	}
}

func boundQuestions(answer string) []pipeline.BoundQuestion {
	return []pipeline.BoundQuestion{
		{Question: "Who designed the towers?", Context: "Gustave Eiffel and John Andrews designed one tower each.", Answers: []string{answer}},
		{Question: "Who came?", Context: "Gustave Eiffel met John Andrews.", Answers: []string{answer}},
		{Question: "Who left?", Context: "Nobody did."},
	}
}

func TestUseModelRefuses(t *testing.T) {
	tests := []struct {
		name string
		use  pipeline.ModelUse
		want error
		text string
	}{
		{"broken", pipeline.ModelUse{Bundle: "broken"}, models.ErrInvalidBundle, "model.onnx is broken"},
		{"missing", pipeline.ModelUse{Bundle: "/no/such/bundle"}, models.ErrInvalidBundle, "/no/such/bundle"},
		{"worse", pipeline.ModelUse{Bundle: "b", Questions: boundQuestions("Gustave Eiffel"), MaxLoss: 0.5}, pipeline.ErrModelRefused, "F1 over 2 answered questions is 0.00 %, that of the present model 100.00 %; a loss of 50.00"},
		{"no bundle", pipeline.ModelUse{}, pipeline.ErrInvalidRequest, "bundle"},
		{"relative", pipeline.ModelUse{Bundle: "./b"}, pipeline.ErrInvalidRequest, "absolute"},
		{"loss", pipeline.ModelUse{Bundle: "b", MaxLoss: 2}, pipeline.ErrInvalidRequest, "max_loss"},
		{"precision", pipeline.ModelUse{Bundle: "b", Precision: "int4"}, pipeline.ErrInvalidRequest, "int4"},
		{"reset and bundle", pipeline.ModelUse{Bundle: "b", Reset: true}, pipeline.ErrInvalidRequest, "reset"},
		{"no answers", pipeline.ModelUse{Bundle: "b", Questions: boundQuestions("")[2:]}, pipeline.ErrInvalidRequest, "none has an answer"},
	}
	x := exchangeable(t, towerBundles())
	p := open(t, x.Config)
	put(t, p, towers()...)
	before := p.Model()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := p.UseModel(t.Context(), test.use)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %v with %q", err, test.want, test.text)
			}
			if !errors.Is(err, pipeline.ErrInvalidRequest) && !errors.Is(err, pipeline.ErrModelRefused) {
				t.Errorf("%v is not ErrModelRefused", err)
			}
			if p.Model() != before || texts(ask(t, p, x.question()).Answers)[0] != "Gustave Eiffel" {
				t.Error("the old model does not answer any more")
			}
			if _, err := os.Stat(filepath.Join(x.Data, "reader.json")); err == nil {
				t.Error("the choice was recorded")
			}
		})
	}
	if !x.closed(t, "b") {
		t.Error("the refused model was left open")
	}
	swap, err := p.UseModel(t.Context(), pipeline.ModelUse{Bundle: "b", Questions: boundQuestions("John Andrews")})
	if err != nil {
		t.Fatal(err)
	}
	if c := swap.Comparison; c == nil || c.Answered != 2 || c.F1.Mean != 1 || c.B.Metrics["no_answer_ece"] < 0 {
		t.Errorf("comparison: %+v", c)
	}
}

// TestUseModelUnderLoad: while models are exchanged, every answer comes from
// the model that the result names, and no request fails.
func TestUseModelUnderLoad(t *testing.T) {
	x := exchangeable(t, towerBundles())
	x.Reader.Workers = 2
	p := open(t, x.Config)
	put(t, p, towers()...)
	answer := map[string]string{"a": "Gustave Eiffel", "b": "John Andrews"}
	stop := make(chan struct{})
	var askers sync.WaitGroup
	var asked atomic.Int64
	var seen sync.Map
	for range 8 {
		askers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				result, err := p.Ask(context.Background(), x.question())
				if err != nil {
					t.Errorf("ask: %v", err)
					return
				}
				if got := texts(result.Answers); len(got) != 1 || got[0] != answer[result.Model.Name] {
					t.Errorf("%s answers %v", result.Model.Name, got)
				}
				seen.Store(result.Model.Name, true)
				asked.Add(1)
			}
		})
	}
	for i := range 40 {
		if _, err := p.UseModel(t.Context(), pipeline.ModelUse{Bundle: []string{"b", "a"}[i%2]}); err != nil {
			t.Error(err)
			break
		}
		if i%7 == 3 {
			if _, err := p.UseModel(t.Context(), pipeline.ModelUse{Bundle: "broken"}); !errors.Is(err, pipeline.ErrModelRefused) {
				t.Errorf("broken: %v", err)
			}
		}
		for before := asked.Load(); asked.Load() < before+4 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	askers.Wait()
	for name := range answer {
		if _, ok := seen.Load(name); !ok {
			t.Errorf("no answer of %s was seen", name)
		}
	}
}

// TestUseModelKeepsWhatRuns: a request that began on one model ends on it,
// however late, and the model stays open for it.
func TestUseModelKeepsWhatRuns(t *testing.T) {
	reading, goOn := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	x := exchangeable(t, towerBundles())
	x.before = func(name string, batch []models.Encoding) {
		// The second worker stays free.
		if name == "a" && slices.Contains(batch[0].Sequences, models.SequenceSecond) && held.CompareAndSwap(false, true) {
			close(reading)
			<-goOn
		}
	}
	x.Reader.Workers = 2
	p := open(t, x.Config)
	put(t, p, towers()...)
	got := make(chan *pipeline.Result, 1)
	go func() {
		result, err := p.Ask(context.Background(), x.question())
		if err != nil {
			t.Errorf("the request that ran: %v", err)
		}
		got <- result
	}()
	<-reading
	if _, err := p.UseModel(t.Context(), pipeline.ModelUse{Bundle: "b"}); err != nil {
		t.Error(err)
	}
	if result := ask(t, p, x.question()); result.Model.Name != "b" {
		t.Errorf("a later request was answered by %s, want b", result.Model.Name)
	}
	if x.closed(t, "a") {
		t.Error("the old model was closed under a request")
	}
	close(goOn)
	if result := <-got; result != nil && (result.Model.Name != "a" || texts(result.Answers)[0] != "Gustave Eiffel") {
		t.Errorf("the request that ran was answered by %s: %v", result.Model.Name, texts(result.Answers))
	}
}

// TestReadyWarmsUp: before a server says that it is ready, the model has run
// the longest text that it takes; later checks are cheap.
func TestReadyWarmsUp(t *testing.T) {
	var mu sync.Mutex
	longest, runs := 0, 0
	x := exchangeable(t, towerBundles())
	x.before = func(_ string, batch []models.Encoding) {
		mu.Lock()
		defer mu.Unlock()
		runs++
		longest = max(longest, batch[0].Len())
	}
	p := open(t, x.Config)
	state := func() (int, int) {
		mu.Lock()
		defer mu.Unlock()
		return longest, runs
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, before := state()
	if got != 512 {
		t.Errorf("the longest text before ready has %d tokens, want 512", got)
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, after := state(); after != before+1 {
		t.Errorf("%d runs in the second check, want 1", after-before)
	}
}
