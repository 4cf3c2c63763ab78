package ingest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/retriever"
)

func TestBuilder(t *testing.T) {
	var b Builder
	b.Page()
	b.Heading(1, " The\tmanual ")
	b.Paragraph("One\nline.\x00")
	b.Heading(2, "Parts")
	b.Row("Part", "", "Price")
	b.Row("Bolt", "M8", "1 €", "")
	b.Row("", "")
	b.EndTable()
	b.Row("Other", "table")
	b.Page()
	b.Item(0, "-", "first")
	b.Item(1, "1.", "second")
	b.Heading(1, "Ünd")
	b.Lines("  code\r\n\tmore  \n\n")
	b.Page()
	var doc Extracted
	b.Fill(&doc, "file")
	want := "The manual\n\nOne line.\n\nParts\n\nPart |  | Price\nBolt | M8 | 1 €\n\nOther | table\n\n- first\n  1. second\n\nÜnd\n\n  code\n    more"
	if doc.Text != want {
		t.Errorf("got text\n%q, want\n%q", doc.Text, want)
	}
	if doc.Title != "The manual" || b.Pages() != 3 || b.Err() != nil {
		t.Errorf("got title %q, %d pages, error %v", doc.Title, b.Pages(), b.Err())
	}
	runes := []rune(doc.Text)
	for i, start := range doc.Pages[:2] {
		got := string(runes[start : start+3])
		if want := []string{"The", "- f"}[i]; got != want {
			t.Errorf("page %d starts with %q, want %q", i+1, got, want)
		}
	}
	var starts []string
	for _, s := range doc.Sections {
		starts = append(starts, string(runes[s.Start:s.Start+3]))
	}
	if want := []string{"The", "Par", "Ünd"}; !slices.Equal(starts, want) {
		t.Errorf("got sections at %q, want %q", starts, want)
	}
	if want := []string{"The manual", "Parts"}; !slices.Equal(doc.Sections[1].Headings, want) {
		t.Errorf("got headings %q, want %q", doc.Sections[1].Headings, want)
	}
}

func TestBuilderBound(t *testing.T) {
	b := Builder{MaxBytes: 20}
	b.Paragraph("0123456789")
	b.Paragraph("0123456789")
	b.Paragraph("x")
	var doc Extracted
	b.Fill(&doc, "file")
	if doc.Text != "0123456789" || !errors.Is(b.Err(), ErrTooLarge) || doc.Title != "file" {
		t.Errorf("got %q, title %q, error %v; want the first paragraph and ErrTooLarge", doc.Text, doc.Title, b.Err())
	}
}

func TestCleanLine(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"clean", "a plain line", "a plain line"},
		{"white space", " \ta\u00a0 b\r\n c ", "a b c"},
		{"invisible", "co\u00adop\u200be\ufeffrate\x07", "cooperate"},
		{"ligatures", "ﬁnd the ﬂow", "find the flow"},
		{"joiners stay", "می\u200cخواهم", "می\u200cخواهم"},
		{"symbol font", "\uf0b7 item", "item"},
		{"broken", "a\xffb", "a\uFFFDb"},
		{"empty", "\n ", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := CleanLine(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSetMeta(t *testing.T) {
	var doc Extracted
	doc.SetMeta(MetaAuthor, " \n")
	doc.SetMeta(MetaPages, int64(0))
	doc.SetMeta(MetaCreated, time.Time{})
	doc.SetMeta(MetaKeywords, []string{""})
	if doc.Metadata != nil {
		t.Errorf("empty values gave %v", doc.Metadata)
	}
	doc.SetMeta(MetaAuthor, []string{"", " Ada "})
	doc.SetMeta(MetaPages, int64(3))
	if diff := cmp.Diff(map[string]any{"author": []string{"Ada"}, "pages": int64(3)}, doc.Metadata); diff != "" {
		t.Error(diff)
	}
	doc.Document.ID, doc.Document.Text = "a", "b"
	if err := (*retriever.Document)(&doc.Document).Validate(); err != nil {
		t.Error(err)
	}
}
