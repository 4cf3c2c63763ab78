package pdf_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/needle-search/needle/ingest"
)

// truth is what testdata/generate wrote beside a file.
type truth struct {
	Pages     []string `json:"pages"`
	Title     string   `json:"title"`
	Author    string   `json:"author"`
	Created   string   `json:"created"`
	Furniture []string `json:"furniture"`
}

// TestCorpus compares files of real producers with the text that they were made
// from: at least 99 % of the words of every page, in order, and on that page.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want truth
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			doc, faults, err := read(t, filepath.Join("testdata", name+".pdf"))
			if err != nil || len(faults) > 0 {
				t.Fatalf("got error %v and faults %v", err, faults)
			}
			pages := pagesOf(doc)
			if len(pages) != len(want.Pages) {
				t.Fatalf("got %d pages, want %d", len(pages), len(want.Pages))
			}
			for i := range pages {
				got, wanted := words(pages[i]), words(want.Pages[i])
				same := commonWords(got, wanted)
				if 100*same < 99*max(len(got), len(wanted)) {
					t.Errorf("page %d: %d of %d words agree, %d were read:\n%s\n--- want\n%s", i+1, same, len(wanted), len(got), pages[i], want.Pages[i])
				}
			}
			for _, running := range want.Furniture {
				if strings.Contains(doc.Text, running) {
					t.Errorf("the text holds %q, which stands on every page", running)
				}
			}
			if want.Title != "" && doc.Title != want.Title {
				t.Errorf("got title %q, want %q", doc.Title, want.Title)
			}
			if want.Author != "" && doc.Metadata[ingest.MetaAuthor] != want.Author {
				t.Errorf("got metadata %v, want the author %q", doc.Metadata, want.Author)
			}
			if got := doc.Metadata[ingest.MetaPages]; got != int64(len(want.Pages)) {
				t.Errorf("got %v pages in the metadata, want %d", got, len(want.Pages))
			}
		})
	}
}

// pagesOf cuts the text of a document where its pages start.
func pagesOf(doc ingest.Extracted) []string {
	runes := []rune(doc.Text)
	pages := make([]string, len(doc.Pages))
	for i, start := range doc.Pages {
		end := len(runes)
		if i+1 < len(doc.Pages) {
			end = min(end, doc.Pages[i+1])
		}
		pages[i] = string(runes[min(start, end):end])
	}
	return pages
}

// words splits text into words; in scripts without spaces every character is
// one, as a line break may fall between any two.
func words(text string) []string {
	var list []string
	for field := range strings.FieldsSeq(text) {
		if field == "|" || field == "-" {
			continue
		}
		if strings.ContainsFunc(field, func(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana) }) {
			list = append(list, strings.Split(field, "")...)
			continue
		}
		list = append(list, field)
	}
	return list
}

// commonWords returns the length of the longest common subsequence.
func commonWords(a, b []string) int {
	previous, current := make([]int, len(b)+1), make([]int, len(b)+1)
	for _, x := range a {
		for j, y := range b {
			if x == y {
				current[j+1] = previous[j] + 1
			} else {
				current[j+1] = max(previous[j+1], current[j])
			}
		}
		previous, current = current, previous
	}
	return previous[len(b)]
}
