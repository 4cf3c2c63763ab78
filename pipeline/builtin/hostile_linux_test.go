package builtin_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

// hostileFolder names the folder that the child process of
// TestMemoryStaysBounded reads.
const hostileFolder = "NEEDLE_TEST_HOSTILE_FOLDER"

// hugeBytes is the size of files that are mostly holes.
const hugeBytes = 10 << 30

// peakMiB is how much memory the child may have at its peak: two PDF sandboxes,
// a document of the greatest length in each worker, and the program itself.
const peakMiB = 800

// TestMemoryStaysBounded reads, in a process of its own, a folder full of files
// that are huge or become so: 10 GB with holes behind the first bytes of every
// format that is told by them, archives that unpack to 10 GB, XML that multiplies,
// loops of links. Each is one line in the report or harmless, what is good goes in,
// nothing outside the folder is touched, and the memory stays bounded.
func TestMemoryStaysBounded(t *testing.T) {
	if dir := os.Getenv(hostileFolder); dir != "" {
		readHostile(t, dir)
		return
	}
	root := t.TempDir()
	dir := filepath.Join(root, "docs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	word := func(body string) []byte {
		return zipped(t, "[Content_Types].xml", "<Types/>", "word/document.xml", body)
	}
	line := "The first line of a text that is long enough to be taken for one.\n"
	sparse := map[string]string{
		"zeros.txt": "", "text.txt": strings.Repeat(line, 400), "page.html": "<!doctype html><html><body><p>" + line, "data.jsonl": `{"id": "a", "text": "` + line[:60],
		"rows.csv": "id,name,text\n1,a,\"" + line, "list.json": `[{"id": "a", "text": "`, "report.pdf": "%PDF-1.7\n", "letter.docx": "PK\x03\x04", "old.doc": "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
		"note.md": "# Title\n\n" + strings.Repeat(line, 400), "mail.eml": "From: a@b.c\r\nTo: d@e.f\r\nSubject: x\r\n\r\n" + line, "mails.mbox": "From a@b.c Mon Jan  1 00:00:00 2024\nFrom: a@b.c\n\n" + line,
		"rich.rtf": `{\rtf1 ` + line, "packed.gz": "\x1f\x8b\x08\x00", "squad.json": `{"version": "v2.0", "data": [{"title": "`,
	}
	for name, head := range sparse {
		path := filepath.Join(dir, "sparse-"+name)
		if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, hugeBytes); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string][]byte{
		"good.txt":        []byte("The good one."),
		"bomb.gz":         zeros(t, hugeBytes),
		"twice.gz":        gzipped(t, zeros(t, 1<<30)),
		"bomb.zip":        zipped(t, "bomb.gz", string(zeros(t, hugeBytes)), "good.txt", "Behind the bomb."),
		"laughs.docx":     word(strings.ReplaceAll(laughs, "&b;&b;&b;&b;", strings.Repeat("&b;", 1000))),
		"wide.docx":       word("<w:document>" + strings.Repeat("<w:p><w:r><w:t>"+strings.Repeat("ha ", 20_000)+"</w:t></w:r></w:p>", 2000) + "</w:document>"),
		"deep.html":       []byte("<!doctype html><html><body>" + strings.Repeat("<div>", 1_000_000)),
		"deep.json":       []byte(strings.Repeat(`[`, 5_000_000)),
		"wrong.pdf":       []byte("Only text, whatever the name says."),
		"locked.pdf":      read(t, "../../ingest/pdf/testdata/locked.pdf"),
		"truncated.pdf":   read(t, "../../ingest/pdf/testdata/chromium-report.pdf")[:9000],
		"truncated.xlsx":  read(t, formatsDir+"/openpyxl.xlsx")[:3000],
		"up/../good2.txt": []byte("Another good one."),
	} {
		if err := os.WriteFile(filepath.Join(dir, filepath.Clean(name)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(root, "outside.txt")
	if err := os.WriteFile(outside, []byte("Not in the folder."), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"loop-a": "loop-b", "loop-b": "loop-a", "up": "..", "out.txt": outside, "self": "."} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemoryStaysBounded$", "-test.v")
	child.Env = append(os.Environ(), hostileFolder+"="+dir, "GOGC=50", "TMPDIR="+t.TempDir())
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	usage, ok := child.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("the system does not say how much memory the process had")
	}
	peak := usage.Maxrss >> 10
	t.Logf("at most %d MiB, %s of CPU\n%s", peak, child.ProcessState.UserTime(), out)
	if peak > peakMiB {
		t.Errorf("the process had %d MiB, want at most %d", peak, peakMiB)
	}
	_, text, _ := bytes.Cut(out, []byte("REPORT "))
	var report struct {
		Documents []string
		Faults    []string
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&report); err != nil {
		t.Fatal(err)
	}
	documents := strings.Join(report.Documents, " ")
	for _, want := range []string{"docs/good.txt", "docs/good2.txt", "docs/wrong.pdf"} {
		if !strings.Contains(documents, want) {
			t.Errorf("%s is not among the documents %s", want, documents)
		}
	}
	if strings.Contains(documents, "outside") || strings.Contains(documents, "out.txt") {
		t.Errorf("a file from outside is among the documents %s", documents)
	}
	lines := map[string]int{}
	for _, fault := range report.Faults {
		if strings.Contains(fault, "which is a bug") {
			t.Error(fault)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(fault, dir+"/"), ":")
		lines[name]++
	}
	for name := range sparse {
		if lines["sparse-"+name] != 1 {
			t.Errorf("sparse-%s: %d lines in the report, want 1", name, lines["sparse-"+name])
		}
	}
	for _, name := range []string{"bomb.gz!/bomb", "laughs.docx", "wide.docx", "locked.pdf", "truncated.xlsx", "loop-a", "loop-b", "up", "self", "out.txt"} {
		if lines[name] != 1 {
			t.Errorf("%s: %d lines in the report, want 1", name, lines[name])
		}
	}
}

// readHostile is what the child does.
func readHostile(t *testing.T, dir string) {
	cfg := pipeline.DefaultConfig(builtin.Registry())
	ingester, err := cfg.Ingester()
	if err != nil {
		t.Fatal(err)
	}
	into := &target{entries: map[string]retriever.Entry{}}
	report, err := ingester.AddPaths(t.Context(), into, []string{dir}, ingest.Events{})
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ Documents, Faults []string }
	for id := range into.entries {
		result.Documents = append(result.Documents, id)
	}
	for _, f := range report.Faults {
		result.Faults = append(result.Faults, f.String())
	}
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("REPORT %s", data)
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// zeros packs so many bytes of nothing.
func zeros(t testing.TB, count int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, nothing{}, count); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type nothing struct{}

func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
