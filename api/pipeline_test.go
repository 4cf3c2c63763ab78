package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

func openPipeline(t *testing.T, options ...pipeline.Option) *pipeline.Pipeline {
	t.Helper()
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Data = t.TempDir()
	p, err := pipeline.Open(t.Context(), cfg, options...)
	if errors.Is(err, models.ErrRuntimeMissing) && os.Getenv("CI") != "true" {
		t.Skipf("ONNX Runtime is not set up; run: go run ./cmd/needle setup (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

var offices = []retriever.Document{
	{ID: "offices/lyon.md", Title: "Lyon", Text: "😀 The lease of the Lyon office ends in March 2031. The landlord is Immobilier Rhône.", Metadata: map[string]any{"country": "fr", "since": int64(2011)}},
	{ID: "offices/brno.md", Title: "Brno", Text: "The plant in Brno is ours; it was bought in 1998.", Metadata: map[string]any{"country": "cz", "since": int64(1998)}},
}

// TestPipelineBehindTheServer keeps documents in a real index through HTTP and
// holds the answers of a real pipeline against the contract.
func TestPipelineBehindTheServer(t *testing.T) {
	p := openPipeline(t, pipeline.WithoutReader())
	c := connect(t, p)
	results, err := c.Put(t.Context(), "", append(offices[:2:2], retriever.Document{ID: "broken", Text: "x", Metadata: map[string]any{"since": "long ago"}}))
	if !errors.Is(err, retriever.ErrFieldConflict) || len(results) != 2 || results[0].Status != pipeline.Created {
		t.Fatalf("got %+v, %v, want two documents stored and a field conflict", results, err)
	}
	if results, err = c.Put(t.Context(), "", offices); err != nil || results[1].Status != pipeline.Unchanged {
		t.Errorf("got %+v, %v, want nothing changed", results, err)
	}
	document, err := c.Document(t.Context(), "", offices[0].ID)
	if err != nil || document.Text != offices[0].Text || !reflect.DeepEqual(document.Metadata, offices[0].Metadata) {
		t.Errorf("got %+v, %v, want what was put", document, err)
	}
	request := pipeline.SearchRequest{Query: "Who is the landlord?", OffsetUnit: pipeline.UTF16, Explain: true,
		Facets: []retriever.FacetRequest{{Field: "since"}}, Access: pipeline.FullAccess()}
	far, err := c.Search(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	near, err := p.Search(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	far.TimingsMS, near.TimingsMS = nil, nil
	if !reflect.DeepEqual(far, near) || len(far.Hits) != 1 {
		t.Errorf("through the server: %+v\ndirectly: %+v", far, near)
	}
	filtered, err := c.Search(t.Context(), pipeline.SearchRequest{Query: "Lyon Brno", Filter: &retriever.Filter{Field: "since", LT: 2000}})
	if err != nil || len(filtered.Hits) != 1 || filtered.Hits[0].DocumentID != "offices/brno.md" {
		t.Errorf("got %+v, %v, want Brno only", filtered, err)
	}
	if _, err := c.Ask(t.Context(), pipeline.Request{Question: "Who?"}); !errors.Is(err, pipeline.ErrNoReader) {
		t.Errorf("got %v, want %v", err, pipeline.ErrNoReader)
	}
	if err := c.CreateIndex(t.Context(), "other"); err != nil {
		t.Error(err)
	}
	if all, err := c.Indexes(t.Context()); err != nil || len(all) != 2 || all[0].Documents != 2 {
		t.Errorf("got %+v, %v, want two indexes", all, err)
	}
	if n, err := c.Delete(t.Context(), "", []string{offices[0].ID, "absent"}); err != nil || n != 1 {
		t.Errorf("got %d deleted, %v, want 1", n, err)
	}
	if infos, err := c.List(t.Context(), "", "", 10); err != nil || len(infos) != 1 {
		t.Errorf("got %+v, %v, want one document left", infos, err)
	}
	if err := c.DropIndex(t.Context(), "other"); err != nil {
		t.Error(err)
	}
}

// TestContractOfThePipeline holds what a real pipeline answers against the
// contract.
func TestContractOfThePipeline(t *testing.T) {
	p := openPipeline(t)
	h := newHarness(t, api.Config{})
	server, err := api.New(p, api.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.handler = server.Handler()
	for _, d := range offices {
		body := fmt.Sprintf(`{"title":%q,"text":%q,"metadata":{"country":%q,"built":"1998-05-01"}}`, d.Title, d.Text, d.Metadata["country"])
		if a := h.do("PUT", "/v1/indexes/_default/documents/"+d.ID, body); a.status != 201 {
			t.Fatalf("got %d %s, want 201", a.status, a.body)
		}
	}
	for _, target := range []string{"/readyz", "/v1/indexes", "/v1/indexes/default", "/v1/indexes/default/documents", "/v1/indexes/default/documents/offices/lyon.md"} {
		if a := h.do("GET", target, ""); a.status != 200 {
			t.Errorf("GET %s: got %d %s, want 200", target, a.status, a.body)
		}
	}
	text := []rune(offices[0].Text)
	for _, options := range []string{``, `,"explain":true,"include_rejected":true,"top_k":5`, `,"filter":{"field":"built","gte":"1998-01-01"}`, `,"budget_ms":1`} {
		a := h.do("POST", "/v1/ask", `{"question":"When does the lease of the Lyon office end?"`+options+`}`)
		var result pipeline.Result
		if err := json.Unmarshal(a.body, &result); err != nil || a.status != 200 {
			t.Fatalf("%s: got %d %s (%v), want 200", options, a.status, a.body, err)
		}
		if !result.Complete {
			continue // the budget was too small on this machine
		}
		if len(result.Answers) == 0 || result.Answers[0].Text != "March 2031" || string(text[result.Answers[0].Start:result.Answers[0].End]) != "March 2031" {
			t.Errorf("%s: got %s, want March 2031 with its place", options, a.body)
		}
	}
	documents := fmt.Sprintf(`[{"id":"brno","text":%q},{"title":"Lyon","text":%q}]`, offices[1].Text, offices[0].Text)
	for unit, start := range map[string]int{"codepoint": 39, "utf16": 40, "byte": 42} {
		a := h.do("POST", "/v1/read", `{"question":"When does the lease of the Lyon office end?","documents":`+documents+`,"offset_unit":"`+unit+`"}`)
		var result pipeline.Result
		if err := json.Unmarshal(a.body, &result); err != nil || a.status != 200 || len(result.Answers) == 0 {
			t.Fatalf("read: got %d %s (%v), want answers", a.status, a.body, err)
		}
		if got := result.Answers[0]; got.Text != "March 2031" || got.DocumentID != "1" || got.Start != start || got.End != start+10 || result.Calibrated {
			t.Errorf("read in units of %s: got %+v, want March 2031 at %d", unit, got, start)
		}
	}
	var reranked pipeline.RerankResult
	a := h.do("POST", "/v1/rerank", fmt.Sprintf(`{"query":"When does the lease of the Lyon office end?","documents":[%q,{"text":%q}],"return_documents":true}`, offices[1].Text, offices[0].Text))
	if err := json.Unmarshal(a.body, &reranked); err != nil || len(reranked.Results) != 2 || reranked.Results[0].Index != 1 ||
		reranked.Results[0].RelevanceScore <= reranked.Results[1].RelevanceScore || reranked.Results[0].Document.Text != offices[0].Text {
		t.Errorf("rerank: got %d %s (%v), want Lyon first", a.status, a.body, err)
	}
	for _, body := range []string{
		`{"question":"How heavy is the moon?","include_rejected":true,"explain":true}`, `{"question":"the"}`, `{"question":"?"}`,
		`{"question":"` + strings.Repeat("why ", 500) + `"}`, `{"question":"x","offset_unit":"grapheme"}`, `{"question":"x","top_k":5000}`,
		`{"question":"x","filter":{"field":"colour","equals":"red"}}`, `{"question":"x","index":"absent"}`, `{"question":"x","index":"../x"}`,
	} {
		if a := h.do("POST", "/v1/ask", body); a.status >= 500 {
			t.Errorf("%.100s: got %d %s", body, a.status, a.body)
		}
	}
}
