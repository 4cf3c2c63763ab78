package backup_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/backup"
)

// fixed is a snapshot of given entries.
type fixed struct {
	entries []retriever.Entry
	stats   retriever.Statistics
	err     error
}

func (f *fixed) Stats() retriever.Statistics { return f.stats }
func (f *fixed) Close() error                { return nil }
func (f *fixed) Entries(context.Context) iter.Seq2[retriever.Entry, error] {
	return func(yield func(retriever.Entry, error) bool) {
		for _, e := range f.entries {
			if !yield(e, nil) {
				return
			}
		}
		if f.err != nil {
			yield(retriever.Entry{}, f.err)
		}
	}
}

func sample() *fixed {
	return &fixed{
		entries: []retriever.Entry{
			{
				Document: retriever.Document{
					ID: "a <b> 日", Title: "Käfer", Text: "ä🐞 one.\nTwo. <end>\u2028", Groups: []string{"g"}, Language: "de",
					Metadata: map[string]any{"s": "x", "l": []string{}, "i": int64(1) << 60, "f": 0.1, "b": false, "t": time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)},
					Source:   retriever.Source{URI: "x.md", MediaType: "text/markdown", ModifiedAt: time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC), Verbatim: true},
				},
				Passages: []retriever.Passage{
					{DocumentID: "a <b> 日", Start: 0, End: 7, Text: "ä🐞 one."},
					{DocumentID: "a <b> 日", Ordinal: 1, Start: 3, End: 12, Text: "one.\nTwo.", Page: 2, Headings: []string{"H"}},
				},
				ContentHash: "hash",
			},
			{
				Document: retriever.Document{ID: "b", Text: "plain"},
				Passages: []retriever.Passage{{DocumentID: "b", End: 5, Text: "plain"}},
			},
		},
		stats: retriever.Statistics{Name: "docs", Documents: 2, Passages: 3, Generation: 7, Analyzer: "en", K1: 1.2, B: 0.75, Fields: map[string]retriever.FieldType{"s": retriever.Keyword}},
	}
}

