package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/needle-search/needle/api"
)

// TestGolden fixes what answers look like, headers included.
func TestGolden(t *testing.T) {
	cases := []struct {
		name, method, target, body string
	}{
		{"ask", "POST", "/v1/ask", `{"question":"Who designed the tower?"}`},
		{"ask_explain", "POST", "/v1/ask", `{"question":"Who designed the tower?","index":"default","top_k":2,"filter":{"field":"year","gte":1800},"budget_ms":250,"offset_unit":"utf16","include_rejected":true,"explain":true,"stream":false}`},
		{"search", "POST", "/v1/search", `{"query":"tower","explain":true}`},
		{"read", "POST", "/v1/read", `{"question":"Who?","documents":[{"id":"a","title":"A","text":"Ada \ud83d\ude00 Lane"}],"top_k":1,"budget_ms":100,"offset_unit":"utf16","include_rejected":true}`},
		{"rerank", "POST", "/v1/rerank", `{"model":"other","query":"tower","documents":["a longer text",{"text":"short"}],"top_n":2,"return_documents":true}`},
		{"rerank_indexes", "POST", "/v1/rerank", `{"query":"tower","documents":["one","two","a third"]}`},
		{"indexes", "GET", "/v1/indexes", ""},
		{"index", "GET", "/v1/indexes/default", ""},
		{"index_created", "PUT", "/v1/indexes/fresh", ""},
		{"index_deleted", "DELETE", "/v1/indexes/_default", ""},
		{"documents", "GET", "/v1/indexes/default/documents?limit=1", ""},
		{"document", "GET", "/v1/indexes/default/documents/tower.md", ""},
		{"document_created", "PUT", "/v1/indexes/default/documents/a/b.md", `{"text":"Some text."}`},
		{"document_updated", "POST", "/v1/indexes/default/documents", `{"id":"tower.md","text":"Other text.","metadata":{"year":1890,"built":"1889-03-31"}}`},
		{"document_deleted", "DELETE", "/v1/indexes/default/documents/tower.md", ""},
		{"documents_deleted", "POST", "/v1/indexes/default/delete", `{"ids":["tower.md","absent"]}`},
		{"healthz", "GET", "/healthz", ""},
		{"readyz", "GET", "/readyz", ""},
		{"problem_question", "POST", "/v1/ask", `{"question":"  "}`},
		{"problem_key", "POST", "/v1/ask", `{"question":"a","questoin":"b"}`},
		{"problem_index", "POST", "/v1/ask", `{"question":"a","index":"absent"}`},
		{"problem_filter", "POST", "/v1/search", `{"query":"a","filter":{"field":"colour","equals":"red"}}`},
		{"problem_conflict", "POST", "/v1/indexes/default/documents", `{"id":"x","text":"x","metadata":{"year":"old"}}`},
		{"problem_path", "GET", "/v1/nothing", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, api.Config{})
			a := h.do(c.method, c.target, c.body, "X-Request-Id", "golden-1")
			var out bytes.Buffer
			fmt.Fprintf(&out, "%s %s\n%d\n", c.method, c.target, a.status)
			for _, name := range []string{"Content-Type", "Cache-Control", "Location", "X-Content-Type-Options", "X-Request-Id"} {
				if v := a.header.Get(name); v != "" {
					fmt.Fprintf(&out, "%s: %s\n", name, v)
				}
			}
			out.WriteByte('\n')
			if len(a.body) > 0 {
				if err := json.Indent(&out, a.body, "", "  "); err != nil {
					t.Fatalf("%v in %s", err, a.body)
				}
			}
			golden(t, "testdata/golden/"+c.name+".txt", out.Bytes())
		})
	}
}
