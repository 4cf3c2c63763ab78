package text_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/text"
)

// sink keeps the last document.
type sink struct{ doc ingest.Extracted }

func (s *sink) Document(doc ingest.Extracted) error { s.doc = doc; return nil }
func (s *sink) Fault(int, error)                    {}
func (s *sink) MaxDocumentBytes() int64             { return 100 }

func TestProcess(t *testing.T) {
	cases := []struct {
		name, content string
		want          string
		offset        int
		wantErr       error
	}{
		{name: "verbatim", content: "  A line.\r\n\tAnother  one.\n\n", want: "  A line.\r\n\tAnother  one.\n\n"},
		{name: "byte order mark", content: "\xEF\xBB\xBFText", want: "Text", offset: 1},
		{name: "binary behind the start", content: "Text\x00", wantErr: ingest.ErrBinary},
		{name: "blank", content: "\n", wantErr: ingest.ErrEmpty},
		{name: "too large", content: strings.Repeat("x", 101), wantErr: ingest.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &sink{}
			file := ingest.File{ID: "docs/sub/my_great-file.v2.txt", Path: "/docs/sub/my_great-file.v2.txt"}
			err := text.Processor{}.Process(t.Context(), file, io.NewSectionReader(strings.NewReader(c.content), 0, int64(len(c.content))), s)
			if !errors.Is(err, c.wantErr) {
				t.Fatalf("got error %v, want %v", err, c.wantErr)
			}
			if err != nil {
				return
			}
			d := s.doc
			if d.Text != c.want || d.Source.TextOffset != c.offset || !d.Source.Verbatim {
				t.Errorf("got %q at %d (verbatim %t), want %q at %d (verbatim true)", d.Text, d.Source.TextOffset, d.Source.Verbatim, c.want, c.offset)
			}
			if d.ID != file.ID || d.Title != "my great file.v2" || d.Source.URI != file.Path {
				t.Errorf("got id %q, title %q, source %q", d.ID, d.Title, d.Source.URI)
			}
		})
	}
}
