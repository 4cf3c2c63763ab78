package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func TestBadRequests(t *testing.T) {
	const documents = "/v1/indexes/default/documents"
	deep := strings.Repeat(`{"and":[`, 60) + `{"field":"year","equals":1}` + strings.Repeat(`]}`, 60)
	cases := []struct {
		name, method, target, body string
		header                     []string
		status                     int
		code, detail               string // detail: a part of it
	}{
		{name: "empty body", method: "POST", target: "/v1/ask", header: []string{"Content-Type", "application/json"}, status: 400, code: "invalid_body", detail: "empty"},
		{name: "blank body", method: "POST", target: "/v1/ask", body: " \n", status: 400, code: "invalid_body", detail: "empty"},
		{name: "no JSON", method: "POST", target: "/v1/ask", body: `question=x`, status: 400, code: "invalid_body", detail: "broken at byte"},
		{name: "cut off", method: "POST", target: "/v1/ask", body: `{"question":"x"`, status: 400, code: "invalid_body", detail: "ends early"},
		{name: "a list", method: "POST", target: "/v1/ask", body: `["x"]`, status: 400, code: "invalid_body", detail: "a list; a JSON object"},
		{name: "null", method: "POST", target: "/v1/ask", body: `null`, status: 400, code: "invalid_body", detail: "null; a JSON object"},
		{name: "trailing text", method: "POST", target: "/v1/ask", body: `{"question":"x"} {}`, status: 400, code: "invalid_body", detail: "after the JSON object"},
		{name: "unknown key", method: "POST", target: "/v1/ask", body: `{"question":"x","topk":1}`, status: 400, code: "invalid_body", detail: "topk: unknown key; allowed: question, index, top_k,"},
		{name: "key in other case", method: "POST", target: "/v1/ask", body: `{"Question":"x"}`, status: 400, code: "invalid_body", detail: "Question: unknown key"},
		{name: "key of Go", method: "POST", target: "/v1/ask", body: `{"question":"x","Access":{"AllGroups":true}}`, status: 400, code: "invalid_body", detail: "Access: unknown key"},
		{name: "unknown key inside", method: "POST", target: "/v1/ask", body: `{"question":"x","filter":{"and":[{"feild":"year"}]}}`, status: 400, code: "invalid_body", detail: "filter.and[0].feild: unknown key"},
		{name: "duplicate key", method: "POST", target: "/v1/ask", body: `{"question":"x","question":"y"}`, status: 400, code: "invalid_body", detail: "question: is given twice"},
		{name: "null value", method: "POST", target: "/v1/ask", body: `{"question":null}`, status: 400, code: "invalid_body", detail: "question: is null"},
		{name: "number for string", method: "POST", target: "/v1/ask", body: `{"question":1}`, status: 400, code: "invalid_body", detail: "question: is the number 1; a string is expected"},
		{name: "string for number", method: "POST", target: "/v1/ask", body: `{"question":"x","top_k":"3"}`, status: 400, code: "invalid_body", detail: "top_k: is a string; an integer is expected"},
		{name: "fraction for integer", method: "POST", target: "/v1/ask", body: `{"question":"x","top_k":1.5}`, status: 400, code: "invalid_body", detail: "top_k: is the number 1.5; an integer"},
		{name: "giant integer", method: "POST", target: "/v1/ask", body: `{"question":"x","top_k":99999999999999999999}`, status: 400, code: "invalid_body", detail: "top_k"},
		{name: "object for bool", method: "POST", target: "/v1/ask", body: `{"question":"x","explain":{}}`, status: 400, code: "invalid_body", detail: "explain: is an object"},
		{name: "list for filter", method: "POST", target: "/v1/ask", body: `{"question":"x","filter":[]}`, status: 400, code: "invalid_body", detail: "filter: is a list; an object"},
		{name: "not UTF-8", method: "POST", target: "/v1/ask", body: "{\"question\":\"\xff\"}", status: 400, code: "invalid_text", detail: "at byte 13"},
		{name: "half a surrogate pair", method: "POST", target: "/v1/ask", body: `{"question":"a\ud83d b"}`, status: 400, code: "invalid_text", detail: "surrogate"},
		{name: "surrogates turned round", method: "POST", target: "/v1/ask", body: `{"question":"\ude00\ud83d"}`, status: 400, code: "invalid_text", detail: "surrogate"},
		{name: "NUL", method: "POST", target: "/v1/ask", body: `{"question":"a\u0000b"}`, status: 400, code: "invalid_text", detail: "question holds a NUL"},
		{name: "NUL in a key", method: "POST", target: documents, body: `{"id":"x","text":"x","metadata":{"a\u0000":1}}`, status: 400, code: "invalid_text", detail: "NUL"},
		{name: "raw NUL", method: "POST", target: "/v1/ask", body: "{\"question\":\"a\x00b\"}", status: 400, code: "invalid_body", detail: "broken"},
		{name: "deep", method: "POST", target: "/v1/ask", body: `{"question":"x","filter":` + deep + `}`, status: 400, code: "invalid_body", detail: "nested deeper"},
		{name: "very deep", method: "POST", target: "/v1/ask", body: `{"question":` + strings.Repeat("[", 200000), status: 400, code: "invalid_body"},
		{name: "very deep metadata", method: "POST", target: documents, body: `{"id":"x","metadata":{"a":` + strings.Repeat("[", 200000), status: 400, code: "invalid_body", detail: "nested deeper"},
		{name: "filter beyond its depth", method: "POST", target: "/v1/ask", body: `{"question":"x","filter":` + strings.Repeat(`{"not":`, 18) + `{"field":"year","equals":1}` + strings.Repeat(`}`, 18) + `}`, status: 400, code: "invalid_filter", detail: "nested deeper"},
		{name: "empty question", method: "POST", target: "/v1/ask", body: `{}`, status: 400, code: "empty_question"},
		{name: "long question", method: "POST", target: "/v1/ask", body: `{"question":"` + strings.Repeat("why ", 25000) + `"}`, status: 400, code: "question_too_long"},
		{name: "top_k too great", method: "POST", target: "/v1/ask", body: `{"question":"x","top_k":1001}`, status: 400, code: "invalid_request", detail: "1 to 1000"},
		{name: "top_k negative", method: "POST", target: "/v1/ask", body: `{"question":"x","top_k":-1}`, status: 400, code: "invalid_request"},
		{name: "budget negative", method: "POST", target: "/v1/ask", body: `{"question":"x","budget_ms":-1}`, status: 400, code: "invalid_request", detail: "budget_ms: -1"},
		{name: "budget endless", method: "POST", target: "/v1/ask", body: `{"question":"x","budget_ms":9223372036854775807}`, status: 400, code: "invalid_request", detail: "budget_ms"},
		{name: "offset unit", method: "POST", target: "/v1/ask", body: `{"question":"x","offset_unit":"grapheme"}`, status: 400, code: "invalid_request", detail: "offset_unit"},
		{name: "index name", method: "POST", target: "/v1/ask", body: `{"question":"x","index":"../x"}`, status: 400, code: "invalid_index_name"},
		{name: "unknown index", method: "POST", target: "/v1/search", body: `{"query":"x","index":"absent"}`, status: 404, code: "index_not_found", detail: "absent"},
		{name: "unknown field", method: "POST", target: "/v1/search", body: `{"query":"x","filter":{"field":"colour","equals":"red"}}`, status: 400, code: "invalid_filter", detail: `"colour"`},
		{name: "wrong type in filter", method: "POST", target: "/v1/search", body: `{"query":"x","filter":{"field":"year","equals":"red"}}`, status: 400, code: "invalid_filter", detail: `"year"`},
		{name: "facet of an unknown field", method: "POST", target: "/v1/search", body: `{"query":"x","facets":["colour"]}`, status: 400, code: "invalid_facet", detail: `"colour"`},
		{name: "facet with ranges of text", method: "POST", target: "/v1/search", body: `{"query":"x","facets":[{"field":"tags","ranges":[{"gt":1}]}]}`, status: 400, code: "invalid_facet", detail: `"tags"`},
		{name: "facet with an unknown key", method: "POST", target: "/v1/search", body: `{"query":"x","facets":[{"field":"tags","top":1}]}`, status: 400, code: "invalid_body", detail: "facets[0].top"},
		{name: "facet with a key in another case", method: "POST", target: "/v1/search", body: `{"query":"x","facets":[{"Field":"tags"}]}`, status: 400, code: "invalid_body", detail: "facets[0].Field"},
		{name: "facet that is a number", method: "POST", target: "/v1/search", body: `{"query":"x","facets":[1]}`, status: 400, code: "invalid_body"},
		{name: "facets of an answer", method: "POST", target: "/v1/ask", body: `{"question":"x","facets":["tags"]}`, status: 400, code: "invalid_body", detail: "facets"},
		{name: "no content type", method: "POST", target: "/v1/ask", body: `{"question":"x"}`, header: []string{"Content-Type", ""}, status: 415, code: "unsupported_media_type", detail: "application/json"},
		{name: "form", method: "POST", target: "/v1/ask", body: `question=x`, header: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, code: "unsupported_media_type"},
		{name: "plain text", method: "POST", target: "/v1/ask", body: `{"question":"x"}`, header: []string{"Content-Type", "text/plain"}, status: 415, code: "unsupported_media_type"},
		{name: "other charset", method: "POST", target: "/v1/ask", body: `{"question":"x"}`, header: []string{"Content-Type", "application/json; charset=latin1"}, status: 415, code: "unsupported_media_type"},
		{name: "brotli", method: "POST", target: "/v1/ask", body: `{"question":"x"}`, header: []string{"Content-Encoding", "br"}, status: 415, code: "unsupported_media_type", detail: "br"},
		{name: "too large", method: "POST", target: "/v1/ask", body: `{"question":"` + strings.Repeat("x", 1<<20) + `"}`, status: 413, code: "body_too_large", detail: "1048576"},
		{name: "document too large", method: "POST", target: documents, body: `{"id":"x","text":"` + strings.Repeat("x", 2<<20) + `"}`, status: 413, code: "body_too_large"},
		{name: "method", method: "GET", target: "/v1/ask", status: 405, code: "method_not_allowed", detail: "allowed: POST"},
		{name: "method on documents", method: "PATCH", target: documents + "/a/b", body: `{}`, status: 405, code: "method_not_allowed"},
		{name: "preflight", method: "OPTIONS", target: "/v1/ask", status: 405, code: "method_not_allowed"},
		{name: "path", method: "GET", target: "/v1/nothing", status: 404, code: "not_found"},
		{name: "trailing slash", method: "POST", target: "/v1/ask/", body: `{}`, status: 404, code: "not_found"},
		{name: "no file of the page", method: "GET", target: "/page/", status: 404, code: "not_found"},
		{name: "path out of the page", method: "GET", target: "/page/../page/x.js", status: 404, code: "not_found"},
		{name: "page with a parameter", method: "GET", target: "/?q=x", status: 400, code: "invalid_parameter"},
		{name: "read without documents", method: "POST", target: "/v1/read", body: `{"question":"x"}`, status: 400, code: "invalid_request", detail: "documents"},
		{name: "read strings", method: "POST", target: "/v1/read", body: `{"question":"x","documents":["a"]}`, status: 400, code: "invalid_body", detail: "documents[0]: is a string; an object"},
		{name: "read unknown key", method: "POST", target: "/v1/read", body: `{"question":"x","documents":[{"text":"a","body":"b"}]}`, status: 400, code: "invalid_body", detail: "documents[0].body: unknown key; allowed: id, title, text"},
		{name: "read with a budget below 0", method: "POST", target: "/v1/read", body: `{"question":"x","documents":[{"text":"a"}],"budget_ms":-1}`, status: 400, code: "invalid_request", detail: "budget_ms"},
		{name: "read from an index", method: "POST", target: "/v1/read", body: `{"question":"x","index":"default"}`, status: 400, code: "invalid_body", detail: "index: unknown key"},
		{name: "read too much", method: "POST", target: "/v1/read", body: `{"question":"` + strings.Repeat("x", 12<<20) + `"}`, status: 413, code: "body_too_large"},
		{name: "rerank without documents", method: "POST", target: "/v1/rerank", body: `{"query":"x","documents":[]}`, status: 400, code: "invalid_request", detail: "documents"},
		{name: "rerank a number", method: "POST", target: "/v1/rerank", body: `{"query":"x","documents":["a",1]}`, status: 400, code: "invalid_body", detail: "documents"},
		{name: "rerank null", method: "POST", target: "/v1/rerank", body: `{"query":"x","documents":[null]}`, status: 400, code: "invalid_body", detail: "documents[0]: is null"},
		{name: "rerank an object without text", method: "POST", target: "/v1/rerank", body: `{"query":"x","documents":[{}]}`, status: 400, code: "invalid_body", detail: "documents"},
		{name: "rerank an unknown key", method: "POST", target: "/v1/rerank", body: `{"query":"x","documents":[{"text":"a","x":1}]}`, status: 400, code: "invalid_body", detail: "documents"},
		{name: "rerank a NUL", method: "POST", target: "/v1/rerank", body: `{"query":"x","documents":[{"text":"a\u0000"}]}`, status: 400, code: "invalid_text", detail: "documents[0].text holds a NUL"},
		{name: "query parameter", method: "GET", target: "/v1/indexes?page=2", status: 400, code: "invalid_parameter", detail: `"page"`},
		{name: "query parameter twice", method: "GET", target: documents + "?limit=1&limit=2", status: 400, code: "invalid_parameter"},
		{name: "broken query", method: "GET", target: documents + "?after=%zz", status: 400, code: "invalid_parameter"},
		{name: "limit no number", method: "GET", target: documents + "?limit=many", status: 400, code: "invalid_request", detail: "1 to 1000"},
		{name: "limit 0", method: "GET", target: documents + "?limit=0", status: 400, code: "invalid_request"},
		{name: "limit too great", method: "GET", target: documents + "?limit=1001", status: 400, code: "invalid_request"},
		{name: "after not UTF-8", method: "GET", target: documents + "?after=%ff", status: 400, code: "invalid_parameter"},
		{name: "index name in path", method: "GET", target: "/v1/indexes/Upper", status: 400, code: "invalid_index_name"},
		{name: "dots as index", method: "GET", target: "/v1/indexes/%2e%2e/documents", status: 400, code: "invalid_index_name"},
		{name: "index not UTF-8", method: "PUT", target: "/v1/indexes/%ff", status: 400, code: "invalid_index_name"},
		{name: "index exists", method: "PUT", target: "/v1/indexes/default", status: 409, code: "index_exists"},
		{name: "index with settings", method: "PUT", target: "/v1/indexes/new", body: `{"analyzer":"de"}`, status: 400, code: "invalid_body", detail: "analyzer: unknown key; allowed: fields"},
		{name: "index not there", method: "DELETE", target: "/v1/indexes/absent", status: 404, code: "index_not_found"},
		{name: "document not there", method: "GET", target: documents + "/absent", status: 404, code: "document_not_found", detail: `"absent"`},
		{name: "deleted document not there", method: "DELETE", target: documents + "/absent", status: 404, code: "document_not_found"},
		{name: "no document id", method: "GET", target: documents + "/", status: 404, code: "not_found"},
		{name: "document id not UTF-8", method: "GET", target: documents + "/%ff", status: 400, code: "invalid_document"},
		{name: "document id with NUL", method: "PUT", target: documents + "/a%00b", body: `{"text":"x"}`, status: 400, code: "invalid_document"},
		{name: "document id too long", method: "GET", target: documents + "/" + strings.Repeat("x", 513), status: 400, code: "invalid_document", detail: "513"},
		{name: "document without id", method: "POST", target: documents, body: `{"text":"x"}`, status: 400, code: "invalid_document", detail: "id is missing"},
		{name: "document with another id", method: "PUT", target: documents + "/a", body: `{"id":"b","text":"x"}`, status: 400, code: "invalid_document", detail: `"b"`},
		{name: "document without text", method: "POST", target: documents, body: `{"id":"x"}`, status: 400, code: "invalid_document", detail: "no text"},
		{name: "metadata object", method: "POST", target: documents, body: `{"id":"x","text":"x","metadata":{"a":{"b":1}}}`, status: 400, code: "invalid_document", detail: `metadata "a" is an object`},
		{name: "metadata null", method: "POST", target: documents, body: `{"id":"x","text":"x","metadata":{"a":null}}`, status: 400, code: "invalid_body", detail: `metadata.a: is null`},
		{name: "metadata mixed list", method: "POST", target: documents, body: `{"id":"x","text":"x","metadata":{"a":["b",1]}}`, status: 400, code: "invalid_document", detail: `metadata "a" is a list with a number`},
		{name: "metadata giant integer", method: "POST", target: documents, body: `{"id":"x","text":"x","metadata":{"a":9223372036854775808}}`, status: 400, code: "invalid_document", detail: `metadata "a"`},
		{name: "metadata infinite", method: "POST", target: documents, body: `{"id":"x","text":"x","metadata":{"a":1e999}}`, status: 400, code: "invalid_document", detail: `metadata "a"`},
		{name: "metadata conflict", method: "POST", target: documents, body: `{"id":"x","text":"x","metadata":{"year":"old"}}`, status: 409, code: "field_conflict", detail: `"year"`},
		{name: "groups no list", method: "POST", target: documents, body: `{"id":"x","text":"x","groups":"hr"}`, status: 400, code: "invalid_body", detail: "groups"},
		{name: "source unknown key", method: "POST", target: documents, body: `{"id":"x","text":"x","source":{"url":"y"}}`, status: 400, code: "invalid_body", detail: "source.url: unknown key; allowed: uri, media_type"},
		{name: "source date", method: "POST", target: documents, body: `{"id":"x","text":"x","source":{"modified_at":"yesterday"}}`, status: 400, code: "invalid_body"},
		{name: "source offset", method: "POST", target: documents, body: `{"id":"x","text":"x","source":{"text_offset":-1}}`, status: 400, code: "invalid_document", detail: "text_offset"},
		{name: "delete nothing", method: "POST", target: "/v1/indexes/default/delete", body: `{}`, status: 400, code: "invalid_request", detail: "ids: has 0"},
		{name: "delete empty id", method: "POST", target: "/v1/indexes/default/delete", body: `{"ids":["a",""]}`, status: 400, code: "invalid_request", detail: "ids[1]"},
		{name: "bulk as JSON", method: "POST", target: "/v1/indexes/default/bulk", body: `{}`, status: 415, code: "unsupported_media_type", detail: "application/x-ndjson"},
		{name: "cross origin", method: "POST", target: "/v1/ask", body: `{"question":"x"}`, header: []string{"Sec-Fetch-Site", "cross-site"}, status: 403, code: "cross_origin"},
		{name: "other origin", method: "DELETE", target: "/v1/indexes/default", header: []string{"Origin", "https://evil.example"}, status: 403, code: "cross_origin"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, api.Config{MaxBodyBytes: 1 << 20})
			a := h.do(c.method, c.target, c.body, c.header...)
			p := a.problem(t)
			if a.status != c.status || p.Status != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("got %d, %s: %s\nwant %d, %s: ...%s...", a.status, p.Code, p.Detail, c.status, c.code, c.detail)
			}
			if p.Title == "" || p.Detail == "" || p.RequestID == "" {
				t.Errorf("got the problem %s, want a title, a detail and a request id", a.body)
			}
			if len(p.Detail) > 1000 {
				t.Errorf("got a detail of %d bytes; it repeats the request", len(p.Detail))
			}
			if got := len(h.service.indexes["default"]); got != 1 {
				t.Errorf("got %d documents after a bad request, want 1", got)
			}
		})
	}
}

