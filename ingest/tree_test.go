package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/ingest"
)

// fakeTree is a tree in memory. Its address names a scheme that nothing has.
type fakeTree struct {
	files map[string]string
	// check and list are errors of the calls; list comes after two files.
	check, list error
	opened      []string
	// changed is a file that turns out to be another one when it is read.
	changed string
}

func (*fakeTree) Address() string               { return "fake://bucket/docs" }
func (t *fakeTree) Check(context.Context) error { return t.check }

func (t *fakeTree) List(context.Context) iter.Seq2[ingest.TreeFile, error] {
	return func(yield func(ingest.TreeFile, error) bool) {
		for n, name := range slices.Sorted(maps.Keys(t.files)) {
			if n == 2 && t.list != nil {
				yield(ingest.TreeFile{}, t.list)
				return
			}
			text := t.files[name]
			if !yield(ingest.TreeFile{Name: name, Size: int64(len(text)), ModTime: time.Now(), Version: text}, nil) {
				return
			}
		}
	}
}

func (t *fakeTree) Open(_ context.Context, file ingest.TreeFile) (ingest.Content, error) {
	t.opened = append(t.opened, file.Name)
	if file.Name == t.changed {
		return nil, ingest.ErrChanged
	}
	return readCloser{bytes.NewReader([]byte(t.files[file.Name]))}, nil
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// syncTree syncs and returns the report with the faults, a line each.
func syncTree(t *testing.T, index ingest.SyncTarget, tree *fakeTree, options ingest.SyncOptions) (ingest.SyncReport, string, error) {
	t.Helper()
	var faults []string
	options.Events.Fault = func(f ingest.Fault) { faults = append(faults, f.String()) }
	tree.opened = nil
	report, err := newIngester(t, ingest.Options{Workers: 1, Walk: ingest.WalkOptions{IgnoreFile: ingest.IgnoreFile}}).
		Sync(t.Context(), index, []ingest.Source{{Tree: tree}}, options)
	slices.Sort(faults)
	return report, strings.Join(faults, "\n"), err
}

func TestSyncTree(t *testing.T) {
	index := &listIndex{}
	tree := &fakeTree{files: map[string]string{
		"a.txt": "Alpha.", "b/c.txt": "Charlie.", "b/d.txt": "Delta.", "b/": "", ".git/config": "no", ".git/objects/x": "no",
		"old/e.txt": "Echo.", "old/f/g.txt": "Golf.", "../up.txt": "no", "x//y.txt": "no", "b/zeta~": "no",
		ingest.IgnoreFile: "old/\n", "b/" + ingest.IgnoreFile: "d.txt\n",
	}}
	report, faults, err := syncTree(t, index, tree, ingest.SyncOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(index.ids(), " "), "docs/a.txt docs/b/c.txt"; got != want {
		t.Errorf("got documents %s, want %s", got, want)
	}
	wantFaults := strings.Join([]string{
		"fake://bucket/docs/../up.txt: its name cannot be that of a file, so it is not taken",
		"fake://bucket/docs/.git: it is hidden",
		"fake://bucket/docs/.needleignore: it is hidden",
		"fake://bucket/docs/b/.needleignore: it is hidden",
		"fake://bucket/docs/b/d.txt: .needleignore leaves it out",
		"fake://bucket/docs/b/zeta~: it is a leftover of another program",
		"fake://bucket/docs/old/f: .needleignore leaves it out",
		"fake://bucket/docs/old: .needleignore leaves it out",
		"fake://bucket/docs/x//y.txt: its name cannot be that of a file, so it is not taken",
	}, "\n")
	wantFaults = strings.Replace(wantFaults, "fake://bucket/docs/old/f: .needleignore leaves it out\n", "", 1)
	if faults != wantFaults {
		t.Errorf("got faults\n%s\nwant\n%s", faults, wantFaults)
	}
	if got := report.Sources[0]; got.Name != "docs" || got.Path != "fake://bucket/docs" || got.Added != 2 {
		t.Errorf("got report %+v", got)
	}
	if uri := index.entries["docs/b/c.txt"].Document.Source.URI; uri != "fake://bucket/docs/b/c.txt" {
		t.Errorf("got URI %s", uri)
	}

	// Of the same version, nothing is opened but the ignore files; then one
	// changes, one goes and one comes.
	report, _, err = syncTree(t, index, tree, ingest.SyncOptions{Known: report.Files})
	if err != nil || report.Unread != 2 || len(tree.opened) != 2 {
		t.Fatalf("unchanged: got %d unread, opened %v, error %v", report.Unread, tree.opened, err)
	}
	tree.files["a.txt"] = "Alfa."
	tree.files["n.txt"] = "November."
	delete(tree.files, "b/c.txt")
	report, _, err = syncTree(t, index, tree, ingest.SyncOptions{Known: report.Files})
	if err != nil || report.Added != 1 || report.Updated != 1 || report.Deleted != 1 {
		t.Errorf("changed: got %+v, error %v", report, err)
	}
	if got, want := strings.Join(index.ids(), " "), "docs/a.txt docs/n.txt"; got != want {
		t.Errorf("got documents %s, want %s", got, want)
	}
}

// TestSyncTreeKeeps asserts that nothing is deleted that could still be there.
func TestSyncTreeKeeps(t *testing.T) {
	broken := errors.New("the line is cut")
	cases := []struct {
		name   string
		change func(*fakeTree)
		kept   int
		err    error
	}{
		{"the list ends early", func(f *fakeTree) { f.list = broken }, 4, nil},
		{"it cannot be reached", func(f *fakeTree) { f.check = broken }, 0, ingest.ErrSourceMissing},
		{"a file changed while it was read", func(f *fakeTree) { f.files["a.txt"], f.changed = "Changing.", "a.txt" }, 1, nil},
		{"the ignore file cannot be read", func(f *fakeTree) { f.files[ingest.IgnoreFile], f.changed = "x", ingest.IgnoreFile }, 4, nil},
		{"it is empty", func(f *fakeTree) { f.files = nil }, 0, ingest.ErrManyDeletes},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			index := &listIndex{}
			tree := &fakeTree{files: map[string]string{"a.txt": "Alpha.", "b.txt": "Bravo.", "c/c.txt": "Charlie.", "d.txt": "Delta."}}
			if _, _, err := syncTree(t, index, tree, ingest.SyncOptions{}); err != nil {
				t.Fatal(err)
			}
			c.change(tree)
			report, faults, err := syncTree(t, index, tree, ingest.SyncOptions{})
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Errorf("got error %v, want %v", err, c.err)
			}
			if report.Deleted != 0 || report.Kept != c.kept || len(index.ids()) != 4 {
				t.Errorf("got %d deleted, %d kept, documents %v; want %d kept\n%s", report.Deleted, report.Kept, index.ids(), c.kept, faults)
			}
		})
	}
}

