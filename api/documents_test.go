package api_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func TestDocumentIDs(t *testing.T) {
	ids := []string{
		"handbook/policies/leave.md", "a#0", "ä/ö", "..", ".", "a/../b", "a//b", "/a", "a/", "//", "?", "a?b=c", "a+b", "a b",
		"100%", "%2F", "a%2Fb", "documents", "documents/x", "語/😀", "a;b", "a:b@c", `a\b`, `"quoted"`, "line\nbreak", "*id", ":index",
		strings.Repeat("ü", 256),
	}
	for _, id := range ids {
		t.Run(id[:min(len(id), 20)], func(t *testing.T) {
			h := newHarness(t, api.Config{})
			path := "/v1/indexes/default/documents/" + wire.EscapeID(id)
			a := h.do("PUT", path, `{"text":"The text of it."}`)
			var put pipeline.PutResult
			if err := json.Unmarshal(a.body, &put); err != nil || a.status != http.StatusCreated || put.ID != id {
				t.Fatalf("PUT: got %d %s, want 201 with the id %q", a.status, a.body, id)
			}
			if _, ok := h.service.indexes["default"][id]; !ok {
				t.Errorf("got documents %v, want one with the id %q", h.service.indexes["default"], id)
			}
			location := a.header.Get("Location")
			if a = h.do("GET", location, ""); a.status != http.StatusOK {
				t.Fatalf("GET %s: got %d %s, want 200", location, a.status, a.body)
			}
			var got wire.Document
			if err := json.Unmarshal(a.body, &got); err != nil || got.ID != id {
				t.Errorf("got the id %q (%v), want %q", got.ID, err, id)
			}
			if a = h.do("DELETE", path, ""); a.status != http.StatusNoContent {
				t.Errorf("DELETE: got %d %s, want 204", a.status, a.body)
			}
			if a = h.do("GET", path, ""); a.status != http.StatusNotFound || a.problem(t).Code != "document_not_found" {
				t.Errorf("GET of what was deleted: got %d %s, want 404", a.status, a.body)
			}
		})
	}
}

// Slashes need not be escaped.
func TestDocumentIDWithPlainSlashes(t *testing.T) {
	h := newHarness(t, api.Config{})
	for path, id := range map[string]string{
		"handbook/policies/leave.md": "handbook/policies/leave.md",
		"a/../b":                     "a/../b",
		"%C3%A4/%C3%B6":              "ä/ö",
		"..":                         "..",
		"a%2Fb/c":                    "a/b/c",
	} {
		if a := h.do("PUT", "/v1/indexes/default/documents/"+path, `{"text":"x"}`); a.status != http.StatusCreated {
			t.Errorf("PUT %s: got %d %s, want 201", path, a.status, a.body)
		}
		if _, ok := h.service.indexes["default"][id]; !ok {
			t.Errorf("PUT %s: no document %q", path, id)
		}
	}
}

func TestDocumentRoundTrip(t *testing.T) {
	h := newHarness(t, api.Config{})
	body := `{"id":"a","title":"T","text":"é <&> \n text","metadata":{"big":9007199254740993,"small":-5,"f":1.5,"whole":2.0,"exp":1e3,` +
		`"yes":true,"s":"x","date":"2024-02-29","time":"2024-02-29T12:00:00+02:00","list":["a","2024-02-29"],"empty":[]},` +
		`"groups":["hr"],"language":"fr","source":{"uri":"a.txt","media_type":"text/plain","modified_at":"2024-01-01T00:00:00Z","text_offset":3,"verbatim":true}}`
	if a := h.do("POST", "/v1/indexes/default/documents", body); a.status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", a.status, a.body)
	}
	got := h.service.indexes["default"]["a"].Metadata
	want := map[string]any{
		"big": int64(9007199254740993), "small": int64(-5), "f": 1.5, "whole": 2.0, "exp": 1000.0, "yes": true, "s": "x",
		"date": time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), "time": time.Date(2024, 2, 29, 10, 0, 0, 0, time.UTC),
		"list": []string{"a", "2024-02-29"}, "empty": []string{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got the metadata %#v\nwant %#v", got, want)
	}
	a := h.do("GET", "/v1/indexes/default/documents/a", "")
	if !strings.Contains(string(a.body), `"big":9007199254740993`) || !strings.Contains(string(a.body), `"text":"é <&> \n text"`) {
		t.Errorf("got %s, want all digits and the text as it was", a.body)
	}
	// What was returned can be sent back and is the same document.
	if a := h.do("POST", "/v1/indexes/other/documents", string(a.body)); a.status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", a.status, a.body)
	}
	first, second := h.service.indexes["default"]["a"], h.service.indexes["other"]["a"]
	// A whole float comes back as an integer: JSON does not tell them apart.
	second.Metadata["whole"], second.Metadata["exp"] = 2.0, 1000.0
	if !reflect.DeepEqual(first, second) {
		t.Errorf("got %#v\nwant %#v", second, first)
	}
}

