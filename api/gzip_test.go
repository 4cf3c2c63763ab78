package api_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/retriever"
)

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGzipBodies(t *testing.T) {
	h := newHarness(t, api.Config{MaxBodyBytes: 1 << 20})
	question := `{"question":"Who designed the tower?"}`
	for _, test := range []struct {
		name, target, body, contentType, code string
		status                                int
	}{
		{name: "question", target: "/v1/ask", body: zipped(t, question), status: 200},
		{name: "bulk", target: "/v1/indexes/default/bulk", body: zipped(t, `{"id":"a","text":"b"}`), contentType: "application/x-ndjson", status: 200},
		{name: "no gzip", target: "/v1/ask", body: question, status: 400, code: "invalid_body"},
		{name: "cut off", target: "/v1/ask", body: zipped(t, question)[:20], status: 400, code: "invalid_body"},
		{name: "wrong checksum", target: "/v1/ask", body: zipped(t, question)[:len(zipped(t, question))-8] + "12345678", status: 400, code: "invalid_body"},
		{name: "bomb", target: "/v1/ask", body: zipped(t, `{"question":"`+strings.Repeat(" ", 64<<20)+`"}`), status: 413, code: "body_too_large"},
	} {
		contentType := "application/json"
		if test.contentType != "" {
			contentType = test.contentType
		}
		// The contract is about what the body was before it was compressed, so
		// these go past the harness.
		a := h.raw("POST", test.target, test.body, "Content-Encoding", "gzip", "Content-Type", contentType)
		if a.status != test.status || test.code != "" && a.problem(t).Code != test.code {
			t.Errorf("%s: got %d %.200s, want %d %s", test.name, a.status, a.body, test.status, test.code)
		}
	}
}

func TestGzipAnswers(t *testing.T) {
	h := newHarness(t, api.Config{})
	long := retriever.Document{ID: "long", Text: strings.Repeat("All work and no play. ", 200)}
	h.service.indexes["default"][long.ID] = long
	target := "/v1/indexes/default/documents/long"
	plain := h.raw("GET", target, "")
	for _, test := range []struct {
		accept string
		want   bool
	}{
		{"gzip", true}, {"br, gzip;q=0.5", true}, {"*", true}, {"gzip;q=0", false}, {"*, gzip;q=0", false}, {"identity", false}, {"gzip;q=x", false}, {"", false},
	} {
		a := h.raw("GET", target, "", "Accept-Encoding", test.accept)
		if plain.header.Get("ETag") != "" {
			test.want = false // compressed, it would need another
		}
		if got := a.header.Get("Content-Encoding") == "gzip"; got != test.want {
			t.Errorf("Accept-Encoding %q: compressed %v, want %v", test.accept, got, test.want)
		}
		if !test.want {
			continue
		}
		r, err := gzip.NewReader(bytes.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(data, plain.body) || len(a.body) >= len(plain.body) {
			t.Errorf("Accept-Encoding %q: %d bytes that are not the answer (%v)", test.accept, len(a.body), err)
		}
		if a.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: got Vary %q", test.accept, a.header.Get("Vary"))
		}
	}
	if a := h.raw("GET", "/healthz", "", "Accept-Encoding", "gzip"); a.header.Get("Content-Encoding") != "" {
		t.Error("a short answer was compressed")
	}
}

// TestRerankAliases sends what clients of other servers send.
func TestRerankAliases(t *testing.T) {
	h := newHarness(t, api.Config{})
	for _, target := range []string{"/v1/rerank", "/v2/rerank", "/rerank"} {
		a := h.do("POST", target, `{"model":"rerank-v3.5","query":"tower","documents":["a","b"],"top_n":1,"max_tokens_per_doc":4096}`)
		if a.status != 200 || !strings.Contains(string(a.body), `"relevance_score"`) {
			t.Errorf("%s: got %d %s", target, a.status, a.body)
		}
	}
}
