package pipeline_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
)

// TestSyncReadsOnlyWhatMayHaveChanged follows a directory through changes that
// size and time show, and through one that they hide.
func TestSyncReadsOnlyWhatMayHaveChanged(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}))
	dir := filepath.Join(t.TempDir(), "docs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour).Truncate(time.Second)
	write := func(name, text string, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write("a.txt", "The first one.", past)
	write("b.txt", "The other one.", past)
	write("new.txt", "Dated ahead, so it never settles.", time.Now().Add(time.Hour))
	write("broken.pdf", "%PDF-1.4 nothing", past)
	for _, step := range []struct {
		name                              string
		change                            func()
		verify                            bool
		unread, added, updated, unchanged int
		deleted                           int
	}{
		{name: "first", added: 3},
		{name: "again", unread: 2, unchanged: 3},
		{name: "changed", change: func() { write("a.txt", "The first one, longer.", past.Add(time.Minute)) }, unread: 1, updated: 1, unchanged: 2},
		{name: "changed and dated back", change: func() { write("b.txt", "THE OTHER ONE.", past) }, unread: 2, unchanged: 3},
		{name: "verified", verify: true, updated: 1, unchanged: 2},
		{name: "removed from the index", change: func() {
			if _, err := p.Delete(t.Context(), "", []string{"docs/a.txt"}); err != nil {
				t.Fatal(err)
			}
		}, unread: 1, added: 1, unchanged: 2},
		{name: "removed from the directory", change: func() {
			if err := os.Remove(filepath.Join(dir, "b.txt")); err != nil {
				t.Fatal(err)
			}
		}, unread: 1, unchanged: 2, deleted: 1},
	} {
		if step.change != nil {
			step.change()
		}
		r, err := p.Sync(t.Context(), []string{dir}, pipeline.SyncOptions{VerifyContent: step.verify})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if r.Unread != step.unread || r.Added != step.added || r.Updated != step.updated || r.Unchanged != step.unchanged || r.Deleted != step.deleted {
			t.Errorf("%s: %d unread, %d added, %d updated, %d unchanged, %d deleted; want %+v", step.name, r.Unread, r.Added, r.Updated, r.Unchanged, r.Deleted, step)
		}
		if r.Failed+r.Skipped != 1 {
			t.Errorf("%s: %d failed and %d skipped, want the broken file each time", step.name, r.Failed, r.Skipped)
		}
	}
}
