package retriever_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
)

// valid returns an entry that may be stored: two passages that overlap, in text
// of one to four bytes a character.
func valid() retriever.Entry {
	return retriever.Entry{
		Document: retriever.Document{
			ID: "a", Title: "Käfer", Text: "aä日🐞. Ende", Groups: []string{"g"},
			Metadata: map[string]any{"s": "x", "l": []string{"x", ""}, "i": int64(1), "f": 0.5, "b": true, "t": time.Now()},
		},
		Passages: []retriever.Passage{
			{DocumentID: "a", Ordinal: 0, Start: 0, End: 5, Text: "aä日🐞."},
			{DocumentID: "a", Ordinal: 1, Start: 3, End: 8, Text: "🐞. En", Headings: []string{"Tiere"}},
		},
	}
}

func TestEntryValidate(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*retriever.Entry)
		want  string // what the error says; empty if there is none
	}{
		"valid":             {func(*retriever.Entry) {}, ""},
		"longest id":        {func(e *retriever.Entry) { rename(e, strings.Repeat("x", retriever.MaxIDBytes)) }, ""},
		"no id":             {func(e *retriever.Entry) { rename(e, "") }, "id is empty"},
		"long id":           {func(e *retriever.Entry) { rename(e, strings.Repeat("x", retriever.MaxIDBytes+1)) }, "at most 512"},
		"id with NUL":       {func(e *retriever.Entry) { rename(e, "a\x00") }, "its id contains a NUL"},
		"title not UTF-8":   {func(e *retriever.Entry) { e.Document.Title = "\xff" }, "its title is not valid UTF-8"},
		"text with NUL":     {func(e *retriever.Entry) { e.Document.Text += "\x00" }, "its text contains a NUL"},
		"blank text":        {func(e *retriever.Entry) { e.Document.Text = " \n" }, "has no text"},
		"empty group":       {func(e *retriever.Entry) { e.Document.Groups = []string{"g", ""} }, "group"},
		"empty key":         {func(e *retriever.Entry) { e.Document.Metadata = map[string]any{"": 1.0} }, "key"},
		"metadata not text": {func(e *retriever.Entry) { e.Document.Metadata["s"] = "\xff" }, `metadata "s" is not valid UTF-8`},
		"list not text":     {func(e *retriever.Entry) { e.Document.Metadata["l"] = []string{"\x00"} }, `metadata "l" contains a NUL`},
		"metadata type":     {func(e *retriever.Entry) { e.Document.Metadata["i"] = 1 }, "int"},
		"infinite":          {func(e *retriever.Entry) { e.Document.Metadata["f"] = math.Inf(-1) }, "no number"},
		"NaN":               {func(e *retriever.Entry) { e.Document.Metadata["f"] = math.NaN() }, "no number"},
		"far future":        {func(e *retriever.Entry) { e.Document.Metadata["t"] = time.Unix(1<<40, 0) }, "years 0 to 9999"},
		"modified":          {func(e *retriever.Entry) { e.Document.Source.ModifiedAt = time.Unix(1<<40, 0) }, "years 0 to 9999"},
		"section order":     {func(e *retriever.Entry) { e.Document.Sections = []retriever.Section{{Start: 3}, {Start: 2}} }, "sections[1] starts at 2"},
		"section heading":   {func(e *retriever.Entry) { e.Document.Sections = []retriever.Section{{Headings: []string{""}}} }, "heading of sections[0] is empty"},
		"page order":        {func(e *retriever.Entry) { e.Document.Pages = []int{0, 4, 3} }, "pages[2] is 3"},
		"first page":        {func(e *retriever.Entry) { e.Document.Pages = []int{4} }, "pages[0] must be 0"},
		"no passages":       {func(e *retriever.Entry) { e.Passages = nil }, "no passages"},
		"foreign passage":   {func(e *retriever.Entry) { e.Passages[1].DocumentID = "b" }, `passage 1 belongs to document "b"`},
		"ordinal":           {func(e *retriever.Entry) { e.Passages[1].Ordinal = 2 }, "passage 1 has ordinal 2"},
		"order":             {func(e *retriever.Entry) { e.Passages[0].Start, e.Passages[0].End = 4, 9 }, "passage 0"},
		"start before":      {func(e *retriever.Entry) { e.Passages[1].Start = -1 }, "passage 1 starts before"},
		"page":              {func(e *retriever.Entry) { e.Passages[0].Page = -1 }, "page -1"},
		"text":              {func(e *retriever.Entry) { e.Passages[1].Text = "🐞. Em" }, "passage 1 is not the document's text from 3 to 8"},
		"bytes for runes":   {func(e *retriever.Entry) { e.Passages[0].End = len(e.Passages[0].Text) }, "passage 0 is not"},
		"beyond":            {func(e *retriever.Entry) { e.Passages[1].Start, e.Passages[1].End = 50, 55 }, "passage 1 is not"},
		"heading":           {func(e *retriever.Entry) { e.Passages[0].Headings = []string{"\xff"} }, "heading"},
	} {
		t.Run(name, func(t *testing.T) {
			e := valid()
			test.spoil(&e)
			err := e.Validate()
			if test.want == "" {
				if err != nil {
					t.Errorf("Validate: %v, want nil", err)
				}
				return
			}
			if !errors.Is(err, retriever.ErrInvalidDocument) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Validate: %v, want ErrInvalidDocument that says %q", err, test.want)
			}
		})
	}
}