// TestSyncTreeBesideDirectory: both kinds of sources in one call, and those that
// cannot be told apart.
func TestSyncTreeBesideDirectory(t *testing.T) {
	root := t.TempDir()
	put(t, root, "wiki/w.txt", "Whiskey.")
	put(t, root, "docs/v.txt", "Victor.")
	tree := &fakeTree{files: map[string]string{"a.txt": "Alpha."}}
	g := newSyncer(t)
	index := &listIndex{}
	if _, err := g.Sync(t.Context(), index, []ingest.Source{{Path: root + "/wiki"}, {Tree: tree}}, ingest.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(index.ids(), " "), "docs/a.txt wiki/w.txt"; got != want {
		t.Errorf("got documents %s, want %s", got, want)
	}
	if _, err := g.Sync(t.Context(), index, []ingest.Source{{Path: root + "/docs"}, {Tree: tree}}, ingest.SyncOptions{}); !errors.Is(err, ingest.ErrSourceName) {
		t.Errorf("got error %v, want ErrSourceName", err)
	}
	// The folder moved to a bucket: its documents follow.
	moved := &fakeTree{files: map[string]string{"w.txt": "Whiskey."}}
	report, err := g.Sync(t.Context(), index, []ingest.Source{{Tree: renamed{moved}, Former: root + "/wiki"}}, ingest.SyncOptions{})
	if err != nil || report.Updated != 1 || report.Deleted+report.Added != 0 {
		t.Errorf("moved: got %+v, error %v", report, err)
	}
}

type renamed struct{ *fakeTree }

func (renamed) Address() string { return "fake://bucket/wiki" }
