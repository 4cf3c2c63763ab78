package squad_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/squad"
)

// sink keeps what it is given.
type sink struct {
	docs   []ingest.Extracted
	faults []string
}

func (s *sink) Document(doc ingest.Extracted) error { s.docs = append(s.docs, doc); return nil }
func (s *sink) Fault(_ int, err error)              { s.faults = append(s.faults, err.Error()) }
func (s *sink) MaxDocumentBytes() int64             { return 4 << 10 }

func process(t testing.TB, content string) (*sink, error) {
	t.Helper()
	s := &sink{}
	file := ingest.File{ID: "squad2/dev.json", Path: "/squad2/dev.json"}
	return s, squad.Processor{}.Process(t.Context(), file, io.NewSectionReader(strings.NewReader(content), 0, int64(len(content))), s)
}

func TestProcess(t *testing.T) {
	article := func(title string, contexts ...string) string {
		var paragraphs []string
		for _, c := range contexts {
			paragraphs = append(paragraphs, `{"qas": [{"question": "Q?", "id": "1", "answers": [{"text": "a", "answer_start": 0}], "is_impossible": false}], "context": "`+c+`"}`)
		}
		return `{"title": "` + title + `", "paragraphs": [` + strings.Join(paragraphs, ",") + `]}`
	}
	cases := []struct {
		name, content string
		want          []string // id, title and text
		faults        []string
		wantErr       string
	}{
		{
			name:    "version first",
			content: `{"version": "v2.0", "data": [` + article("Old_Town", "One.", "Two.") + "," + article("B", "Three.") + `]}`,
			want:    []string{"squad2/dev.json#0/0 Old Town: One.", "squad2/dev.json#0/1 Old Town: Two.", "squad2/dev.json#1/0 B: Three."},
		},
		{
			name:    "data first, other keys, byte order mark",
			content: "\xEF\xBB\xBF" + `{"data": [` + article("A", "One.") + `], "version": "1.1", "about": {"x": [1]}}`,
			want:    []string{"squad2/dev.json#0/0 A: One."},
		},
		{
			name:    "a paragraph without text and an article of another shape",
			content: `{"data": [` + article("A", "One.", "", "Three.") + `, {"title": 7, "paragraphs": []}, ` + article("C", "Four.") + `]}`,
			want:    []string{"squad2/dev.json#0/0 A: One.", "squad2/dev.json#0/2 A: Three.", "squad2/dev.json#2/0 C: Four."},
			faults:  []string{`article 0 ("A"), paragraph 1 has no context`, "article 1: title is number, want string"},
		},
		{name: "no articles", content: `{"data": []}`, wantErr: "it holds no text"},
		{name: "no data", content: `{"version": "1"}`, wantErr: `it has no list "data" of articles`},
		{name: "cut off in an article", content: `{"data": [` + article("A", "One.") + `, {"title": "B"`, want: []string{"squad2/dev.json#0/0 A: One."}, wantErr: "article 1: broken JSON: the file breaks off after byte 187"},
		{name: "cut off between articles", content: `{"data": [` + article("A", "One."), want: []string{"squad2/dev.json#0/0 A: One."}, wantErr: "broken JSON: the file breaks off after byte 172"},
		{name: "broken", content: `{"data": [` + article("A", "One.") + `; x]}`, want: []string{"squad2/dev.json#0/0 A: One."}, wantErr: "article 1: broken JSON at byte 172: expected comma after array element"},
		{name: "not UTF-8", content: `{"data": [` + article("A", "\xff") + `]}`, wantErr: "article 0: it is not valid UTF-8 after byte 10"},
		{name: "an article without end", content: `{"data": [` + article("A", strings.Repeat("x", 8<<10)) + `]}`, wantErr: "article 0: it is too large for one document: one article has more than 4096 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := process(t, c.content)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if message != c.wantErr {
				t.Errorf("got error %q\nwant %q", message, c.wantErr)
			}
			var got []string
			for _, d := range s.docs {
				got = append(got, d.ID+" "+d.Title+": "+d.Text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if !slices.Equal(s.faults, c.faults) {
				t.Errorf("got faults %q, want %q", s.faults, c.faults)
			}
		})
	}
}

func FuzzProcess(f *testing.F) {
	f.Add(`{"version": "1", "data": [{"title": "T", "paragraphs": [{"context": "C", "qas": []}]}]}`)
	f.Add(`{"data": [{"title": 1}, {"paragraphs": [{}]}]`)
	f.Fuzz(func(t *testing.T, content string) {
		s, err := process(t, content)
		if err == nil && len(s.docs)+len(s.faults) == 0 {
			t.Error("a file without anything in it is no error")
		}
		if errors.Is(err, ingest.ErrEmpty) && len(s.docs) > 0 {
			t.Error("a file with documents is called empty")
		}
		for _, d := range s.docs {
			if strings.TrimSpace(d.Text) == "" || !strings.HasPrefix(d.ID, "squad2/dev.json#") {
				t.Errorf("got document %q with text %q", d.ID, d.Text)
			}
		}
	})
}
