package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

// listIndex is an index in memory that can be listed.
type listIndex struct{ fakeIndex }

func (l *listIndex) List(_ context.Context, after string, limit int) ([]retriever.DocumentInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []retriever.DocumentInfo
	for _, id := range l.ids() {
		if id > after && len(list) < limit {
			e := l.entries[id]
			list = append(list, retriever.DocumentInfo{ID: id, ContentHash: e.ContentHash, Passages: len(e.Passages), Source: e.Document.Source})
		}
	}
	return list, nil
}

func newSyncer(t testing.TB) *ingest.Ingester {
	return newIngester(t, ingest.Options{BatchDocuments: 4, Walk: ingest.WalkOptions{IgnoreFile: ingest.IgnoreFile}})
}

func put(t testing.TB, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, root, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, filepath.FromSlash(name))); err != nil {
		t.Fatal(err)
	}
}

type changes struct{ added, updated, deleted, kept, failed int }

func changesOf(r ingest.SyncReport) changes {
	return changes{r.Added, r.Updated, r.Deleted, r.Kept, r.Failed}
}

func TestSync(t *testing.T) {
	start := map[string]string{
		"a.txt": "Alpha.", "sub/b.txt": "Beta.", "r.jsonl": `{"id": "x", "text": "First."}` + "\n" + `{"id": "y", "text": "Second."}`,
	}
	all := []string{"docs/a.txt", "docs/sub/b.txt", "x", "y"}
	tests := []struct {
		name   string
		change func(t *testing.T, root string)
		want   changes
		ids    []string
	}{
		{"nothing", func(*testing.T, string) {}, changes{}, all},
		{"add", func(t *testing.T, root string) { put(t, root, "c.txt", "Gamma.") }, changes{added: 1},
			[]string{"docs/a.txt", "docs/c.txt", "docs/sub/b.txt", "x", "y"}},
		{"change", func(t *testing.T, root string) { put(t, root, "a.txt", "Changed.") }, changes{updated: 1}, all},
		{"delete", func(t *testing.T, root string) { remove(t, root, "a.txt") }, changes{deleted: 1}, all[1:]},
		{"delete a directory", func(t *testing.T, root string) { remove(t, root, "sub") }, changes{deleted: 1}, []string{"docs/a.txt", "x", "y"}},
		{"rename", func(t *testing.T, root string) {
			if err := os.Rename(filepath.Join(root, "a.txt"), filepath.Join(root, "z.txt")); err != nil {
				t.Fatal(err)
			}
		}, changes{added: 1, deleted: 1}, []string{"docs/sub/b.txt", "docs/z.txt", "x", "y"}},
		{"remove a record", func(t *testing.T, root string) { put(t, root, "r.jsonl", `{"id": "y", "text": "Second."}`) }, changes{deleted: 1},
			[]string{"docs/a.txt", "docs/sub/b.txt", "y"}},
		{"move a record", func(t *testing.T, root string) {
			put(t, root, "r.jsonl", `{"id": "y", "text": "Second."}`)
			put(t, root, "s.jsonl", `{"id": "x", "text": "First."}`)
		}, changes{updated: 1}, all},
		{"ignore", func(t *testing.T, root string) { put(t, root, ".needleignore", "sub/\n") }, changes{deleted: 1}, []string{"docs/a.txt", "x", "y"}},
		{"break a record", func(t *testing.T, root string) {
			put(t, root, "r.jsonl", `{"id": "x", "te`+"\n"+`{"id": "z", "text": "Third."}`)
		}, changes{added: 1, kept: 2, failed: 1}, []string{"docs/a.txt", "docs/sub/b.txt", "x", "y", "z"}},
		{"break a file", func(t *testing.T, root string) { put(t, root, "a.txt", "\xff\xfe broken \xff") }, changes{kept: 1, failed: 1}, all},
		{"replace a file by a program", func(t *testing.T, root string) { put(t, root, "a.txt", "\x7fELF\x00\x00\x00\x01") }, changes{kept: 1}, all},
		{"empty a file", func(t *testing.T, root string) { put(t, root, "a.txt", "") }, changes{deleted: 1}, all[1:]},
		{"empty the directory", func(t *testing.T, root string) {
			for name := range start {
				remove(t, root, name)
			}
		}, changes{}, all},
		{"link in a circle", func(t *testing.T, root string) {
			if err := os.Symlink(root, filepath.Join(root, "sub", "loop")); err != nil {
				t.Skip(err)
			}
		}, changes{}, all},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := tree(t, start)
			index := &listIndex{}
			g := newSyncer(t)
			sources := []ingest.Source{{Path: root}}
			// Documents of others: by the API, and of a source inside this one.
			others := map[string]retriever.Source{
				"docs/api": {}, "api": {URI: "https://example.org/"}, "docs2/a.txt": {URI: root + "2" + "/a.txt"},
				"sub/b.txt": {URI: filepath.Join(root, "sub", "b.txt")}, "sub/q.json#0/0": {URI: filepath.Join(root, "sub", "q.json")},
			}
			if _, err := g.Sync(t.Context(), index, sources, ingest.SyncOptions{}); err != nil {
				t.Fatal(err)
			}
			for id, source := range others {
				index.entries[id] = retriever.Entry{Document: retriever.Document{ID: id, Source: source}}
			}
			test.change(t, root)
			before := maps.Clone(index.entries)
			dry, _ := g.Sync(t.Context(), index, sources, ingest.SyncOptions{DryRun: true})
			if len(before) != len(index.entries) {
				t.Errorf("a dry run left %d documents of %d", len(index.entries), len(before))
			}
			report, err := g.Sync(t.Context(), index, sources, ingest.SyncOptions{})
			if wantErr := test.name == "empty the directory"; errors.Is(err, ingest.ErrManyDeletes) != wantErr || !wantErr && err != nil {
				t.Errorf("got error %v", err)
			}
			if got := changesOf(report); got != test.want {
				t.Errorf("got %+v, want %+v; faults %v", got, test.want, report.Faults)
			}
			if changesOf(dry) != changesOf(report) {
				t.Errorf("the dry run said %+v, the sync did %+v", changesOf(dry), changesOf(report))
			}
			want := slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(others)), test.ids...)))
			if got := index.ids(); !slices.Equal(got, want) {
				t.Errorf("got documents %q, want %q", got, want)
			}
		})
	}
}

