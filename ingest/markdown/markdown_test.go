package markdown_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/markdown"
	"github.com/needle-search/needle/retriever"
)

// sink keeps what it is given.
type sink struct{ docs []ingest.Extracted }

func (s *sink) Document(doc ingest.Extracted) error { s.docs = append(s.docs, doc); return nil }
func (s *sink) Fault(int, error)                    {}
func (s *sink) MaxDocumentBytes() int64             { return 1 << 20 }

func process(t testing.TB, source string) (ingest.Extracted, error) {
	t.Helper()
	s := &sink{}
	file := ingest.File{ID: "docs/the_file-name.md", Path: "/docs/the_file-name.md", ModTime: time.Unix(1, 0).UTC()}
	if err := markdown.New().Process(t.Context(), file, io.NewSectionReader(strings.NewReader(source), 0, int64(len(source))), s); err != nil {
		return ingest.Extracted{}, err
	}
	if len(s.docs) != 1 {
		t.Fatalf("got %d documents, want 1", len(s.docs))
	}
	return s.docs[0], nil
}

func TestText(t *testing.T) {
	cases := []struct{ name, source, want string }{
		{"emphasis and links", "Some *marked* **bold** ~~old~~ [link](http://x 'y') and `code *x*`.", "Some marked bold old link and code *x*."},
		{"wrapped paragraph", "One\ntwo\n\nthree  \nfour\\\nfive", "One two\n\nthree\nfour\nfive"},
		{"escapes and references", `1 \* 2 &lt; 3 &amp; &#233; \&lt; a_b`, "1 * 2 < 3 & é &lt; a_b"},
		{"pictures and addresses", "![A *map*](x.png) <http://a.b> https://c.d", "A map http://a.b https://c.d"},
		{"headings", "# One #\ntext\n\nTwo\n---\nmore", "One\n\ntext\n\nTwo\n\nmore"},
		{"tight list", "Bring:\n- bread\n- *milk*\n  - whole\n  - skimmed\n- eggs\n\nBye.", "Bring:\n\n- bread\n- milk\n  - whole\n  - skimmed\n- eggs\n\nBye."},
		{"loose list", "- one\n\n  more\n- two", "- one\n\n  more\n\n- two"},
		{"numbered list", "3. three\n4. four", "3. three\n4. four"},
		{"tasks", "- [x] done\n- [ ] open", "- [x] done\n- [ ] open"},
		{"code", "Run:\n\n```sh\nmake\n  all\n```\n\n    indented\n      more", "Run:\n\nmake\n  all\n\nindented\n  more"},
		{"quote", "> quoted\n> text\n\nafter", "quoted text\n\nafter"},
		{"table", "| Name | Age |\n|---|--:|\n| Ann | *7* |\n| Bob \\| B | |", "Name | Age\nAnn | 7\nBob | B | "},
		{"block of HTML", "<div>\n<b>Bold</b> &amp; more<br>next\n</div>\n<!-- hidden -->\n\n<script>\nvar x\n</script>\n\nEnd", "Bold & more\nnext\n\nEnd"},
		{"inline HTML", "a<br>b <b>c</b> <!-- x -->d", "a\nb c d"},
		{"footnote", "Text[^1].\n\n[^1]: The note.", "Text[1].\n\n[1] The note."},
		{"definitions", "Term\n: What it means", "Term\n  What it means"},
		{"line across", "a\n\n---\n\nb", "a\n\nb"},
		{"Windows lines", "# A\r\n\r\nb\r\nc\r\n", "A\n\nb c"},
		{"no front matter", "---\n\nText: yes\n\nmore", "Text: yes\n\nmore"},
		{"reference to NUL", "a&#0;b", "a\ufffdb"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := process(t, c.source)
			if err != nil {
				t.Fatal(err)
			}
			if got.Text != c.want {
				t.Errorf("got  %q\nwant %q", got.Text, c.want)
			}
		})
	}
}

