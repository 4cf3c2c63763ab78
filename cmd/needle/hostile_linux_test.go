package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/ingest"
)

// hostileMiB is what a process that takes in hostile files may hold at most,
// whatever their size, two at a time. It takes most for records of nearly the
// greatest length that is allowed, which are held several times while they grow,
// and for a PDF file, whose sandbox has a bound of its own.
const hostileMiB = 1536

// sparseBytes is more than any of the bounds, and takes no place on disk.
const sparseBytes = 10 << 30

// A hostile is a file that wants to do harm.
type hostile struct {
	name string
	make func(t *testing.T, path string)
}

// sparse makes a file of 10 GB that begins as files of its kind do, and holds
// nothing but zeros then.
func sparse(name, head string) hostile { return hole(name, head, sparseBytes) }

// wordy is a sparse file whose zeros begin beyond what is looked at to tell
// what kind of file it is. Formats of records are read to their end, so it has 1
// GB only.
func wordy(name, head string) hostile {
	return hole(name, head+strings.Repeat("more words ", 10_000), 1<<30)
}

func hole(name, head string, size int64) hostile {
	return hostile{name, func(t *testing.T, path string) {
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(head); err != nil {
			t.Fatal(err)
		}
		if err := file.Truncate(size); err != nil {
			t.Fatal(err)
		}
	}}
}

func content(name string, data func(t *testing.T) []byte) hostile {
	return hostile{name, func(t *testing.T, path string) {
		if err := os.WriteFile(path, data(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}}
}

// repeated gives a text so often that it has so many bytes.
type repeated struct {
	text string
	left int64
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n+len(r.text) <= len(p) && r.left > 0 {
		n += copy(p[n:], r.text)
		r.left -= int64(len(r.text))
	}
	return n, nil
}

// packed makes a ZIP file whose last member is long.
func packed(members [][2]string, long, before, text string, size int64, after string) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for _, m := range members {
			f, err := w.Create(m[0])
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(f, m[1])
		}
		f, err := w.Create(long)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, io.MultiReader(strings.NewReader(before), &repeated{text, size}, strings.NewReader(after))); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
}

func bytesOf(text string) func(*testing.T) []byte {
	return func(*testing.T) []byte { return []byte(text) }
}

