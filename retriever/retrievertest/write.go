package retrievertest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
)

func testWrite(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	t.Run("replace", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "red apple", "green pear", "blue plum"), Entry("b", "red cherry"))
		before := index.Generation()
		upsert(t, index, Entry("a", "yellow banana"))
		if index.Generation() <= before {
			t.Errorf("generation = %d, want more than %d", index.Generation(), before)
		}
		if hits := search(t, index, "apple pear plum", 10); len(hits) != 0 {
			t.Errorf("passages of the replaced version are still found: %s", ids(hits))
		}
		if got := ids(search(t, index, "banana", 10)); got != "[a#0]" {
			t.Errorf("hits = %s, want [a#0]", got)
		}
		wantCounts(t, index, 2, 2)
	})

	t.Run("twice in one call", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "first version", "of two passages"), Entry("a", "second version"))
		if hits := search(t, index, "version passages", 10); ids(hits) != "[a#0]" || hits[0].Text != "second version" {
			t.Errorf("hits = %+v, want the last version alone", hits)
		}
		wantCounts(t, index, 1, 1)
	})

	t.Run("delete", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "one", "two"), Entry("b", "one"), Entry("c", "one"))
		before := index.Generation()
		for _, step := range []struct {
			ids  []string
			want int
		}{{nil, 0}, {[]string{"missing"}, 0}, {[]string{"a", "missing", "b", "a"}, 2}, {[]string{"a"}, 0}, {[]string{"c"}, 1}} {
			got, err := index.Delete(t.Context(), step.ids)
			if err != nil || got != step.want {
				t.Errorf("Delete(%q) = %d, %v; want %d", step.ids, got, err, step.want)
			}
		}
		if index.Generation() <= before {
			t.Errorf("generation = %d, want more than %d", index.Generation(), before)
		}
		wantCounts(t, index, 0, 0)
		if hits := search(t, index, "one", 10); len(hits) != 0 {
			t.Errorf("an emptied index finds %s", ids(hits))
		}
		upsert(t, index, Entry("a", "one again"))
		if got := ids(search(t, index, "one", 10)); got != "[a#0]" {
			t.Errorf("hits = %s, want [a#0]", got)
		}
	})

	t.Run("nothing", func(t *testing.T) {
		index := create(t, newBackend)
		before := index.Generation()
		if err := index.Upsert(t.Context(), nil); err != nil {
			t.Errorf("Upsert of nothing: %v", err)
		}
		if index.Generation() != before {
			t.Errorf("generation = %d after writing nothing, want %d", index.Generation(), before)
		}
	})

	t.Run("invalid", func(t *testing.T) {
		testInvalid(t, newBackend)
	})

	t.Run("field conflict", func(t *testing.T) {
		index := create(t, newBackend, withMetadata(Entry("a", "one"), map[string]any{"year": int64(2020)}))
		err := index.Upsert(t.Context(), []retriever.Entry{
			withMetadata(Entry("bad", "two"), map[string]any{"year": "2020", "fresh": true}),
			withMetadata(Entry("good", "three"), map[string]any{"year": 2021.5}),
		})
		if !errors.Is(err, retriever.ErrFieldConflict) || !strings.Contains(err.Error(), `"year"`) || !strings.Contains(err.Error(), "keyword") || !strings.Contains(err.Error(), "number") {
			t.Errorf("Upsert: %v, want ErrFieldConflict that names the field and both types", err)
		}
		if refused, only := retriever.RefusedDocuments(err); len(refused) != 1 || refused[0].DocumentID != "bad" || !only {
			t.Errorf("refused documents = %v, %v; want bad alone", refused, only)
		}
		wantCounts(t, index, 2, 2)
		stats, err := index.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := stats.Fields["fresh"]; ok || stats.Fields["year"] != retriever.Number {
			t.Errorf("fields = %v; a refused document must leave no trace", stats.Fields)
		}
	})

	t.Run("cancelled", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "one"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range map[string]func() error{
			"Upsert": func() error { return index.Upsert(ctx, []retriever.Entry{Entry("b", "one")}) },
			"Delete": func() error { _, err := index.Delete(ctx, []string{"a"}); return err },
			"List":   func() error { _, err := index.List(ctx, "", 5); return err },
			"Retrieve": func() error {
				_, err := index.Retrieve(ctx, retriever.Query{Text: "one", TopK: 1, AllGroups: true})
				return err
			},
		} {
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", name, err)
			}
		}
		wantCounts(t, index, 1, 1)
	})
}