func TestErrorsOfTheService(t *testing.T) {
	secret := errors.New("open /srv/secret/path: input/output error")
	cases := []struct {
		name       string
		err        error
		status     int
		code       string
		retryAfter string
	}{
		{"overloaded", models.ErrOverloaded, 503, "overloaded", "1"},
		{"no space", retriever.ErrNoSpace, 507, "no_space", ""},
		{"no runtime", models.ErrRuntimeMissing, 503, "runtime_missing", ""},
		{"no reader", pipeline.ErrNoReader, 503, "no_reader", ""},
		{"deadline", context.DeadlineExceeded, 504, "deadline_exceeded", ""},
		{"damaged", retriever.ErrCorrupt, 500, "index_damaged", ""},
		{"newer", retriever.ErrVersion, 500, "index_newer_version", ""},
		{"locked", retriever.ErrLocked, 503, "index_locked", "5"},
		{"bundle", models.ErrInvalidBundle, 500, "invalid_bundle", ""},
		{"closed", pipeline.ErrClosed, 503, "closed", "5"},
		{"index closed", retriever.ErrClosed, 503, "closed", "5"},
		{"model closed", models.ErrModelClosed, 503, "closed", "5"},
		{"unknown", errors.New("something"), 500, "internal", ""},
		{"cancelled inside", context.Canceled, 500, "internal", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, api.Config{})
			h.service.err = fmt.Errorf("bleve: search: %w: %w", c.err, secret)
			a := h.do("POST", "/v1/ask", `{"question":"What is the secret question?"}`)
			p := a.problem(t)
			if a.status != c.status || p.Code != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, p.Code, c.status, c.code)
			}
			if got := a.header.Get("Retry-After"); got != c.retryAfter {
				t.Errorf("got Retry-After %q, want %q", got, c.retryAfter)
			}
			if strings.Contains(string(a.body), "/srv/secret") {
				t.Errorf("the cause is shown: %s", a.body)
			}
			log := h.log.String()
			if strings.Count(log, "/srv/secret") != 1 || !strings.Contains(log, p.RequestID) {
				t.Errorf("got the log %s\nwant the cause once, with the request id %s", log, p.RequestID)
			}
			if strings.Contains(log, "secret question") {
				t.Errorf("the question is in the log: %s", log)
			}
		})
	}
}

