package retrievertest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/needle-search/needle/retriever"
)

// indexName is the name of the index that most tests use.
const indexName = "conformance"

// Run runs the whole suite. The function returns a back end without indexes,
// fresh for every call; the suite closes it.
func Run(t *testing.T, newBackend func(t *testing.T) retriever.Backend) {
	for _, group := range []struct {
		name string
		run  func(*testing.T, func(*testing.T) retriever.Backend)
	}{
		{"backend", testBackend},
		{"write", testWrite},
		{"read", testRead},
		{"search", testSearch},
		{"filter", testFilter},
		{"groups", testGroups},
		{"facets", testFacets},
		{"concurrency", testConcurrency},
		{"lifecycle", testLifecycle},
		{"vectors", testVectors},
		{"nearest", testNearest},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, newBackend) })
	}
}

// Entry makes an entry whose text is the parts, one passage each, with a space
// between them.
func Entry(id string, parts ...string) retriever.Entry {
	e := retriever.Entry{Document: retriever.Document{ID: id}, ContentHash: "hash of " + id}
	runes := 0
	for i, part := range parts {
		if i > 0 {
			e.Document.Text += " "
			runes++
		}
		e.Document.Text += part
		n := len([]rune(part))
		e.Passages = append(e.Passages, retriever.Passage{DocumentID: id, Ordinal: i, Start: runes, End: runes + n, Text: part})
		runes += n
	}
	return e
}

// withMetadata returns the entry with metadata.
func withMetadata(e retriever.Entry, metadata map[string]any) retriever.Entry {
	e.Document.Metadata = metadata
	return e
}

// open returns a back end that is closed when the test ends.
func open(t *testing.T, newBackend func(*testing.T) retriever.Backend) retriever.Backend {
	t.Helper()
	backend := newBackend(t)
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Errorf("Backend.Close: %v", err)
		}
	})
	return backend
}

// create returns a new index with the entries in it. When the test ends it is
// verified, if it can be, and closed.
func create(t *testing.T, newBackend func(*testing.T) retriever.Backend, entries ...retriever.Entry) retriever.Index {
	t.Helper()
	index, err := open(t, newBackend).Create(t.Context(), indexName)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	t.Cleanup(func() { finish(t, index) })
	upsert(t, index, entries...)
	return index
}

// finish verifies and closes an index.
func finish(t *testing.T, index retriever.Index) {
	t.Helper()
	verify(t, index)
	if err := index.Close(); err != nil {
		t.Errorf("Index.Close: %v", err)
	}
}

// verify lets an index that can check itself do so. The test's context is
// cancelled by the time of a clean-up, so it has one of its own.
func verify(t *testing.T, index retriever.Index) {
	t.Helper()
	if v, ok := index.(retriever.Verifier); ok {
		// A test may have closed the index itself.
		if err := v.Verify(background()); err != nil && !errors.Is(err, retriever.ErrClosed) {
			t.Errorf("Verify: %v", err)
		}
	}
}

func upsert(t *testing.T, index retriever.Index, entries ...retriever.Entry) {
	t.Helper()
	if len(entries) == 0 {
		return
	}
	if err := index.Upsert(t.Context(), entries); err != nil {
		t.Fatalf("Upsert: %v", err)
	}
}

// search returns the hits of a query with full access.
func search(t *testing.T, index retriever.Index, text string, k int) []retriever.Hit {
	t.Helper()
	results, err := index.Retrieve(t.Context(), retriever.Query{Text: text, TopK: k, AllGroups: true})
	if err != nil {
		t.Fatalf("Retrieve(%q): %v", text, err)
	}
	return results.Hits
}

// ids returns the passage ids of hits as one string, which is easy to compare
// and to read.
func ids(hits []retriever.Hit) string {
	list := make([]string, len(hits))
	for i, hit := range hits {
		list[i] = hit.ID()
	}
	return fmt.Sprint(list)
}