func rename(e *retriever.Entry, id string) {
	e.Document.ID = id
	for i := range e.Passages {
		e.Passages[i].DocumentID = id
	}
}

func TestValidIndexName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "default": true, "2024_q1-x": true, "0": true, strings.Repeat("a", retriever.MaxIndexName): true,
		"": false, "A": false, "-a": false, "_a": false, "a.b": false, "a/b": false, "..": false, "ä": false,
		strings.Repeat("a", retriever.MaxIndexName+1): false,
	} {
		err := retriever.ValidIndexName(name)
		if (err == nil) != want || err != nil && !errors.Is(err, retriever.ErrInvalidIndexName) {
			t.Errorf("ValidIndexName(%q) = %v, want valid %v", name, err, want)
		}
	}
}

func TestRefusedDocuments(t *testing.T) {
	first := &retriever.DocumentError{DocumentID: "a", Err: retriever.ErrFieldConflict}
	second := &retriever.DocumentError{DocumentID: "b", Err: retriever.ErrInvalidDocument}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"none":    {nil, "[] true"},
		"one":     {first, "[a] true"},
		"wrapped": {fmt.Errorf("write: %w", errors.Join(first, fmt.Errorf("x: %w", second))), "[a b] true"},
		"mixed":   {errors.Join(first, retriever.ErrNoSpace), "[a] false"},
		"other":   {fmt.Errorf("x: %w", retriever.ErrNoSpace), "[] false"},
	} {
		t.Run(name, func(t *testing.T) {
			refused, only := retriever.RefusedDocuments(test.err)
			var ids []string
			for _, r := range refused {
				ids = append(ids, r.DocumentID)
			}
			if got := fmt.Sprint(ids, only); got != test.want {
				t.Errorf("RefusedDocuments = %s, want %s", got, test.want)
			}
		})
	}
	if !errors.Is(first, retriever.ErrFieldConflict) || first.Error() != retriever.ErrFieldConflict.Error() {
		t.Errorf("DocumentError = %q, want the reason alone", first)
	}
}

func TestSliceRunes(t *testing.T) {
	text := "aä日🐞b"
	runes := []rune(text)
	for start := range len(runes) + 1 {
		for end := start; end <= len(runes); end++ {
			if got, want := retriever.SliceRunes(text, start, end), string(runes[start:end]); got != want {
				t.Errorf("SliceRunes(%d, %d) = %q, want %q", start, end, got, want)
			}
		}
	}
	for _, bounds := range [][2]int{{-1, 1}, {2, 1}, {0, 6}, {6, 6}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("SliceRunes(%d, %d) does not panic", bounds[0], bounds[1])
				}
			}()
			retriever.SliceRunes(text, bounds[0], bounds[1])
		}()
	}
}

func TestPageAt(t *testing.T) {
	pages := []int{0, 10, 20, 20, 30} // page 3 is empty
	p := retriever.Passage{Start: 5, End: 30, Page: 1, PageBreaks: retriever.PageBreaks(pages, 5, 30)}
	for at, want := range map[int]int{5: 1, 9: 1, 10: 2, 19: 2, 20: 4, 29: 4} {
		if got := p.PageAt(at); got != want {
			t.Errorf("PageAt(%d) = %d, want %d", at, got, want)
		}
	}
	if got := (retriever.Passage{Start: 5, End: 30}).PageAt(20); got != 0 {
		t.Errorf("without pages PageAt gave %d", got)
	}
	for _, c := range []struct{ start, end, want int }{{0, 10, 0}, {10, 20, 0}, {10, 21, 2}, {0, 40, 4}, {35, 40, 0}} {
		if got := len(retriever.PageBreaks(pages, c.start, c.end)); got != c.want {
			t.Errorf("PageBreaks(%d, %d) has %d, want %d", c.start, c.end, got, c.want)
		}
	}
}

func TestDocumentSlice(t *testing.T) {
	d := retriever.Document{Text: "aä日🐞."}
	for _, test := range []struct {
		start, end int
		want       string
		ok         bool
	}{
		{0, 5, "aä日🐞.", true}, {1, 3, "ä日", true}, {3, 4, "🐞", true}, {4, 5, ".", true},
		{0, 6, "", false}, {-1, 2, "", false}, {2, 2, "", false}, {3, 1, "", false}, {5, 6, "", false},
	} {
		if text, ok := d.Slice(test.start, test.end); text != test.want || ok != test.ok {
			t.Errorf("Slice(%d, %d): got %q, %v; want %q, %v", test.start, test.end, text, ok, test.want, test.ok)
		}
	}
}
