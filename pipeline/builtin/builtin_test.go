package builtin_test

import (
	"encoding/json"
	"os"
	"testing"

	embedded "github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/pipeline"
)

// TestProfileFitsBundle: the embedded bundle has a score profile for the
// default retriever and ranker; a new bundle needs a new one (needle calibrate).
func TestProfileFitsBundle(t *testing.T) {
	bundle, err := embedded.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("profiles/builtin-bleve.json")
	if err != nil {
		t.Fatal(err)
	}
	var p pipeline.Profile
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	if p.Bundle != bundle.Hash || p.Retriever != "bleve" || p.Ranker != pipeline.RankerNone {
		t.Errorf("the profile is for bundle %s, %s, %s; the bundle is %s", p.Bundle, p.Retriever, p.Ranker, bundle.Hash)
	}
	if p.Answer.Fused <= 0 || p.NoAnswer.Fused >= 0 || p.BM25Weight < 0 {
		t.Errorf("better scores must mean more probable answers: %+v", p)
	}
}
