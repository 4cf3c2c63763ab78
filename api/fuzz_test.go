package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/internal/wire"
)

// FuzzBody sends any body to every route that takes one. No body may make the
// server fail, and every answer must fit the contract.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"question":"Who designed the tower?","top_k":3,"filter":{"and":[{"field":"year","gte":1800},{"not":{"field":"tags","in":["a"]}}]},"budget_ms":5}`,
		`{"query":"tower","offset_unit":"utf16","explain":true}`,
		`{"id":"a/b","title":"T","text":"text \ud83d\ude00","metadata":{"a":1,"b":1.5,"c":true,"d":["x"],"e":"2024-01-01"},"groups":["g"],"source":{"uri":"u","modified_at":"2024-01-01T00:00:00Z"}}`,
		"{\"id\":\"a\",\"text\":\"x\"}\n{broken\n\n{\"id\":\"a\",\"text\":\"y\"}",
		`{"question":"who","documents":[{"id":"a","text":"x"},{"text":"y"}],"include_rejected":true}`,
		`{"query":"who","documents":["a",{"text":"b"}],"top_n":1,"return_documents":true,"model":"m"}`,
		`{"ids":["a","b"]}`, `{}`, ``, `null`, `[]`, `{"question":"\ud800"}`, "{\"question\":\"\x00\"}", `{"a":1e999}`, `{"text":"x","metadata":{"year":99999999999999999999}}`,
	} {
		for route := range uint8(8) {
			f.Add(route, body)
		}
	}
	routes := []struct{ method, path, media string }{
		{"POST", "/v1/ask", "application/json"},
		{"POST", "/v1/search", "application/json"},
		{"POST", "/v1/indexes/default/documents", "application/json"},
		{"PUT", "/v1/indexes/default/documents/a", "application/json"},
		{"POST", "/v1/indexes/default/delete", "application/json"},
		{"POST", "/v1/indexes/default/bulk", "application/x-ndjson"},
		{"POST", "/v1/read", "application/json"},
		{"POST", "/v1/rerank", "application/json"},
	}
	f.Fuzz(func(t *testing.T, route uint8, body string) {
		r := routes[int(route)%len(routes)]
		h := newHarness(t, api.Config{MaxBodyBytes: 1 << 16})
		a := h.do(r.method, r.path, body, "Content-Type", r.media)
		if a.status >= http.StatusInternalServerError {
			t.Errorf("%s: got %d %s", r.path, a.status, a.body)
		}
		if a.status < 300 && strings.HasSuffix(r.path, "/documents") && !utf8.ValidString(body) {
			t.Error("text that is not UTF-8 was stored")
		}
	})
}

// FuzzDocumentID stores, reads and deletes under any id.
func FuzzDocumentID(f *testing.F) {
	for _, id := range []string{"a", "handbook/policies/leave.md", "a#0", "ä/ö", "..", "a/../b", "//", "%2F", "a+b", "a\x00b", "\xff", "?x=y", strings.Repeat("x", 600)} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		h := newHarness(t, api.Config{})
		path := "/v1/indexes/new/documents/" + wire.EscapeID(id)
		a := h.do("PUT", path, `{"text":"x"}`)
		valid := id != "" && utf8.ValidString(id) && !strings.Contains(id, "\x00") && len(id) <= 512
		if (a.status == http.StatusCreated) != valid || a.status >= 500 {
			t.Fatalf("PUT of id %q: got %d %s; the id is valid: %v", id, a.status, a.body, valid)
		}
		if !valid {
			return
		}
		var got wire.Document
		a = h.do("GET", path, "")
		if err := json.Unmarshal(a.body, &got); err != nil || got.ID != id {
			t.Errorf("GET of id %q: got %d %s (%v)", id, a.status, a.body, err)
		}
		if a = h.do("DELETE", path, ""); a.status != http.StatusNoContent {
			t.Errorf("DELETE of id %q: got %d %s", id, a.status, a.body)
		}
	})
}

// FuzzPath asks for any path and query string.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/", "/v1/indexes/default/documents?after=%ff&limit=1", "/v1//indexes", "/v1/indexes/..%2f..", "/v1/indexes/%zz", "/v1/indexes/default/documents/%00", "//host/v1", "/v1/indexes/default/documents/?a;b"} {
		f.Add(uint8(0), path)
		f.Add(uint8(3), path)
	}
	methods := []string{"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "CONNECT", "TRACE"}
	f.Fuzz(func(t *testing.T, method uint8, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return // net/http refuses it
		}
		h := newHarness(t, api.Config{})
		request := httptest.NewRequest(methods[int(method)%len(methods)], "/", nil)
		request.URL = u
		recorder := httptest.NewRecorder()
		h.handler.ServeHTTP(recorder, request)
		if recorder.Code >= http.StatusInternalServerError || recorder.Code >= 300 && recorder.Code < 400 {
			t.Errorf("%s %s: got %d %s", request.Method, path, recorder.Code, recorder.Body)
		}
	})
}
