package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// connect returns a client of a server in front of a service.
func connect(t *testing.T, service pipeline.Service) *client.Client {
	t.Helper()
	url, _ := serve(t, service, api.Config{})
	c, err := client.New(url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestClientSaysTheSame calls a service directly and through a server and
// compares what the two return, as Go values and as JSON.
func TestClientSaysTheSame(t *testing.T) {
	calls := []struct {
		name string
		call func(ctx context.Context, s pipeline.Service) (any, error)
	}{
		{"ask", func(ctx context.Context, s pipeline.Service) (any, error) {
			r, err := s.Ask(ctx, pipeline.Request{Question: "Who?", Index: "default", TopK: 2, Explain: true, OffsetUnit: pipeline.Bytes,
				Filter: &retriever.Filter{Field: "year", GTE: 1800}, Budget: 1500 * time.Microsecond})
			if r != nil && r.Warnings == nil {
				r.Warnings = []string{} // as over HTTP; a pipeline never has nil
			}
			return r, err
		}},
		{"ask nothing", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Ask(ctx, pipeline.Request{}) }},
		{"ask with a wrong filter", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Ask(ctx, pipeline.Request{Question: "x", Filter: &retriever.Filter{Field: "colour", Equals: "red"}})
		}},
		{"search", func(ctx context.Context, s pipeline.Service) (any, error) {
			r, err := s.Search(ctx, pipeline.SearchRequest{Query: "tower", Explain: true})
			if r != nil && r.Warnings == nil {
				r.Warnings = []string{}
			}
			return r, err
		}},
		{"search with facets", func(ctx context.Context, s pipeline.Service) (any, error) {
			r, err := s.Search(ctx, pipeline.SearchRequest{Query: "tower", Facets: []retriever.FacetRequest{
				{Field: "year", Size: 3}, {Field: "year", Ranges: []retriever.FacetRange{{Name: "new", GTE: 1900.0}, {LT: 1900.0}}},
			}})
			if r != nil && r.Warnings == nil {
				r.Warnings = []string{}
			}
			return r, err
		}},
		{"search with an unknown facet", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Search(ctx, pipeline.SearchRequest{Query: "tower", Facets: []retriever.FacetRequest{{Field: "colour"}}})
		}},
		{"search elsewhere", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Search(ctx, pipeline.SearchRequest{Query: "tower", Index: "absent"})
		}},
		{"read", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Read(ctx, pipeline.ReadRequest{Question: "Who?", Documents: []pipeline.ReadDocument{{ID: "a", Title: "A", Text: "é 😀"}, {Text: "x"}},
				TopK: 2, Budget: 1500 * time.Microsecond, OffsetUnit: pipeline.Bytes, IncludeRejected: true})
		}},
		{"read nothing", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Read(ctx, pipeline.ReadRequest{Question: "Who?"})
		}},
		{"rerank", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Rerank(ctx, pipeline.RerankRequest{Query: "x", Documents: []string{"a \"long\" one", "", "é"}, TopN: 2, ReturnDocuments: true})
		}},
		{"rerank nothing", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Rerank(ctx, pipeline.RerankRequest{Query: "x"})
		}},
		{"indexes", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Indexes(ctx) }},
		{"stats of the configured index", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Stats(ctx, "") }},
		{"stats of none", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Stats(ctx, "absent") }},
		{"create", func(ctx context.Context, s pipeline.Service) (any, error) { return nil, s.CreateIndex(ctx, "new") }},
		{"create again", func(ctx context.Context, s pipeline.Service) (any, error) { return nil, s.CreateIndex(ctx, "new") }},
		{"create a bad name", func(ctx context.Context, s pipeline.Service) (any, error) { return nil, s.CreateIndex(ctx, "a/b c") }},
		{"put", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Put(ctx, "new", []retriever.Document{
				{ID: "a/1", Text: "é 😀", Metadata: map[string]any{"n": int64(1 << 60), "f": 0.5, "b": true, "d": time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC), "l": []string{"x"}}, Groups: []string{"hr"}},
				{ID: "no text"},
				{ID: "b", Text: "x", Title: "B", Source: retriever.Source{URI: "b.txt", Verbatim: true, TextOffset: 3, ModifiedAt: time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)}},
				{ID: "b", Text: "given twice"},
				{ID: "", Text: "x"},
				{ID: "c", Text: "x", Metadata: map[string]any{"year": "old"}},
				{ID: "d", Text: "broken \xff"},
				{ID: "..", Text: "dots"},
			})
		}},
		{"put nothing", func(ctx context.Context, s pipeline.Service) (any, error) {
			r, err := s.Put(ctx, "new", nil)
			return len(r), err
		}},
		{"document", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Document(ctx, "new", "a/1") }},
		{"document with source", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Document(ctx, "new", "b") }},
		{"document of dots", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Document(ctx, "new", "..") }},
		{"document that is not there", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Document(ctx, "new", "c") }},
		{"document without id", func(ctx context.Context, s pipeline.Service) (any, error) { return s.Document(ctx, "new", "") }},
		{"list", func(ctx context.Context, s pipeline.Service) (any, error) { return s.List(ctx, "new", "", 2) }},
		{"list on", func(ctx context.Context, s pipeline.Service) (any, error) { return s.List(ctx, "new", "a/1", 1000) }},
		{"delete", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Delete(ctx, "new", []string{"a/1", "absent", "b"})
		}},
		{"delete elsewhere", func(ctx context.Context, s pipeline.Service) (any, error) {
			return s.Delete(ctx, "absent", []string{"a"})
		}},
		{"drop", func(ctx context.Context, s pipeline.Service) (any, error) { return nil, s.DropIndex(ctx, "new") }},
		{"drop again", func(ctx context.Context, s pipeline.Service) (any, error) { return nil, s.DropIndex(ctx, "new") }},
		{"ready", func(ctx context.Context, s pipeline.Service) (any, error) { return nil, s.Ready(ctx) }},
	}
	direct := newFake()
	direct.generation++ // the put below is refused in part before it is sent, so it is one batch in both
	remote := newFake()
	remote.generation++
	through := connect(t, remote)
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			want, wantErr := c.call(t.Context(), direct)
			got, gotErr := c.call(t.Context(), through)
			wantJSON, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			gotJSON, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if string(gotJSON) != string(wantJSON) {
				t.Errorf("got  %s\nwant %s", gotJSON, wantJSON)
			}
			if wantErr == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("got  %#v\nwant %#v", got, want)
			}
			if (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("got the error %v, want %v", gotErr, wantErr)
			}
			for _, pair := range wire.Pairs() {
				for _, sentinel := range pair.Errs {
					if errors.Is(wantErr, sentinel) && !errors.Is(gotErr, sentinel) {
						t.Errorf("got the error %v, want one that is %v", gotErr, sentinel)
					}
				}
			}
			if got, want := positions(gotErr), positions(wantErr); !reflect.DeepEqual(got, want) {
				t.Errorf("got refused documents %v, want %v", got, want)
			}
		})
	}
}

