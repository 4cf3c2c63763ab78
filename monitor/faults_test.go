package monitor_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	embedded "github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/models/tokenizer"
	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// handbookQuestions are of examples/questions.json: facts that one passage
// states.
const handbookQuestions = 12

// handbook opens the example documents in a data directory, with a registry and
// a configuration that a fault may have changed.
func handbook(t *testing.T, dir string, registry *pipeline.Registry, change func(*pipeline.Config)) *pipeline.Pipeline {
	t.Helper()
	config := pipeline.DefaultConfig(registry)
	config.Data = dir
	config.Ranker.TopK = 5 // it is about faults, and reading costs time
	if change != nil {
		change(config)
	}
	p, err := pipeline.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.Stats(t.Context(), ""); err != nil {
		if _, err := p.AddPaths(t.Context(), []string{filepath.Join("..", "examples", "handbook")}, pipeline.AddOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func handbookCanaries(t *testing.T) []monitor.Canary {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "examples", "questions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var questions []struct {
		Question string   `json:"question"`
		Answers  []string `json:"answers"`
	}
	if err := json.Unmarshal(data, &questions); err != nil {
		t.Fatal(err)
	}
	var canaries []monitor.Canary
	for _, q := range questions {
		if len(q.Answers) > 0 && len(canaries) < handbookQuestions {
			canaries = append(canaries, monitor.Canary{ID: q.Question, Question: q.Question, Answers: q.Answers})
		}
	}
	return append(canaries, monitor.Canary{ID: "none", Question: "Which opera was first performed in Vienna?"})
}

// shifted is a tokenizer whose vocabulary is off by one line: the commonest
// way in which a model and its tokenizer do not belong together.
type shifted struct{ models.Tokenizer }

func (s shifted) Tokenize(text string) models.Tokens {
	tokens := s.Tokenizer.Tokenize(text)
	tokens.IDs = slices.Clone(tokens.IDs)
	for i := range tokens.IDs {
		tokens.IDs[i] = min(tokens.IDs[i]+1, int32(s.VocabularySize()-1))
	}
	return tokens
}

// blunt is a language model that lost its second half of hidden units.
type blunt struct{ models.LanguageModel }

func (b blunt) Run(ctx context.Context, batch []models.Encoding) ([]models.Outputs, error) {
	outputs, err := b.LanguageModel.Run(ctx, batch)
	for _, o := range outputs {
		for _, tensor := range o {
			width := tensor.Shape[len(tensor.Shape)-1]
			for i := range tensor.Data {
				if i%width >= width/2 {
					tensor.Data[i] = 0
				}
			}
		}
	}
	return outputs, err
}

// mangling analyses queries in another way than documents: a stemmer that cuts
// every word after its third letter.
type mangling struct{ bleve.Config }

func (m *mangling) Open(_ context.Context, dataDir string) (retriever.Backend, error) {
	backend, err := bleve.New(m.Config, filepath.Join(dataDir, "indexes"))
	return manglingBackend{backend}, err
}

type manglingBackend struct{ retriever.Backend }

func (m manglingBackend) Open(ctx context.Context, name string) (retriever.Index, error) {
	index, err := m.Backend.Open(ctx, name)
	return manglingIndex{index}, err
}

type manglingIndex struct{ retriever.Index }

func (m manglingIndex) Retrieve(ctx context.Context, query retriever.Query) (retriever.Results, error) {
	words := strings.Fields(query.Text)
	for i, w := range words {
		words[i] = w[:min(len(w), 3)]
	}
	query.Text = strings.Join(words, " ")
	return m.Index.Retrieve(ctx, query)
}

// TestCanariesCatchFaults breaks one part of a real pipeline after the other.
// None of them gives an error: the answers just get worse.
func TestCanariesCatchFaults(t *testing.T) {
	dir := t.TempDir()
	canaries := monitor.OpenCanaries(filepath.Join(dir, "canaries"))
	canariesOf := handbookCanaries(t)
	t.Run("reference", func(t *testing.T) {
		p := handbook(t, filepath.Join(dir, "data"), builtin.Registry(), nil)
		set, err := canaries.Set(t.Context(), p, "default", canariesOf, 0)
		if err != nil {
			t.Fatal(err)
		}
		if set.Reference.Score < 0.6 {
			t.Fatalf("the score is %.3f; the faults below would not show", set.Reference.Score)
		}
		run, err := canaries.Run(t.Context(), p, "default", "test")
		if err != nil || !run.Healthy() || run.Score != set.Reference.Score {
			t.Fatalf("nothing changed, and the run gave %.3f, %v, %v; want %.3f without alarms", run.Score, run.Alarms, err, set.Reference.Score)
		}
		t.Logf("healthy: score %.3f, Brier score %.3f", run.Score, run.Brier)
	})
	for _, fault := range []struct {
		name     string
		data     string // another directory is another index
		registry func(r *pipeline.Registry)
		config   func(c *pipeline.Config)
		after    func(t *testing.T, p *pipeline.Pipeline)
	}{
		{name: "model", data: "data", registry: func(r *pipeline.Registry) {
			sound := builtin.Registry()
			r.SetModel(func(ctx context.Context, bundle *models.Bundle, options pipeline.ModelOptions) (models.LanguageModel, error) {
				model, err := sound.OpenModel(ctx, bundle, options)
				return blunt{model}, err
			})
		}},
		{name: "tokenizer", data: "data", registry: func(r *pipeline.Registry) {
			r.SetTokenizer(func(data []byte) (models.Tokenizer, error) {
				sound, err := tokenizer.Load(data)
				return shifted{sound}, err
			})
		}},
		{name: "analyzer", data: "data", registry: func(r *pipeline.Registry) {
			r.AddRetriever("bleve", func() pipeline.RetrieverConfig { return &mangling{bleve.DefaultConfig()} })
		}},
		{name: "score profile", data: "data", registry: func(r *pipeline.Registry) {
			bundle, err := embedded.Bundle()
			if err != nil {
				panic(err)
			}
			embedding, err := embedded.EmbeddingBundle()
			if err != nil {
				panic(err)
			}
			r.AddBundle("renamed", func() (*models.Bundle, error) {
				renamed := *bundle
				renamed.Hash = "renamed"
				return &renamed, nil
			})
			// Every answer is given, and none is believed.
			broken := pipeline.Profile{
				Bundle: "renamed", Retriever: "bleve", Ranker: pipeline.RankerNone, BM25Weight: 1,
				Answer: pipeline.Logistic{Intercept: -9}, NoAnswer: pipeline.NoAnswer{Intercept: -9}, NoAnswerThreshold: 0.5,
			}
			r.AddProfile(broken)
			// The vectors of the handbook may be there or not yet.
			broken.Ranker, broken.Embedding = pipeline.RankerVector, embedding.Hash
			r.AddProfile(broken)
		}, config: func(c *pipeline.Config) { c.Reader.Bundle = "renamed" }},
		{name: "truncated index", data: "data", after: func(t *testing.T, p *pipeline.Pipeline) {
			documents, err := p.List(t.Context(), "", "", 1000)
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range documents {
				if i%2 == 0 {
					if _, err := p.Delete(t.Context(), "", []string{d.ID}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			registry := builtin.Registry()
			if fault.registry != nil {
				fault.registry(registry)
			}
			p := handbook(t, filepath.Join(dir, fault.data), registry, fault.config)
			if fault.after != nil {
				fault.after(t, p)
			}
			run, err := canaries.Run(t.Context(), p, "default", "test")
			if err != nil {
				t.Fatal(err)
			}
			if run.Healthy() {
				t.Errorf("no alarm: score %.3f, Brier score %.3f", run.Score, run.Brier)
			}
			t.Logf("score %.3f, Brier score %.3f: %v", run.Score, run.Brier, run.Alarms)
		})
	}
}