// laughs are entities that stand for each other: a billion words at the end.
func laughs(element string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><!DOCTYPE d [<!ENTITY l0 "ha">`)
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, `<!ENTITY l%d "%s">`, i, strings.Repeat(fmt.Sprintf("&l%d;", i-1), 10))
	}
	return b.String() + "]>" + fmt.Sprintf(element, "&l9;")
}

// pdfOf puts objects together, with a table of where they are.
func pdfOf(objects ...string) []byte {
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n")
	var at []int
	for i, o := range objects {
		at = append(at, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	table := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, n := range at {
		fmt.Fprintf(&out, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&out, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table)
	return out.Bytes()
}

func pdfBomb(t *testing.T) []byte {
	var stream bytes.Buffer
	w := zlib.NewWriter(&stream)
	if _, err := io.Copy(w, &repeated{"BT /F 12 Tf 20 700 Td (ha) Tj ET\n", 512 << 20}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return pdfOf("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
		fmt.Sprintf("<</Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", stream.Len(), stream.String()))
}

func gzipBomb(t *testing.T) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.Copy(w, &repeated{"ha ", 256 << 20}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return out.Bytes()
}

// tarHead says that a member of 10 GB follows.
func tarHead() string {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	w.WriteHeader(&tar.Header{Name: "huge.txt", Size: sparseBytes - 4096, Mode: 0o600, Format: tar.FormatGNU})
	return out.String()
}

func hostiles() []hostile {
	word := func(body string, size int64, after string) func(*testing.T) []byte {
		return packed([][2]string{{"[Content_Types].xml", "<Types/>"}}, "word/document.xml", `<w:document xmlns:w="w"><w:body>`, body, size, after)
	}
	part := func(members [][2]string, name, text string) func(*testing.T) []byte {
		return packed(members, name, text, "", 0, "")
	}
	types := [][2]string{{"[Content_Types].xml", "<Types/>"}}
	list := []hostile{
		wordy("text.txt", "Some words, and then nothing more.\n"),
		wordy("table.csv", "id,text\n1,hello\n2,\"a field that never ends"),
		wordy("row.csv", "id,text\n1,hello\n2,"),
		wordy("lines.jsonl", `{"id":"1","text":"one"}`+"\n"+`{"id":"2","text":"`),
		wordy("object.json", `{"id":"1","text":"`),
		wordy("mail.eml", "From: a@b.c\r\nTo: d@e.f\r\nSubject: long\r\nMIME-Version: 1.0\r\n\r\nwords\r\n"),
		wordy("box.mbox", "From a@b.c Sat Jan  1 00:00:00 2000\nFrom: a@b.c\nSubject: long\n\nwords\n"),
		wordy("page.html", "<html><body><p>Some words"),
		wordy("rich.rtf", `{\rtf1 Some words `),
		wordy("notes.md", "# A title\n\nSome words.\n"),
		// PDFium looks for the table of a broken file in all of it, which takes a
		// minute for 10 GB.
		hole("print.pdf", "%PDF-1.7\n", 1<<30),
		sparse("word.docx", "PK\x03\x04"),
		sparse("pack.zip", "PK\x03\x04"),
		sparse("book.epub", "PK\x03\x04"),
		sparse("pack.tar", tarHead()),
		sparse("pack.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"),

		content("bomb.zip", packed(nil, "zeros.txt", "", "ha ", 256<<20, "")),
		content("bomb.gz", gzipBomb),
		content("bomb.docx", word("<w:p><w:r><w:t>"+strings.Repeat("ha ", 4000)+"</w:t></w:r></w:p>", 256<<20, "</w:body></w:document>")),
		content("blank.docx", word("          ", 256<<20, "</w:body></w:document>")),
		content("blank.xlsx", packed(types, "xl/worksheets/sheet1.xml", `<worksheet><sheetData>`, "          ", 256<<20, "")),
		content("blank.odt", packed([][2]string{{"mimetype", "application/vnd.oasis.opendocument.text"}}, "content.xml", `<office:document-content xmlns:office="o">`, "          ", 256<<20, "")),
		content("deep.docx", word("<w:sdt>", 64<<20, "")),
		content("bomb.pdf", pdfBomb),
		content("loop.pdf", func(*testing.T) []byte {
			return pdfOf("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2147483647>>")
		}),
		content("laughs.docx", part(types, "word/document.xml", laughs(`<w:document xmlns:w="w"><w:body><w:p><w:r><w:t>%s</w:t></w:r></w:p></w:body></w:document>`))),
		content("laughs.xlsx", part(types, "xl/workbook.xml", laughs(`<workbook>%s</workbook>`))),
		content("laughs.odt", part([][2]string{{"mimetype", "application/vnd.oasis.opendocument.text"}}, "content.xml", laughs(`<office:document-content xmlns:office="o" xmlns:text="t"><text:p>%s</text:p></office:document-content>`))),
		content("laughs.html", bytesOf(laughs("<html><body><p>%s</p></body></html>"))),
		content("deep.html", func(*testing.T) []byte { return []byte("<html><body>" + strings.Repeat("<div>", 4<<20) + "words") }),
		content("deep.json", func(*testing.T) []byte { return []byte(strings.Repeat(`[`, 4<<20)) }),
		content("deeper.json", func(*testing.T) []byte { return []byte(strings.Repeat(`{"a":`, 8<<20)) }),
		content("bin.rtf", bytesOf(`{\rtf1 words \bin2147483647 x}`)),
		content("deep.rtf", func(*testing.T) []byte { return []byte(`{\rtf1 ` + strings.Repeat("{", 32<<20)) }),
		content("deep.eml", func(*testing.T) []byte {
			var b strings.Builder
			b.WriteString("From: a@b.c\r\nTo: d@e.f\r\nMIME-Version: 1.0\r\n")
			for i := range 20_000 {
				fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
			}
			return []byte(b.String())
		}),
		{"pipe.txt", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"zero.txt", func(t *testing.T, path string) {
			if err := os.Symlink("/dev/zero", path); err != nil {
				t.Fatal(err)
			}
		}},
		{"loop", func(t *testing.T, path string) {
			if err := os.Symlink(".", path); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, kind := range []string{"txt", "csv", "jsonl", "json", "mbox", "pdf", "docx", "zip", "tar", "html", "eml", "epub"} {
		list = append(list, sparse("zeros."+kind, ""))
	}
	return list
}

// peakOf runs a command and returns the greatest resident memory that the kernel
// saw, in MiB. What the kernel tells at the end of a process counts what its
// parent held when it was started, so it is read while it runs.
func peakOf(t *testing.T, cmd *exec.Cmd) (mib int, err error) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	pattern := regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
	for {
		select {
		case err := <-ended:
			return mib, err
		case <-time.After(5 * time.Millisecond):
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if m := pattern.FindSubmatch(status); err == nil && m != nil {
				kib, _ := strconv.Atoi(string(m[1]))
				mib = max(mib, kib>>10)
			}
		}
	}
}

// TestHostileFilesInBoundedMemory has a process of its own sync a directory of
// files that want to do harm, with the bounds as they come. Each is told of, the
// good ones go in, and memory stays below a bound.
func TestHostileFilesInBoundedMemory(t *testing.T) {
	if testing.Short() || raceDetected {
		t.Skip("it measures memory, which the race detector multiplies; .ci/run has it without")
	}
	dir := t.TempDir()
	docs := filepath.Join(dir, "docs")
	write(t, docs, "aa-good.txt", towerStory)
	write(t, docs, "zz-good.md", "# The bridge\n\nIt is made of stone.\n")
	list := hostiles()
	for _, h := range list {
		h.make(t, filepath.Join(docs, h.name))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "report.jsonl")
	cmd := exec.CommandContext(t.Context(), self, "index", "sync", docs, "--data", filepath.Join(dir, "data"), "--report", report, "--vectors", "later")
	cmd.Env = append(os.Environ(), asNeedle+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now()
	peak, err := peakOf(t, cmd)
	if err == nil {
		t.Error("the command succeeded, though files were not taken")
	}
	t.Logf("%d files in %v, at most %d MiB", len(list), time.Since(begin).Round(time.Millisecond), peak)
	if peak == 0 || peak > hostileMiB {
		t.Errorf("the process held %d MiB, want at most %d", peak, hostileMiB)
	}
	said, taken := map[string][]string{}, map[string]bool{}
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for line := range strings.Lines(string(data)) {
		var l reportLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		name, reason := strings.TrimPrefix(l.Path, docs+"/"), l.Reason
		if l.Path == "" {
			taken[l.DocumentID] = true
			name, reason = strings.TrimPrefix(l.DocumentID, "docs/"), "as a document"
		}
		name, _, _ = strings.Cut(name, ingest.MemberSeparator)
		name, _, _ = strings.Cut(name, "#")
		said[name] = append(said[name], l.Outcome+": "+reason)
	}
	for _, id := range []string{"docs/aa-good.txt", "docs/zz-good.md"} {
		if !taken[id] {
			t.Errorf("%s is not in the index; %s", id, out.String())
		}
	}
	for _, h := range list {
		got := said[h.name]
		if len(got) == 0 || strings.Contains(strings.Join(got, "; "), "which is a bug") {
			t.Errorf("%s: the report says %q", h.name, got)
		}
		t.Logf("%-12s %d lines: %.160q", h.name, len(got), got[:min(1, len(got))])
	}
}