func testInvalid(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	index := create(t, newBackend, Entry("old", "is stored"))
	for name, spoil := range map[string]func(*retriever.Entry){
		"no id":         func(e *retriever.Entry) { e.Document.ID = ""; e.Passages[0].DocumentID = "" },
		"long id":       func(e *retriever.Entry) { e.Document.ID = strings.Repeat("x", retriever.MaxIDBytes+1) },
		"NUL in id":     func(e *retriever.Entry) { e.Document.ID = "a\x00b"; e.Passages[0].DocumentID = "a\x00b" },
		"no text":       func(e *retriever.Entry) { e.Document.Text = " " },
		"bad UTF-8":     func(e *retriever.Entry) { e.Document.Title = "\xff" },
		"metadata type": func(e *retriever.Entry) { e.Document.Metadata = map[string]any{"x": struct{}{}} },
		"not a number":  func(e *retriever.Entry) { e.Document.Metadata = map[string]any{"x": math.NaN()} },
		"date out of range": func(e *retriever.Entry) {
			e.Document.Metadata = map[string]any{"x": time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}
		},
		"empty group":        func(e *retriever.Entry) { e.Document.Groups = []string{""} },
		"no passages":        func(e *retriever.Entry) { e.Passages = nil },
		"foreign passage":    func(e *retriever.Entry) { e.Passages[0].DocumentID = "other" },
		"wrong ordinal":      func(e *retriever.Entry) { e.Passages[0].Ordinal = 1 },
		"wrong text":         func(e *retriever.Entry) { e.Passages[0].Text = "something else" },
		"beyond the end":     func(e *retriever.Entry) { e.Passages[0].Start += 1000; e.Passages[0].End += 1000 },
		"negative start":     func(e *retriever.Entry) { e.Passages[0].Start = -1 },
		"passages unordered": func(e *retriever.Entry) { *e = unordered() },
	} {
		t.Run(name, func(t *testing.T) {
			bad := Entry("bad", "is refused")
			spoil(&bad)
			good := Entry("good "+name, "goes in all the same")
			err := index.Upsert(t.Context(), []retriever.Entry{bad, good})
			if !errors.Is(err, retriever.ErrInvalidDocument) {
				t.Fatalf("Upsert: %v, want ErrInvalidDocument", err)
			}
			refused, only := retriever.RefusedDocuments(err)
			if len(refused) != 1 || refused[0].DocumentID != bad.Document.ID || !only {
				t.Errorf("refused documents = %v, %v; want %q alone", refused, only, bad.Document.ID)
			}
			infos, err := index.Infos(t.Context(), []string{"old", "bad", good.Document.ID})
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := infos["bad"]; ok || len(infos) != 2 {
				t.Errorf("stored are %v, want the old and the good document", infos)
			}
		})
	}
}

func unordered() retriever.Entry {
	e := Entry("bad", "one", "two")
	e.Passages[0], e.Passages[1] = e.Passages[1], e.Passages[0]
	e.Passages[0].Ordinal, e.Passages[1].Ordinal = 0, 1
	return e
}

func wantCounts(t *testing.T, index retriever.Index, documents, passages uint64) {
	t.Helper()
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatalf("Stats: %v", err)
	}
	got := fmt.Sprintf("%d documents, %d passages", stats.Documents, stats.Passages)
	want := fmt.Sprintf("%d documents, %d passages", documents, passages)
	if got != want {
		t.Errorf("the index has %s, want %s", got, want)
	}
	if stats.Generation != index.Generation() {
		t.Errorf("Stats says generation %d, Generation says %d", stats.Generation, index.Generation())
	}
}
