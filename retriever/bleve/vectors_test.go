package bleve

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/retrievertest"
)

func vectorFor(n int) []int8 { return []int8{int8(n + 1), int8(-n), 7} }

func keyFor(n int) vectorKey { return keyOf("", fmt.Sprint("text ", n)) }

// writeVectors makes a file with n vectors and returns its bytes.
func writeVectors(t testing.TB, path string, n int) []byte {
	t.Helper()
	v, err := openVectorFile(path, "model")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := v.put([]vectorKey{keyFor(i)}, [][]int8{vectorFor(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkVectors opens a file and makes sure that every vector found is the right
// one. It returns which there are.
func checkVectors(t testing.TB, path string, n int) []int {
	t.Helper()
	v, err := openVectorFile(path, "model")
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	var there []int
	for i := range n {
		got, err := v.get(keyFor(i))
		if err != nil {
			t.Errorf("vector %d: %v", i, err)
		}
		if got == nil {
			continue
		}
		there = append(there, i)
		if !slices.Equal(got, vectorFor(i)) {
			t.Errorf("vector %d is %v, want %v", i, got, vectorFor(i))
		}
	}
	return there
}

// TestVectorFileCutShort: a file cut at any byte, as a crash may leave it, holds
// the vectors before the cut, takes new ones, and is whole afterwards.
func TestVectorFileCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), vectorsFolder, "x"+vectorSuffix)
	const n = 4
	data := writeVectors(t, path, n)
	size := len(data) - len(vectorHeader("model", 3))
	for cut := range data {
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := max(0, cut-len(vectorHeader("model", 3))) / (size / n)
		if got := checkVectors(t, path, n); len(got) != want {
			t.Fatalf("cut at %d: vectors %v are there, want the first %d", cut, got, want)
		}
		writeVectors(t, path, n)
		if got := checkVectors(t, path, n); len(got) != n {
			t.Fatalf("cut at %d and filled again: vectors %v are there, want %d", cut, got, n)
		}
		if err := checkVectorFile(path); err != nil {
			t.Fatalf("cut at %d and filled again: %v", cut, err)
		}
	}
}

// TestVectorFileDamage: a damaged byte costs the vector that it is in, and a
// check names it until the file is opened again.
func TestVectorFileDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), vectorsFolder, "x"+vectorSuffix)
	const n = 3
	data := writeVectors(t, path, n)
	header := len(vectorHeader("model", 3))
	for at := range data {
		damaged := bytes.Clone(data)
		damaged[at] ^= 0x40
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkVectorFile(path); !errors.Is(err, retriever.ErrCorrupt) {
			t.Errorf("byte %d damaged: %v, want ErrCorrupt", at, err)
		}
		want := n - 1
		if at < header {
			want = 0
		}
		if got := checkVectors(t, path, n); len(got) != want {
			t.Errorf("byte %d damaged: vectors %v are there, want %d", at, got, want)
		}
		if at < header {
			continue // nothing is left to check
		}
		if err := checkVectorFile(path); err != nil {
			t.Errorf("byte %d damaged, file opened: %v", at, err)
		}
	}
}

// TestVectorSweep: vectors of passages that are gone do not stay for ever.
func TestVectorSweep(t *testing.T) {
	path := filepath.Join(t.TempDir(), vectorsFolder, "x"+vectorSuffix)
	writeVectors(t, path, 10)
	v, err := openVectorFile(path, "model")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.retain(map[vectorKey]bool{keyFor(3): true, keyFor(8): true}); err != nil {
		t.Fatal(err)
	}
	if err := v.put([]vectorKey{keyFor(5)}, [][]int8{vectorFor(5)}); err != nil {
		t.Fatal(err)
	}
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	if got := checkVectors(t, path, 10); !slices.Equal(got, []int{3, 5, 8}) {
		t.Errorf("vectors %v are there, want 3, 5 and 8", got)
	}
}

// TestVectorNoteIsNotTrusted: when an index changed while nobody kept its
// vectors in step, it is looked through, and what is missing is found.
func TestVectorNoteIsNotTrusted(t *testing.T) {
	backend, err := New(DefaultConfig(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	index, err := backend.Create(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	put := func(x *Index) {
		t.Helper()
		missing, err := x.MissingVectors(t.Context(), "model", 100)
		if err != nil {
			t.Fatal(err)
		}
		vectors := make([][]int8, len(missing))
		for i := range vectors {
			vectors[i] = vectorFor(i)
		}
		if err := x.PutVectors(t.Context(), "model", missing, vectors); err != nil {
			t.Fatal(err)
		}
	}
	x := index.(*Index)
	if err := x.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("a", "one", "two"), retrievertest.Entry("b", "three")}); err != nil {
		t.Fatal(err)
	}
	put(x)
	reopen := func() {
		t.Helper()
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if index, err = backend.Open(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		x = index.(*Index)
	}
	reopen()
	// Nobody asks for vectors, so the set is not open and not told.
	if err := x.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("c", "four")}); err != nil {
		t.Fatal(err)
	}
	reopen()
	if coverage, err := x.VectorCoverage(t.Context(), "model"); err != nil || coverage.Complete() {
		t.Errorf("coverage is %+v, %v; want it not complete", coverage, err)
	}
	missing, err := x.MissingVectors(t.Context(), "model", 100)
	if err != nil || len(missing) != 1 || missing[0].DocumentID != "c" {
		t.Errorf("missing are %v, %v; want the passage of c", missing, err)
	}
	put(x)
	if coverage, err := x.VectorCoverage(t.Context(), "model"); err != nil || !coverage.Complete() {
		t.Errorf("coverage is %+v, %v; want it complete", coverage, err)
	}
	if err := x.Verify(t.Context()); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzVectorFile: whatever lies where a file of vectors should be, opening it
// gives no wrong vector and leaves a file that can be written to.
func FuzzVectorFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), vectorsFolder, "seed"+vectorSuffix)
	f.Add(writeVectors(f, path, 3))
	f.Add([]byte{})
	f.Add([]byte(vectorMagic + "\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x"+vectorSuffix)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := openVectorFile(path, "model")
		if err != nil {
			t.Fatal(err)
		}
		vector := make([]int8, max(v.dimensions, 1))
		vector[0] = 1
		if err := v.put([]vectorKey{keyFor(99)}, [][]int8{vector}); err != nil {
			t.Fatal(err)
		}
		if got, err := v.get(keyFor(99)); err != nil || got == nil {
			t.Fatalf("the vector that was put is %v, %v", got, err)
		}
		if err := v.close(); err != nil {
			t.Fatal(err)
		}
		if err := checkVectorFile(path); err != nil {
			t.Fatal(err)
		}
	})
}
