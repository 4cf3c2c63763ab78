package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/goccy/go-yaml"

	"github.com/needle-search/needle/api"
)

var update = flag.Bool("update", false, "write golden files")

// contract is the OpenAPI document with one change: objects of answers may have
// no members that it does not know, so that every member is described.
var contract = sync.OnceValues(func() (*openapi3.T, error) {
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	closeObjects(tree)
	if data, err = json.Marshal(tree); err != nil {
		return nil, err
	}
	for _, media := range []string{"application/x-ndjson", "application/ndjson", "application/jsonl", "text/html", "text/event-stream"} {
		openapi3filter.RegisterBodyDecoder(media, func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			data, err := io.ReadAll(body)
			return string(data), err
		})
	}
	return openapi3.NewLoader().LoadFromData(data)
})

func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, open := node["additionalProperties"]; node["type"] == "object" && node["properties"] != nil && !open {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

func TestOpenAPIDocument(t *testing.T) {
	source, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	converted, err := yaml.YAMLToJSON(source)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal(converted, &want); err != nil {
		t.Fatal(err)
	}
	indented, err := json.MarshalIndent(want, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "openapi.json", append(indented, '\n'))

	doc, err := openapi3.NewLoader().LoadFromData(indented)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Errorf("openapi.yaml is no valid OpenAPI 3.1: %v", err)
	}
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update to make it", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nrun the test with -update if the change is meant", path, got, want)
	}
}

// A harness sends requests to a server and holds every answer against the
// contract.
type harness struct {
	t       testing.TB
	service *fakeService
	handler http.Handler
	doc     *openapi3.T
	log     *syncBuffer
}

func newHarness(t testing.TB, config api.Config) *harness {
	t.Helper()
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, service: newFake(), doc: doc, log: &syncBuffer{}}
	server, err := api.New(h.service, config, slog.New(slog.NewJSONHandler(h.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	h.handler = server.Handler()
	return h
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is what errors look like.
type problem struct {
	Type, Title, Detail, Instance, Code string
	Status                              int
	RequestID                           string `json:"request_id"`
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("got Content-Type %q with %s, want a problem", got, a.body)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return p
}

// do sends a request; header is name, value, name, value...
func (h *harness) do(method, target, body string, header ...string) answer {
	h.t.Helper()
	request, a := h.exchange(method, target, body, header...)
	h.check(request, body, a)
	return a
}

// raw is do without a look at the contract.
func (h *harness) raw(method, target, body string, header ...string) answer {
	h.t.Helper()
	_, a := h.exchange(method, target, body, header...)
	return a
}

func (h *harness) exchange(method, target, body string, header ...string) (*http.Request, answer) {
	h.t.Helper()
	request := httptest.NewRequestWithContext(h.t.Context(), method, target, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			request.Header.Del(header[i])
		}
	}
	recorder := httptest.NewRecorder()
	h.handler.ServeHTTP(recorder, request)
	a := answer{recorder.Code, recorder.Result().Header, recorder.Body.Bytes()}
	return request, a
}

// check holds one exchange against the contract: the answer is described, and
// so is a request that was accepted.
func (h *harness) check(request *http.Request, body string, a answer) {
	h.t.Helper()
	if a.status >= 400 {
		schema := h.doc.Components.Schemas["Problem"].Value
		var value any
		if err := json.Unmarshal(a.body, &value); err != nil {
			h.t.Errorf("%s %s: %d with a body that is no JSON: %s", request.Method, request.URL, a.status, a.body)
		} else if err := schema.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
			h.t.Errorf("%s %s: problem outside the contract: %v", request.Method, request.URL, err)
		}
		if a.header.Get("X-Request-Id") == "" {
			h.t.Errorf("%s %s: no request id", request.Method, request.URL)
		}
	}
	path, parameters := h.template(request.URL.EscapedPath())
	if path == "" {
		return
	}
	item := h.doc.Paths.Value(path)
	operation := item.GetOperation(request.Method)
	if operation == nil {
		return
	}
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: parameters,
		Route:   &routers.Route{Spec: h.doc, Path: path, PathItem: item, Method: request.Method, Operation: operation},
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	response := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: a.status, Header: a.header, Options: input.Options}
	if a.status != http.StatusNoContent {
		response.SetBodyBytes(a.body)
	}
	if err := openapi3filter.ValidateResponse(h.t.Context(), response); err != nil {
		h.t.Errorf("%s %s: answer outside the contract: %v\n%s", request.Method, request.URL, err, a.body)
	}
	if a.header.Get("Content-Type") == "application/x-ndjson" {
		schema := h.doc.Components.Schemas["BulkResult"].Value
		for line := range bytes.Lines(a.body) {
			var value any
			if err := json.Unmarshal(line, &value); err != nil {
				h.t.Errorf("bulk result %s: %v", line, err)
			} else if err := schema.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
				h.t.Errorf("bulk result %s: outside the contract: %v", line, err)
			}
		}
	}
	if a.status < 400 {
		request.Body = io.NopCloser(strings.NewReader(body))
		if err := openapi3filter.ValidateRequest(h.t.Context(), input); err != nil {
			h.t.Errorf("%s %s: accepted a request outside the contract: %v\n%.300s", request.Method, request.URL, err, body)
		}
	}
}

var pathParameter = regexp.MustCompile(`\\\{(\w+)\\\}`)

// template finds the path of the contract that a request is for.
func (h *harness) template(escaped string) (string, map[string]string) {
	for _, path := range slices.Sorted(slices.Values(h.doc.Paths.InMatchingOrder())) {
		pattern := pathParameter.ReplaceAllStringFunc(regexp.QuoteMeta(path), func(p string) string {
			if p == `\{id\}` {
				return `(?P<id>.+)`
			}
			return `(?P<` + p[2:len(p)-2] + `>[^/]+)`
		})
		re := regexp.MustCompile("^" + pattern + "$")
		match := re.FindStringSubmatch(escaped)
		if match == nil {
			continue
		}
		parameters := make(map[string]string)
		for i, name := range re.SubexpNames() {
			if name != "" {
				parameters[name], _ = url.PathUnescape(match[i])
			}
		}
		return path, parameters
	}
	return "", nil
}
