package pdf_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/pdf"
)

// shared is one processor for all tests, because starting PDFium takes long.
var shared = pdf.New(pdf.DefaultConfig())

func TestMain(m *testing.M) {
	code := m.Run()
	if err := shared.Close(); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

// sink keeps what it is given.
type sink struct {
	docs   []ingest.Extracted
	faults []error
	max    int64
}

func (s *sink) Document(doc ingest.Extracted) error { s.docs = append(s.docs, doc); return nil }
func (s *sink) Fault(_ int, err error)              { s.faults = append(s.faults, err) }
func (s *sink) MaxDocumentBytes() int64             { return s.max }

func process(ctx context.Context, p *pdf.Processor, data []byte, maxBytes int64) (*sink, error) {
	s := &sink{max: maxBytes}
	file := ingest.File{ID: "docs/a_file.pdf", Path: "/docs/a_file.pdf"}
	return s, p.Process(ctx, file, io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), s)
}

func read(t *testing.T, path string) (ingest.Extracted, []error, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := process(t.Context(), shared, data, 1<<20)
	if err != nil || len(s.docs) == 0 {
		return ingest.Extracted{}, s.faults, err
	}
	if len(s.docs) != 1 {
		t.Fatalf("got %d documents, want 1", len(s.docs))
	}
	if err := s.docs[0].Validate(); err != nil {
		t.Error(err)
	}
	return s.docs[0], s.faults, nil
}

func load(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRefused(t *testing.T) {
	report := load(t, "chromium-report.pdf")
	hollow := append([]byte{}, report...)
	for i := 2000; i < len(hollow); i++ {
		hollow[i] = 'x'
	}
	cases := []struct {
		name string
		data []byte
		max  int64
		want error
	}{
		{"encrypted", load(t, "locked.pdf"), 1 << 20, pdf.ErrEncrypted},
		{"scanned", load(t, "scanned.pdf"), 1 << 20, pdf.ErrScanned},
		{"only the mark", []byte("%PDF-1.7\n"), 1 << 20, pdf.ErrMalformed},
		{"overwritten", hollow, 1 << 20, pdf.ErrMalformed},
		{"another format", []byte("%PDF-1.4\n<html><body>Not found</body></html>"), 1 << 20, pdf.ErrMalformed},
		{"too much text", report, 1000, ingest.ErrTooLarge},
		{"nested beyond reason", []byte("%PDF-1.4\n1 0 obj\n" + strings.Repeat("[", 200_000) + "\ntrailer<</Root 1 0 R>>"), 1 << 20, pdf.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := process(t.Context(), shared, c.data, c.max); !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
		})
	}
}

// TestTruncated cuts a file short everywhere: each piece is read as far as it
// goes or refused, and reading the whole file still works afterwards.
func TestTruncated(t *testing.T) {
	data := load(t, "typst-manual.pdf")
	for _, part := range []int{10, 50, 90, 99} {
		_, err := process(t.Context(), shared, data[:len(data)*part/100], 1<<20)
		if err != nil && !errors.Is(err, pdf.ErrMalformed) && !errors.Is(err, ingest.ErrEmpty) {
			t.Errorf("%d %% of the file: got error %v", part, err)
		}
	}
	if _, err := process(t.Context(), shared, data, 1<<20); err != nil {
		t.Errorf("the whole file: %v", err)
	}
}

func TestPartlyScanned(t *testing.T) {
	doc, faults, err := read(t, "testdata/partly-scanned.pdf")
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) != 1 || !strings.Contains(faults[0].Error(), "page 2 is without a text layer") {
		t.Errorf("got faults %v, want one that names page 2", faults)
	}
	if len(doc.Pages) != 3 || !strings.HasPrefix(pagesOf(doc)[2], "The first page") {
		t.Errorf("got pages at %v in %q", doc.Pages, doc.Text)
	}
}

func TestOCR(t *testing.T) {
	config := pdf.DefaultConfig()
	// The command stands for a program that adds a text layer.
	config.OCR = []string{"cp", "testdata/owner-only.pdf", "{output}", "--", "{input}"}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := dir + "/ocr"
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\ntest -s \"$1\" || exit 3\ncp '"+wd+"/testdata/owner-only.pdf' \"$2\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	config.OCR = []string{script, "{input}", "{output}"}
	p := pdf.New(config)
	defer func() { _ = p.Close() }()
	s, err := process(t.Context(), p, load(t, "scanned.pdf"), 1<<20)
	if err != nil || len(s.docs) != 1 || !strings.Contains(s.docs[0].Text, "Everybody may read it.") {
		t.Errorf("got %v, error %v; want the text that the command added", s.docs, err)
	}
	config.OCR = []string{"false", "{input}", "{output}"}
	failing := pdf.New(config)
	defer func() { _ = failing.Close() }()
	if _, err := process(t.Context(), failing, load(t, "scanned.pdf"), 1<<20); !errors.Is(err, pdf.ErrOCR) {
		t.Errorf("got error %v, want ErrOCR", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := process(ctx, shared, load(t, "chromium-report.pdf"), 1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}

func TestMatch(t *testing.T) {
	cases := []struct {
		name, head string
		want       ingest.Confidence
	}{
		{"a.pdf", "%PDF-1.7\n", ingest.Certain},
		{"a.txt", "%PDF-1.7\n", ingest.Certain},
		{"a.pdf", "\r\n\xEF\xBB\xBF%PDF-1.7\n", ingest.Certain},
		{"a.pdf", "HTTP/1.1 200 OK\r\n\r\n%PDF-1.7\n", ingest.Likely},
		{"a.txt", "A file starts with %PDF-1.7.\n", ingest.NoMatch},
		{"a.pdf", "plain text", ingest.NoMatch},
	}
	for _, c := range cases {
		if got := shared.Match(c.name, []byte(c.head)); got != c.want {
			t.Errorf("%s, %q: got %d, want %d", c.name, c.head, got, c.want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	bad := pdf.Config{Timeout: time.Millisecond, MemoryMiB: 1, OCR: []string{"ocr", "{input}"}}
	err := bad.Validate()
	for _, key := range []string{"timeout: 1ms", "memory_mib: 1;", "sandbox_files: 0;", "ocr: ", "ocr_timeout: 0s"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("got %v, want a line with %q", err, key)
		}
	}
}
