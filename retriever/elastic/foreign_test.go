package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/elastic"
)

// foreignIndex makes an index as somebody else would, by plain requests, and
// returns the settings to read it. It is removed when the test ends.
func foreignIndex(t *testing.T) (elastic.Config, string) {
	t.Helper()
	c := config(t)
	name := "foreign-" + strings.TrimPrefix(c.IndexPrefix, "test-") + "articles"
	url := c.Addresses[0] + "/" + name
	ask(t, "PUT", url, `{"settings":{"number_of_replicas":0},"mappings":{"properties":{
		"headline":{"type":"text"},"body":{"type":"text"},"permalink":{"type":"keyword","index":false},"slug":{"type":"keyword"},
		"author":{"type":"text","fields":{"raw":{"type":"keyword"}}},"published":{"type":"date","format":"dd/MM/yyyy||epoch_millis"},
		"stats":{"properties":{"stars":{"type":"half_float"},"reads":{"type":"long"}}},"open":{"type":"boolean"},
		"acl":{"type":"keyword"},"blob":{"type":"binary"}}}}`)
	t.Cleanup(func() {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodDelete, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	})
	long := strings.Repeat("Nothing of interest stands here, only filler words. ", 60)
	for id, document := range map[string]string{
		"1": `{"slug":"tower","headline":"The tower","body":"Ada Lane designed the tower.","permalink":"https://example.org/1","author":["Bo","Cy"],"published":"24/12/2020","stats":{"stars":4.5,"reads":9007199254740993},"open":true}`,
		"2": `{"slug":"bridge","headline":"The bridge","body":["The bridge is old.","It crosses the river."],"published":"01/02/2021","stats.stars":3,"open":false,"acl":["staff","board"]}`,
		"3": `{"slug":"harbour","headline":"Harbour","body":"` + long + `The crane of the harbour was built by Ely Moor. ` + long + `","published":1609459200000}`,
		"4": `{"slug":"title-only","headline":"A tower without text"}`,
	} {
		ask(t, "PUT", url+"/_doc/"+id+"?refresh=true", document)
	}
	c.Existing = map[string]elastic.Existing{"articles": {
		Index: name, Text: "body", Title: "headline", ID: "slug", URI: "permalink", Groups: "acl",
		Metadata: map[string]string{"author": "author.raw", "day": "published", "stars": "stats.stars", "reads": "stats.reads", "open": "open"},
	}}
	return c, url
}

func openForeign(t *testing.T, c elastic.Config) retriever.Index {
	t.Helper()
	index, err := newBackend(t, c).Open(t.Context(), "articles")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := index.Close(); err != nil {
			t.Error(err)
		}
	})
	return index
}

