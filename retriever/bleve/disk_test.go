package bleve_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// TestReadOnlyDisk mounts the file system of an index read-only: opening and
// making indexes is refused with an error that says so, and everything is there
// when it can be written to again.
func TestReadOnlyDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system read-only")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", dir).CombinedOutput(); err != nil {
		required(t, fmt.Sprintf("cannot mount a file system: %v: %s", err, out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	remount := func(mode string) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,"+mode, dir).CombinedOutput(); err != nil {
			t.Fatalf("remount,%s: %v: %s", mode, err, out)
		}
	}
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := backend.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	const stored = 3
	for n := range stored {
		if err := index.Upsert(t.Context(), []retriever.Entry{bulky(n, 10)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	remount("ro")
	before := fingerprint(t, dir)
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, retriever.ErrReadOnly) || !strings.Contains(err.Error(), `"test`) {
			t.Errorf("%s: %v, want ErrReadOnly that names the index", what, err)
		}
	}
	for range 2 {
		_, err = backend.Open(t.Context(), "test")
		refused("Open", err)
		_, err = backend.Create(t.Context(), "test2")
		refused("Create", err)
		refused("Drop", backend.Drop(t.Context(), "test"))
		refused("Swap", backend.Swap(t.Context(), "test2", "test"))
	}
	if names, err := backend.Names(t.Context()); err != nil || fmt.Sprint(names) != "[test]" {
		t.Errorf("Names = %v, %v", names, err)
	}
	if fingerprint(t, dir) != before {
		t.Error("the files have changed")
	}
	remount("rw")
	if index, err = backend.Open(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	defer func() { index.Close() }()
	checkStored(t, index.(*bleve.Index), stored)
	if err := index.Upsert(t.Context(), []retriever.Entry{bulky(stored, 10)}); err != nil {
		t.Fatal(err)
	}
	checkStored(t, index.(*bleve.Index), stored+1)
}

// TestReadOnlyDirectory takes the right to write away from an index that is
// open, as a careless chmod or another owner does. Writes are refused at once,
// reading goes on, and with the right the writes come back.
func TestReadOnlyDirectory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs the permissions of a POSIX system")
	}
	dir := t.TempDir()
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := backend.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	index := opened.(*bleve.Index)
	defer func() { index.Close() }()
	stored := 0
	for ; stored < 3; stored++ {
		if err := index.Upsert(t.Context(), []retriever.Entry{bulky(stored, 10)}); err != nil {
			t.Fatal(err)
		}
	}
	beNobody(t, dir)
	chmod := func(folder, file fs.FileMode) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() {
				return os.Chmod(path, folder)
			}
			return os.Chmod(path, file)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the engine tidies up meanwhile
			t.Fatal(err)
		}
	}
	chmod(0o555, 0o444)
	for range 3 {
		if err := index.Upsert(t.Context(), []retriever.Entry{bulky(stored, 10)}); !errors.Is(err, retriever.ErrReadOnly) {
			t.Errorf("Upsert: %v, want ErrReadOnly", err)
		}
	}
	if err := index.Close(); err != nil {
		t.Error(err)
	}
	if _, err := backend.Open(t.Context(), "test"); !errors.Is(err, retriever.ErrReadOnly) || !strings.Contains(err.Error(), `"test"`) {
		t.Errorf("Open: %v, want ErrReadOnly that names the index", err)
	}
	chmod(0o755, 0o644)
	if opened, err = backend.Open(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	index = opened.(*bleve.Index)
	checkStored(t, index, stored)
	if err := index.Upsert(t.Context(), []retriever.Entry{bulky(stored, 10)}); err != nil {
		t.Errorf("Upsert with the right to write again: %v", err)
	}
	checkStored(t, index, stored+1)
	// The same while it is open, where only the folder loses the right.
	chmod(0o555, 0o644)
	if err := index.Upsert(t.Context(), []retriever.Entry{bulky(stored+1, 10)}); !errors.Is(err, retriever.ErrReadOnly) {
		t.Errorf("Upsert into a read-only folder: %v, want ErrReadOnly", err)
	}
	chmod(0o755, 0o644)
	if err := index.Upsert(t.Context(), []retriever.Entry{bulky(stored+1, 10)}); err != nil {
		t.Errorf("Upsert with the right to write again: %v", err)
	}
	checkStored(t, index, stored+2)
}