// positions lists the refused documents of a write.
func positions(err error) []string {
	var out []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			var refused *pipeline.DocumentError
			if errors.As(e, &refused) {
				out = append(out, fmt.Sprintf("%d %q", refused.Position, refused.ID))
			}
		}
	}
	return out
}

// TestClientErrors sends every sentinel over the wire.
func TestClientErrors(t *testing.T) {
	fake := newFake()
	c := connect(t, fake)
	for _, pair := range wire.Pairs() {
		for _, sentinel := range pair.Errs {
			if errors.Is(sentinel, context.Canceled) {
				continue // only the client's own
			}
			fake.err = fmt.Errorf("some operation: %w", sentinel)
			_, err := c.Ask(t.Context(), pipeline.Request{Question: "x"})
			var problem *client.Error
			if !errors.Is(err, sentinel) || !errors.As(err, &problem) || problem.Code != pair.Code || problem.RequestID == "" {
				t.Errorf("got %#v, want an error that is %v", err, sentinel)
			}
		}
	}
	fake.err = errors.New("something")
	_, err := c.Indexes(t.Context())
	var problem *client.Error
	if !errors.As(err, &problem) || problem.Code != "internal" || !strings.Contains(err.Error(), problem.RequestID) {
		t.Errorf("got %v, want an internal error with the request id", err)
	}
	fake.err, fake.ready = nil, pipeline.ErrNoReader
	if err := c.Ready(t.Context()); !errors.Is(err, pipeline.ErrNoReader) {
		t.Errorf("Ready: got %v, want %v", err, pipeline.ErrNoReader)
	}
}