func TestSyncMissingSource(t *testing.T) {
	here, gone := tree(t, map[string]string{"a.txt": "a"}), filepath.Join(t.TempDir(), "gone")
	put(t, gone, "b.txt", "b")
	index := &listIndex{}
	sources := []ingest.Source{{Path: gone}, {Path: here}}
	if _, err := newSyncer(t).Sync(t.Context(), index, sources, ingest.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	remove(t, gone, ".")
	os.RemoveAll(gone)
	put(t, here, "c.txt", "c")
	report, err := newSyncer(t).Sync(t.Context(), index, sources, ingest.SyncOptions{AllowDeletes: true})
	if !errors.Is(err, ingest.ErrSourceMissing) {
		t.Errorf("got error %v, want %v", err, ingest.ErrSourceMissing)
	}
	if want := []string{"docs/a.txt", "docs/c.txt", "gone/b.txt"}; !slices.Equal(index.ids(), want) || report.Deleted != 0 {
		t.Errorf("got %q, want %q", index.ids(), want)
	}
}

func TestSyncGuard(t *testing.T) {
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("%02d.txt", i)] = fmt.Sprint("number ", i)
	}
	for _, test := range []struct {
		name   string
		remove int
		allow  bool
		want   int
	}{{"half", 20, false, 20}, {"more than half", 21, false, 0}, {"allowed", 21, true, 21}} {
		t.Run(test.name, func(t *testing.T) {
			root, index := tree(t, files), &listIndex{}
			sources := []ingest.Source{{Path: root}}
			if _, err := newSyncer(t).Sync(t.Context(), index, sources, ingest.SyncOptions{}); err != nil {
				t.Fatal(err)
			}
			for i := range test.remove {
				remove(t, root, fmt.Sprintf("%02d.txt", i))
			}
			// What is new does not make up for what is gone.
			put(t, root, "new.jsonl", strings.Repeat(" ", 0)+`{"id": "n1", "text": "n"}`+"\n"+`{"id": "n2", "text": "n"}`)
			report, err := newSyncer(t).Sync(t.Context(), index, sources, ingest.SyncOptions{AllowDeletes: test.allow})
			if report.Deleted != test.want || (test.want == 0) != errors.Is(err, ingest.ErrManyDeletes) {
				t.Errorf("got %d deleted, want %d; error %v", report.Deleted, test.want, err)
			}
			if report.Added != 2 || len(index.entries) != 42-test.want {
				t.Errorf("%d added, %d left", report.Added, len(index.entries))
			}
		})
	}
}

func TestSyncNames(t *testing.T) {
	a, b := tree(t, map[string]string{"s/a.txt": "a"}), tree(t, map[string]string{"b.txt": "b"})
	for name, sources := range map[string][]ingest.Source{
		"the same name": {{Path: a}, {Path: b}}, "one in the other": {{Path: a}, {Path: filepath.Join(a, "s")}}, "everything": {{Path: "/"}},
	} {
		index := &listIndex{}
		if _, err := newSyncer(t).Sync(t.Context(), index, sources, ingest.SyncOptions{}); !errors.Is(err, ingest.ErrSourceName) {
			t.Errorf("%s: got %v, want %v", name, err, ingest.ErrSourceName)
		}
	}
}