func TestExistingRead(t *testing.T) {
	c, _ := foreignIndex(t)
	index := openForeign(t, c)
	d, err := index.Document(t.Context(), "tower")
	if err != nil {
		t.Fatal(err)
	}
	want := retriever.Document{
		ID: "tower", Title: "The tower", Text: "Ada Lane designed the tower.", Source: retriever.Source{URI: "https://example.org/1"},
		Metadata: map[string]any{"author": []string{"Bo", "Cy"}, "day": time.Date(2020, 12, 24, 0, 0, 0, 0, time.UTC), "stars": 4.5, "reads": int64(9007199254740993), "open": true},
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("Document = %+v\nwant %+v", d, want)
	}
	if _, err := index.Document(t.Context(), "1"); !errors.Is(err, retriever.ErrDocumentNotFound) {
		t.Errorf("Document by _id, where a field is the id: %v, want ErrDocumentNotFound", err)
	}
	var listed []string
	for after, more := "", true; more; {
		page, err := index.List(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range page {
			listed = append(listed, info.ID)
			after = info.ID
		}
		more = len(page) == 3
	}
	if got := fmt.Sprint(listed); got != "[bridge harbour title-only tower]" {
		t.Errorf("List = %s", got)
	}
	infos, err := index.Infos(t.Context(), []string{"harbour", "absent", "bridge"})
	if got := fmt.Sprint(slices.Sorted(maps.Keys(infos))); err != nil || got != "[bridge harbour]" || infos["harbour"].Passages < 5 || infos["bridge"].Groups[1] != "board" {
		t.Errorf("Infos = %+v, %v", infos, err)
	}
	stats, err := index.Stats(t.Context())
	if err != nil || stats.Name != "articles" || stats.Documents != 4 || stats.Fields["author"] != retriever.Keyword || stats.Fields["reads"] != retriever.Number || stats.Fields["day"] != retriever.Date {
		t.Errorf("Stats = %+v, %v", stats, err)
	}
}

func TestExistingSearch(t *testing.T) {
	c, _ := foreignIndex(t)
	index := openForeign(t, c)
	yes, no := true, false
	for name, test := range map[string]struct {
		query retriever.Query
		want  string // documents
		err   error
	}{
		"text":            {retriever.Query{Text: "designed"}, "[tower]", nil},
		"title":           {retriever.Query{Text: "headline harbour"}, "[harbour]", nil},
		"several values":  {retriever.Query{Text: "crosses", AllGroups: true}, "[bridge]", nil},
		"no group":        {retriever.Query{Text: "bridge"}, "[]", nil},
		"another group":   {retriever.Query{Text: "bridge tower", Groups: []string{"guests"}}, "[tower]", nil},
		"one of groups":   {retriever.Query{Text: "bridge", Groups: []string{"board"}}, "[bridge]", nil},
		"keyword":         {retriever.Query{Text: "tower bridge", AllGroups: true, Filter: &retriever.Filter{Field: "author", Equals: "Cy"}}, "[tower]", nil},
		"one of none":     {retriever.Query{Text: "tower bridge", AllGroups: true, Filter: &retriever.Filter{Field: "author", In: []any{}}}, "[]", nil},
		"one of two":      {retriever.Query{Text: "tower bridge", AllGroups: true, Filter: &retriever.Filter{Field: "stars", In: []any{3, 7}}}, "[bridge]", nil},
		"number":          {retriever.Query{Text: "tower bridge", AllGroups: true, Filter: &retriever.Filter{Field: "stars", GTE: 4}}, "[tower]", nil},
		"boolean":         {retriever.Query{Text: "tower bridge", AllGroups: true, Filter: &retriever.Filter{Field: "open", Equals: false}}, "[bridge]", nil},
		"date":            {retriever.Query{Text: "tower bridge harbour", AllGroups: true, Filter: &retriever.Filter{Field: "day", GT: "2020-12-31", LT: "2021-01-02"}}, "[harbour]", nil},
		"day":             {retriever.Query{Text: "tower bridge harbour", AllGroups: true, Filter: &retriever.Filter{Field: "day", Equals: "2021-02-01"}}, "[bridge]", nil},
		"exists":          {retriever.Query{Text: "tower harbour", Filter: &retriever.Filter{Field: "open", Exists: &yes}}, "[tower]", nil},
		"exists not":      {retriever.Query{Text: "tower harbour", Filter: &retriever.Filter{Field: "open", Exists: &no}}, "[harbour]", nil},
		"and, or, not":    {retriever.Query{Text: "tower bridge", AllGroups: true, Filter: &retriever.Filter{And: []retriever.Filter{{Or: []retriever.Filter{{Field: "open", Equals: true}, {Field: "open", Equals: false}}}, {Not: &retriever.Filter{Field: "stars", LT: 4}}}}}, "[tower]", nil},
		"unknown field":   {retriever.Query{Text: "tower", Filter: &retriever.Filter{Field: "slug", Equals: "x"}}, "[]", retriever.ErrInvalidFilter},
		"empty":           {retriever.Query{Text: " "}, "[]", retriever.ErrInvalidQuery},
		"nothing like it": {retriever.Query{Text: "zebra"}, "[]", nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.query.TopK = 10
			results, err := index.Retrieve(t.Context(), test.query)
			if !errors.Is(err, test.err) {
				t.Fatalf("Retrieve: %v, want %v", err, test.err)
			}
			documents := []string{}
			for _, h := range results.Hits {
				if !slices.Contains(documents, h.DocumentID) {
					documents = append(documents, h.DocumentID)
				}
			}
			slices.Sort(documents)
			if got := fmt.Sprint(documents); got != test.want {
				t.Errorf("documents = %s, want %s", got, test.want)
			}
		})
	}
	// Of a long text the passage comes that holds the answer.
	results, err := index.Retrieve(t.Context(), retriever.Query{Text: "Who built the crane?", TopK: 1})
	if err != nil || len(results.Hits) != 1 || !strings.Contains(results.Hits[0].Text, "Ely Moor") || !slices.Contains(results.Terms, "crane") {
		t.Fatalf("Retrieve = %+v, %v; want the passage with Ely Moor", results, err)
	}
	d, err := index.Document(t.Context(), "harbour")
	if h := results.Hits[0]; err != nil || retriever.SliceRunes(d.Text, h.Start, h.End) != h.Text {
		t.Errorf("the passage from %d to %d is not the document's text there (%v)", h.Start, h.End, err)
	}
}

