//go:build unix

package pdf_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/ingest/pdf"
)

// TestOCRmyPDF runs the command of docs/formats.md over a real scan, alone and
// between pages with text.
func TestOCRmyPDF(t *testing.T) {
	for _, tool := range []string{"ocrmypdf", "tesseract"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	config := pdf.DefaultConfig()
	config.OCR = []string{"ocrmypdf", "--skip-text", "{input}", "{output}"}
	p := pdf.New(config)
	defer func() { _ = p.Close() }()
	for _, c := range []struct {
		file  string
		page  int
		pages int
	}{{"scanned.pdf", 1, 1}, {"partly-scanned.pdf", 2, 3}} {
		s, err := process(t.Context(), p, load(t, c.file), 1<<20)
		if err != nil || len(s.docs) != 1 || len(s.faults) != 0 {
			t.Fatalf("%s: got %d documents, faults %v, error %v", c.file, len(s.docs), s.faults, err)
		}
		pages := pagesOf(s.docs[0])
		if len(pages) != c.pages {
			t.Fatalf("%s: got %d pages, want %d", c.file, len(pages), c.pages)
		}
		if got, want := words(pages[c.page-1]), words("This sentence is part of a picture."); commonWords(got, want) < len(want) {
			t.Errorf("%s: got %q, want the words %q", c.file, got, want)
		}
	}
}

// TestOCREndsWithItsChildren stops a command in the middle, which has left the
// work to another process, as ocrmypdf does.
func TestOCREndsWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	script, note := filepath.Join(dir, "ocr"), filepath.Join(dir, "pid")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 600 &\necho $! > '"+note+"'\nwait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := pdf.DefaultConfig()
	config.OCR = []string{script, "{input}", "{output}"}
	config.OCRTimeout = time.Second
	p := pdf.New(config)
	defer func() { _ = p.Close() }()
	if _, err := process(t.Context(), p, load(t, "scanned.pdf"), 1<<20); !errors.Is(err, pdf.ErrOCR) || !strings.Contains(err.Error(), "ocr_timeout") {
		t.Fatalf("got error %v, want ErrOCR that names ocr_timeout", err)
	}
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if isDead(pid) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}

// isDead reports whether a process has ended, be it that nobody has asked how.
func isDead(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(state, "Z")
}
