package elastic

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/retriever"
)

// FuzzCutText: passages are stretches of the text in order, cover it, and do not
// grow beyond their size.
func FuzzCutText(f *testing.F) {
	f.Add("")
	f.Add("short")
	f.Add(strings.Repeat("word ", 1000))
	f.Add(strings.Repeat("ü", 5000))
	f.Add(strings.Repeat("a", 1199) + " " + strings.Repeat("日", 1300))
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		list := cutText("d", text)
		covered := 0
		for i, p := range list {
			if p.Ordinal != i || p.Start > covered || p.End < covered || p.End-p.Start > cutRunes || i > 0 && p.Start <= list[i-1].Start {
				t.Fatalf("passage %d of %d goes from %d to %d, the one before ended at %d", i, len(list), p.Start, p.End, covered)
			}
			if retriever.SliceRunes(text, p.Start, p.End) != p.Text {
				t.Fatalf("passage %d is not the text from %d to %d", i, p.Start, p.End)
			}
			covered = p.End
		}
		if covered != utf8.RuneCountInString(text) {
			t.Fatalf("%d of %d code points are covered", covered, utf8.RuneCountInString(text))
		}
		if best := bestPassages("d", text, []string{"x"}); len(best) > cutPassages {
			t.Fatalf("%d passages of one document", len(best))
		}
	})
}
