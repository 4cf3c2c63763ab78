package pdf_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/ingest/pdf"
)

// TestSandboxForgets reads files one after the other in the same sandbox, also
// after some that cannot be read, and in both orders: each must give what it
// gives in a sandbox of its own.
func TestSandboxForgets(t *testing.T) {
	files, err := filepath.Glob("testdata/*.pdf")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	inputs := map[string][]byte{"truncated": load(t, "chromium-report.pdf")[:20_000], "hollow": append([]byte("%PDF-1.7\n"), make([]byte, 5000)...)}
	order := []string{"truncated", "hollow"}
	for _, file := range files {
		name := filepath.Base(file)
		inputs[name] = load(t, name)
		order = append(order, name)
	}
	config := pdf.DefaultConfig()
	config.SandboxFiles = 1
	alone := pdf.New(config)
	defer func() { _ = alone.Close() }()
	want := map[string]string{}
	for _, name := range order {
		s, err := process(t.Context(), alone, inputs[name], 1<<20)
		want[name] = fmt.Sprint(s.docs, s.faults, err)
	}
	for i := range 3 * len(order) {
		name := order[i%len(order)]
		if i >= len(order) { // backwards, twice
			name = order[len(order)-1-i%len(order)]
		}
		s, err := process(t.Context(), shared, inputs[name], 1<<20)
		if got := fmt.Sprint(s.docs, s.faults, err); got != want[name] {
			t.Errorf("%s after other files: got\n%.500s\nwant\n%.500s", name, got, want[name])
		}
	}
}

// manyWords returns a file whose only page shows that many pieces of text, which
// takes PDFium long.
func manyWords(t testing.TB, count int) []byte {
	t.Helper()
	var content bytes.Buffer
	w := zlib.NewWriter(&content)
	if _, err := w.Write(bytes.Repeat([]byte("BT /F 9 Tf 20 20 Td (word) Tj ET\n"), count)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return assemble(
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
		fmt.Sprintf("<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream", content.Len(), content.Bytes()),
	)
}

// assemble makes a file of objects, the first of which is the catalogue.
func assemble(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var offsets []int
	for i, object := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

// TestTimeout ends reading in the middle of a page, more often than there are
// sandboxes, and then reads on.
func TestTimeout(t *testing.T) {
	config := pdf.DefaultConfig()
	config.Timeout = 100 * time.Millisecond
	p := pdf.New(config)
	defer func() { _ = p.Close() }()
	slow := manyWords(t, 2_000_000)
	for range 6 {
		if _, err := process(t.Context(), p, slow, 1<<30); !errors.Is(err, pdf.ErrTimeout) {
			t.Fatalf("got error %v, want ErrTimeout", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := process(ctx, p, slow, 1<<30); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want context.DeadlineExceeded", err)
	}
	if s, err := process(t.Context(), p, load(t, "owner-only.pdf"), 1<<20); err != nil && !errors.Is(err, pdf.ErrTimeout) { // a slow machine
		t.Errorf("another file: got %v, error %v", s.docs, err)
	}
}

// TestMemoryLimit reads a page that needs more memory than is allowed.
func TestMemoryLimit(t *testing.T) {
	config := pdf.DefaultConfig()
	config.MemoryMiB = 64
	p := pdf.New(config)
	defer func() { _ = p.Close() }()
	if s, err := process(t.Context(), p, manyWords(t, 2_000_000), 1<<30); err == nil {
		t.Errorf("got %d documents and no error", len(s.docs))
	}
	s, err := process(t.Context(), p, load(t, "owner-only.pdf"), 1<<20)
	if err != nil || len(s.docs) != 1 || !strings.Contains(s.docs[0].Text, "Everybody may read it.") {
		t.Errorf("another file: got %v, error %v", s.docs, err)
	}
}
