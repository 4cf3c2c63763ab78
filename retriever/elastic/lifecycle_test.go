package elastic_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/backup"
	"github.com/needle-search/needle/retriever/bleve"
	"github.com/needle-search/needle/retriever/retrievertest"
)

// TestMoved: who has an index open learns that its name stands for another one,
// and may go on reading what it has.
func TestMoved(t *testing.T) {
	c := config(t)
	ours, theirs := newBackend(t, c), newBackend(t, c)
	for _, name := range []string{"test", "other"} {
		index, err := theirs.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("doc", "made as "+name)}); err != nil {
			t.Fatal(err)
		}
		if err := index.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open := func() retriever.Index {
		t.Helper()
		index, err := ours.Open(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := index.Close(); err != nil {
				t.Error(err)
			}
		})
		if moved, err := index.(retriever.Mover).Moved(t.Context()); moved || err != nil {
			t.Fatalf("Moved of an index just opened: %v, %v", moved, err)
		}
		return index
	}
	wantMoved := func(index retriever.Index, after string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			moved, err := index.(retriever.Mover).Moved(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if moved {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("nobody noticed: %s", after)
			}
		}
	}
	first := open()
	if err := theirs.Swap(t.Context(), "test", "other"); err != nil {
		t.Fatal(err)
	}
	wantMoved(first, "a swap")
	if d, err := first.Document(t.Context(), "doc"); err != nil || d.Text != "made as test" {
		t.Errorf("the index that was open holds %q, %v; want its own text", d.Text, err)
	}
	second := open()
	if d, err := second.Document(t.Context(), "doc"); err != nil || d.Text != "made as other" {
		t.Errorf("opened again it holds %q, %v; want the other text", d.Text, err)
	}
	if err := theirs.Drop(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	wantMoved(second, "a drop")
	index, err := theirs.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	wantMoved(second, "a new index of the same name")
	open()
}

// TestBackupAcrossRetrievers restores into Elasticsearch what was written from
// Bleve, and the other way round.
func TestBackupAcrossRetrievers(t *testing.T) {
	c := config(t)
	embedded, err := bleve.New(bleve.DefaultConfig(), filepath.Join(t.TempDir(), "indexes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := embedded.Close(); err != nil {
			t.Error(err)
		}
	})
	rich := retrievertest.Entry("rich", "Käfer 🐞 one.", "two 日本")
	rich.Document.Title, rich.Document.Groups, rich.Document.Language = "Title", []string{"staff"}, "de"
	rich.Document.Metadata = map[string]any{"tags": []string{"x", "ü"}, "year": int64(1) << 53, "price": 0.5, "on": false, "day": time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)}
	rich.Document.Source = retriever.Source{URI: "a/b.md", MediaType: "text/markdown", TextOffset: 3, Verbatim: true}
	rich.Document.Sections = []retriever.Section{{Start: 0, Headings: []string{"Chapter"}}, {Start: 14, Headings: []string{"Chapter", "§ 2"}}}
	rich.Document.Pages = []int{0, 14}
	source, err := embedded.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := source.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("plain", "plain text", "and more"), rich}); err != nil {
		t.Fatal(err)
	}
	written := func(index retriever.Index) []byte {
		t.Helper()
		snapshot, err := index.(retriever.Snapshotter).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer snapshot.Close()
		var file bytes.Buffer
		if _, err := backup.Write(t.Context(), &file, backup.Header{}, snapshot); err != nil {
			t.Fatal(err)
		}
		return file.Bytes()
	}
	read := func(file []byte) []retriever.Entry {
		t.Helper()
		r, err := backup.NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var all []retriever.Entry
		for e, err := range r.Entries(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		return all
	}
	want := read(written(source))
	target := create(t, c, want...)
	got := read(written(target))
	if len(want) != 2 || !reflect.DeepEqual(got, want) {
		t.Errorf("through Elasticsearch came %+v\nwant %+v", got, want)
	}
	back, err := embedded.Create(t.Context(), "back")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := back.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := back.Upsert(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if got := read(written(back)); !reflect.DeepEqual(got, want) {
		t.Errorf("back in Bleve are %+v\nwant %+v", got, want)
	}
	if got := fmt.Sprint(search(t, target, "käfer")); got != "[rich#0]" {
		t.Errorf("hits = %s, want [rich#0]", got)
	}
}