// beNobody makes the files under dir somebody else's, and the process that user
// until the test ends, because root may write everywhere.
func beNobody(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setreuid(-1, nobody); err != nil {
		required(t, "cannot become another user: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Setreuid(-1, 0); err != nil {
			t.Errorf("cannot become root again: %v", err)
		}
	})
}

// TestClockBackwards sets the clock back by decades between changes. Order and
// generations do not depend on it, and nothing is lost.
func TestClockBackwards(t *testing.T) {
	dir, backend := emptyIndex(t)
	var generation uint64
	year := 2090
	for step := range 6 {
		opened, err := backend.Open(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		index := opened.(*bleve.Index)
		for range 3 {
			now := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
			year -= 7
			index.SetClock(func() time.Time { return now })
			e := numberedEntry("doc", step)
			if err := index.Upsert(t.Context(), []retriever.Entry{e, entry(fmt.Sprint("at", now.Year()), "", "bulky")}); err != nil {
				t.Fatal(err)
			}
			if index.Generation() <= generation {
				t.Errorf("generation %d after %d", index.Generation(), generation)
			}
			generation = index.Generation()
			infos, err := index.Infos(t.Context(), []string{"doc"})
			if err != nil || !infos["doc"].IndexedAt.Equal(now) {
				t.Errorf("the document says %v, %v; want %v", infos["doc"].IndexedAt, err, now)
			}
		}
		if version := storedVersion(t, index, "doc"); version != step {
			t.Errorf("version %d is stored, want %d", version, step)
		}
		if n, err := index.Delete(t.Context(), []string{fmt.Sprint("at", year+7)}); err != nil || n != 1 {
			t.Errorf("Delete = %d, %v", n, err)
		}
		generation = index.Generation()
		if err := index.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		if err := index.Close(); err != nil {
			t.Fatal(err)
		}
		// Files of the future are nobody's leftovers.
		future := time.Now().Add(100 * 24 * time.Hour)
		creating := filepath.Join(dir, ".creating-1")
		if err := os.MkdirAll(creating, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(creating, future, future); err != nil {
			t.Fatal(err)
		}
		other, err := backend.Create(t.Context(), fmt.Sprint("other", step))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(creating); err != nil {
			t.Errorf("what another process may be making was removed: %v", err)
		}
	}
}

// TestNamesDamage damages the file that swaps write. Nothing is guessed: what
// needs it is refused until it is mended.
func TestNamesDamage(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"cut short":   func(b []byte) []byte { return b[:len(b)/3] },
		"overwritten": func(b []byte) []byte { return []byte(strings.Repeat("x", len(b))) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, backend := filled(t)
			other, err := backend.Create(t.Context(), "other")
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			if err := backend.Swap(t.Context(), "other", "test"); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "names.db")
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			change(t, path, damage)
			refused := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, retriever.ErrCorrupt) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v, want ErrCorrupt that names the file", what, err)
				}
			}
			_, err = backend.Open(t.Context(), "test")
			refused("Open", err)
			_, err = backend.Names(t.Context())
			refused("Names", err)
			_, err = backend.Create(t.Context(), "third")
			refused("Create", err)
			refused("Drop", backend.Drop(t.Context(), "test"))
			refused("Swap", backend.Swap(t.Context(), "test", "other"))
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := useAll(t.Context(), backend); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestManyWritersAndReaders runs 24 writers and 24 readers, who also count
// facets and read whole snapshots, while the index is compacted and swapped.
func TestManyWritersAndReaders(t *testing.T) {
	const writers, readers, rounds = 24, 24, 5
	_, backend := emptyIndex(t)
	opened, err := backend.Open(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	index := opened.(*bleve.Index)
	index.SetFlatRecords(50)
	var work, background sync.WaitGroup
	var stop atomic.Bool
	for w := range writers {
		work.Go(func() {
			for round := range rounds {
				id := fmt.Sprintf("writer%d", w)
				e := numberedEntry(id, round)
				e.Document.Metadata = map[string]any{"writer": id, "round": int64(round)}
				temporary := numberedEntry(id+"/temporary", round)
				if err := index.Upsert(t.Context(), []retriever.Entry{e, temporary}); err != nil {
					t.Errorf("Upsert: %v", err)
					return
				}
				if n, err := index.Delete(t.Context(), []string{temporary.Document.ID}); err != nil || n != 1 {
					t.Errorf("Delete = %d, %v", n, err)
					return
				}
				if version := storedVersion(t, index, id); version != round {
					t.Errorf("%s has version %d right after %d was written", id, version, round)
					return
				}
			}
		})
	}
	for r := range readers {
		background.Go(func() {
			var last uint64
			for n := r; !stop.Load(); n++ {
				query := retriever.Query{Text: "part version text", TopK: 100, AllGroups: true}
				switch {
				case n%20 == 0:
					if err := readSnapshot(t, index); err != nil {
						t.Errorf("Snapshot: %v", err)
						return
					}
				case n%5 == 0:
					counts, err := index.Facets(t.Context(), query, []retriever.FacetRequest{{Field: "writer", Size: writers}})
					if errors.Is(err, retriever.ErrInvalidFacet) && last == 0 {
						continue // nothing is written yet
					}
					if err != nil {
						t.Errorf("Facets: %v", err)
						return
					}
					for _, v := range counts.Facets[0].Values {
						if v.Count != 1 {
							t.Errorf("%v is counted %d times", v.Value, v.Count)
						}
					}
				default:
					results, err := index.Retrieve(t.Context(), query)
					if err != nil {
						t.Errorf("Retrieve: %v", err)
						return
					}
					if results.Generation < last {
						t.Errorf("the generation fell from %d to %d", last, results.Generation)
					}
					last = results.Generation
				}
			}
		})
	}
	background.Go(func() {
		for n := 0; !stop.Load(); n++ {
			if err := index.Compact(t.Context()); err != nil {
				t.Errorf("Compact: %v", err)
				return
			}
			names := []string{"test", "swapped"}
			if err := backend.Swap(t.Context(), names[1-n%2], names[n%2]); err != nil {
				t.Errorf("Swap: %v", err)
				return
			}
		}
	})
	work.Wait()
	stop.Store(true)
	background.Wait()
	if err := index.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	for w := range writers {
		if version := storedVersion(t, index, fmt.Sprintf("writer%d", w)); version != rounds-1 {
			t.Errorf("writer %d left version %d", w, version)
		}
	}
	stats, err := index.Stats(t.Context())
	if err != nil || stats.Documents != writers {
		t.Errorf("%d documents, %v; want %d", stats.Documents, err, writers)
	}
	if err := index.Close(); err != nil {
		t.Error(err)
	}
}

// readSnapshot reads all documents of one moment, each of which must be whole.
func readSnapshot(t *testing.T, index *bleve.Index) (err error) {
	snapshot, err := index.Snapshot(t.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	documents := uint64(0)
	for e, err := range snapshot.Entries(t.Context()) {
		if err != nil {
			return err
		}
		if err := e.Validate(); err != nil {
			return err
		}
		documents++
	}
	if want := snapshot.Stats().Documents; documents != want {
		return fmt.Errorf("%d documents, the statistics say %d", documents, want)
	}
	return nil
}
