package ingest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

func TestDecodeDocument(t *testing.T) {
	day := time.Date(1889, 3, 31, 0, 0, 0, 0, time.UTC)
	cases := []struct {
		name, record string
		want         retriever.Document
		wantErr      string // after "invalid document record: "
	}{
		{name: "least", record: `{"id": "a", "text": "T"}`, want: retriever.Document{ID: "a", Text: "T"}},
		{
			name: "all keys",
			record: `{"id": "a", "title": "Tower", "text": "T\u00e9", "groups": ["hr"], "language": "fr", "source": {"uri": "http://x/y", "media_type": "text/html"},
			  "metadata": {"s": "x", "i": 3, "f": 2.5, "big": 1e3, "b": true, "l": ["p", "1889-03-31"], "none": null, "d": "1889-03-31", "t": "1889-03-31T02:00:00+02:00", "almost": "1889-03-31 or so", "empty": []}}`,
			want: retriever.Document{
				ID: "a", Title: "Tower", Text: "Té", Groups: []string{"hr"}, Language: "fr", Source: retriever.Source{URI: "http://x/y", MediaType: "text/html"},
				Metadata: map[string]any{"s": "x", "i": int64(3), "f": 2.5, "big": 1000.0, "b": true, "l": []string{"p", "1889-03-31"}, "d": day, "t": day, "almost": "1889-03-31 or so", "empty": []string{}},
			},
		},
		{name: "source as string", record: `{"id": "a", "text": "T", "source": "b.pdf"}`, want: retriever.Document{ID: "a", Text: "T", Source: retriever.Source{URI: "b.pdf"}}},
		{name: "null title", record: `{"id": "a", "text": "T", "title": null, "metadata": null, "groups": null}`, want: retriever.Document{ID: "a", Text: "T"}},
		{name: "no id", record: `{"text": "T"}`, wantErr: `key "id" is missing`},
		{name: "empty id", record: `{"id": "", "text": "T"}`, wantErr: `key "id" is empty`},
		{name: "number as id", record: `{"id": 7, "text": "T"}`, wantErr: `key "id" is a number, want a string`},
		{name: "no text", record: `{"id": "a", "text": null}`, wantErr: `key "text" is missing`},
		{
			name:   "structure",
			record: `{"id": "a", "text": "One\nT", "sections": [{"start": 0, "headings": ["One"]}], "pages": [0, 4]}`,
			want:   retriever.Document{ID: "a", Text: "One\nT", Sections: []retriever.Section{{Headings: []string{"One"}}}, Pages: []int{0, 4}},
		},
		{name: "structure of another shape", record: `{"id": "a", "text": "T", "sections": [{"at": 0}], "pages": "1"}`, wantErr: `key "pages": cannot unmarshal string into Go value of type []int; want a list of whole numbers; key "sections": unknown field "at"; want a list of objects with start and headings`},
		{name: "keys in capitals", record: `{"ID": "a", "text": "T"}`, wantErr: `unknown key "ID"; allowed are id, title, text, metadata, source, groups, language, sections, pages; key "id" is missing`},
		{name: "all faults at once", record: `{"id": "a", "text": "T", "x": 1, "title": [], "groups": "hr", "source": 1}`, wantErr: `key "title" is a list, want a string; key "groups" is a string, want a list of strings; key "source": cannot unmarshal number into Go value of type retriever.Source; want a string or an object with uri, media_type, modified_at; unknown key "x"; allowed are id, title, text, metadata, source, groups, language, sections, pages`},
		{name: "an empty group", record: `{"id": "a", "text": "T", "groups": [""]}`, wantErr: `key "groups" holds an empty name`},
		{name: "a null group", record: `{"id": "a", "text": "T", "groups": [null]}`, wantErr: `key "groups" holds an empty name`},
		{name: "object in metadata", record: `{"id": "a", "text": "T", "metadata": {"o": {}, "m": ["x", 1]}}`, wantErr: `metadata "m" is a list that holds a number; allowed are a string, a number, true, false and a list of strings; metadata "o" is an object; allowed are a string, a number, true, false and a list of strings`},
		{name: "huge number", record: `{"id": "a", "text": "T", "metadata": {"n": 1e999}}`, wantErr: `metadata "n" is 1e999, which is out of range`},
		{name: "metadata is a list", record: `{"id": "a", "text": "T", "metadata": []}`, wantErr: `key "metadata" is a list, want an object`},
		{name: "a list", record: `[1]`, wantErr: `it is a list, want an object`},
		{name: "null", record: `null`, wantErr: `it is null, want an object`},
		{name: "broken", record: `{"id": "a" "text"`, wantErr: `broken JSON at byte 12: invalid character '"' after object key:value pair`},
		{name: "more behind", record: `{"id": "a", "text": "T"} x`, wantErr: `broken JSON at byte 26: invalid character 'x' after top-level value`},
		{name: "not UTF-8", record: "{\"id\": \"a\", \"text\": \"\xff\"}", wantErr: `it is not valid UTF-8`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ingest.DecodeDocument([]byte(c.record))
			if c.wantErr != "" {
				if want := "invalid document record: " + c.wantErr; err == nil || err.Error() != want || !errors.Is(err, ingest.ErrInvalidRecord) {
					t.Errorf("got error %v\nwant %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestContentHash(t *testing.T) {
	base := func() ingest.Extracted {
		return ingest.Extracted{
			Document: retriever.Document{ID: "a", Title: "b", Text: "c", Metadata: map[string]any{"k": "v", "n": int64(1)}, Groups: []string{"x", "y"},
				Sections: []ingest.Section{{Start: 0, Headings: []string{"H"}}}},
		}
	}
	want := ingest.ContentHash(base(), "f")
	same := map[string]func(*ingest.Extracted){
		"time of change":  func(d *ingest.Extracted) { d.Source.ModifiedAt = time.Now() },
		"order of groups": func(d *ingest.Extracted) { d.Groups = []string{"y", "x"} },
		"line":            func(d *ingest.Extracted) { d.Line = 7 },
	}
	for name, change := range same {
		if d := base(); true {
			change(&d)
			if got := ingest.ContentHash(d, "f"); got != want {
				t.Errorf("%s changed the hash", name)
			}
		}
	}
	different := map[string]func(*ingest.Extracted){
		"id":                  func(d *ingest.Extracted) { d.ID = "A" },
		"title":               func(d *ingest.Extracted) { d.Title = "" },
		"text":                func(d *ingest.Extracted) { d.Text = "c " },
		"a character moved":   func(d *ingest.Extracted) { d.Title, d.Text = "bc", "" },
		"metadata value":      func(d *ingest.Extracted) { d.Metadata["k"] = "w" },
		"metadata type":       func(d *ingest.Extracted) { d.Metadata["n"] = 1.0 },
		"metadata key":        func(d *ingest.Extracted) { delete(d.Metadata, "k") },
		"list for string":     func(d *ingest.Extracted) { d.Metadata["k"] = []string{"v"} },
		"groups":              func(d *ingest.Extracted) { d.Groups = nil },
		"language":            func(d *ingest.Extracted) { d.Language = "en" },
		"address":             func(d *ingest.Extracted) { d.Source.URI = "x" },
		"headings":            func(d *ingest.Extracted) { d.Sections[0].Headings = []string{"G"} },
		"pages":               func(d *ingest.Extracted) { d.Pages = []int{0} },
		"offset in the file":  func(d *ingest.Extracted) { d.Source.TextOffset = 1 },
		"verbatim or cleaned": func(d *ingest.Extracted) { d.Source.Verbatim = true },
	}
	seen := map[string]string{want: "nothing", ingest.ContentHash(base(), "g"): "splitter"}
	for name, change := range different {
		d := base()
		change(&d)
		got := ingest.ContentHash(d, "f")
		if other, ok := seen[got]; ok {
			t.Errorf("changing %s gives the hash of changing %s", name, other)
		}
		seen[got] = name
	}
	if len(seen) != len(different)+2 {
		t.Errorf("got %d hashes, want %d", len(seen), len(different)+2)
	}
}

func FuzzDecodeDocument(f *testing.F) {
	f.Add([]byte(`{"id": "a", "text": "T", "metadata": {"d": "1889-03-31", "l": ["x"]}, "source": {"uri": "u"}}`))
	f.Add([]byte(`{"id": 1, "groups": [null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := ingest.DecodeDocument(data)
		if err != nil {
			if !errors.Is(err, ingest.ErrInvalidRecord) {
				t.Errorf("got an error of another kind: %v", err)
			}
			return
		}
		// What was decoded can be stored unless its text is blank, too long or
		// holds a NUL; its metadata always has types that filters know.
		for key, value := range doc.Metadata {
			if _, ok := retriever.TypeOf(value); !ok {
				t.Errorf("metadata %q has type %T", key, value)
			}
		}
	})
}
