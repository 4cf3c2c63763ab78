package html_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/html"
)

// sink keeps the last document.
type sink struct {
	doc ingest.Extracted
	n   int
	max int64
}

func (s *sink) Document(doc ingest.Extracted) error { s.doc = doc; s.n++; return nil }
func (s *sink) Fault(int, error)                    {}
func (s *sink) MaxDocumentBytes() int64             { return s.max }

func process(ctx context.Context, page string) (ingest.Extracted, error) {
	s := &sink{max: 64 << 20}
	file := ingest.File{ID: "docs/a_page.html", Path: "/docs/a_page.html"}
	err := html.Processor{}.Process(ctx, file, io.NewSectionReader(strings.NewReader(page), 0, int64(len(page))), s)
	return s.doc, err
}

func TestText(t *testing.T) {
	cases := []struct{ name, page, want string }{
		{"blocks", "<h1>Title</h1><p>One <b>two</b>\nthree.<p>Four", "Title\n\nOne two three.\n\nFour"},
		{"entities", "<p>a &amp; b &lt;c&gt; &eacute;&#8212;&nbsp;d</p>", "a & b <c> é— d"},
		{"lists", "<ul><li>one<li>two<ol start=3><li>three</ol></ul>after", "- one\n- two\n  3. three\n\nafter"},
		{"table", "<table><tr><th>Part<th>Price<tr><td>Bolt<td>1 €</table>", "Part | Price\nBolt | 1 €"},
		{"spanned cell", "<table><tr><th>a<th>b<th>c<tr><td colspan=2>x<td>y</table>", "a | b | c\nx |  | y"},
		{"layout table", "<table><tr><td><h1>Title</h1><p>Text</p></table>", "Title\n\nText"},
		{"code", "<pre>if x:\n    y()</pre>", "if x:\n    y()"},
		{"scripts and styles", "<style>p{}</style><script>x()</script><p>Text<noscript>Turn it on</noscript></p>", "Text"},
		{"hidden", "<p hidden>a</p><p style='display: none'>b</p><p>c</p>", "c"},
		{"around the content", "<nav><a href=/>Home</a></nav><header>Company</header><main><header><h1>Title</h1></header><p>The text of the page.</p></main><footer>Imprint</footer>", "Title\n\nThe text of the page."},
		{"a list of links", "<div><a href=a>One</a> <a href=b>Two</a> <a href=c>Three</a></div><p>The text of the page.</p>", "The text of the page."},
		{"nothing but links", "<ul><li><a href=a>One</a><li><a href=b>Two</a><li><a href=c>Three</a></ul>", "- One\n- Two\n- Three"},
		{"xhtml", `<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" ""><html xmlns="http://www.w3.org/1999/xhtml"><body><p>Text<br/>more</p></body></html>`, "Text more"},
		{"unclosed", "<div><p>Text <b>bold <i>both</div>", "Text bold both"},
		{"picture", "<p>See <img alt='The plant in Brno'> and <img alt=x></p>", "See The plant in Brno and"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			doc, err := process(t.Context(), c.page)
			if err != nil || doc.Text != c.want {
				t.Errorf("got %q, error %v; want %q", doc.Text, err, c.want)
			}
		})
	}
}

func TestHead(t *testing.T) {
	doc, err := process(t.Context(), `<html lang="de-AT"><head><title> The
 title </title><meta name="Author" content="Ann Bell"><meta property="article:published_time" content="2026-02-03T10:00:00+01:00">
<meta name=description content="What it is about"><meta name=keywords content="a, b"></head><body><h1>Über</h1><p>Text</p><h2>Näher</h2><p>Mehr</p>`)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Title != "The title" || doc.Language != "de-AT" || doc.Metadata["author"] != "Ann Bell" || doc.Metadata["subject"] != "What it is about" {
		t.Errorf("got title %q, language %q, metadata %v", doc.Title, doc.Language, doc.Metadata)
	}
	if got, want := doc.Metadata["created"], time.Date(2026, 2, 3, 9, 0, 0, 0, time.UTC); got != want {
		t.Errorf("got the creation date %v, want %v", got, want)
	}
	want := []ingest.Section{{Start: 0, Headings: []string{"Über"}}, {Start: 12, Headings: []string{"Über", "Näher"}}}
	if diff := cmp.Diff(want, doc.Sections); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestEncodings(t *testing.T) {
	const text = "Příliš žluťoučký kůň úpěl ďábelské ódy."
	cases := []struct{ name, label, head string }{
		{"declared", "windows-1250", `<meta charset="windows-1250">`},
		{"declared the old way", "iso-8859-2", `<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-2">`},
		{"declared by XML", "windows-1250", `<?xml version="1.0" encoding="windows-1250"?>`},
		{"declared wrongly", "utf-8", `<meta charset="iso-8859-1">`},
		{"not declared", "windows-1250", ""},
		{"UTF-16 without a mark", "utf-16le", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, err := htmlindex.Get(c.label)
			if err != nil {
				t.Fatal(err)
			}
			data, err := e.NewEncoder().String(c.head + "<html><body><p>" + text + "</p></body></html>")
			if err != nil {
				t.Fatal(err)
			}
			if doc, err := process(t.Context(), data); err != nil || doc.Text != text {
				t.Errorf("got %q, error %v; want %q", doc.Text, err, text)
			}
		})
	}
}

