package retrievertest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
)

// rich is a document with everything that a document can have.
func rich() retriever.Entry {
	e := withMetadata(Entry("rich", "Käfer 🐞 one.", "two 日本"), map[string]any{
		"lang": "de", "tags": []string{"x", "ü 🐞"}, "none": []string{}, "year": int64(1) << 53, "price": 0.5, "on": false, "day": day(1),
	})
	e.Document.Title = "Title 🐞"
	e.Document.Groups = []string{"staff", "board"}
	e.Document.Language = "de"
	e.Document.Source = retriever.Source{URI: "a/b.md", MediaType: "text/markdown", ModifiedAt: day(2), TextOffset: 3, Verbatim: true}
	e.Passages[1].Page = 7
	e.Passages[1].Headings = []string{"Chapter", "§ 2"}
	e.ContentHash = "hash of rich"
	return e
}

func testLifecycle(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	t.Run("snapshot", func(t *testing.T) { testSnapshot(t, newBackend) })
	t.Run("swap", func(t *testing.T) { testSwap(t, newBackend) })
	t.Run("stand-in", func(t *testing.T) { testStandIn(t, newBackend) })
	t.Run("compact", func(t *testing.T) { testCompact(t, newBackend) })
	t.Run("declared fields", func(t *testing.T) { testDeclared(t, newBackend) })
}

// entries reads a snapshot to its end.
func entries(t *testing.T, s retriever.Snapshot) []retriever.Entry {
	t.Helper()
	var all []retriever.Entry
	for e, err := range s.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func snapshotOf(t *testing.T, index retriever.Index) retriever.Snapshot {
	t.Helper()
	snapshotter, ok := index.(retriever.Snapshotter)
	if !ok {
		t.Skip("the index takes no snapshots")
	}
	s, err := snapshotter.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("Snapshot.Close: %v", err)
			}
		}
	})
	return s
}

func testSnapshot(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	t.Run("round trip", func(t *testing.T) {
		want := []retriever.Entry{Entry("ä", "last in order"), Entry("a", "first", "second"), rich()}
		index := create(t, newBackend, want...)
		got := entries(t, snapshotOf(t, index))
		if len(got) != 3 {
			t.Fatalf("the snapshot holds %d documents, want 3", len(got))
		}
		for i, w := range []retriever.Entry{want[1], want[2], want[0]} {
			if err := got[i].Validate(); err != nil {
				t.Errorf("document %d: %v", i, err)
			}
			normalise(&got[i])
			normalise(&w)
			if !reflect.DeepEqual(got[i], w) {
				t.Errorf("document %d = %+v, want %+v", i, got[i], w)
			}
		}
	})

	t.Run("empty", func(t *testing.T) {
		if got := entries(t, snapshotOf(t, create(t, newBackend))); len(got) != 0 {
			t.Errorf("an empty index has %d documents", len(got))
		}
	})

	t.Run("while writing", func(t *testing.T) {
		index := create(t, newBackend)
		const documents = 40
		for n := range documents {
			upsert(t, index, Entry(fmt.Sprintf("doc%02d", n), "old text", "of two passages"))
		}
		s := snapshotOf(t, index)
		seen := 0
		for e, err := range s.Entries(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("doc%02d", seen); e.Document.ID != want || len(e.Passages) != 2 || !strings.HasPrefix(e.Document.Text, "old text") {
				t.Fatalf("document %d is %q with %d passages (%q)", seen, e.Document.ID, len(e.Passages), e.Document.Text)
			}
			seen++
			// Documents before and behind are changed, deleted and added.
			upsert(t, index, Entry(fmt.Sprintf("doc%02d", (seen+5)%documents), "new"), Entry(fmt.Sprintf("doc%02d-b", seen), "added"))
			if _, err := index.Delete(t.Context(), []string{fmt.Sprintf("doc%02d", (seen+10)%documents)}); err != nil {
				t.Fatal(err)
			}
		}
		if seen != documents || s.Stats().Documents != documents || s.Stats().Passages != 2*documents {
			t.Errorf("%d documents were seen and %d (%d passages) promised, want %d", seen, s.Stats().Documents, s.Stats().Passages, documents)
		}
		if s.Stats().Generation >= index.Generation() {
			t.Errorf("the snapshot has generation %d, the index %d", s.Stats().Generation, index.Generation())
		}
	})
}

