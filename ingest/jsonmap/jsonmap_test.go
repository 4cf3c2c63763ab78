package jsonmap_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/jsonmap"
)

type sink struct {
	docs   []ingest.Extracted
	faults []string
}

func (s *sink) Document(doc ingest.Extracted) error { s.docs = append(s.docs, doc); return nil }
func (s *sink) Fault(_ int, err error)              { s.faults = append(s.faults, err.Error()) }
func (s *sink) MaxDocumentBytes() int64             { return 4 << 10 }

func process(t testing.TB, config jsonmap.Config, content string) (*sink, error) {
	s := &sink{}
	return s, jsonmap.New(config).Process(t.Context(), ingest.File{ID: "a.json", Path: "a.json"}, io.NewSectionReader(strings.NewReader(content), 0, int64(len(content))), s)
}

func TestProcess(t *testing.T) {
	for _, c := range []struct {
		name, content string
		config        jsonmap.Config
		want, faults  []string
		wantErr       string
	}{
		{name: "BEIR", content: `{"_id": "d1", "title": "T", "text": "One.", "metadata": {}}` + "\n" + `{"_id": "d2", "title": "", "text": "Two."}`, want: []string{"d1|T|One.", "d2||Two."}},
		{name: "array", content: "\xEF\xBB\xBF [ {\"name\": \"N\", \"body\": \"B\"}, {\"id\": 7, \"content\": \"C\"} ] ", want: []string{"a.json#1|N|B", "7||C"}},
		{
			name: "mapping", content: `{"meta": {"x": [1]}, "result": {"hits": [{"key": "k", "doc": {"h": "H", "p": ["a", "b"]}, "n": 3}]}}`,
			config: jsonmap.Config{Records: "result.hits", ID: "key", Title: "doc.h", Text: []string{"doc.p"}, Metadata: []string{"n"}}, want: []string{"k|H|a\nb"},
		},
		{name: "one without text", content: `[{"text": "x"}, {"text": ""}, 5]`, want: []string{"a.json#1||x"}, faults: []string{"object 2 has no text", "value 3 is no object"}},
		{name: "settings", content: `{"port": 80, "tls": {"on": true}}`, wantErr: "set ingest.json.text"},
		{name: "no such array", content: `{"a": 1}`, config: jsonmap.Config{Records: "b"}, wantErr: `it has no "b"`},
		{name: "cut off", content: `[{"text": "x"}, {"te`, want: []string{"a.json#1||x"}, wantErr: "after 1 objects: broken JSON"},
		{name: "an object without end", content: `[{"text": "` + strings.Repeat("x", 8<<10), wantErr: "too large"},
		{name: "deep", content: strings.Repeat("[", 3000), wantErr: "object"},
		{name: "not UTF-8", content: "[{\"text\": \"\xff\"}]", wantErr: ingest.ErrEncoding.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := process(t, c.config, c.content)
			if c.wantErr == "" && err != nil || c.wantErr != "" && (err == nil || !strings.Contains(err.Error(), c.wantErr)) {
				t.Fatalf("error %v, want %q", err, c.wantErr)
			}
			var got []string
			for _, d := range s.docs {
				got = append(got, d.ID+"|"+d.Title+"|"+d.Text)
			}
			if !slices.Equal(got, c.want) || !slices.Equal(s.faults, c.faults) {
				t.Errorf("got %q, faults %q; want %q, %q", got, s.faults, c.want, c.faults)
			}
			if c.name == "mapping" && s.docs[0].Metadata["n"] != int64(3) {
				t.Errorf("metadata %v, want n", s.docs[0].Metadata)
			}
		})
	}
}

func FuzzProcess(f *testing.F) {
	f.Add(`[{"text": "x"}]`)
	f.Add(`{"_id": "1", "text": "x"} {"text": "y"}`)
	f.Fuzz(func(t *testing.T, content string) {
		s, _ := process(t, jsonmap.Config{}, content)
		for _, d := range s.docs {
			if strings.TrimSpace(d.Text) == "" {
				t.Errorf("document %q has no text", d.ID)
			}
		}
	})
}