// TestHostile reads pages that were made to break parsers: each is read as far
// as it makes sense.
func TestHostile(t *testing.T) {
	deep := func(tag string, n int) string { return strings.Repeat("<"+tag+">", n) + "The core." }
	cases := []struct{ name, page, want string }{
		{"deep divs", "<html>" + deep("div", 200_000), "The core."},
		{"deep formatting", "<html>" + deep("b", 20_000), "The core."},
		{"deep lists", "<html>" + deep("ul><li", 50_000), "The core."},
		{"deep tables", "<html>" + deep("table><tr><td", 20_000), "The core."},
		{"an endless attribute", "<html><p>The core.</p><p title='" + strings.Repeat("x", 1<<20), "The core."},
		{"an endless comment", "<html><p>The core.</p><!--" + strings.Repeat("-x", 1<<20), "The core."},
		{"many attributes", "<html><p " + strings.Repeat("a=b ", 100_000) + ">The core.", "The core."},
		{"longer than a tree", "<html><p>The core.</p>" + strings.Repeat("<p>x</p>", 2<<20), "The core."},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			doc, err := process(t.Context(), c.page)
			if err != nil || !strings.Contains(doc.Text, c.want) {
				t.Errorf("got %.100q, error %v; want it to contain %q", doc.Text, err, c.want)
			}
		})
	}
	for name, page := range map[string]string{"empty body": "<html><body></body></html>", "only a script": "<html><script>var x = 1</script>"} {
		if doc, err := process(t.Context(), page); !errors.Is(err, ingest.ErrEmpty) {
			t.Errorf("%s: got %q, error %v; want ErrEmpty", name, doc.Text, err)
		}
	}
}

func TestMatch(t *testing.T) {
	cases := []struct {
		name, head string
		want       ingest.Confidence
	}{
		{"a.html", "<!DOCTYPE html>", ingest.Certain},
		{"a.txt", "\xEF\xBB\xBF<!-- x -->\n<HTML>", ingest.Certain},
		{"a", `<?xml version="1.0"?>` + "\n<!DOCTYPE html PUBLIC", ingest.Certain},
		{"a.htm", "<p>Text", ingest.Likely},
		{"a.html", "Not found", ingest.NoMatch},
		{"a.txt", "The tag <html> starts a page.", ingest.NoMatch},
		{"a.xml", `<?xml version="1.0"?><feed>`, ingest.NoMatch},
		{"a.html", "%PDF\x00\x01\x02", ingest.NoMatch},
	}
	for _, c := range cases {
		if got := (html.Processor{}).Match(c.name, []byte(c.head)); got != c.want {
			t.Errorf("%s, %q: got %d, want %d", c.name, c.head, got, c.want)
		}
	}
}

// TestCorpus reads pages of real site generators; see testdata/generate. At
// least 99 % of the words agree, and nothing of what surrounds them is there.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				Text    string
				Outside []string
			}
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			page, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".html")
			if err != nil {
				t.Fatal(err)
			}
			doc, err := process(t.Context(), string(page))
			if err != nil {
				t.Fatal(err)
			}
			got, wanted := words(doc.Text), words(want.Text)
			if diff := cmp.Diff(wanted, got); diff != "" {
				same := 0
				for _, w := range wanted {
					if i := slices.Index(got, w); i >= 0 {
						same++
					}
				}
				if 100*same < 99*len(wanted) || 100*len(got) > 101*len(wanted) {
					t.Errorf("%d of %d words agree, %d were read:\n%s", same, len(wanted), len(got), diff)
				}
			}
			for _, outside := range want.Outside {
				if slices.Contains(got, outside) {
					t.Errorf("the text holds %q, which is not of the content", outside)
				}
			}
		})
	}
}

func words(text string) []string {
	return slices.DeleteFunc(strings.Fields(text), func(w string) bool { return strings.Trim(w, "-|0123456789.") == "" })
}

func FuzzProcess(f *testing.F) {
	for _, seed := range []string{"<h1>a</h1><p>b", "<table><tr><td colspan=9>x", "<ul><li>a<ol><li>b", "<pre>\n x", "<?xml?><html lang=x>", "<a href=x>y</a>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, page string) {
		doc, err := process(t.Context(), page)
		if err != nil {
			return
		}
		if err := doc.Validate(); err != nil {
			t.Errorf("%q: %v", page, err)
		}
	})
}
