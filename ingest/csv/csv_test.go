package csv_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/csv"
)

// sink keeps what it is given.
type sink struct{ docs []ingest.Extracted }

func (s *sink) Document(doc ingest.Extracted) error { s.docs = append(s.docs, doc); return nil }
func (s *sink) Fault(int, error)                    {}
func (s *sink) MaxDocumentBytes() int64             { return 4 << 10 }

func process(t testing.TB, config csv.Config, name, content string) ([]string, []ingest.Extracted, error) {
	s := &sink{}
	err := csv.New(config).Process(t.Context(), ingest.File{ID: name, Path: name}, io.NewSectionReader(strings.NewReader(content), 0, int64(len(content))), s)
	var got []string
	for _, d := range s.docs {
		got = append(got, d.ID+" | "+d.Title+" | "+strings.ReplaceAll(d.Text, "\n", " / "))
	}
	return got, s.docs, err
}

func TestProcess(t *testing.T) {
	for _, c := range []struct {
		name, file, content string
		config              csv.Config
		want                []string
		wantErr             string
	}{
		{
			name: "commas, quotes, header", file: "a.csv",
			content: "id,title,Place,Note\n7,Kiln,Brno,\"hot, very\nhot\"\n8,Beacon,Delft,violet\n",
			want:    []string{"a.csv#7 | Kiln | title: Kiln / Place: Brno / Note: hot, very hot", "a.csv#8 | Beacon | title: Beacon / Place: Delft / Note: violet"},
		},
		{
			name: "semicolons and numbers", file: "a.csv", content: "Ort;Preis\nBrno;12,50\nDelft;9,00\n",
			want: []string{"a.csv#row-1 | a, row 1 | Ort: Brno / Preis: 12,50", "a.csv#row-2 | a, row 2 | Ort: Delft / Preis: 9,00"},
		},
		{name: "tabs without a header", file: "a.tsv", content: "1\tx\n2\ty\n", want: []string{"a.tsv#row-1 | a, row 1 | 1 / x", "a.tsv#row-2 | a, row 2 | 2 / y"}},
		{
			name: "mapping", file: "a.csv", content: "key,head,body,place\nk1,First,The text.,Brno\n",
			config: csv.Config{ID: "key", Title: "HEAD", Text: []string{"body"}, Metadata: []string{"place"}},
			want:   []string{"a.csv#k1 | First | The text."},
		},
		{name: "a column is missing", file: "a.csv", content: "key,body\n1,x\n", config: csv.Config{ID: "key", Title: "name"}, wantErr: `no column "name"`},
		{name: "a quote without end", file: "a.csv", content: "a,b,c\n\"" + strings.Repeat("x\n", 4<<10), wantErr: "too large"},
		{name: "nothing", file: "a.csv", content: "\n\n", wantErr: ingest.ErrEmpty.Error()},
		{name: "byte order mark", file: "a.csv", content: "\xEF\xBB\xBFid,b,c\n1,x,y\n2,x,y\n", want: []string{"a.csv#1 | a, row 1 | b: x / c: y", "a.csv#2 | a, row 2 | b: x / c: y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, docs, err := process(t, c.config, c.file, c.content)
			if c.wantErr == "" && err != nil || c.wantErr != "" && (err == nil || !strings.Contains(err.Error(), c.wantErr)) {
				t.Fatalf("error %v, want %q", err, c.wantErr)
			}
			if c.wantErr == "" && !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if len(c.config.Metadata) > 0 && len(docs) > 0 && docs[0].Metadata["place"] != "Brno" {
				t.Errorf("metadata %v, want the place", docs[0].Metadata)
			}
		})
	}
}

func FuzzProcess(f *testing.F) {
	f.Add("id,b\n1,\"x\"\n2,y\n")
	f.Add("a;b;c\n\"1\";2;3\n")
	f.Fuzz(func(t *testing.T, content string) {
		_, docs, err := process(t, csv.Config{}, "a.csv", content)
		if err != nil && errors.Is(err, ingest.ErrEmpty) && len(docs) > 0 {
			t.Errorf("%d documents and %v", len(docs), err)
		}
		for _, d := range docs {
			if strings.TrimSpace(d.Text) == "" || len(d.Text) > 4<<10 {
				t.Errorf("document %q has %d bytes of text", d.ID, len(d.Text))
			}
		}
	})
}
