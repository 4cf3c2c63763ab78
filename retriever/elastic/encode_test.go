package elastic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

// TestTextBuilder cuts texts into passages with gaps and overlaps and puts them
// together again.
func TestTextBuilder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runes := []rune(rapid.StringOfN(rapid.RuneFrom([]rune("aä日🐞 \n")), 1, 40, -1).Draw(t, "text"))
		entry := retriever.Entry{Document: retriever.Document{ID: "x", Text: string(runes)}}
		for start := 0; start < len(runes); {
			start += rapid.IntRange(0, min(4, len(runes)-start)).Draw(t, "skip")
			end := start + rapid.IntRange(0, len(runes)-start).Draw(t, "length")
			entry.Passages = append(entry.Passages, retriever.Passage{Start: start, End: end, Text: string(runes[start:end])})
			if rapid.Bool().Draw(t, "stop") {
				break
			}
		}
		b := textBuilder{gaps: gaps(&entry)}
		for _, p := range entry.Passages {
			if err := b.add(p.Start, p.End, p.Text); err != nil {
				t.Fatal(err)
			}
		}
		got, err := b.finish(len(runes))
		if err != nil || got != string(runes) {
			t.Fatalf("text = %q, %v; want %q", got, err, string(runes))
		}
	})
}

// FuzzTextBuilder feeds what a damaged index may hold: it may be refused, but
// what is accepted has the length that was promised.
func FuzzTextBuilder(f *testing.F) {
	f.Add(0, 2, "ab", 3, 4, "d", "c", 4)
	f.Add(0, 2, "ab", 1, 4, "b\xffd", "", 4)
	f.Add(-1, 1, "ab", 1, 0, "", "ä", 1)
	f.Fuzz(func(t *testing.T, start1, end1 int, text1 string, start2, end2 int, text2, gap string, runes int) {
		b := textBuilder{gaps: []string{gap}}
		if b.add(start1, end1, text1) != nil || b.add(start2, end2, text2) != nil {
			return
		}
		text, err := b.finish(runes)
		if err == nil && utf8.RuneCountInString(text) != runes {
			t.Errorf("text %q has %d code points, want %d", text, utf8.RuneCountInString(text), runes)
		}
		if err != nil && !errors.Is(err, retriever.ErrCorrupt) {
			t.Errorf("finish: %v, want ErrCorrupt", err)
		}
	})
}

func TestNumberTermsSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float64().Draw(t, "a"), rapid.Float64().Draw(t, "b")
		if got, want := strings.Compare(floatTerm("k", a), floatTerm("k", b)), cmp.Compare(a, b); got != want {
			t.Errorf("terms of %v and %v compare %d, want %d", a, b, got, want)
		}
		years := rapid.Int64Range(-62_135_596_800, 253_402_300_799)
		s, u := time.Unix(years.Draw(t, "s"), 0), time.Unix(years.Draw(t, "u"), 0)
		if got, want := strings.Compare(timeTerm("k", s), timeTerm("k", u)), s.Compare(u); got != want {
			t.Errorf("terms of %v and %v compare %d, want %d", s, u, got, want)
		}
	})
}

func TestServerErrorIs(t *testing.T) {
	for name, test := range map[string]struct {
		refusal esclient.Error
		want    error
	}{
		"missing":  {esclient.Error{Status: http.StatusNotFound, Kind: "index_not_found_exception"}, retriever.ErrIndexNotFound},
		"exists":   {esclient.Error{Status: http.StatusBadRequest, Kind: "resource_already_exists_exception"}, retriever.ErrIndexExists},
		"full":     {esclient.Error{Status: http.StatusTooManyRequests, Kind: "cluster_block_exception", Reason: "disk usage exceeded flood-stage watermark"}, retriever.ErrNoSpace},
		"busy":     {esclient.Error{Status: http.StatusTooManyRequests, Kind: "es_rejected_execution_exception"}, retriever.ErrUnavailable},
		"gateway":  {esclient.Error{Status: http.StatusBadGateway}, retriever.ErrUnavailable},
		"not mine": {esclient.Error{Status: http.StatusBadRequest}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := known(&test.refusal)
			for _, sentinel := range []error{retriever.ErrIndexNotFound, retriever.ErrIndexExists, retriever.ErrNoSpace, retriever.ErrUnavailable} {
				if got, want := errors.Is(e, sentinel), sentinel == test.want; got != want {
					t.Errorf("Is(%v) = %v, want %v", sentinel, got, want)
				}
			}
		})
	}
}

// FuzzExplanation feeds trees of scores; a term comes from a node that names it.
func FuzzExplanation(f *testing.F) {
	f.Add([]byte(`{"value":1,"description":"sum of:","details":[{"value":1,"description":"weight(content:fox in 0) [x]","details":[{"value":2,"description":"freq, y"}]}]}`))
	f.Add([]byte(`{"description":"weight(content:"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e explanation
		if json.Unmarshal(data, &e) != nil || bytes.ContainsRune(data, '\\') {
			return
		}
		if terms, named := e.terms(nil), bytes.Count(data, []byte("weight(content:")); len(terms) > named {
			t.Errorf("%d terms of %d nodes", len(terms), named)
		}
	})
}

// TestHoles lets writers come and go; what none of them committed stays out.
func TestHoles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := state{}
		committed := map[int64]bool{}
		var begun []int64
		for range rapid.IntRange(1, 6).Draw(t, "writers") {
			s.nextEpoch(time.Now())
			number := firstOf(s.Epoch)
			for range rapid.IntRange(0, 4).Draw(t, "commits") {
				number++
				begun = append(begun, number)
				if !rapid.Bool().Draw(t, "committed") {
					break // the writer gives up; the next one follows
				}
				s.Committed = number
				committed[number] = true
			}
		}
		s.nextEpoch(time.Now())
		for _, number := range begun {
			valid := number <= s.Committed
			for _, h := range s.Holes {
				valid = valid && !(number >= h.From && number <= h.To)
			}
			if valid != committed[number] {
				t.Fatalf("number %d is valid: %v, want %v; state %+v", number, valid, committed[number], s)
			}
		}
	})
}