func TestListPages(t *testing.T) {
	h := newHarness(t, api.Config{})
	for _, id := range []string{"a/1", "a/2", "b c", "d", "é"} {
		h.do("PUT", "/v1/indexes/new/documents/"+wire.EscapeID(id), `{"text":"x"}`)
	}
	var got []string
	pages, after := 0, ""
	for {
		a := h.do("GET", "/v1/indexes/new/documents?limit=2&after="+after, "")
		var page wire.Documents
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			t.Fatalf("got %d %s (%v)", a.status, a.body, err)
		}
		for _, d := range page.Documents {
			got = append(got, d.ID)
		}
		if pages++; page.Next == "" || pages > 9 {
			break
		}
		after = strings.ReplaceAll(wire.EscapeID(page.Next), "+", "%2B")
	}
	if want := []string{"a/1", "a/2", "b c", "d", "é"}; !reflect.DeepEqual(got, want) || pages != 3 {
		t.Errorf("got %v on %d pages, want %v on 3", got, pages, want)
	}
}

func TestRequestReachesTheService(t *testing.T) {
	h := newHarness(t, api.Config{})
	h.do("POST", "/v1/ask", `{"question":"q","index":"default","top_k":4,"filter":{"and":[{"field":"year","gte":1800,"lt":1900.5},{"not":{"field":"tags","in":["a","b"]}}]},"budget_ms":250,"offset_unit":"byte","include_rejected":true,"explain":true}`)
	got := h.service.requests[0]
	if got.Filter == nil || len(got.Filter.And) != 2 || got.Filter.And[0].GTE != 1800.0 || len(got.Filter.And[1].Not.In) != 2 {
		t.Errorf("got the filter %+v", got.Filter)
	}
	got.Filter = nil
	want := pipeline.Request{Question: "q", Index: "default", TopK: 4, Budget: 250 * time.Millisecond, OffsetUnit: "byte",
		IncludeRejected: true, Explain: true, Access: pipeline.FullAccess()}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	h.do("POST", "/v1/search", `{"query":"q","top_k":7,"facets":["tags",{"field":"year","size":3,"ranges":[{"name":"new","gte":1900},{"lt":1900}]}]}`)
	facets := []retriever.FacetRequest{
		{Field: "tags"}, {Field: "year", Size: 3, Ranges: []retriever.FacetRange{{Name: "new", GTE: 1900.0}, {LT: 1900.0}}},
	}
	if got, want := h.service.searches[0], (pipeline.SearchRequest{Query: "q", TopK: 7, Facets: facets, Access: pipeline.FullAccess()}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRequestID(t *testing.T) {
	h := newHarness(t, api.Config{})
	for sent, keep := range map[string]bool{"abc-1.2_3": true, "4bf92f3577b34da6a3ce929d0e0e4736": true, "a b": false, "a\"b": false, "é": false, strings.Repeat("x", 129): false} {
		got := h.do("GET", "/healthz", "", "X-Request-Id", sent).header.Get("X-Request-Id")
		if (got == sent) != keep || got == "" {
			t.Errorf("sent %q: got %q, want it kept: %v", sent, got, keep)
		}
	}
	a, b := h.do("GET", "/healthz", "").header.Get("X-Request-Id"), h.do("GET", "/healthz", "").header.Get("X-Request-Id")
	if a == b || len(a) < 16 {
		t.Errorf("got the ids %q and %q, want two different ones", a, b)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	h := newHarness(t, api.Config{MaxRequests: 1})
	h.service.ready = errText("the model is warming up")
	if a := h.do("GET", "/healthz", ""); a.status != http.StatusOK {
		t.Errorf("healthz: got %d %s, want 200", a.status, a.body)
	}
	a := h.do("GET", "/readyz", "")
	if p := a.problem(t); a.status != http.StatusServiceUnavailable || p.Code != "not_ready" || !strings.Contains(p.Detail, "warming up") {
		t.Errorf("readyz: got %d %s, want 503 with the reason", a.status, a.body)
	}
	h.service.ready = pipeline.ErrNoReader
	if a := h.do("GET", "/readyz", ""); a.problem(t).Code != "no_reader" {
		t.Errorf("readyz: got %s, want the code no_reader", a.body)
	}
	h.service.ready = nil
	if a := h.do("HEAD", "/readyz", ""); a.status != http.StatusOK {
		t.Errorf("HEAD readyz: got %d, want 200", a.status)
	}
}

type errText string

func (e errText) Error() string { return string(e) }

func TestNew(t *testing.T) {
	if _, err := api.New(nil, api.Config{}, nil); err == nil {
		t.Error("got a server without a service")
	}
	if _, err := api.New(newFake(), api.Config{IdleTimeout: -1, MaxBodyBytes: -1}, nil); err == nil || !strings.Contains(err.Error(), "IdleTimeout") || !strings.Contains(err.Error(), "MaxBodyBytes") {
		t.Errorf("got %v, want an error that names both settings", err)
	}
}

func TestTheContractIsServed(t *testing.T) {
	h := newHarness(t, api.Config{})
	a := h.do("GET", "/openapi.json", "")
	var document struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal(a.body, &document); err != nil || document.OpenAPI != "3.1.0" || document.Paths["/v1/ask"] == nil {
		t.Errorf("got %d %.200s (%v), want an OpenAPI document", a.status, a.body, err)
	}
}
