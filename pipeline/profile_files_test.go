package pipeline_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func TestProfilesOfTheDataDirectory(t *testing.T) {
	config := fakes(t, modelstest.Options{})
	p, err := pipeline.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	put(t, p, retriever.Document{ID: "tower", Text: "The tower was designed by Gustave Eiffel."})
	ask := func(p *pipeline.Pipeline) *pipeline.Result {
		t.Helper()
		result, err := p.Ask(t.Context(), pipeline.Request{Question: "Who designed the tower?", IncludeRejected: true, Access: pipeline.FullAccess()})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if ask(p).Calibrated {
		t.Fatal("without a profile the result is called calibrated")
	}
	bundle, err := config.Registry().OpenBundle(config.Reader.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	profile := pipeline.Profile{
		Bundle: bundle.Hash, Retriever: config.Retriever.Type, Ranker: pipeline.RankerNone,
		Answer: pipeline.Logistic{Intercept: -2}, NoAnswer: pipeline.NoAnswer{Intercept: 5}, NoAnswerThreshold: 0.5, Fitted: "a test",
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := config.SaveProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	reopen := func() (*pipeline.Pipeline, error) {
		again := *config
		return pipeline.Open(t.Context(), &again)
	}
	p, err = reopen()
	if err != nil {
		t.Fatal(err)
	}
	if result := ask(p); !result.Calibrated || result.Answerable {
		t.Errorf("with the profile: calibrated %v, answerable %v; want true, false", result.Calibrated, result.Answerable)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"broken": "{", "unknown key": `{"bundle": "a", "colour": 1}`, "nothing": "{}"} {
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if p, err := reopen(); !errors.Is(err, pipeline.ErrInvalidProfile) {
			t.Errorf("%s: got %v, want ErrInvalidProfile", name, err)
			if err == nil {
				p.Close()
			}
		}
	}
	if _, err := config.SaveProfile(pipeline.Profile{}); !errors.Is(err, pipeline.ErrInvalidProfile) {
		t.Errorf("an empty profile gave %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".part-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
