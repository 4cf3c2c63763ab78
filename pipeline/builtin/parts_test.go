package builtin_test

import (
	"archive/zip"
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// fuzzedParts are parts of packed formats: a fuzzer that changes packed bytes
// hardly ever gets beyond the unpacking.
var fuzzedParts = []struct{ file, part string }{
	{"python-docx.docx", "word/document.xml"},
	{"libreoffice.docx", "word/document.xml"},
	{"libreoffice.docx", "word/numbering.xml"},
	{"libreoffice.docx", "word/styles.xml"},
	{"python-docx.docx", "word/_rels/document.xml.rels"},
	{"python-pptx.pptx", "ppt/slides/slide1.xml"},
	{"python-pptx.pptx", "ppt/slides/_rels/slide1.xml.rels"},
	{"openpyxl.xlsx", "xl/worksheets/sheet1.xml"},
	{"openpyxl.xlsx", "xl/styles.xml"},
	{"libreoffice.odt", "content.xml"},
	{"libreoffice.ods", "content.xml"},
	{"libreoffice.odp", "content.xml"},
	{"ebooklib.epub", "EPUB/content.opf"},
	{"ebooklib.epub", "EPUB/c1.xhtml"},
}

// A packedFile is a file of the corpus, unpacked.
type packedFile struct {
	names []string
	parts map[string][]byte
}

func unpack(t testing.TB, name string) packedFile {
	t.Helper()
	r, err := zip.OpenReader(filepath.Join(formatsDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	p := packedFile{parts: map[string][]byte{}}
	for _, member := range r.File {
		in, err := member.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		p.names = append(p.names, member.Name)
		p.parts[member.Name] = data
	}
	return p
}

// with packs the file again with another content of one part.
func (p packedFile) with(t testing.TB, part string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range p.names {
		content := p.parts[name]
		if name == part {
			content = data
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzParts changes the parts of Office files and books. Whatever they hold, the
// file becomes documents that are sound, or faults, and never breaks a processor.
func FuzzParts(f *testing.F) {
	files := map[string]packedFile{}
	for n, p := range fuzzedParts {
		if _, ok := files[p.file]; !ok {
			files[p.file] = unpack(f, p.file)
		}
		data, ok := files[p.file].parts[p.part]
		if !ok {
			f.Fatalf("%s holds no %s", p.file, p.part)
		}
		f.Add(uint8(n), data)
		f.Add(uint8(n), data[:min(len(data), 1500)])
	}
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Limits.MaxDocumentBytes = 1 << 20
	ingester, err := cfg.Ingester()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint8, part []byte) {
		p := fuzzedParts[int(which)%len(fuzzedParts)]
		data := files[p.file].with(t, p.part, part)
		into := &target{}
		report, err := ingester.AddFiles(t.Context(), into, []ingest.File{{
			ID: "a/" + p.file, Path: p.file, Size: int64(len(data)),
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
		for _, e := range into.entries {
			if err := e.Document.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