// TestExistingChanges: a change by others is a new generation within a second.
func TestExistingChanges(t *testing.T) {
	c, url := foreignIndex(t)
	index := openForeign(t, c)
	query := retriever.Query{Text: "lighthouse", TopK: 5}
	before, err := index.Retrieve(t.Context(), query)
	if err != nil || len(before.Hits) != 0 {
		t.Fatalf("Retrieve = %+v, %v", before, err)
	}
	ask(t, "PUT", url+"/_doc/5?refresh=true", `{"slug":"light","body":"The lighthouse is white."}`)
	deadline := time.Now().Add(30 * time.Second)
	for {
		after, err := index.Retrieve(t.Context(), query)
		if err != nil || len(after.Hits) != 1 {
			t.Fatalf("Retrieve = %+v, %v; want the new document", after, err)
		}
		if after.Generation > before.Generation {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a change is no new generation")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestExistingIsReadOnly(t *testing.T) {
	c, url := foreignIndex(t)
	backend := newBackend(t, c)
	index := openForeign(t, c)
	if err := index.Upsert(t.Context(), nil); !errors.Is(err, retriever.ErrReadOnly) {
		t.Errorf("Upsert: %v, want ErrReadOnly", err)
	}
	if _, err := index.Delete(t.Context(), []string{"tower"}); !errors.Is(err, retriever.ErrReadOnly) {
		t.Errorf("Delete: %v, want ErrReadOnly", err)
	}
	if err := backend.Drop(t.Context(), "articles"); !errors.Is(err, retriever.ErrReadOnly) {
		t.Errorf("Drop: %v, want ErrReadOnly", err)
	}
	if err := backend.Swap(t.Context(), "articles", "other"); !errors.Is(err, retriever.ErrReadOnly) {
		t.Errorf("Swap: %v, want ErrReadOnly", err)
	}
	if _, err := backend.Create(t.Context(), "articles"); !errors.Is(err, retriever.ErrIndexExists) {
		t.Errorf("Create: %v, want ErrIndexExists", err)
	}
	if names, err := backend.Names(t.Context()); err != nil || fmt.Sprint(names) != "[articles]" {
		t.Errorf("Names = %q, %v; want articles", names, err)
	}
	if count := ask(t, "GET", url+"/_count", ""); fmt.Sprint(count["count"]) != "4" {
		t.Errorf("the index has %v documents, want 4 as before", count["count"])
	}
	without := c
	its := c.Existing["articles"]
	its.ID = ""
	without.Existing = map[string]elastic.Existing{"articles": its}
	byID := openForeign(t, without)
	if d, err := byID.Document(t.Context(), "2"); err != nil || d.Title != "The bridge" {
		t.Errorf("Document by _id = %+v, %v", d, err)
	}
	if _, err := byID.List(t.Context(), "", 5); !errors.Is(err, retriever.ErrUnsupported) || !strings.Contains(err.Error(), "articles.id") {
		t.Errorf("List without an id field: %v, want ErrUnsupported that names the setting", err)
	}
}

// TestExistingSettings names what is wrong with a setting: by itself, or when it
// is held against the server's mapping.
func TestExistingSettings(t *testing.T) {
	c, _ := foreignIndex(t)
	for name, test := range map[string]struct {
		change func(*elastic.Existing)
		want   string
	}{
		"no text":              {func(e *elastic.Existing) { e.Text = "" }, "existing.articles.text"},
		"no index":             {func(e *elastic.Existing) { e.Index = "" }, "existing.articles.index"},
		"two indexes":          {func(e *elastic.Existing) { e.Index = "a,b" }, "existing.articles.index"},
		"one of Needle's":      {func(e *elastic.Existing) { e.Index = c.IndexPrefix + "x" }, "index_prefix"},
		"a pattern of fields":  {func(e *elastic.Existing) { e.Title = "head*" }, "existing.articles.title"},
		"missing index":        {func(e *elastic.Existing) { e.Index = "foreign-absent" }, "foreign-absent"},
		"pattern for nothing":  {func(e *elastic.Existing) { e.Index = "foreign-absent*" }, "foreign-absent*"},
		"missing field":        {func(e *elastic.Existing) { e.Title = "absent" }, `articles.title: the field "absent"`},
		"text as metadata":     {func(e *elastic.Existing) { e.Metadata = map[string]string{"author": "author"} }, "articles.metadata.author"},
		"text as id":           {func(e *elastic.Existing) { e.ID = "headline" }, "articles.id"},
		"text as groups":       {func(e *elastic.Existing) { e.Groups = "body" }, "articles.groups"},
		"what is not searched": {func(e *elastic.Existing) { e.Text = "blob" }, "articles.text"},
	} {
		t.Run(name, func(t *testing.T) {
			its := c.Existing["articles"]
			its.Metadata = maps.Clone(its.Metadata)
			test.change(&its)
			other := c
			other.Existing = map[string]elastic.Existing{"articles": its}
			err := other.Validate()
			if err == nil {
				_, err = newBackend(t, other).Open(t.Context(), "articles")
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that says %q", err, test.want)
			}
		})
	}
}