func TestSectionsAndTitle(t *testing.T) {
	doc, err := process(t, "Before é.\n\n## First *one*\n\nx\n\n# Main\n\n### Deep\n\n> # Quoted\n\n- # Listed\n\n## Second\n\ny")
	if err != nil {
		t.Fatal(err)
	}
	if doc.Title != "Main" {
		t.Errorf("got title %q, want %q", doc.Title, "Main")
	}
	want := [][]string{{"First one"}, {"Main"}, {"Main", "Deep"}, {"Main", "Second"}}
	var got [][]string
	for _, s := range doc.Sections {
		got = append(got, s.Headings)
		title := s.Headings[len(s.Headings)-1]
		if text := retriever.SliceRunes(doc.Text, s.Start, s.Start+utf8.RuneCountInString(title)); text != title {
			t.Errorf("section %q starts at %q", title, text)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if doc, _ := process(t, "No heading."); doc.Title != "the file name" {
		t.Errorf("got title %q, want that of the file", doc.Title)
	}
}

func TestFrontMatter(t *testing.T) {
	doc, err := process(t, `---
title: "The: title"
lang: en
groups: [hr, it]
date: 2026-03-31
tags: [a, 2]
version: 3
draft: false
author: {name: Ann, mail: null}
links: [{a: 1}]
ratio: 1.5
stamp: "2026-03-31T10:00:00Z"
---
# Heading

Text.
`)
	if err != nil {
		t.Fatal(err)
	}
	want := retriever.Document{
		ID: "docs/the_file-name.md", Title: "The: title", Language: "en", Groups: []string{"hr", "it"}, Text: "Heading\n\nText.",
		Sections: []retriever.Section{{Headings: []string{"Heading"}}},
		Source:   retriever.Source{URI: "/docs/the_file-name.md", MediaType: "text/markdown", ModifiedAt: time.Unix(1, 0).UTC()},
		Metadata: map[string]any{
			"date": time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC), "tags": []string{"a", "2"}, "version": int64(3), "draft": false,
			"author.name": "Ann", "links": `[{"a":1}]`, "ratio": 1.5, "stamp": time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC),
		},
	}
	if diff := cmp.Diff(want, doc.Document); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if err := doc.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	cases := []struct {
		name, source string
		want         error
	}{
		{"nothing but markup", "---\ntitle: x\n---\n<!-- nothing -->\n", ingest.ErrEmpty},
		{"binary", "# a\x00", ingest.ErrBinary},
		{"damaged UTF-8", "# café à côté, déjà \xff vu", ingest.ErrEncoding},
		{"too large", strings.Repeat("x", 1<<20+1), ingest.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := process(t, c.source); !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
		})
	}
	// Groups that cannot be understood must not make the document public.
	for _, groups := range []string{"7", "[]", "[{a: b}]", `[""]`, "null"} {
		if _, err := process(t, "---\ngroups: "+groups+"\n---\ntext"); err == nil {
			t.Errorf("groups %s were accepted", groups)
		}
	}
}

func TestHostileNesting(t *testing.T) {
	for name, source := range map[string]string{
		"quotes":   strings.Repeat("> ", 5000) + "deep",
		"lists":    strings.Repeat("- ", 5000) + "deep",
		"emphasis": strings.Repeat("*a **b ", 5000),
		"links":    strings.Repeat("[", 20000) + "a" + strings.Repeat("](b)", 20000),
		"laughs":   "---\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f]\n---\ntext",
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := process(t, source)
			if err != nil && !errors.Is(err, ingest.ErrEmpty) {
				t.Fatal(err)
			}
			if len(doc.Text) > 10*len(source) {
				t.Errorf("%d bytes became %d", len(source), len(doc.Text))
			}
		})
	}
}

func FuzzMarkdown(f *testing.F) {
	f.Add("---\ntitle: x\n---\n# A\n\n- b\n\n| c | d |\n|--|--|\n| e | f |\n")
	f.Add("> # a\n\n```\nb\n```\n<div>c</div>\n[^1]\n\n[^1]: d")
	f.Fuzz(func(t *testing.T, source string) {
		doc, err := process(t, source)
		if err != nil {
			return
		}
		if strings.Contains(doc.Text, "\x00") || !utf8.ValidString(doc.Text) || strings.TrimSpace(doc.Text) == "" {
			t.Errorf("%q became %q", source, doc.Text)
		}
		length, last := utf8.RuneCountInString(doc.Text), -1
		for _, s := range doc.Sections {
			if s.Start <= last || s.Start >= length || len(s.Headings) == 0 {
				t.Errorf("section %+v after %d in a text of %d", s, last, length)
			}
			last = s.Start
		}
	})
}
