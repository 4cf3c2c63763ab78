package builtin_test

import (
	"encoding/json"
	"os"
	"testing"

	embedded "github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// TestProfilesFitBundles: the embedded bundles have score profiles for the
// default retriever, with the default ranker and without one (where an index has
// no vectors yet); a new bundle needs new ones (needle calibrate).
func TestProfilesFitBundles(t *testing.T) {
	reader, err := embedded.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := embedded.EmbeddingBundle()
	if err != nil {
		t.Fatal(err)
	}
	if r := pipeline.DefaultConfig(builtin.Registry()).Ranker.Type; r != pipeline.RankerVector {
		t.Fatalf("the default ranker is %s: it needs a profile", r)
	}
	for file, want := range map[string]pipeline.Profile{
		"builtin-bleve.json":        {Ranker: pipeline.RankerNone},
		"builtin-bleve-vector.json": {Ranker: pipeline.RankerVector, Embedding: vectors.Hash},
	} {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile("profiles/" + file)
			if err != nil {
				t.Fatal(err)
			}
			var p pipeline.Profile
			if err := json.Unmarshal(data, &p); err != nil {
				t.Fatal(err)
			}
			if p.Bundle != reader.Hash || p.Retriever != "bleve" || p.Ranker != want.Ranker || p.Embedding != want.Embedding {
				t.Errorf("the profile is for bundle %s, %s, %s, vectors %q; the bundles are %s and %q",
					p.Bundle, p.Retriever, p.Ranker, p.Embedding, reader.Hash, want.Embedding)
			}
			if p.Answer.Fused <= 0 || p.NoAnswer.Margin >= 0 || p.NoAnswer.BM25 > 0 || p.NoAnswer.Relevance > 0 || p.BM25Weight < 0 || p.RelevanceWeight < 0 {
				t.Errorf("better scores must mean more probable answers: %+v", p)
			}
		})
	}
}