func TestClientPutsMany(t *testing.T) {
	fake := newFake()
	c := connect(t, fake)
	documents := make([]retriever.Document, 1000)
	for i := range documents {
		documents[i] = retriever.Document{ID: fmt.Sprintf("d%04d", i), Text: strings.Repeat("text ", 1000)}
	}
	documents[500].Text = ""
	results, err := c.Put(t.Context(), "many", documents)
	if got := positions(err); len(results) != 999 || !reflect.DeepEqual(got, []string{`500 "d0500"`}) {
		t.Errorf("got %d results and %v, want 999 and one refused", len(results), err)
	}
	if results[500].ID != "d0501" {
		t.Errorf("got %q at 500, want the results in order", results[500].ID)
	}
	fake.err = fmt.Errorf("x: %w", retriever.ErrNoSpace)
	if results, err = c.Put(t.Context(), "many", documents); !errors.Is(err, retriever.ErrNoSpace) || len(results) != 0 {
		t.Errorf("got %d results and %v, want none and %v", len(results), err, retriever.ErrNoSpace)
	}
}

func TestClientCancel(t *testing.T) {
	fake, block := newFake(), newBlockingAsk()
	fake.ask = block.ask
	fake.put = func(ctx context.Context, _ string, _ []retriever.Document) ([]pipeline.PutResult, error) {
		block.started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c := connect(t, fake)
	for name, call := range map[string]func(context.Context) error{
		"ask": func(ctx context.Context) error { _, err := c.Ask(ctx, pipeline.Request{Question: "x"}); return err },
		"put": func(ctx context.Context) error {
			_, err := c.Put(ctx, "", []retriever.Document{{ID: "a", Text: "x"}})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		<-block.started
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want the context's error", name, err)
		}
	}
}

// TestClientOfSomethingElse talks to servers that are no Needle.
func TestClientOfSomethingElse(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"a web page":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"an error page":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"question":`) },
		"a foreign problem": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(400)
			fmt.Fprint(w, `{"title":"x"}`)
		},
	} {
		server := httptest.NewServer(handler)
		c, err := client.New(server.URL, server.Client())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ask(t.Context(), pipeline.Request{Question: "x"}); err == nil || !strings.Contains(err.Error(), server.URL) {
			t.Errorf("%s: Ask: got %v, want an error that names the address", name, err)
		}
		if _, err := c.Put(t.Context(), "", []retriever.Document{{ID: "a", Text: "x"}}); err == nil {
			t.Errorf("%s: Put: got no error", name)
		}
		server.Close()
		if _, err := c.Ask(t.Context(), pipeline.Request{Question: "x"}); err == nil || !strings.Contains(err.Error(), server.URL) {
			t.Errorf("a closed server: got %v, want an error that names the address", err)
		}
	}
	for _, address := range []string{"", "127.0.0.1:8080", "ftp://x", "http://", "http://x?y", "http://x:port", "http://\x00"} {
		if _, err := client.New(address, nil); err == nil {
			t.Errorf("New(%q): got no error", address)
		}
	}
}