// normalise makes entries comparable that mean the same.
func normalise(e *retriever.Entry) {
	if t, ok := e.Document.Metadata["day"].(time.Time); ok {
		e.Document.Metadata["day"] = t.UTC()
	}
	e.Document.Source.ModifiedAt = e.Document.Source.ModifiedAt.UTC()
	if len(e.Document.Metadata) == 0 {
		e.Document.Metadata = nil
	}
	for i := range e.Passages {
		if len(e.Passages[i].Headings) == 0 {
			e.Passages[i].Headings = nil
		}
	}
}

func testSwap(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	backend := open(t, newBackend)
	swapper, ok := backend.(retriever.Swapper)
	if !ok {
		t.Skip("the back end cannot swap")
	}
	made := map[string]retriever.Index{}
	for _, name := range []string{"one", "two"} {
		index, err := backend.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		upsert(t, index, Entry("doc", "made as "+name))
		made[name] = index
	}
	text := func(index retriever.Index) string {
		t.Helper()
		d, err := index.Document(t.Context(), "doc")
		if err != nil {
			t.Fatal(err)
		}
		return d.Text
	}
	// Both are open.
	if err := swapper.Swap(t.Context(), "one", "two"); err != nil {
		t.Fatal(err)
	}
	wantNames(t, backend, "one", "two")
	for name, want := range map[string]string{"one": "two", "two": "one"} {
		stats, err := made[name].Stats(t.Context())
		if err != nil || stats.Name != want {
			t.Errorf("the index made as %s is called %q (%v), want %q", name, stats.Name, err, want)
		}
		// Those who have it open see what they saw, and may still write.
		if got := text(made[name]); got != "made as "+name {
			t.Errorf("the open index holds %q, want its own text", got)
		}
		upsert(t, made[name], Entry("more", "more"))
		finish(t, made[name])
	}
	reopen := func(name, want string) {
		t.Helper()
		index, err := backend.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(index); got != "made as "+want {
			t.Errorf("%s holds %q, want what was made as %s", name, got, want)
		}
		wantCounts(t, index, 2, 2)
		finish(t, index)
	}
	reopen("one", "two")
	reopen("two", "one")
	// Both are closed, and back again.
	if err := swapper.Swap(t.Context(), "two", "one"); err != nil {
		t.Fatal(err)
	}
	reopen("one", "one")
	if err := swapper.Swap(t.Context(), "one", "two"); err != nil {
		t.Fatal(err)
	}
	// The name is free again once its index is dropped, whatever lies where.
	if err := backend.Drop(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	wantNames(t, backend, "one")
	index, err := backend.Create(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	upsert(t, index, Entry("doc", "made as two again"), Entry("more", "more"))
	finish(t, index)
	wantNames(t, backend, "one", "two")
	reopen("one", "two")
	reopen("two", "two again")

	for what, err := range map[string]error{
		"a missing index":  swapper.Swap(t.Context(), "one", "three"),
		"a missing index ": swapper.Swap(t.Context(), "three", "four"),
	} {
		if !errors.Is(err, retriever.ErrIndexNotFound) {
			t.Errorf("swap with %s: %v, want ErrIndexNotFound", what, err)
		}
	}
	if err := swapper.Swap(t.Context(), "one", "one"); err == nil {
		t.Error("an index was swapped with itself")
	}
	if err := swapper.Swap(t.Context(), "one", "../two"); !errors.Is(err, retriever.ErrInvalidIndexName) {
		t.Errorf("swap with a path: %v, want ErrInvalidIndexName", err)
	}
	wantNames(t, backend, "one", "two")
}

func testStandIn(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	backend := open(t, newBackend)
	swapper, ok := backend.(retriever.Swapper)
	if !ok {
		t.Skip("the back end cannot swap")
	}
	name := retriever.StandIn("docs", retriever.Restoring)
	for round := range 3 {
		standIn, err := backend.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		upsert(t, standIn, Entry("doc", fmt.Sprintf("round %d", round)))
		finish(t, standIn)
		if round == 0 {
			wantNames(t, backend)
		} else {
			wantNames(t, backend, "docs")
		}
		// The first time there is nothing to swap with.
		if err := swapper.Swap(t.Context(), "docs", name); err != nil {
			t.Fatal(err)
		}
		wantNames(t, backend, "docs")
		index, err := backend.Open(t.Context(), "docs")
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(search(t, index, fmt.Sprintf("round %d", round), 10)); got != "[doc#0]" {
			t.Errorf("round %d: hits = %s", round, got)
		}
		finish(t, index)
		if err := backend.Drop(t.Context(), name); (err == nil) != (round > 0) || err != nil && !errors.Is(err, retriever.ErrIndexNotFound) {
			t.Errorf("round %d: Drop of the old one: %v", round, err)
		}
	}
	if err := backend.Drop(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	wantNames(t, backend)
}

func testCompact(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	index := create(t, newBackend)
	compacter, ok := index.(retriever.Compacter)
	if !ok {
		t.Skip("the index cannot be compacted")
	}
	filler := strings.Repeat("some words that take room, number %d and %d. ", 40)
	var gone []string
	for n := range 60 {
		id := fmt.Sprintf("doc%02d", n)
		upsert(t, index, Entry(id, strings.ReplaceAll(filler, "%d", fmt.Sprint(n*n*7919)), "find me"))
		if n%6 != 0 {
			gone = append(gone, id)
		}
	}
	if _, err := index.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if err := compacter.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, index, 10, 20)
		if hits := search(t, index, "find", 100); len(hits) != 10 {
			t.Errorf("round %d: %d hits, want 10", round, len(hits))
		}
	}
	upsert(t, index, Entry("after", "find this too"))
	if hits := search(t, index, "find", 100); len(hits) != 11 {
		t.Errorf("%d hits after a write, want 11", len(hits))
	}
}

func testDeclared(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	index := create(t, newBackend, withMetadata(Entry("a", "item"), map[string]any{"year": int64(2020)}))
	declarer, ok := index.(retriever.FieldDeclarer)
	if !ok {
		t.Skip("the index takes no declarations")
	}
	before := index.Generation()
	if err := declarer.DeclareFields(t.Context(), map[string]retriever.FieldType{"lang": retriever.Keyword, "year": retriever.Number}); err != nil {
		t.Fatal(err)
	}
	if index.Generation() <= before {
		t.Error("a declaration is no new generation, but it changes what filters mean")
	}
	// A filter may use the field before a document has it.
	f := &retriever.Filter{Field: "lang", Equals: "en"}
	if results, err := index.Retrieve(t.Context(), retriever.Query{Text: "item", TopK: 5, Filter: f, AllGroups: true}); err != nil || len(results.Hits) != 0 {
		t.Errorf("filter on a declared field: %d hits, %v", len(results.Hits), err)
	}
	err := index.Upsert(t.Context(), []retriever.Entry{withMetadata(Entry("b", "item"), map[string]any{"lang": true})})
	if !errors.Is(err, retriever.ErrFieldConflict) || !strings.Contains(err.Error(), `"lang"`) {
		t.Errorf("Upsert against a declaration: %v, want ErrFieldConflict that names the field", err)
	}
	err = declarer.DeclareFields(t.Context(), map[string]retriever.FieldType{"fresh": retriever.Date, "year": retriever.Date})
	if !errors.Is(err, retriever.ErrFieldConflict) || !strings.Contains(err.Error(), `"year"`) {
		t.Errorf("DeclareFields against what is stored: %v, want ErrFieldConflict that names the field", err)
	}
	if err := declarer.DeclareFields(t.Context(), map[string]retriever.FieldType{"x": "colour"}); err == nil {
		t.Error("an unknown type was declared")
	}
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]retriever.FieldType{"lang": retriever.Keyword, "year": retriever.Number}; !reflect.DeepEqual(stats.Fields, want) {
		t.Errorf("fields = %v, want %v", stats.Fields, want)
	}
}
