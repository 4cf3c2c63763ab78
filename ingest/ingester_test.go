package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/jsonl"
	"github.com/needle-search/needle/ingest/markdown"
	"github.com/needle-search/needle/ingest/squad"
	"github.com/needle-search/needle/ingest/text"
	"github.com/needle-search/needle/retriever"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func processors() []ingest.Processor {
	return []ingest.Processor{squad.Processor{}, jsonl.Processor{}, markdown.New(), text.Processor{}}
}

func newIngester(t testing.TB, options ingest.Options, formats ...ingest.Processor) *ingest.Ingester {
	t.Helper()
	if formats == nil {
		formats = processors()
	}
	g, err := ingest.New(newSplitter(t, 64, 8, nil), formats, options)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// counts are the numbers of a report.
type counts struct{ added, updated, unchanged, skipped, failed, files int }

func countsOf(r ingest.Report) counts {
	return counts{r.Added, r.Updated, r.Unchanged, r.Skipped, r.Failed, r.Files}
}

func add(t *testing.T, g *ingest.Ingester, index ingest.Target, paths ...string) ingest.Report {
	t.Helper()
	report, err := g.AddPaths(t.Context(), index, paths, ingest.Events{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// faultLines returns the faults of a report below a directory.
func faultLines(r ingest.Report, root string) []string {
	var lines []string
	for _, f := range r.Faults {
		line := strings.TrimPrefix(f.String(), root+string(filepath.Separator))
		if f.Skipped {
			line = "skipped " + line
		}
		lines = append(lines, line)
	}
	return lines
}

func TestAddPathsTakesAllFormats(t *testing.T) {
	root := tree(t, map[string]string{
		"a.txt":       "Plain text.",
		"b.md":        "# Title\n\nSome *marked* text.",
		"c.jsonl":     `{"id": "x", "text": "First."}` + "\n" + `{"id": "y", "text": "Second.", "metadata": {"year": 1889}}`,
		"squad.json":  `{"version": "2.0", "data": [{"title": "Oslo_City", "paragraphs": [{"qas": [], "context": "Oslo is a city."}, {"context": "It is old."}]}]}`,
		"sub/LICENSE": "Do what you like.",
	})
	index := &fakeIndex{}
	report := add(t, newIngester(t, ingest.Options{}), index, root)
	want := []string{"docs/a.txt", "docs/b.md", "docs/squad.json#0/0", "docs/squad.json#0/1", "docs/sub/LICENSE", "x", "y"}
	if got := index.ids(); !slices.Equal(got, want) {
		t.Errorf("got documents %q, want %q", got, want)
	}
	if got, want := countsOf(report), (counts{added: 7, files: 5}); got != want {
		t.Errorf("got %+v, want %+v; faults: %v", got, want, report.Faults)
	}
	for id, want := range map[string][3]string{
		"docs/a.txt":          {"a", "Plain text.", "text/plain"},
		"docs/b.md":           {"Title", "Title\n\nSome marked text.", "text/markdown"},
		"docs/squad.json#0/1": {"Oslo City", "It is old.", "application/json"},
		"y":                   {"", "Second.", "application/jsonl"},
	} {
		doc := index.entries[id].Document
		if got := [3]string{doc.Title, doc.Text, doc.Source.MediaType}; got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
		if doc.Source.URI == "" || doc.Source.ModifiedAt.IsZero() {
			t.Errorf("%s: the source %+v lacks its file or time", id, doc.Source)
		}
	}
	if year := index.entries["y"].Document.Metadata["year"]; year != int64(1889) {
		t.Errorf("metadata year: got %v (%T), want 1889 (int64)", year, year)
	}
	if doc := index.entries["docs/a.txt"].Document; !doc.Source.Verbatim {
		t.Error("plain text is not marked as verbatim")
	}
}

func TestAddPathsAgain(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": "Alpha.", "b.txt": "Beta.", "c.jsonl": `{"id": "x", "text": "First."}`})
	index := &fakeIndex{}
	g := newIngester(t, ingest.Options{})
	if got, want := countsOf(add(t, g, index, root)), (counts{added: 3, files: 3}); got != want {
		t.Errorf("first run: got %+v, want %+v", got, want)
	}
	writes := index.upserts
	// Touching a file changes nothing that is stored.
	if err := os.Chtimes(filepath.Join(root, "a.txt"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, want := countsOf(add(t, g, index, root)), (counts{unchanged: 3, files: 3}); got != want {
		t.Errorf("second run: got %+v, want %+v", got, want)
	}
	if index.upserts != writes {
		t.Errorf("the second run wrote %d times, want never", index.upserts-writes)
	}
	if err := os.WriteFile(filepath.Join(root, "b.txt"), []byte("Beta changed."), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := countsOf(add(t, g, index, root)), (counts{updated: 1, unchanged: 2, files: 3}); got != want {
		t.Errorf("third run: got %+v, want %+v", got, want)
	}
	if got := index.entries["docs/b.txt"].Document.Text; got != "Beta changed." {
		t.Errorf("got text %q", got)
	}
	// Other settings of the splitter mean other passages.
	other, err := ingest.New(newSplitter(t, 32, 8, nil), processors(), ingest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := countsOf(add(t, other, index, root)), (counts{updated: 3, files: 3}); got != want {
		t.Errorf("other splitter: got %+v, want %+v", got, want)
	}
}

func TestBadFilesAmongGoodOnes(t *testing.T) {
	root := tree(t, map[string]string{
		"a.txt":        "Good.",
		"binary.dat":   "\x7fELF\x00\x01\x02",
		"broken.jsonl": "{\"id\": \"x\", \"text\": \"Fine.\"}\n{\"id\": \"y\", \"text\": \n{\"text\": \"No id.\"}\n\n{\"id\": \"x\", \"text\": \"Again.\"}\n{\"id\": \"z\", \"text\": \"Fine.\", \"colour\": 1}\n{\"id\": \"w\", \"text\": \"Last.\"}",
		"empty.md":     "",
		"image.txt":    "\x89PNG\r\n\x1a\n\x00\x00",
		"latin.txt":    "Good line.\nCaf\xe9 au lait.",
		"nul.md":       "# A\n\nb\x00c",
		"page.html":    "<!DOCTYPE html><p>Hello",
		"space.txt":    " \n\t\n",
		"squad.json":   `{"data": [{"title": "T", "paragraphs": [{"context": "Whole."}]}, {"title": "U", "par`,
		"z.md":         "Good, too.",
	})
	index := &fakeIndex{}
	report := add(t, newIngester(t, ingest.Options{}), index, root)
	want := []string{"docs/a.txt", "docs/latin.txt", "docs/squad.json#0/0", "docs/z.md", "w", "x"}
	if got := index.ids(); !slices.Equal(got, want) {
		t.Errorf("got documents %q, want %q", got, want)
	}
	wantFaults := []string{
		"skipped binary.dat: no processor reads this kind of file: it is a program",
		"broken.jsonl:2: invalid document record: broken JSON at byte 21: unexpected end of JSON input",
		`broken.jsonl:3: invalid document record: key "id" is missing`,
		`broken.jsonl:5: duplicate id: document "x" was there before in this run; the first one is kept`,
		`broken.jsonl:6: invalid document record: unknown key "colour"; allowed are id, title, text, metadata, source, groups, language, sections, pages`,
		"skipped empty.md: it holds no text",
		"skipped image.txt: no processor reads this kind of file: it is an image",
		"skipped nul.md: it is a binary file",
		"skipped page.html: no processor reads this kind of file: it is an HTML page",
		"skipped space.txt: it holds no text",
		"squad.json: article 1: broken JSON: the file breaks off after byte 84",
	}
	if got := faultLines(report, root); !slices.Equal(got, wantFaults) {
		t.Errorf("got faults\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(wantFaults, "\n\t"))
	}
	if got, want := countsOf(report), (counts{added: 6, skipped: 6, failed: 5, files: 6}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAFileThatWasGivenIsNeverSkipped(t *testing.T) {
	root := tree(t, map[string]string{"empty.txt": "", "image.png": "\x89PNG\r\n\x1a\n\x00"})
	report := add(t, newIngester(t, ingest.Options{}), &fakeIndex{}, filepath.Join(root, "empty.txt"), filepath.Join(root, "image.png"), filepath.Join(root, "gone"))
	if got, want := countsOf(report), (counts{failed: 3}); got != want {
		t.Errorf("got %+v, want %+v: %v", got, want, report.Faults)
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		// The superuser may read everything; a file that is gone by the time it
		// is opened fails in the same place.
		index := &fakeIndex{}
		gone := ingest.File{ID: "gone.txt", Path: "gone.txt", Size: 3, Open: func() (ingest.Content, error) { return os.Open(filepath.Join(t.TempDir(), "gone.txt")) }}
		good := ingest.File{ID: "good.txt", Path: "good.txt", Size: 5, Open: func() (ingest.Content, error) { return content{strings.NewReader("Good.")}, nil }}
		report, err := newIngester(t, ingest.Options{}).AddFiles(t.Context(), index, []ingest.File{gone, good}, ingest.Events{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := countsOf(report), (counts{added: 1, failed: 1, files: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		return
	}
	root := tree(t, map[string]string{"a.txt": "Good.", "b.txt": "Closed."})
	if err := os.Chmod(filepath.Join(root, "b.txt"), 0); err != nil {
		t.Fatal(err)
	}
	report := add(t, newIngester(t, ingest.Options{}), &fakeIndex{}, root)
	if got, want := faultLines(report, root), []string{"b.txt: open: permission denied"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// content is an open file in memory.
type content struct{ *strings.Reader }

func (content) Close() error { return nil }

func TestFileThatChangesWhileRead(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": "Before.", "b.txt": "Quiet."})
	change := func(name string) {
		if name == filepath.Join(root, "a.txt") {
			if err := os.WriteFile(name, []byte("After, and longer."), 0o644); err != nil {
				t.Error(err)
			}
		}
	}
	g := newIngester(t, ingest.Options{}, hooked{text.Processor{}, change})
	index := &fakeIndex{}
	report := add(t, g, index, root)
	want := []string{"a.txt: it changed while it was read; it will be taken next time"}
	if got := faultLines(report, root); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := index.ids(), []string{"docs/b.txt"}; !slices.Equal(got, want) {
		t.Errorf("got documents %q, want %q", got, want)
	}
	if !errors.Is(report.Faults[0].Err, ingest.ErrChanged) {
		t.Errorf("got error %v, want ErrChanged", report.Faults[0].Err)
	}
	add(t, newIngester(t, ingest.Options{}), index, root)
	if got := index.entries["docs/a.txt"].Document.Text; got != "After, and longer." {
		t.Errorf("next time: got %q", got)
	}
}

func TestProcessorThatPanics(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": "x", "b.txt": "Good."})
	g := newIngester(t, ingest.Options{}, hooked{text.Processor{}, func(name string) {
		if strings.HasSuffix(name, "a.txt") {
			panic("out of range")
		}
	}})
	report := add(t, g, &fakeIndex{}, root)
	want := []string{"a.txt: the text processor broke on this file, which is a bug: out of range"}
	if got := faultLines(report, root); !slices.Equal(got, want) || report.Added != 1 {
		t.Errorf("got %q and %d documents, want %q and 1", got, report.Added, want)
	}
}

func TestOrderIsThatOfTheFiles(t *testing.T) {
	files := map[string]string{}
	for i := range 40 {
		// The files take very different times to read.
		files[fmt.Sprintf("%02d.jsonl", i)] = strings.Repeat("{}\n", (i%7)*60) + fmt.Sprintf(`{"id": "same", "text": "From %d."}`, i)
	}
	root := tree(t, files)
	for range 3 {
		index := &fakeIndex{}
		report := add(t, newIngester(t, ingest.Options{Workers: 4, BatchDocuments: 1}), index, root)
		if got := index.entries["same"].Document.Text; got != "From 0." {
			t.Fatalf("got %q, want that of the first file", got)
		}
		if report.Added != 1 || report.FaultsOmitted == 0 || len(report.Faults) != ingest.MaxFaults || report.Failed != report.FaultsOmitted+ingest.MaxFaults {
			t.Fatalf("got %+v with %d faults", countsOf(report), len(report.Faults))
		}
	}
}

func TestProgressAndEvents(t *testing.T) {
	files := map[string]string{"bad.jsonl": "{", "empty.txt": ""}
	size := int64(1)
	for i := range 50 {
		text := strings.Repeat("Some words here. ", i+1)
		files[fmt.Sprintf("%02d.txt", i)] = text
		size += int64(len(text))
	}
	root := tree(t, files)
	var last ingest.Progress
	documents, faults := 0, 0
	report, err := newIngester(t, ingest.Options{BatchDocuments: 7}).AddPaths(t.Context(), &fakeIndex{}, []string{root}, ingest.Events{
		Progress: func(p ingest.Progress) {
			if p.BytesDone < last.BytesDone || p.FilesDone < last.FilesDone || p.Documents < last.Documents || last.Done {
				t.Errorf("progress went from %+v to %+v", last, p)
			}
			last = p
		},
		Fault:    func(ingest.Fault) { faults++ },
		Document: func(string, ingest.Outcome, int) { documents++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := ingest.Progress{FilesTotal: 52, FilesDone: 52, BytesTotal: size, BytesDone: size, Documents: 50, Passages: report.Passages, Skipped: 1, Failed: 1, Done: true}
	if last != want {
		t.Errorf("got last progress %+v, want %+v", last, want)
	}
	if documents != 50 || faults != 2 {
		t.Errorf("got %d document events and %d fault events, want 50 and 2", documents, faults)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("%02d.txt", i)] = strings.Repeat("word ", 100)
	}
	root := tree(t, files)
	for _, c := range []struct {
		name    string
		options ingest.Options
		most    int
	}{
		{"by documents", ingest.Options{BatchDocuments: 4}, 4},
		{"by bytes", ingest.Options{BatchBytes: 1200}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			largest := 0
			index := &fakeIndex{before: func(entries []retriever.Entry) error {
				largest = max(largest, len(entries))
				return nil
			}}
			report := add(t, newIngester(t, c.options), index, root)
			if largest != c.most || report.Added != 30 {
				t.Errorf("got batches of up to %d and %d documents, want %d and 30", largest, report.Added, c.most)
			}
		})
	}
}

func TestAddDocuments(t *testing.T) {
	docs := []retriever.Document{
		{ID: "a", Text: "Alpha."}, {ID: "", Text: "No id."}, {ID: "b", Text: " "}, {ID: "a", Text: "Again."},
		{ID: "c", Text: "bad \xff"}, {ID: "d", Text: "Delta.", Metadata: map[string]any{"x": struct{}{}}}, {ID: "e", Text: strings.Repeat("long ", 100)},
		{ID: "f", Text: "Zeta."},
	}
	index := &fakeIndex{}
	report, err := newIngester(t, ingest.Options{MaxDocumentBytes: 200}).AddDocuments(t.Context(), index, slices.Values(docs), ingest.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := countsOf(report), (counts{added: 2, failed: 6}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for i, want := range []struct {
		line int
		id   string
		err  error
	}{
		{2, "", retriever.ErrInvalidDocument}, {3, "b", retriever.ErrInvalidDocument}, {4, "a", ingest.ErrDuplicate},
		{5, "c", retriever.ErrInvalidDocument}, {6, "d", retriever.ErrInvalidDocument}, {7, "e", ingest.ErrTooLarge},
	} {
		if f := report.Faults[i]; f.Line != want.line || f.DocumentID != want.id || !errors.Is(f.Err, want.err) {
			t.Errorf("fault %d: got %v (%v), want line %d, id %q, %v", i, f, f.Err, want.line, want.id, want.err)
		}
	}
}

func TestRefusedDocuments(t *testing.T) {
	strange := errors.New("something odd")
	cases := []struct {
		name    string
		refuse  func(id string) error
		want    counts
		wantErr error
	}{
		{
			name: "a field conflict costs one document",
			refuse: func(id string) error {
				if id == "d03" {
					return fmt.Errorf("%w: year", retriever.ErrFieldConflict)
				}
				return nil
			},
			want: counts{added: 19, failed: 1},
		},
		{
			name: "so does an error that nobody knows",
			refuse: func(id string) error {
				if id == "d03" || id == "d04" {
					return strange
				}
				return nil
			},
			want: counts{added: 18, failed: 2},
		},
		{name: "an index that takes nothing ends the run", refuse: func(string) error { return strange }, want: counts{failed: 7}, wantErr: strange},
		{name: "a full disk ends the run", refuse: func(string) error { return retriever.ErrNoSpace }, wantErr: retriever.ErrNoSpace},
		{name: "a closed index ends the run", refuse: func(string) error { return retriever.ErrClosed }, wantErr: retriever.ErrClosed},
		{name: "a locked index ends the run", refuse: func(string) error { return retriever.ErrLocked }, wantErr: retriever.ErrLocked},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			index := &fakeIndex{before: func(entries []retriever.Entry) error {
				for _, e := range entries {
					if err := c.refuse(e.Document.ID); err != nil {
						return err
					}
				}
				return nil
			}}
			report, err := newIngester(t, ingest.Options{Workers: 1}).AddDocuments(t.Context(), index, numbered(20), ingest.Events{})
			if !errors.Is(err, c.wantErr) {
				t.Errorf("got error %v, want %v", err, c.wantErr)
			}
			if got := countsOf(report); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if len(index.entries) != c.want.added {
				t.Errorf("the index holds %d documents, want %d", len(index.entries), c.want.added)
			}
		})
	}
}

func numbered(n int) func(func(retriever.Document) bool) {
	return func(yield func(retriever.Document) bool) {
		for i := range n {
			if !yield(retriever.Document{ID: fmt.Sprintf("d%02d", i), Text: fmt.Sprintf("Text %d.", i)}) {
				return
			}
		}
	}
}

// What was acknowledged before an interruption stays, is counted exactly, and
// is skipped when the run is repeated.
func TestInterruption(t *testing.T) {
	files := map[string]string{}
	for i := range 60 {
		files[fmt.Sprintf("%02d.txt", i)] = fmt.Sprintf("This is text number %d.", i)
	}
	root := tree(t, files)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	index := &fakeIndex{}
	index.before = func([]retriever.Entry) error {
		if len(index.entries) >= 20 {
			cancel()
			return ctx.Err()
		}
		return nil
	}
	g := newIngester(t, ingest.Options{BatchDocuments: 5})
	report, err := g.AddPaths(ctx, index, []string{root}, ingest.Events{})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got error %v, want Canceled", err)
	}
	if report.Added != 20 || len(index.entries) != 20 || report.Failed != 0 {
		t.Errorf("got %+v and %d stored, want 20 added", countsOf(report), len(index.entries))
	}
	index.before = nil
	if got, want := countsOf(add(t, g, index, root)), (counts{added: 40, unchanged: 20, files: 60}); got != want {
		t.Errorf("second run: got %+v, want %+v", got, want)
	}
}
