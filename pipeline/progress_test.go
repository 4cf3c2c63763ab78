package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func TestProgress(t *testing.T) {
	cfg := fakes(t, modelstest.Options{},
		modelstest.Span{Question: "Who built the bridge?", Answer: "Bob", Score: 6},
		modelstest.Span{Question: "Who built the bridge?", Answer: "Ann", Score: 9})
	cfg.Reader.Workers = 1 // two windows a round
	cfg.Limits.CacheBytes = 0
	p := open(t, cfg)
	// The likelier the passage for BM25, the worse its answer.
	documents := []retriever.Document{
		{ID: "0", Text: "Who built the bridge? Bob built the bridge."},
		{ID: "1", Text: "The bridge was built by Ann, they say in the village by the river where the water is deep and cold."},
	}
	for i := range 8 {
		documents = append(documents, retriever.Document{ID: fmt.Sprint(i + 2), Text: fmt.Sprintf("The bridge %d was built and built and a bridge.", i)})
	}
	put(t, p, documents...)
	var steps []pipeline.Progress
	request := pipeline.Request{Question: "Who built the bridge?", OffsetUnit: pipeline.UTF16, Access: pipeline.FullAccess()}
	plain := ask(t, p, request)
	request.Progress = func(step pipeline.Progress) { steps = append(steps, step) }
	streamed := ask(t, p, request)
	if diff := cmp.Diff(plain, streamed, cmpopts.IgnoreFields(pipeline.Result{}, "TimingsMS")); diff != "" {
		t.Errorf("progress changes the result (-without +with):\n%s", diff)
	}
	if len(steps) < 2 || len(steps[0].Candidates) != len(documents) {
		t.Fatalf("got %d steps, the first with %d candidates, want answers after %d candidates", len(steps), len(steps[0].Candidates), len(documents))
	}
	read := 0
	for _, step := range steps[1:] {
		if step.Result == nil || step.Result.Complete || step.Result.CandidatesRead <= read {
			t.Fatalf("got %+v, want an incomplete result with more than %d candidates read", step.Result, read)
		}
		read = step.Result.CandidatesRead
	}
	first, last := steps[1].Result.Answers, streamed.Answers
	if len(first) == 0 || len(last) == 0 || first[0].Text != "Bob" || last[0].Text != "Ann" {
		t.Errorf("got %v at first and %v at last, want Bob, then Ann", texts(first), texts(last))
	}
}
