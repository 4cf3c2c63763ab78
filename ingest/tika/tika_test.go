package tika_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/tika"
)

type sink struct{ docs []ingest.Extracted }

func (s *sink) Document(doc ingest.Extracted) error { s.docs = append(s.docs, doc); return nil }
func (s *sink) Fault(int, error)                    {}
func (s *sink) MaxDocumentBytes() int64             { return 1 << 20 }

func process(t *testing.T, url, content string) (ingest.Extracted, error) {
	t.Helper()
	config := tika.DefaultConfig()
	config.URL = url
	s := &sink{}
	file := ingest.File{ID: "docs/a.doc", Path: "/docs/a.doc"}
	err := tika.New(config).Process(t.Context(), file, io.NewSectionReader(strings.NewReader(content), 0, int64(len(content))), s)
	if err != nil {
		return ingest.Extracted{}, err
	}
	return s.docs[0], nil
}

// TestRealServer asks a real server; deploy/tika/test-server.sh starts one.
func TestRealServer(t *testing.T) {
	url := os.Getenv("NEEDLE_TIKA_URL")
	if url == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("NEEDLE_TIKA_URL is not set")
		}
		t.Skip("NEEDLE_TIKA_URL is not set: no Tika server to ask (deploy/tika/test-server.sh start)")
	}
	t.Run("PDF with pages", func(t *testing.T) {
		data, err := os.ReadFile("../pdf/testdata/typst-manual.pdf")
		if err != nil {
			t.Fatal(err)
		}
		doc, err := process(t, url, string(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(doc.Pages) != 3 || doc.Title != "Field manual" || doc.Metadata["author"] != "Ada Brook" || doc.Metadata["pages"] != int64(3) {
			t.Errorf("got %d pages, title %q, metadata %v", len(doc.Pages), doc.Title, doc.Metadata)
		}
		if !strings.Contains(doc.Text, "The parent who gives birth") || doc.Source.MediaType != "application/pdf" {
			t.Errorf("got %s: %.300s", doc.Source.MediaType, doc.Text)
		}
		if err := doc.Validate(); err != nil {
			t.Error(err)
		}
	})
	t.Run("encrypted", func(t *testing.T) {
		data, err := os.ReadFile("../pdf/testdata/locked.pdf")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := process(t, url, string(data)); !errors.Is(err, tika.ErrEncrypted) {
			t.Errorf("got error %v, want ErrEncrypted", err)
		}
	})
	t.Run("truncated", func(t *testing.T) {
		if _, err := process(t, url, "%PDF-1.7\n1 0 obj"); err == nil {
			t.Error("got no error for a file that is cut off")
		}
	})
	t.Run("web page", func(t *testing.T) {
		doc, err := process(t, url, "<html><head><title>The title</title></head><body><h1>One</h1><p>Text.</p><table><tr><td>a</td><td>b</td></tr></table></body></html>")
		if err != nil {
			t.Fatal(err)
		}
		if want := "One\n\nText.\n\na | b"; doc.Text != want || doc.Title != "The title" {
			t.Errorf("got %q, title %q; want %q", doc.Text, doc.Title, want)
		}
	})
}

// TestServerFaults uses a stand-in for a server that misbehaves as a real one
// cannot be made to.
func TestServerFaults(t *testing.T) {
	cases := []struct {
		name    string
		handler http.HandlerFunc
		want    error
	}{
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }, tika.ErrServer},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, tika.ErrServer},
		{"nothing", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }, ingest.ErrEmpty},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, tika.ErrServer},
		{"without end", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `[{"X-TIKA:content":"`)
			for range 200 {
				_, _ = io.WriteString(w, strings.Repeat("x", 1<<16))
			}
		}, ingest.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			if _, err := process(t, server.URL, "x"); !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
		})
	}
	if _, err := process(t, "http://127.0.0.1:1", "x"); !errors.Is(err, tika.ErrServer) {
		t.Errorf("no server: got error %v, want ErrServer", err)
	}
}

func TestMatch(t *testing.T) {
	config := tika.DefaultConfig()
	config.Types = []string{".doc", "*"}
	p := tika.New(config)
	got := map[string]ingest.Confidence{}
	for name, head := range map[string]string{"a.doc": "text", "a.bin": "\x00\x01", "a.txt": "text", "a.pdf": "%PDF-1.7"} {
		got[name] = p.Match(name, []byte(head))
	}
	want := map[string]ingest.Confidence{"a.doc": ingest.Certain, "a.bin": ingest.Fallback, "a.txt": ingest.NoMatch, "a.pdf": ingest.Fallback}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	err := tika.Config{URL: "localhost:9998", Types: []string{"doc"}, Timeout: time.Millisecond}.Validate()
	for _, key := range []string{"url: ", "types: ", "timeout: "} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("got %v, want a line with %q", err, key)
		}
	}
	if err := tika.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