func written(t testing.TB, s *fixed) []byte {
	t.Helper()
	var file bytes.Buffer
	if _, err := backup.Write(context.Background(), &file, backup.Header{Created: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Sources: []byte(`{"x":1}`)}, s); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestRoundTrip(t *testing.T) {
	s := sample()
	r, err := backup.NewReader(bytes.NewReader(written(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	if h := r.Header(); !reflect.DeepEqual(h.Index, s.stats) || string(h.Sources) != `{"x":1}` || h.Format != backup.Format {
		t.Errorf("header = %+v", h)
	}
	var got []retriever.Entry
	for e, err := range r.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if !reflect.DeepEqual(got, s.entries) {
		t.Errorf("entries = %+v\nwant %+v", got, s.entries)
	}
	if sum := r.Summary(); sum.Documents != 2 || sum.Passages != 3 || len(sum.SHA256) != 64 {
		t.Errorf("summary = %+v", sum)
	}
}

func TestWriteFails(t *testing.T) {
	broken := errors.New("broken")
	s := sample()
	s.err = broken
	if _, err := backup.Write(t.Context(), io.Discard, backup.Header{}, s); !errors.Is(err, broken) {
		t.Errorf("Write: %v, want the snapshot's error", err)
	}
	s = sample()
	s.stats.Documents = 3
	if _, err := backup.Write(t.Context(), io.Discard, backup.Header{}, s); !errors.Is(err, retriever.ErrCorrupt) {
		t.Errorf("Write of an index that miscounts: %v, want ErrCorrupt", err)
	}
}

// unpack and pack let a test change the lines.
func unpack(t testing.TB, file []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func pack(t testing.TB, lines string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, lines); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDamage(t *testing.T) {
	file := written(t, sample())
	lines := strings.SplitAfter(unpack(t, file), "\n")
	replaced := func(old, new string) []byte {
		t.Helper()
		all := strings.Join(lines, "")
		if !strings.Contains(all, old) {
			t.Fatalf("no %q in %s", old, all)
		}
		return pack(t, strings.Replace(all, old, new, 1))
	}
	for name, test := range map[string]struct {
		file []byte
		want error
	}{
		"empty":            {nil, retriever.ErrCorrupt},
		"not packed":       {[]byte("hello"), retriever.ErrCorrupt},
		"another file":     {pack(t, `{"x": 1}`+"\n"), retriever.ErrCorrupt},
		"cut short":        {file[:len(file)-9], retriever.ErrCorrupt},
		"half":             {file[:len(file)/2], retriever.ErrCorrupt},
		"more behind":      {append(bytes.Clone(file), 'x'), retriever.ErrCorrupt},
		"twice":            {append(bytes.Clone(file), file...), retriever.ErrCorrupt},
		"no end":           {pack(t, strings.Join(lines[:3], "")), retriever.ErrCorrupt},
		"document missing": {pack(t, lines[0]+lines[1]+lines[3]), retriever.ErrCorrupt},
		"document changed": {replaced("plain", "plaim"), retriever.ErrCorrupt},
		"header changed":   {replaced(`"analyzer":"en"`, `"analyzer":"de"`), retriever.ErrCorrupt},
		"order":            {pack(t, lines[0]+lines[2]+lines[1]+lines[3]), retriever.ErrCorrupt},
		"line behind":      {pack(t, strings.Join(lines, "")+"{}\n"), retriever.ErrCorrupt},
		"passage beyond":   {replaced(`"end":5`, `"end":6`), retriever.ErrCorrupt},
		"passage huge":     {replaced(`"end":5`, `"end":5000000000`), retriever.ErrCorrupt},
		"passage backward": {replaced(`"start":3`, `"start":-3`), retriever.ErrCorrupt},
		"newer format":     {replaced(`"format":1`, `"format":2`), retriever.ErrVersion},
		"newer, odd shape": {replaced(`"format":1,"created":"2024-01-01T00:00:00Z"`, `"format":2,"created":5`), retriever.ErrVersion},
		"format 0":         {replaced(`"format":1`, `"format":0`), retriever.ErrCorrupt},
		"unknown line":     {pack(t, lines[0]+"{\"colour\":1}\n"), retriever.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := backup.Verify(t.Context(), bytes.NewReader(test.file)); !errors.Is(err, test.want) {
				t.Errorf("Verify: %v, want %v", err, test.want)
			}
		})
	}
	for i := range file {
		if i >= 3 && i <= 9 {
			continue // flags, time and system of gzip, which mean nothing
		}
		spoilt := bytes.Clone(file)
		spoilt[i] ^= 0x20
		if _, _, err := backup.Verify(t.Context(), bytes.NewReader(spoilt)); err == nil {
			t.Errorf("a change of byte %d of %d is not noticed", i, len(file))
		}
	}
	if _, _, err := backup.Verify(t.Context(), bytes.NewReader(file)); err != nil {
		t.Errorf("the whole file: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := backup.Verify(ctx, bytes.NewReader(written(t, sample()))); !errors.Is(err, context.Canceled) || errors.Is(err, retriever.ErrCorrupt) {
		t.Errorf("Verify: %v, want context.Canceled", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(unpack(f, written(f, sample())))
	f.Add("{\"magic\":\"needle-backup\",\"format\":1}\n{\"document\":{\"id\":\"a\",\"text\":\"b\",\"passages\":[{\"end\":1}]}}\n")
	f.Fuzz(func(t *testing.T, lines string) {
		r, err := backup.NewReader(bytes.NewReader(pack(t, lines)))
		if err != nil {
			return
		}
		for e, err := range r.Entries(t.Context()) {
			if err != nil {
				return
			}
			if err := e.Validate(); err != nil {
				t.Errorf("an entry was read that may not be stored: %v", err)
			}
		}
	})
}
