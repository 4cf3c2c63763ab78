package ingest_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
)

func TestReadText(t *testing.T) {
	cases := []struct {
		name, content string
		want          string
		offset        int
		wantErr       error
	}{
		{name: "plain", content: "a\r\nb\n", want: "a\r\nb\n"},
		{name: "UTF-8 mark", content: "\xEF\xBB\xBFab", want: "ab", offset: 1},
		{name: "UTF-16 little-endian", content: "\xFF\xFEa\x00\xE9\x00\x3D\xD8\x00\xDE", want: "a\u00e9\U0001F600", offset: 1},
		{name: "UTF-16 big-endian", content: "\xFE\xFF\x00a\x00\xE9", want: "a\u00e9", offset: 1},
		{name: "UTF-16 cut off", content: "\xFF\xFEa\x00\xE9", wantErr: ingest.ErrEncoding},
		{name: "UTF-16 half a pair", content: "\xFF\xFE\x3D\xD8", wantErr: ingest.ErrEncoding},
		{name: "UTF-32", content: "\xFF\xFE\x00\x00a\x00\x00\x00", want: "a", offset: 1},
		{name: "NUL", content: "a\x00b", wantErr: ingest.ErrBinary},
		{name: "Latin-1", content: "Caf\xe9", want: "Café"},
		{name: "damaged UTF-8", content: "Café à côté, déjà \xff vu", wantErr: ingest.ErrEncoding},
		{name: "random bytes", content: "\x01\x02\xff\x03\x04", wantErr: ingest.ErrBinary},
		{name: "white space", content: " \u00a0\n", wantErr: ingest.ErrEmpty},
		{name: "too large", content: strings.Repeat("x", 101), wantErr: ingest.ErrTooLarge},
		{name: "large and binary", content: strings.Repeat("\x00", 101), wantErr: ingest.ErrBinary},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ingest.ReadText(io.NewSectionReader(strings.NewReader(c.content), 0, int64(len(c.content))), 100)
			if !errors.Is(err, c.wantErr) {
				t.Fatalf("got error %v, want %v", err, c.wantErr)
			}
			if err == nil && (got.Text != c.want || got.Offset != c.offset) {
				t.Errorf("got %+v, want %q at %d", got, c.want, c.offset)
			}
		})
	}
	// A file that is shorter than when it was found.
	if _, err := ingest.ReadText(io.NewSectionReader(strings.NewReader("abc"), 0, 10), 100); !errors.Is(err, ingest.ErrChanged) {
		t.Errorf("shrunk file: got %v, want ErrChanged", err)
	}
}

func TestChoiceByContent(t *testing.T) {
	squadFile := `{"version": "1.1", "data": [{"title": "T", "paragraphs": []}]}`
	record := `{"id": "a", "text": "b"}`
	cases := []struct{ name, file, head, want string }{
		{"text", "a.txt", "Hello", "text"},
		{"no extension", "README", "Hello", "text"},
		{"unknown extension", "a.conf", "x = 1", "text"},
		{"a footnote is no JSON", "a.txt", "[1] See there.", "text"},
		{"Markdown", "A.MD", "# Hello", "markdown"},
		{"Markdown that starts with HTML", "a.md", "<p align=center>", "markdown"},
		{"a picture called Markdown", "a.md", "\x89PNG\r\n\x1a\n\x00", ""},
		{"JSON Lines", "a.jsonl", record + "\n" + record, "jsonl"},
		{"JSON Lines under another name", "a.txt", record + "\n" + record, "jsonl"},
		{"JSON Lines with a long first line", "a.json", `{"id": "a", "text": "` + strings.Repeat("x", ingest.HeadBytes), "jsonl"},
		{"JSON Lines that start broken", "a.jsonl", "oops\n" + record, "jsonl"},
		{"binary called JSON Lines", "a.jsonl", "\x00\x01", ""},
		{"SQuAD", "a.json", squadFile, "squad"},
		{"SQuAD under another name", "a.jsonl", squadFile, "squad"},
		{"SQuAD, indented", "a.json", strings.ReplaceAll(squadFile, " ", "\n  "), "squad"},
		{"other JSON", "a.json", "{\n  \"name\": \"x\"\n}", ""},
		{"HTML", "a.txt", "\n<!DOCTYPE HTML><p>", ""},
		{"PDF", "a.txt", "%PDF-1.7", ""},
		{"Office", "a.md.txt", "PK\x03\x04", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, best := "", ingest.NoMatch
			for _, p := range processors() {
				head := c.head[:min(len(c.head), ingest.HeadBytes)]
				if confidence := p.Match(c.file, []byte(head)); confidence > best {
					got, best = p.Name(), confidence
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
