package api_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
)

// fileIngester reads all formats, as that of the server command does.
func fileIngester(t testing.TB) *ingest.Ingester {
	t.Helper()
	ingester, err := pipeline.DefaultConfig(builtin.Registry()).Ingester()
	if err != nil {
		t.Fatal(err)
	}
	return ingester
}

func TestUploadedFilesAreProcessedAndStored(t *testing.T) {
	p := openPipeline(t, pipeline.WithoutReader())
	url, _ := serve(t, p, api.Config{Files: fileIngester(t), MaxFileBytes: 100_000})
	c, err := client.New(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	upload := func(path string, groups ...string) pipeline.FileResult {
		t.Helper()
		f, err := os.Open(filepath.Join("../ingest/testdata/formats", path))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		result, err := c.UploadFile(t.Context(), "", path, f, groups...)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	deck := upload("python-pptx.pptx")
	if len(deck.Documents) != 1 || deck.Documents[0].Status != pipeline.Created || deck.Documents[0].ID != "python-pptx.pptx" || len(deck.Faults) > 0 {
		t.Errorf("got %+v, want one new document", deck)
	}
	if again := upload("python-pptx.pptx"); len(again.Documents) != 1 || again.Documents[0].Status != pipeline.Unchanged {
		t.Errorf("got %+v, want nothing changed", again)
	}
	found, err := c.Search(t.Context(), pipeline.SearchRequest{Query: "remind the audience of point 3"})
	if err != nil || len(found.Hits) == 0 {
		t.Fatalf("got %+v, %v, want a hit", found, err)
	}
	if hit := found.Hits[0]; hit.Source.Page == 0 {
		t.Errorf("the hit is on page %d, want its slide", hit.Source.Page)
	}
	archive := upload("archive.zip", "board")
	var ids []string
	for _, d := range archive.Documents {
		ids = append(ids, d.ID)
	}
	slices.Sort(ids)
	want := []string{"archive.zip!/deck/slides.pptx", "archive.zip!/nested/contacts.tar.gz!/emergency-contacts.txt", "archive.zip!/texts/data-retention.md"}
	if !slices.Equal(ids, want) {
		t.Errorf("documents %q, want %q", ids, want)
	}
	if d, err := p.Document(t.Context(), "", want[0]); err != nil || !slices.Equal(d.Groups, []string{"board"}) {
		t.Errorf("groups %q, %v, want those of the upload", d.Groups, err)
	}
	for name, content := range map[string]string{
		"binary.bin": "\x00\x01\x02", "empty.txt": "", "cut.docx": "PK\x03\x04[Content_Types].xml word/", "large.txt": strings.Repeat("word ", 30_000),
	} {
		result, err := c.UploadFile(t.Context(), "", "../"+name, strings.NewReader(content))
		if err != nil || len(result.Documents) > 0 || len(result.Faults) != 1 || !result.Failed() || result.File != name {
			t.Errorf("%s: got %+v, %v, want one fault", name, result, err)
		}
	}
}

func TestUploadsOfAnotherShapeAreRefused(t *testing.T) {
	h := newHarness(t, api.Config{Files: fileIngester(t)})
	const part = "--b\r\nContent-Disposition: form-data; name=\"%\"\r\n\r\nx\r\n--b--\r\n"
	for name, test := range map[string]struct {
		body, contentType string
		want              int
	}{
		"no form":       {"{}", "application/json", 415},
		"no boundary":   {"", "multipart/form-data", 415},
		"no file":       {strings.ReplaceAll(part, "%", "groups"), "multipart/form-data; boundary=b", 400},
		"unknown field": {strings.ReplaceAll(part, "%", "colour"), "multipart/form-data; boundary=b", 400},
		"cut off":       {"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nx", "multipart/form-data; boundary=b", 400},
	} {
		t.Run(name, func(t *testing.T) {
			if got := h.do("POST", "/v1/indexes/new/files", test.body, "Content-Type", test.contentType); got.status != test.want {
				t.Errorf("status %d, want %d: %s", got.status, test.want, got.body)
			}
		})
	}
}
