package builtin_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

const formatsDir = "../../ingest/testdata/formats"

// An expectation is what must be found in a file of the corpus; see
// generate_formats.py.
type expectation struct {
	Text     string
	Title    string
	Author   string
	Created  time.Time
	Count    int64
	Sections []struct {
		Phrase   string
		Headings []string
	}
	Pages []struct {
		Phrase string
		Page   int
	}
}

// target keeps what is brought to it.
type target struct {
	mu      sync.Mutex
	entries map[string]retriever.Entry
}

func (t *target) Upsert(_ context.Context, entries []retriever.Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries == nil {
		t.entries = map[string]retriever.Entry{}
	}
	for _, e := range entries {
		t.entries[e.Document.ID] = e
	}
	return nil
}
func (t *target) Delete(context.Context, []string) (int, error) { return 0, nil }
func (t *target) Infos(context.Context, []string) (map[string]retriever.DocumentInfo, error) {
	return nil, nil
}

// add ingests paths with the processors of the default configuration.
func add(t testing.TB, cfg *pipeline.Config, paths ...string) (map[string]retriever.Entry, ingest.Report) {
	t.Helper()
	ingester, err := cfg.Ingester()
	if err != nil {
		t.Fatal(err)
	}
	into := &target{entries: map[string]retriever.Entry{}}
	report, err := ingester.AddPaths(t.Context(), into, paths, ingest.Events{})
	if err != nil {
		t.Fatal(err)
	}
	return into.entries, report
}

// TestFormatsOfRealProgramsAreReadWhole compares what is extracted with what
// the producers were given: 99 of 100 words, in order, on both sides.
func TestFormatsOfRealProgramsAreReadWhole(t *testing.T) {
	var corpus struct {
		Texts map[string]string
		Files map[string]expectation
	}
	data, err := os.ReadFile(filepath.Join(formatsDir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &corpus); err != nil {
		t.Fatal(err)
	}
	entries, report := add(t, pipeline.DefaultConfig(builtin.Registry()), formatsDir)
	for _, f := range report.Faults {
		if !strings.HasSuffix(f.Path, "expected.json") {
			t.Errorf("fault: %s", f)
		}
	}
	for name, want := range corpus.Files {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			entry, ok := entries["formats/"+name]
			if !ok {
				t.Fatal("it is not in the index")
			}
			check(t, entry, corpus.Texts[want.Text], want)
		})
	}
}

func check(t *testing.T, entry retriever.Entry, text string, want expectation) {
	doc := entry.Document
	got, wanted := words(doc.Text), words(text)
	common := commonWords(got, wanted)
	if share := 2 * float64(common) / float64(len(got)+len(wanted)); share < 0.99 {
		t.Errorf("%.2f %% of the words agree (%d extracted, %d wanted, %d in common); text:\n%.3000s", 100*share, len(got), len(wanted), common, doc.Text)
	}
	if want.Title != "" && doc.Title != want.Title {
		t.Errorf("title %q, want %q", doc.Title, want.Title)
	}
	if want.Author != "" && doc.Metadata[ingest.MetaAuthor] != want.Author {
		t.Errorf("author %v, want %q", doc.Metadata[ingest.MetaAuthor], want.Author)
	}
	if at := doc.Metadata[ingest.MetaCreated]; !want.Created.IsZero() && at != want.Created {
		t.Errorf("created %v, want %v", at, want.Created)
	}
	if want.Count > 0 && doc.Metadata[ingest.MetaPages] != want.Count {
		t.Errorf("%v pages, want %d", doc.Metadata[ingest.MetaPages], want.Count)
	}
	for _, s := range want.Sections {
		found := false
		for _, p := range entry.Passages {
			if !strings.Contains(p.Text, s.Phrase) {
				continue
			}
			// A passage that goes on into the next section has the headings
			// that both have.
			found = found || len(p.Headings) > 0 && slices.Equal(p.Headings, s.Headings[:min(len(p.Headings), len(s.Headings))])
		}
		if !found {
			t.Errorf("no passage with %q has headings of %q", s.Phrase, s.Headings)
		}
		if at := headingsAt(doc, s.Phrase); !slices.Equal(at, s.Headings) {
			t.Errorf("%q stands under %q, want %q", s.Phrase, at, s.Headings)
		}
	}
	for _, p := range want.Pages {
		if at := pageOf(doc, p.Phrase); at != p.Page {
			t.Errorf("%q is on page %d, want %d", p.Phrase, at, p.Page)
		}
	}
}

// headingsAt returns the headings of the section in which a phrase stands.
func headingsAt(doc retriever.Document, phrase string) []string {
	before, _, _ := strings.Cut(doc.Text, phrase)
	at := len([]rune(before))
	var headings []string
	for _, s := range doc.Sections {
		if s.Start <= at {
			headings = s.Headings
		}
	}
	return headings
}

func pageOf(doc retriever.Document, phrase string) int {
	before, _, ok := strings.Cut(doc.Text, phrase)
	if !ok {
		return -1
	}
	at, page := len([]rune(before)), 0
	for _, start := range doc.Pages {
		if start <= at {
			page++
		}
	}
	return page
}

func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// commonWords returns the length of the longest common subsequence.
func commonWords(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, word := range a {
		diagonal := 0
		for j := range b {
			above := row[j+1]
			if word == b[j] {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}