func TestSyncMovedSource(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": "a", "b.txt": "b"})
	index := &listIndex{}
	if _, err := newSyncer(t).Sync(t.Context(), index, []ingest.Source{{Path: root}}, ingest.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "docs")
	if err := os.Rename(root, moved); err != nil {
		t.Fatal(err)
	}
	remove(t, moved, "b.txt")
	report, err := newSyncer(t).Sync(t.Context(), index, []ingest.Source{{Path: moved, Former: root}}, ingest.SyncOptions{})
	if got, want := changesOf(report), (changes{updated: 1, deleted: 1}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestSyncInterrupted(t *testing.T) {
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("%02d.txt", i)] = fmt.Sprint("number ", i)
	}
	root, index := tree(t, files), &listIndex{}
	sources := []ingest.Source{{Path: root}}
	if _, err := newSyncer(t).Sync(t.Context(), index, sources, ingest.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if i < 3 {
			remove(t, root, fmt.Sprintf("%02d.txt", i))
		} else {
			put(t, root, fmt.Sprintf("%02d.txt", i), fmt.Sprint("changed ", i))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writes := 0
	index.before = func([]retriever.Entry) error {
		if writes++; writes == 3 {
			cancel()
		}
		return nil
	}
	report, err := newSyncer(t).Sync(ctx, index, sources, ingest.SyncOptions{})
	if !errors.Is(err, context.Canceled) || report.Deleted != 0 || len(index.entries) != 30 {
		t.Errorf("got %v, %d deleted, %d left", err, report.Deleted, len(index.entries))
	}
	done := report.Updated
	report, err = newSyncer(t).Sync(t.Context(), index, sources, ingest.SyncOptions{})
	if err != nil || done+report.Updated < 27 || report.Deleted != 3 || len(index.entries) != 27 {
		t.Errorf("got %v, %d updated after %d, %d deleted, %d left", err, report.Updated, done, report.Deleted, len(index.entries))
	}
}

// TestSyncMatches: whatever happens to the files, the index holds afterwards
// what a new one would.
func TestSyncMatches(t *testing.T) {
	g := newSyncer(t)
	rapid.Check(t, func(rt *rapid.T) {
		root := filepath.Join(t.TempDir(), "docs")
		put(t, root, "always.txt", "Always here.")
		index, sources := &listIndex{}, []ingest.Source{{Path: root}}
		names := rapid.SampledFrom([]string{"a.txt", "b.md", "s/a.txt", "s/t/c.txt", "r.jsonl", "s/r.jsonl"})
		words := rapid.SampledFrom([]string{"one", "two", "three"})
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 6).Draw(rt, "changes") {
				name := names.Draw(rt, "name")
				if rapid.Bool().Draw(rt, "remove") {
					remove(t, root, name)
					continue
				}
				content := words.Draw(rt, "text")
				if strings.HasSuffix(name, "jsonl") {
					content = fmt.Sprintf("{\"id\": %q, \"text\": %q}\n", name+words.Draw(rt, "id"), content)
				}
				put(t, root, name, content)
			}
			if _, err := g.Sync(t.Context(), index, sources, ingest.SyncOptions{}); err != nil {
				rt.Fatal(err)
			}
			fresh := &listIndex{}
			if _, err := g.Sync(t.Context(), fresh, sources, ingest.SyncOptions{}); err != nil {
				rt.Fatal(err)
			}
			if !slices.Equal(index.ids(), fresh.ids()) {
				rt.Fatalf("got %q, want %q", index.ids(), fresh.ids())
			}
			for id, want := range fresh.entries {
				if got := index.entries[id]; got.ContentHash != want.ContentHash {
					rt.Fatalf("%s holds %q, want %q", id, got.Document.Text, want.Document.Text)
				}
			}
		}
	})
}

func TestWatch(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": "a"})
	ctx, cancel := context.WithCancel(t.Context())
	var syncs atomic.Int32
	index, g := &listIndex{}, newSyncer(t)
	done := make(chan error, 1)
	go func() {
		done <- ingest.Watch(ctx, []string{root}, ingest.WatchOptions{Debounce: 20 * time.Millisecond}, func(ctx context.Context) error {
			_, err := g.Sync(ctx, index, []ingest.Source{{Path: root}}, ingest.SyncOptions{})
			syncs.Add(1)
			return err
		})
	}()
	expect := func(what string, ids ...string) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			index.mu.Lock()
			got := index.ids()
			index.mu.Unlock()
			if slices.Equal(got, ids) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %q, want %q after %d syncs", what, got, ids, syncs.Load())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	expect("start", "docs/a.txt")
	put(t, root, "new/deep/b.txt", "b")
	expect("a file in a new directory", "docs/a.txt", "docs/new/deep/b.txt")
	put(t, root, "new/deep/c.txt", "c")
	expect("another", "docs/a.txt", "docs/new/deep/b.txt", "docs/new/deep/c.txt")
	if err := os.Rename(filepath.Join(root, "new"), filepath.Join(root, "old")); err != nil {
		t.Fatal(err)
	}
	expect("a renamed directory", "docs/a.txt", "docs/old/deep/b.txt", "docs/old/deep/c.txt")
	put(t, root, "old/deep/d.txt", "d")
	remove(t, root, "old/deep/b.txt")
	expect("a file gone", "docs/a.txt", "docs/old/deep/c.txt", "docs/old/deep/d.txt")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("watch ended with %v", err)
	}
}
