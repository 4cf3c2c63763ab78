package jsonl_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/jsonl"
)

// sink notes "line id" for documents and "line!" for faults.
type sink struct {
	got   []string
	docs  []ingest.Extracted
	err   error
	fault error
}

func (s *sink) Document(doc ingest.Extracted) error {
	s.got = append(s.got, fmt.Sprint(doc.Line, " ", doc.ID))
	s.docs = append(s.docs, doc)
	return s.err
}

func (s *sink) Fault(line int, err error) {
	s.got = append(s.got, fmt.Sprint(line, "!"))
	s.fault = err
}

func (s *sink) MaxDocumentBytes() int64 { return 100 << 10 }

func process(t testing.TB, s *sink, content string) error {
	t.Helper()
	file := ingest.File{ID: "a.jsonl", Path: "/data/a.jsonl"}
	return jsonl.Processor{}.Process(t.Context(), file, io.NewSectionReader(strings.NewReader(content), 0, int64(len(content))), s)
}

func record(id, text string) string { return fmt.Sprintf(`{"id": %q, "text": %q}`, id, text) }

func TestLines(t *testing.T) {
	cases := []struct {
		name, content string
		want          []string
	}{
		{"two lines", record("a", "x") + "\n" + record("b", "y") + "\n", []string{"1 a", "2 b"}},
		{"no line break at the end, blank lines, Windows", "\n" + record("a", "x") + "\r\n  \r\n" + record("b", "y"), []string{"2 a", "4 b"}},
		{"byte order mark", "\xEF\xBB\xBF" + record("a", "x"), []string{"1 a"}},
		{"broken ones among good ones", "{\n" + record("a", "x") + "\nnull\n" + record("", "x") + "\n" + record("b", "y"), []string{"1!", "2 a", "3!", "4!", "5 b"}},
		{"a huge line", record("a", "x") + "\n" + record("h", strings.Repeat("x", 300<<10)) + "\n" + record("b", "y"), []string{"1 a", "2!", "3 b"}},
		{"a huge line at the end", record("a", "x") + "\n" + strings.Repeat("x", 300<<10), []string{"1 a", "2!"}},
		{"longer than the buffer", record("a", strings.Repeat("x", 90<<10)) + "\n" + record("b", "y"), []string{"1 a", "2 b"}},
		{"nothing", "", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &sink{}
			if err := process(t, s, c.content); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.got, c.want) {
				t.Errorf("got %q, want %q", s.got, c.want)
			}
			if strings.Contains(c.name, "huge") && !errors.Is(s.fault, ingest.ErrTooLarge) {
				t.Errorf("got fault %v, want ErrTooLarge", s.fault)
			}
		})
	}
}

func TestSource(t *testing.T) {
	s := &sink{}
	if err := process(t, s, record("a", "x")+"\n"+`{"id": "b", "text": "y", "source": "http://b"}`); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"/data/a.jsonl", "http://b"} {
		if got := s.docs[i].Source.URI; got != want {
			t.Errorf("document %d: got source %q, want %q", i, got, want)
		}
	}
}

func TestSinkErrorEndsReading(t *testing.T) {
	s := &sink{err: errors.New("stop")}
	if err := process(t, s, record("a", "x")+"\n"+record("b", "y")); !errors.Is(err, s.err) || len(s.got) != 1 {
		t.Errorf("got error %v after %q, want %v after one document", err, s.got, s.err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add(record("a", "x") + "\n{\n\n" + record("b", "y"))
	f.Fuzz(func(t *testing.T, content string) {
		s := &sink{}
		if err := process(t, s, content); err != nil {
			t.Fatal(err)
		}
		// Every line that is not blank is a document or a fault.
		want := 0
		for i, line := range strings.Split(content, "\n") {
			if i == 0 {
				line = strings.TrimPrefix(line, "\xEF\xBB\xBF")
			}
			if strings.TrimSpace(line) != "" {
				want++
			}
		}
		if len(s.got) != want {
			t.Errorf("%d lines gave %q", want, s.got)
		}
	})
}
