package api

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

func TestLoneSurrogate(t *testing.T) {
	cases := []struct {
		json string
		at   int
	}{
		{`"plain"`, -1},
		{`"\u0041"`, -1},
		{`"\ud83d\ude00"`, -1},
		{`"\uD83D\uDE00\ud83d\ude00"`, -1},
		{`"\\ud83d"`, -1}, // a backslash and the letters ud83d
		{`"\\\ud83d"`, 3},
		{`"\ud83d"`, 1},
		{`"\ud83dx"`, 1},
		{`"\ud83d\n"`, 1},
		{`"\ud83d\ud83d\ude00"`, 1},
		{`"\ude00"`, 1},
		{`"ab\udfff"`, 3},
		{`"\ud83`, -1}, // broken anyway
		{`"\`, -1},
	}
	for _, c := range cases {
		if got := loneSurrogate([]byte(c.json)); got != c.at {
			t.Errorf("%s: got %d, want %d", c.json, got, c.at)
		}
	}
}

// FuzzDecodeJSON compares with encoding/json: what is accepted decodes to the
// same value there, and nothing of the text is lost.
func FuzzDecodeJSON(f *testing.F) {
	for _, body := range []string{`{"question":"x"}`, `{"question":"\ud83d\ude00","filter":{"or":[{"field":"a","in":[1,"b",true]}]}}`, `{"Question":"x"}`, `{"question":"x","question":"y"}`, `{"top_k":1e2}`, `{} x`, `{"budget_ms":-0}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var got wire.Ask
		err := decodeJSON([]byte(body), &got, false)
		if err != nil {
			var own problemError
			if !errors.As(err, &own) && !errors.Is(err, pipeline.ErrInvalidText) {
				t.Errorf("%q: got %v, want a problem of the body", body, err)
			}
			return
		}
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.DisallowUnknownFields()
		var want wire.Ask
		if err := decoder.Decode(&want); err != nil || decoder.More() {
			t.Errorf("%q: accepted, encoding/json says %v", body, err)
		}
		if got.Question != want.Question || got.TopK != want.TopK || got.BudgetMS != want.BudgetMS {
			t.Errorf("%q: got %+v, want %+v", body, got, want)
		}
		if !utf8.ValidString(got.Question) || strings.Contains(got.Question, "\x00") {
			t.Errorf("%q: accepted the question %q", body, got.Question)
		}
	})
}

func BenchmarkDecodeDocument(b *testing.B) {
	data, err := json.Marshal(wire.Document{ID: "a", Title: "t", Text: strings.Repeat("Some words of a document with \"quotes\" and\nlines. ", 200), Metadata: map[string]any{"year": 1, "tags": []string{"a"}}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var d wire.Document
		if err := decodeJSON(data, &d, true); err != nil {
			b.Fatal(err)
		}
	}
}
