package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

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
