package bleve

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/internal/testenv"
)

// slowly returns the terms that Bleve's own analyzer makes of a text.
func slowly(a *analyser, text string) []string {
	var terms []string
	for _, token := range a.full.Analyze([]byte(text)) {
		terms = append(terms, string(token.Term))
	}
	return terms
}

func quickly(a *analyser, text string) []string {
	var terms []string
	a.each(text, func(term string) { terms = append(terms, term) })
	return terms
}

func analysers(t testing.TB) map[string]*analyser {
	t.Helper()
	all := map[string]*analyser{}
	for tag := range analyzers {
		name, err := analyzerName(tag)
		if err != nil {
			t.Fatal(err)
		}
		if all[name], err = newAnalyser(name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

var difficult = []string{
	"", " ", "a", "It's 3.14, or 1,000;000 at 10:30 a:b a.b.c U.S.A. e.g. x_y _z_ __ _ 9_9 a1b2 don''t 'quoted' l'avion d’accord",
	"tab\tand\r\nlines\vmore\fend", "a.5 5.a 5,a 5:5 5;5 a;a a,a a'5 5'5 .5 5. 'a a' a. _.a a._ 1.2.3.4 1..2 a::b -a- --", "\x00a\x01b\x7f",
	"naïve Straße ﬁne Häuser, die Städte. 東京の塔 漢字 カタカナ ひらがな 한국어 𝔘nicode", "e\u0301 \u0301a a\u0301b a \u0301 b a\u200db \u200d \u00ada\u00adb",
	"x²+y² 🐞🐞 a.b@c.de http://x.y/z?q=1&r=2 #tag @name $5.00 50% C++ C# .NET node.js", "Łódź İstanbul ΑΘΗΝΑ Договоры עברית العربية हिन्दी ไทย", "a\u00a0b a\u2003b a\u2028b a\u0085b a\ufeffb",
	"’a‘b“c”d—e–f…g", strings.Repeat("verylongword", 200), "ſ K Å ﬀ Ǆ", "ing ed s 's ' '' ''' ss's",
}

func TestQuickTerms(t *testing.T) {
	for name, a := range analysers(t) {
		t.Run(name, func(t *testing.T) {
			for range 2 { // again with what is remembered
				for _, text := range difficult {
					if got, want := quickly(a, text), slowly(a, text); !slices.Equal(got, want) {
						t.Errorf("%q: terms = %q, want %q", text, got, want)
					}
				}
			}
		})
	}
}

// TestQuickTermsOfRealText compares all terms of real paragraphs.
func TestQuickTermsOfRealText(t *testing.T) {
	var paragraphs []string
	for _, file := range []string{"new_wiki.json", "reddit.json", "amazon_reviews.json"} {
		data, err := os.ReadFile(testenv.Shared(t, "data", "squadshifts", file))
		if err != nil {
			t.Fatal(err)
		}
		var set struct {
			Data []struct {
				Paragraphs []struct{ Context string }
			}
		}
		if err := json.Unmarshal(data, &set); err != nil {
			t.Fatal(err)
		}
		for _, article := range set.Data {
			for _, p := range article.Paragraphs {
				paragraphs = append(paragraphs, p.Context)
			}
		}
	}
	all := analysers(t)
	for _, name := range []string{"en", "standard", wordsAnalyzer} {
		terms := 0
		for _, text := range paragraphs {
			got, want := quickly(all[name], text), slowly(all[name], text)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %q: terms = %q, want %q", name, text, got, want)
			}
			terms += len(got)
		}
		t.Logf("%s: %d terms of %d paragraphs are equal", name, terms, len(paragraphs))
	}
}

func FuzzQuickTerms(f *testing.F) {
	for _, text := range difficult {
		f.Add(text)
	}
	all := analysers(f)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // documents and queries are refused if they are not
		}
		for _, name := range []string{"en", "fr", wordsAnalyzer} {
			if got, want := quickly(all[name], text), slowly(all[name], text); !slices.Equal(got, want) {
				t.Errorf("%s: %q: terms = %q, want %q", name, text, got, want)
			}
		}
	})
}

func BenchmarkTerms(b *testing.B) {
	a, err := newAnalyser("en")
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("The engineers who designed the tower's iron frame had built bridges before; it's 324 metres tall. ", 20)
	for name, terms := range map[string]func(*analyser, string) []string{"quick": quickly, "bleve": slowly} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				terms(a, text)
			}
		})
	}
}
