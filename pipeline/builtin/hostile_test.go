package builtin_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// zipped packs members, given as pairs of name and content.
func zipped(t testing.TB, members ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(members); i += 2 {
		f, err := w.Create(members[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const laughs = `<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>` +
	`<w:document xmlns:w="w"><w:body><w:p><w:r><w:t>&c;</w:t></w:r></w:p></w:body></w:document>`

// TestHostileFilesAreOneFaultEach puts files that want to do harm beside a good
// one: each is told of once, and the good one goes in.
func TestHostileFilesAreOneFaultEach(t *testing.T) {
	types := `<Types/>`
	word := func(body string) []byte { return zipped(t, "[Content_Types].xml", types, "word/document.xml", body) }
	good, err := os.ReadFile(filepath.Join(formatsDir, "python-docx.docx"))
	if err != nil {
		t.Fatal(err)
	}
	nested := []byte("bottom")
	for range 8 {
		nested = zipped(t, "inner.zip", string(nested))
	}
	var escaping bytes.Buffer
	tw := tar.NewWriter(&escaping)
	for _, h := range []*tar.Header{
		{Name: "../../outside.txt", Size: 4, Mode: 0o600}, {Name: "link.txt", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
	} {
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := tw.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	protected := append([]byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), make([]byte, 2048)...)
	protected[30] = 9                                                                                         // sectors of 512 bytes
	copy(protected[512:], "E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00") // the first entry of the directory
	protected[512+64] = 34

	for _, c := range []struct {
		name    string
		content []byte
		want    []string // what the faults say
	}{
		{"truncated.docx", good[:len(good)/2], []string{"damaged or cut off"}},
		{"head-only.xlsx", []byte("PK\x03\x04"), []string{"damaged or cut off"}},
		{"protected.docx", protected, []string{"protected by a password"}},
		{"laughs.docx", word(laughs), []string{"entities of its own"}},
		{"deep.docx", word(strings.Repeat("<w:sdt>", 100_000)), []string{"deep in each other"}},
		{"bomb.docx", word("<w:document>" + strings.Repeat("<w:p><w:r><w:t>"+strings.Repeat("ha ", 2000)+"</w:t></w:r></w:p>", 400) + "</w:document>"), []string{"too large for one document"}},
		{"broken.pptx", zipped(t, "[Content_Types].xml", types, "ppt/presentation.xml", "<p:presentation"), []string{"broken XML"}},
		{"empty.xlsx", zipped(t, "[Content_Types].xml", types, "xl/workbook.xml", ""), []string{""}},
		{"nested.zip", nested, []string{"deep in each other"}},
		{"escaping.tar", escaping.Bytes(), []string{"leads out of the file", "not a regular file"}},
		{"bomb.zip", zipped(t, "zeros.txt", strings.Repeat("\x00", 20<<20)), []string{"unpacks to more than is allowed"}},
		{"bomb.gz", gzipped(t, bytes.Repeat([]byte("ha "), 7<<20)), []string{"unpacks to more than is allowed"}},
		{"word-in-zip.zip", good, nil}, // by content it is a Word file
		{"text.docx", []byte("Only text, whatever the name says."), nil},
		{"endless.rtf", []byte(`{\rtf1 ` + strings.Repeat("{", 20_000)), []string{"deep in each other"}},
		{"cut.rtf", []byte(`{\rtf1 Some text`), []string{"cut off"}},
		{"parts.eml", []byte("From: a@b.c\r\nTo: d@e.f\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ncut of"), []string{"damaged or cut off"}},
		{"protected.zip", flagged(zipped(t, "a.txt", "secret")), []string{"protected by a password"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "docs")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string][]byte{c.name: c.content, "zz-good.txt": []byte("The good one.")} {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cfg := pipeline.DefaultConfig(builtin.Registry())
			cfg.Limits.MaxDocumentBytes = 1 << 20
			cfg.Limits.ArchiveBytes = 10 << 20
			entries, report := add(t, cfg, dir)
			if _, ok := entries["docs/zz-good.txt"]; !ok {
				t.Error("the good file is not in the index")
			}
			var got []string
			for _, f := range report.Faults {
				got = append(got, f.String())
			}
			if len(got) != len(c.want) {
				t.Fatalf("faults %q, want %d", got, len(c.want))
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) || strings.Contains(got[i], "which is a bug") {
					t.Errorf("fault %q, want one that says %q", got[i], want)
				}
			}
			if c.want == nil && len(entries) != 2 {
				t.Errorf("%d documents, want two", len(entries))
			}
		})
	}
}

// flagged marks the first member of a ZIP file as encrypted.
func flagged(data []byte) []byte {
	data = bytes.Clone(data)
	data[6] |= 1
	data[bytes.Index(data, []byte("PK\x01\x02"))+8] |= 1
	return data
}

// FuzzFormats feeds everything to whatever takes it, members included.
func FuzzFormats(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(formatsDir, "*.*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil && len(data) < 30<<10 && filepath.Ext(name) != ".json" {
			f.Add(filepath.Base(name), data)
		}
	}
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Limits.MaxDocumentBytes = 1 << 20
	ingester, err := cfg.Ingester()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if bytes.HasPrefix(data, []byte("%PDF")) {
			t.Skip("PDF files have a target of their own")
		}
		into := &target{}
		report, err := ingester.AddFiles(t.Context(), into, []ingest.File{{
			ID: "a/" + filepath.Base(name), Path: name, Size: int64(len(data)),
			Open: func() (ingest.Content, error) { return content{bytes.NewReader(data)}, nil },
		}}, ingest.Events{})
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range report.Faults {
			if strings.Contains(fault.Reason, "which is a bug") {
				t.Errorf("%s", fault)
			}
		}
	})
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }
