//go:build unix

package ingest_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/needle-search/needle/ingest"
)

func TestWalkSkipsPipes(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": "a"})
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{"docs/a.txt", "pipe: it is not a regular file"}
	if got := walk(t, root, ingest.WalkOptions{}, root); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	want = []string{"!pipe: it is neither a file nor a directory"}
	if got := walk(t, root, ingest.WalkOptions{}, filepath.Join(root, "pipe")); !slices.Equal(got, want) {
		t.Errorf("given: got %q, want %q", got, want)
	}
}

func TestUnreadableDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser may read everything")
	}
	root := tree(t, map[string]string{"a.txt": "a", "closed/b.txt": "b"})
	if err := os.Chmod(filepath.Join(root, "closed"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(root, "closed"), 0o755) })
	want := []string{"docs/a.txt", "!closed: open: permission denied"}
	if got := walk(t, root, ingest.WalkOptions{}, root); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
