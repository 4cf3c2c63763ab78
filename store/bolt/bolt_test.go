package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"github.com/needle-search/needle/store"
	"github.com/needle-search/needle/store/bolt"
	"github.com/needle-search/needle/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Driver {
		f, err := bolt.Open(t.Context(), filepath.Join(t.TempDir(), "new", "store.db"))
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	f, err := bolt.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v; want a file for its owner only", info.Mode(), err)
	}
	if _, err := f.Put(t.Context(), "key", store.Record{ID: "a", Data: []byte("x")}, store.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(t.Context(), path); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second process: got %v, want ErrLocked", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = bolt.Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r, err := f.Get(t.Context(), "key", "a"); err != nil || string(r.Data) != "x" {
		t.Errorf("after reopening: got %q, %v", r.Data, err)
	}
}

func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(t.Context(), path); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// onDisk reports whether the file of a store holds a text anywhere, in records
// or in pages that are free.
func onDisk(t *testing.T, path, text string) bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(data, []byte(text))
}

func TestScrub(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	f, err := bolt.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(id, data string) {
		t.Helper()
		if _, err := f.Put(t.Context(), "feedback", store.Record{ID: id, Data: []byte(data)}, store.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("a long record that takes pages of its own ", 1000)
	for i := range 50 {
		put(fmt.Sprintf("kept-%d", i), fmt.Sprintf("stays %d %s", i, strings.Repeat("x", 300)))
	}
	put("secret", "Ambrose Tillotson "+long)
	put("replaced", "Jana Dvorakova")
	put("replaced", "erased")
	if _, err := f.Delete(t.Context(), "feedback", "secret"); err != nil {
		t.Fatal(err)
	}
	if !onDisk(t, path, "Ambrose Tillotson") || !onDisk(t, path, "Jana Dvorakova") {
		t.Fatal("nothing is left in free pages, so this test shows nothing")
	}
	if err := f.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Ambrose Tillotson", "Jana Dvorakova", "a long record"} {
		if onDisk(t, path, text) {
			t.Errorf("%q is still in the file", text)
		}
	}
	// Everything else is there, now, after more writes, and in another process.
	check := func() {
		t.Helper()
		list, err := f.List(t.Context(), "feedback", "kept-", "", 100)
		if err != nil || len(list) != 50 {
			t.Fatalf("got %d records, %v; want 50", len(list), err)
		}
		if r, err := f.Get(t.Context(), "feedback", "replaced"); err != nil || string(r.Data) != "erased" {
			t.Errorf("got %q, %v", r.Data, err)
		}
	}
	check()
	for i := range 50 {
		put(fmt.Sprintf("kept-%d", i), "again")
	}
	check()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Scrub(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Scrub after Close: got %v, want ErrClosed", err)
	}
	if f, err = bolt.Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	check()
	db := bolt.DB(f)
	if err := db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestScrubWhileInUse: readers and writers see nothing of it.
func TestScrubWhileInUse(t *testing.T) {
	f, err := bolt.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var group errgroup.Group
	for w := range 4 {
		group.Go(func() error {
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", w, i%5)
				want := strings.Repeat(id, 100)
				if _, err := f.Put(t.Context(), "feedback", store.Record{ID: id, Data: []byte(want)}, store.Condition{}); err != nil {
					return err
				}
				if r, err := f.Get(t.Context(), "feedback", id); err != nil || string(r.Data) != want {
					return fmt.Errorf("got %q, %w", r.Data, err)
				}
			}
			return nil
		})
	}
	for range 20 {
		if err := f.Scrub(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestNewerFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	f, err := bolt.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put(t.Context(), "key", store.Record{ID: "a", Data: []byte("x")}, store.Condition{}); err != nil {
		t.Fatal(err)
	}
	if err := bolt.DB(f).Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("needle")).Put([]byte("format"), []byte("2")) }); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(t.Context(), path); !errors.Is(err, store.ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the file of a newer version was changed")
	}
}
