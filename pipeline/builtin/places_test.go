package builtin_test

import (
	"testing"
	"unicode/utf16"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// TestHitsAreFoundInTheirPage: what a hit says of its place leads back to its
// text: page and offsets in the page where the format has pages, headings, and
// offsets in the file where that is text, in every unit.
func TestHitsAreFoundInTheirPage(t *testing.T) {
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Data = t.TempDir()
	paths := []string{
		"../../ingest/pdf/testdata/chromium-languages.pdf", "../../ingest/pdf/testdata/typst-manual.pdf",
		formatsDir + "/libreoffice.odt", formatsDir + "/python-pptx.pptx", formatsDir + "/python-docx.docx",
		"../../ingest/html/testdata/sphinx.html",
	}
	stored, _ := add(t, cfg, paths...)
	p, err := pipeline.Open(t.Context(), cfg, pipeline.WithoutReader())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.AddPaths(t.Context(), paths, pipeline.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	// units cuts text at offsets of a unit.
	units := map[string]func(text string, start, end int) string{
		pipeline.CodePoints: func(s string, a, b int) string { return string([]rune(s)[a:b]) },
		pipeline.Bytes:      func(s string, a, b int) string { return s[a:b] },
		pipeline.UTF16:      func(s string, a, b int) string { return string(utf16.Decode(utf16.Encode([]rune(s))[a:b])) },
	}
	paged, headed, later := map[string]bool{}, map[string]bool{}, 0
	for unit, cut := range units {
		for _, query := range []string{"warranty", "Garantie", "the parts engineer", "leave", "保修", "needle"} {
			result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: query, TopK: 50, OffsetUnit: unit, Access: pipeline.FullAccess()})
			if err != nil {
				t.Fatal(err)
			}
			for _, hit := range result.Hits {
				doc := stored[hit.DocumentID].Document
				if got := cut(doc.Text, hit.Start, hit.End); got != hit.Text {
					t.Fatalf("%s, %s: the offsets lead to %q, want %q", hit.DocumentID, unit, got, hit.Text)
				}
				if len(hit.Source.Headings) > 0 {
					headed[hit.DocumentID] = true
				}
				if len(doc.Pages) == 0 {
					if hit.Source.Page != 0 || hit.Source.StartInPage != nil {
						t.Errorf("%s has no pages, but a hit names page %d", hit.DocumentID, hit.Source.Page)
					}
					continue
				}
				paged[hit.DocumentID] = true
				if hit.Source.Page < 1 || hit.Source.StartInPage == nil {
					t.Fatalf("%s: a hit names no place in a page: %+v", hit.DocumentID, hit.Source)
				}
				if *hit.Source.StartInPage > 0 {
					later++
				}
				// A passage may go on over the page.
				rest := string([]rune(doc.Text)[doc.Pages[hit.Source.Page-1]:])
				if got := cut(rest, *hit.Source.StartInPage, *hit.Source.EndInPage); got != hit.Text {
					t.Errorf("%s, %s, page %d: the offsets in the page lead to %q, want %q", hit.DocumentID, unit, hit.Source.Page, got, hit.Text)
				}
			}
		}
	}
	if len(paged) < 3 || len(headed) < 3 || later == 0 {
		t.Errorf("hits name pages in %v and headings in %v, %d not at the start of a page; too few to prove anything", paged, headed, later)
	}
}
