package ingest_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/clipperhouse/uax29/v2/graphemes"
	"pgregory.net/rapid"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/retriever"
)

// wordTokenizer makes one token of every word; it counts how much it was given.
type wordTokenizer struct {
	models.Tokenizer
	bytes int
}

func (w *wordTokenizer) VocabularySize() int { return 1 }

func (w *wordTokenizer) Tokenize(text string) models.Tokens {
	w.bytes += len(text)
	var t models.Tokens
	at, inside := int32(0), false
	for _, r := range text {
		if unicode.IsSpace(r) {
			inside = false
		} else if !inside {
			inside = true
			t.IDs = append(t.IDs, 0)
			t.Offsets = append(t.Offsets, models.Offset{Start: at})
		}
		at++
	}
	return t
}

func newSplitter(t testing.TB, maxTokens, overlap int, tokenizer models.Tokenizer) *ingest.Splitter {
	t.Helper()
	s, err := ingest.NewSplitter(ingest.SplitterConfig{MaxTokens: maxTokens, OverlapTokens: overlap}, tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func extracted(text string) ingest.Extracted {
	return ingest.Extracted{Document: retriever.Document{ID: "d", Text: text}}
}

func texts(passages []retriever.Passage) []string {
	var list []string
	for _, p := range passages {
		list = append(list, p.Text)
	}
	return list
}

func words(n int, word string) string { return strings.TrimSpace(strings.Repeat(word+" ", n)) }

func TestSplitChoosesBorders(t *testing.T) {
	long := func(n int) string { return "A" + words(n, " w") + "." }
	cases := []struct {
		name     string
		text     string
		overlap  int
		sections []ingest.Section
		want     []string
	}{
		{name: "short document is one passage", text: "  One. Two.\n\nThree.\n", want: []string{"One. Two.\n\nThree."}},
		{name: "white space only", text: " \n\n\t", want: nil},
		{
			name: "paragraph before sentence",
			text: "One one one one one. Two two two two two.\n\nThree three three three three. Four four four four four.",
			want: []string{"One one one one one. Two two two two two.", "Three three three three three. Four four four four four."},
		},
		{
			name:    "overlap is a whole sentence",
			text:    "One one one one one. Two two two two two. Three three three three three. Four four four four four.",
			overlap: 5,
			want: []string{
				"One one one one one. Two two two two two.",
				"Two two two two two. Three three three three three. Four four four four four.",
			},
		},
		{
			name:     "no overlap over a section border",
			text:     "Head\n\nOne one one one one. Two two two two.\n\nNext\n\nThree three three three. Four four four four.",
			overlap:  5,
			sections: []ingest.Section{{Start: 0, Headings: []string{"Head"}}, {Start: 45, Headings: []string{"Next"}}},
			want:     []string{"Head\n\nOne one one one one. Two two two two.", "Next\n\nThree three three three. Four four four four."},
		},
		{
			name: "sentence without borders is cut between words, evenly",
			text: words(24, "word"),
			want: []string{words(12, "word"), words(12, "word")},
		},
		{
			name: "lines before words",
			text: words(10, "a") + "\n" + words(10, "b"),
			want: []string{words(10, "a"), words(10, "b")},
		},
		{
			name:     "a heading stays with its text",
			text:     words(9, "a") + ".\n\nHead\n\n" + words(9, "b") + ".",
			sections: []ingest.Section{{Start: 20, Headings: []string{"Head"}}},
			want:     []string{words(9, "a") + ".", "Head\n\n" + words(9, "b") + "."},
		},
		{
			name: "so do the words before a list",
			text: words(8, "a") + ".\n\nBring these two things:\n\n- " + words(4, "b") + "\n- " + words(4, "c"),
			want: []string{words(8, "a") + ".", "Bring these two things:\n\n- " + words(4, "b") + "\n- " + words(4, "c")},
		},
		{
			name: "no tiny last passage",
			text: long(7) + " " + long(7) + " " + long(3),
			want: []string{long(7), long(7) + " " + long(3)},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			doc := extracted(c.text)
			doc.Sections = c.sections
			got := texts(newSplitter(t, 16, c.overlap, &wordTokenizer{}).Split(doc))
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

// One sentence is one passage where two do not fit, so passages show where
// sentences were seen to end.
func TestSentenceBorders(t *testing.T) {
	cases := []struct {
		name string
		want []string
	}{
		{"titles and initials", []string{"Dr. J. R. Smith met Mrs. Jones in the U.S. Senate.", "They spoke."}},
		{"numbers", []string{"See No. 5 and Fig. 3 on p. 12 for 3.14 and more.", "It is enough."}},
		{"the word no", []string{"He said no.", "Then he left."}},
		{"latin", []string{"Some metals, e.g. Iron and i.e. Ferrum, rust.", "Others do not."}},
		{"question and exclamation", []string{"Is it true?", "Yes!", "It is."}},
		{"quotes", []string{"\u201cIt is late.\u201d", "She left."}},
		{"german", []string{"Das ist z.B. Herr Dr. Maier aus Bonn.", "Er wohnt dort."}},
		{"chinese", []string{"\u8fd9\u662f\u7b2c\u4e00\u53e5\u3002", "\u8fd9\u662f\u7b2c\u4e8c\u53e5\u3002"}},
		{"japanese", []string{"\u4eca\u65e5\u306f\u3002", "\u660e\u65e5\u3082\u3002"}},
		{"hindi", []string{"\u092f\u0939 \u090f\u0915 \u0939\u0948\u0964", "\u092f\u0939 \u0926\u094b \u0939\u0948\u0964"}},
		{"arabic", []string{"\u0645\u0627 \u0627\u0633\u0645\u0643\u061f", "\u0627\u0633\u0645\u064a \u0639\u0644\u064a."}},
		{"russian", []string{"\u042d\u0442\u043e \u0434\u043e\u043c.", "\u041e\u043d \u0431\u043e\u043b\u044c\u0448\u043e\u0439."}},
		{"wrapped line", []string{"The quick brown fox jumps over the lazy dog and\nruns away.", "It is gone."}},
		{"list", []string{"Bring these:", "- bread", "- milk"}},
		{"numbered list", []string{"1. Open the door.", "2. Go in."}},
		{"heading line", []string{"Opening hours", "We open at nine."}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			separator := " "
			switch c.name {
			case "list", "numbered list", "heading line":
				separator = "\n"
			case "chinese", "japanese":
				separator = ""
			}
			text := strings.Join(c.want, separator)
			if got := ingest.Sentences(text); !slices.Equal(got, c.want) {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestHeadingsAndPages(t *testing.T) {
	sentence := words(11, "x") + ". "
	part := strings.TrimSpace(sentence) + "\n\n"
	doc := extracted(part + part + part + part)
	n := len(part)
	doc.Sections = []ingest.Section{
		{Start: n, Headings: []string{"A"}},
		{Start: 2 * n, Headings: []string{"A", "A1"}},
		{Start: 3 * n, Headings: []string{"A", "A2"}},
	}
	doc.Pages = []int{0, n + 3, 2 * n}
	passages := newSplitter(t, 16, 0, &wordTokenizer{}).Split(doc)
	want := []struct {
		page     int
		headings []string
	}{{1, nil}, {1, []string{"A"}}, {3, []string{"A", "A1"}}, {3, []string{"A", "A2"}}}
	if len(passages) != len(want) {
		t.Fatalf("got %d passages %q, want %d", len(passages), texts(passages), len(want))
	}
	for i, p := range passages {
		if p.Page != want[i].page || !slices.Equal(p.Headings, want[i].headings) {
			t.Errorf("passage %d: got page %d, headings %q; want %d, %q", i, p.Page, p.Headings, want[i].page, want[i].headings)
		}
	}
	// A passage over two sections stands under what they share.
	wide := newSplitter(t, 30, 0, &wordTokenizer{}).Split(doc)
	if got := wide[len(wide)-1]; !slices.Equal(got.Headings, []string{"A"}) {
		t.Errorf("passage over A1 and A2: got headings %q, want [A]", got.Headings)
	}
}

func TestSplitterConfig(t *testing.T) {
	cases := []struct {
		name   string
		config ingest.SplitterConfig
		want   string
	}{
		{"defaults", ingest.DefaultSplitterConfig(), ""},
		{"too short", ingest.SplitterConfig{MaxTokens: 5}, "max_tokens: 5; allowed is 16 to 8192"},
		{"overlap too long", ingest.SplitterConfig{MaxTokens: 100, OverlapTokens: 51}, "overlap_tokens: 51; allowed is 0 to half of max_tokens"},
		{"negative overlap", ingest.SplitterConfig{MaxTokens: 100, OverlapTokens: -1}, "overlap_tokens: -1; allowed is 0 to half of max_tokens"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := c.config.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if _, err := ingest.NewSplitter(c.config, nil); (err != nil) != (c.want != "") {
				t.Errorf("NewSplitter: got error %v", err)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	prints := []string{
		newSplitter(t, 100, 10, nil).Fingerprint(),
		newSplitter(t, 101, 10, nil).Fingerprint(),
		newSplitter(t, 100, 11, nil).Fingerprint(),
		newSplitter(t, 100, 10, &wordTokenizer{}).Fingerprint(),
	}
	slices.Sort(prints)
	if n := len(slices.Compact(prints)); n != 4 {
		t.Errorf("four different splitters have %d fingerprints: %q", n, prints)
	}
}

// A document without any border must not be tokenised again for every passage.
func TestSplitTokenizesOnce(t *testing.T) {
	for name, text := range map[string]string{
		"prose":      strings.Repeat("This is a sentence of some words. ", 20000),
		"one word":   strings.Repeat("x", 500000),
		"no stops":   strings.Repeat("word ", 100000),
		"paragraphs": strings.Repeat("Short one.\n\n", 40000),
	} {
		t.Run(name, func(t *testing.T) {
			tokenizer := &wordTokenizer{}
			s := newSplitter(t, 220, 40, tokenizer)
			tokenizer.bytes = 0
			s.Split(extracted(text))
			if tokenizer.bytes != len(text) {
				t.Errorf("tokenised %d bytes of a text of %d", tokenizer.bytes, len(text))
			}
		})
	}
}

// checkPassages tests what holds for the passages of every document.
func checkPassages(t interface {
	Helper()
	Errorf(string, ...any)
}, text string, passages []retriever.Passage) {
	t.Helper()
	runes := []rune(text)
	covered := 0
	for i, p := range passages {
		switch {
		case p.Ordinal != i:
			t.Errorf("passage %d has ordinal %d", i, p.Ordinal)
		case p.Start < 0 || p.End > len(runes) || p.Start >= p.End:
			t.Errorf("passage %d is [%d:%d) of %d", i, p.Start, p.End, len(runes))
			return
		case p.Text != retriever.SliceRunes(text, p.Start, p.End):
			t.Errorf("passage %d: text is not that of [%d:%d)", i, p.Start, p.End)
		case i > 0 && (p.Start < passages[i-1].Start || p.End <= passages[i-1].End):
			t.Errorf("passage %d [%d:%d) does not come after [%d:%d)", i, p.Start, p.End, passages[i-1].Start, passages[i-1].End)
		case strings.TrimRightFunc(p.Text, unicode.IsSpace) != p.Text:
			t.Errorf("passage %d ends with white space: %q", i, p.Text)
		}
		for at := covered; at < p.Start; at++ {
			if !unicode.IsSpace(runes[at]) {
				t.Errorf("no passage holds %q at %d", runes[at], at)
			}
		}
		covered = max(covered, p.End)
	}
	for at := covered; at < len(runes); at++ {
		if !unicode.IsSpace(runes[at]) {
			t.Errorf("no passage holds %q at %d", runes[at], at)
		}
	}
}

// checkGraphemes tests that no passage begins or ends within a character,
// where white space that joins the character before it does not count.
func checkGraphemes(t interface {
	Helper()
	Errorf(string, ...any)
}, text string, passages []retriever.Passage) {
	t.Helper()
	runes := []rune(text)
	borders := map[int]bool{0: true}
	at := 0
	for clusters := graphemes.FromString(text); clusters.Next(); {
		at += len([]rune(clusters.Value()))
		borders[at] = true
	}
	for _, p := range passages {
		if !borders[p.Start] {
			t.Errorf("[%d:%d) begins within a character: %q", p.Start, p.End, p.Text)
		}
		if !borders[p.End] && !unicode.IsSpace(runes[p.End]) {
			t.Errorf("[%d:%d) ends within a character: %q", p.Start, p.End, p.Text)
		}
	}
}

func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{
				" ", "\n", "\n\n", "\r\n", ". ", "? ", "\u3002", "Dr. ", "word", "Word", "3", "\u0301", " \u0308", "\u200d",
				"\U0001F469\u200d\U0001F469\u200d\U0001F467", "\U0001F1E9\U0001F1EA", "\u1100\u1161\u11a8", "\u0928\u093f", "\u00a0", "- ", "# ", "| ", "\t", "\f", "\u2028",
			}),
			rapid.StringN(0, 8, -1),
		), 0, 200).Draw(t, "pieces")
		text := strings.Join(pieces, "")
		s, err := ingest.NewSplitter(ingest.SplitterConfig{
			MaxTokens:     rapid.IntRange(16, 60).Draw(t, "max"),
			OverlapTokens: rapid.IntRange(0, 8).Draw(t, "overlap"),
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		passages := s.Split(extracted(text))
		checkPassages(t, text, passages)
		checkGraphemes(t, text, passages)
	})
}

func TestSplitKeepsWithinMaximum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sentence := rapid.Custom(func(t *rapid.T) string {
			return words(rapid.IntRange(1, 40).Draw(t, "words"), "Wort") + rapid.SampledFrom([]string{". ", "? ", "\n", ".\n\n"}).Draw(t, "end")
		})
		text := strings.Join(rapid.SliceOfN(sentence, 1, 40).Draw(t, "sentences"), "")
		maximum := rapid.IntRange(16, 60).Draw(t, "max")
		s, err := ingest.NewSplitter(ingest.SplitterConfig{MaxTokens: maximum, OverlapTokens: maximum / 4}, &wordTokenizer{})
		if err != nil {
			t.Fatal(err)
		}
		passages := s.Split(extracted(text))
		for _, p := range passages {
			if n := len(strings.Fields(p.Text)); n > maximum {
				t.Errorf("a passage has %d tokens, at most %d are allowed: %q", n, maximum, p.Text)
			}
		}
		// Passages fewer than half full come in pairs only where they must.
		if total := len(strings.Fields(text)); len(passages) > 1+3*total/maximum {
			t.Errorf("%d tokens became %d passages of up to %d", total, len(passages), maximum)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("One. Two.\n\nThree, Dr. No. 5.", 16, 4)
	f.Add("\xff\x00a\u0301 \u0301", 20, 0)
	f.Add(strings.Repeat("x", 1000), 16, 8)
	f.Fuzz(func(t *testing.T, text string, maximum, overlap int) {
		s, err := ingest.NewSplitter(ingest.SplitterConfig{MaxTokens: maximum, OverlapTokens: overlap}, nil)
		if err != nil {
			t.Skip()
		}
		checkPassages(t, text, s.Split(extracted(text)))
	})
}

func TestSplitNamesThePageOfEveryPlace(t *testing.T) {
	text := "One ends here.\n\nTwo is short.\n\nThree goes on for some more words."
	doc := ingest.Extracted{Document: retriever.Document{ID: "d", Text: text, Pages: []int{0, 16, 31}}}
	passages := newSplitter(t, 200, 0, nil).Split(doc)
	if len(passages) != 1 {
		t.Fatalf("got %d passages, want one over all pages", len(passages))
	}
	for word, want := range map[string]int{"One": 1, "Two": 2, "Three": 3, "words": 3} {
		if got := passages[0].PageAt(strings.Index(text, word)); got != want {
			t.Errorf("%q is on page %d, want %d", word, got, want)
		}
	}
}
