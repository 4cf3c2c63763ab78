package retrievertest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/needle-search/needle/retriever"
)

// background is the context of clean-ups, which run after a test's own context
// is cancelled.
func background() context.Context { return context.Background() }

func testBackend(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	t.Run("names", func(t *testing.T) {
		backend := open(t, newBackend)
		wantNames(t, backend)
		for _, name := range []string{"b", "a-1", "a_2"} {
			index, err := backend.Create(t.Context(), name)
			if err != nil {
				t.Fatalf("Create(%q): %v", name, err)
			}
			if err := index.Close(); err != nil {
				t.Fatal(err)
			}
		}
		wantNames(t, backend, "a-1", "a_2", "b")
		if err := backend.Drop(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		wantNames(t, backend, "a-1", "a_2")
		if _, err := backend.Open(t.Context(), "b"); !errors.Is(err, retriever.ErrIndexNotFound) {
			t.Errorf("Open after Drop: %v, want ErrIndexNotFound", err)
		}
	})

	t.Run("missing", func(t *testing.T) {
		backend := open(t, newBackend)
		if _, err := backend.Open(t.Context(), "missing"); !errors.Is(err, retriever.ErrIndexNotFound) {
			t.Errorf("Open: %v, want ErrIndexNotFound", err)
		}
		if err := backend.Drop(t.Context(), "missing"); !errors.Is(err, retriever.ErrIndexNotFound) {
			t.Errorf("Drop: %v, want ErrIndexNotFound", err)
		}
	})

	t.Run("exists", func(t *testing.T) {
		backend := open(t, newBackend)
		index, err := backend.Create(t.Context(), "twice")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backend.Create(t.Context(), "twice"); !errors.Is(err, retriever.ErrIndexExists) {
			t.Errorf("Create while open: %v, want ErrIndexExists", err)
		}
		if err := index.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := backend.Create(t.Context(), "twice"); !errors.Is(err, retriever.ErrIndexExists) {
			t.Errorf("Create: %v, want ErrIndexExists", err)
		}
		wantNames(t, backend, "twice")
	})

	t.Run("invalid names", func(t *testing.T) {
		backend := open(t, newBackend)
		for _, name := range []string{"", "A", ".", "..", "../x", "a/b", "-a", "_a", "a b", "ä", "a\x00b", strings.Repeat("a", retriever.MaxIndexName+1)} {
			if _, err := backend.Create(t.Context(), name); !errors.Is(err, retriever.ErrInvalidIndexName) {
				t.Errorf("Create(%q): %v, want ErrInvalidIndexName", name, err)
			}
			if _, err := backend.Open(t.Context(), name); !errors.Is(err, retriever.ErrInvalidIndexName) {
				t.Errorf("Open(%q): %v, want ErrInvalidIndexName", name, err)
			}
			if err := backend.Drop(t.Context(), name); !errors.Is(err, retriever.ErrInvalidIndexName) {
				t.Errorf("Drop(%q): %v, want ErrInvalidIndexName", name, err)
			}
		}
		wantNames(t, backend)
	})

	t.Run("restart", func(t *testing.T) {
		backend := open(t, newBackend)
		index, err := backend.Create(t.Context(), indexName)
		if err != nil {
			t.Fatal(err)
		}
		upsert(t, index, Entry("a", "the tower of London"), Entry("b", "the bridge of London"))
		upsert(t, index, Entry("a", "the tower of Pisa"))
		before := index.Generation()
		if err := index.Close(); err != nil {
			t.Fatal(err)
		}
		index, err = backend.Open(t.Context(), indexName)
		if err != nil {
			t.Fatal(err)
		}
		defer finish(t, index)
		if got := index.Generation(); got != before {
			t.Errorf("generation after reopening = %d, want %d", got, before)
		}
		if got := ids(search(t, index, "London", 10)); got != "[b#0]" {
			t.Errorf("hits = %s, want [b#0]", got)
		}
		upsert(t, index, Entry("c", "a river"))
		if got := index.Generation(); got <= before {
			t.Errorf("generation after a change = %d, want more than %d", got, before)
		}
	})

	t.Run("isolated", func(t *testing.T) {
		backend := open(t, newBackend)
		var indexes []retriever.Index
		for _, name := range []string{"one", "two"} {
			index, err := backend.Create(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			defer finish(t, index)
			upsert(t, index, Entry(name, "a document of index "+name))
			indexes = append(indexes, index)
		}
		if got := ids(search(t, indexes[0], "document", 10)); got != "[one#0]" {
			t.Errorf("hits of one = %s, want [one#0]", got)
		}
	})

	t.Run("closed", func(t *testing.T) {
		backend := open(t, newBackend)
		index, err := backend.Create(t.Context(), indexName)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := index.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		}
		for name, call := range map[string]func() error{
			"Upsert":   func() error { return index.Upsert(t.Context(), []retriever.Entry{Entry("a", "text")}) },
			"Delete":   func() error { _, err := index.Delete(t.Context(), []string{"a"}); return err },
			"Document": func() error { _, err := index.Document(t.Context(), "a"); return err },
			"Infos":    func() error { _, err := index.Infos(t.Context(), []string{"a"}); return err },
			"List":     func() error { _, err := index.List(t.Context(), "", 1); return err },
			"Stats":    func() error { _, err := index.Stats(t.Context()); return err },
			"Retrieve": func() error {
				_, err := index.Retrieve(t.Context(), retriever.Query{Text: "text", TopK: 1})
				return err
			},
		} {
			if err := call(); !errors.Is(err, retriever.ErrClosed) {
				t.Errorf("%s after Close: %v, want ErrClosed", name, err)
			}
		}
		for range 2 {
			if err := backend.Close(); err != nil {
				t.Fatalf("Backend.Close: %v", err)
			}
		}
		if _, err := backend.Open(t.Context(), indexName); !errors.Is(err, retriever.ErrClosed) {
			t.Errorf("Open after Backend.Close: %v, want ErrClosed", err)
		}
	})
}

func wantNames(t *testing.T, backend retriever.Backend, want ...string) {
	t.Helper()
	got, err := backend.Names(t.Context())
	if err != nil {
		t.Fatalf("Names: %v", err)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("Names = %q, want %q", got, want)
	}
}