// TestEveryCodeHasAStatus keeps the table of codes and that of statuses in
// step.
func TestEveryCodeHasAStatus(t *testing.T) {
	for _, pair := range wire.Pairs() {
		for _, sentinel := range pair.Errs {
			h := newHarness(t, api.Config{})
			h.service.err = fmt.Errorf("x: %w", sentinel)
			a := h.do("GET", "/v1/indexes", "")
			p := a.problem(t)
			want := pair.Code
			if errors.Is(sentinel, context.Canceled) {
				want = wire.CodeInternal // nobody cancelled the request
			}
			if p.Code != want || p.Title == "" || p.Detail == "" {
				t.Errorf("%v: got %s, want the code %s, a title and a detail", sentinel, a.body, want)
			}
			if want != wire.CodeInternal && p.Title == "The server failed" {
				t.Errorf("%v: the code %s has no status of its own", sentinel, want)
			}
		}
	}
}

func TestPanic(t *testing.T) {
	h := newHarness(t, api.Config{})
	h.service.ask = func(context.Context, pipeline.Request) (*pipeline.Result, error) { panic("the roof is on fire") }
	a := h.do("POST", "/v1/ask", `{"question":"x"}`)
	p := a.problem(t)
	if a.status != http.StatusInternalServerError || p.Code != "internal" || strings.Contains(string(a.body), "roof") {
		t.Errorf("got %d %s, want 500 without the cause", a.status, a.body)
	}
	if log := h.log.String(); !strings.Contains(log, "the roof is on fire") || !strings.Contains(log, p.RequestID) || !strings.Contains(log, "refuse_test.go") {
		t.Errorf("got the log %s, want the cause, its stack and the request id", log)
	}
}

// TestCodesAreDocumented finds every code of a sentinel in docs/api.md.
func TestCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range wire.Pairs() {
		if pair.Code != wire.CodeCancelled && !strings.Contains(string(page), "`"+pair.Code+"`") {
			t.Errorf("docs/api.md does not mention %s", pair.Code)
		}
	}
}
