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

// overlapping has text before, between, after and in two passages, and takes
// one to four bytes a character.
func overlapping() retriever.Entry {
	text := "Vorwort. Ein Käfer 🐞 saß im Grünen; 日本語のテキスト。 Zwischenraum  und Ende.\n"
	runes := []rune(text)
	e := retriever.Entry{
		Document: retriever.Document{
			ID: "unicode/käfer 🐞", Title: "Käfer", Text: text, Language: "de", Groups: []string{"zoo", "öko"},
			Metadata: map[string]any{
				"kind": "insect", "tags": []string{"red", "black"}, "legs": int64(6), "weight": 0.25, "alive": true,
				"seen": time.Date(2024, 5, 17, 12, 30, 0, 0, time.UTC),
			},
			Source: retriever.Source{
				URI: "file:///käfer.txt", MediaType: "text/plain", ModifiedAt: time.Date(2023, 1, 2, 3, 4, 5, 0, time.UTC),
				TextOffset: 3, Verbatim: true,
			},
		},
		ContentHash: "h1",
	}
	for i, bounds := range [][2]int{{9, 25}, {13, 37}, {37, 46}, {60, 70}} {
		e.Passages = append(e.Passages, retriever.Passage{
			DocumentID: e.Document.ID, Ordinal: i, Start: bounds[0], End: bounds[1], Page: i + 1,
			Headings: []string{"Tiere", "Käfer"}, Text: string(runes[bounds[0]:bounds[1]]),
		})
	}
	return e
}

func testRead(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	t.Run("document", func(t *testing.T) {
		want := overlapping()
		index := create(t, newBackend, want, Entry("other", "text"))
		got, err := index.Document(t.Context(), want.Document.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want.Document) {
			t.Errorf("Document = %+v\nwant %+v", got, want.Document)
		}
		if _, err := index.Document(t.Context(), "missing"); !errors.Is(err, retriever.ErrDocumentNotFound) {
			t.Errorf("Document(missing): %v, want ErrDocumentNotFound", err)
		}
	})

	t.Run("infos", func(t *testing.T) {
		start := time.Now().Add(-time.Minute)
		e := overlapping()
		index := create(t, newBackend, e, Entry("other", "text"))
		infos, err := index.Infos(t.Context(), []string{e.Document.ID, "missing", ""})
		if err != nil {
			t.Fatal(err)
		}
		got, ok := infos[e.Document.ID]
		if len(infos) != 1 || !ok {
			t.Fatalf("Infos = %v, want one document", infos)
		}
		if got.IndexedAt.Before(start) {
			t.Errorf("IndexedAt = %v, want about now", got.IndexedAt)
		}
		got.IndexedAt = time.Time{}
		want := retriever.DocumentInfo{
			ID: e.Document.ID, Title: "Käfer", ContentHash: "h1", Passages: 4, Runes: len([]rune(e.Document.Text)), Source: e.Document.Source,
			Groups: e.Document.Groups,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("info = %+v\nwant %+v", got, want)
		}
	})

	t.Run("list", func(t *testing.T) {
		names := []string{"A", "a", "a b", "a/b", "aa", "b", "é", "日本", "🐞"}
		var entries []retriever.Entry
		for i := range names {
			entries = append(entries, Entry(names[len(names)-1-i], "text", "more text"))
		}
		entries = append(entries, Entry("gone", "text"))
		index := create(t, newBackend, entries...)
		if _, err := index.Delete(t.Context(), []string{"gone"}); err != nil {
			t.Fatal(err)
		}
		for _, page := range []int{1, 2, 4, 100} {
			var got []string
			after := ""
			for {
				infos, err := index.List(t.Context(), after, page)
				if err != nil {
					t.Fatal(err)
				}
				if len(infos) == 0 {
					break
				}
				if len(infos) > page {
					t.Fatalf("List returned %d documents, want at most %d", len(infos), page)
				}
				for _, info := range infos {
					if info.Passages != 2 {
						t.Errorf("%q has %d passages, want 2", info.ID, info.Passages)
					}
					got = append(got, info.ID)
				}
				after = infos[len(infos)-1].ID
			}
			if strings.Join(got, "|") != strings.Join(names, "|") {
				t.Errorf("pages of %d list %q, want %q", page, got, names)
			}
		}
		if infos, err := index.List(t.Context(), "", 0); err != nil || len(infos) != 0 {
			t.Errorf("List with limit 0 = %v, %v; want nothing", infos, err)
		}
	})

	t.Run("statistics", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "apple banana", "cherry"), withMetadata(Entry("b", "apple"), map[string]any{"n": 1.5}))
		stats, err := index.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats.Name != indexName || stats.Analyzer == "" || stats.Bytes < 0 {
			t.Errorf("Stats = %+v", stats)
		}
		if want := 4.0 / 3; stats.AverageLength < want-1e-6 || stats.AverageLength > want+1e-6 {
			t.Errorf("average length = %v, want %v", stats.AverageLength, want)
		}
		if got := fmt.Sprint(stats.Fields); got != "map[n:number]" {
			t.Errorf("fields = %s, want map[n:number]", got)
		}
		wantCounts(t, index, 2, 3)
	})
}
