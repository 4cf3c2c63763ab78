package retrievertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/needle-search/needle/retriever"
)

// testVectors tests what back ends with a vector store can do; the others have
// nothing to show.
func testVectors(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	// As long as the hashes of real models.
	const model = "8c0c1d0a4c6a1f3f2b7a5f0e9d8c7b6a5f4e3d2c1b0a99887766554433221100"

	t.Run("life of vectors", func(t *testing.T) {
		index, store := createStore(t, newBackend, Entry("a", "the tower of London", "a bridge over the Thames"), Entry("b", "the tower of Pisa"))
		wantCoverage(t, store, model, 0, 3)
		hits := search(t, index, "tower", 10)
		wantVectors(t, store, model, hits, 0)
		fill(t, store, model)
		wantCoverage(t, store, model, 3, 3)
		wantVectors(t, store, model, hits, 2)

		// A document that changes loses the vectors of what changed, never
		// gets a wrong one, and the others keep theirs.
		upsert(t, index, Entry("a", "the tower of Babel"))
		changed := search(t, index, "Babel", 10)
		wantVectors(t, store, model, changed, 0)
		wantVectors(t, store, model, search(t, index, "Pisa", 10), 1)
		wantCoverage(t, store, model, 1, 2)
		fill(t, store, model)
		wantVectors(t, store, model, changed, 1)
		wantCoverage(t, store, model, 2, 2)

		if _, err := index.Delete(t.Context(), []string{"b"}); err != nil {
			t.Fatal(err)
		}
		wantCoverage(t, store, model, 1, 1)
		upsert(t, index, Entry("c", "new"))
		wantCoverage(t, store, model, 1, 2)
	})

	t.Run("models apart", func(t *testing.T) {
		index, store := createStore(t, newBackend, Entry("a", "one", "two"))
		fill(t, store, model)
		fill(t, store, "model-b")
		wantCoverage(t, store, "model-b", 2, 2)
		stats, err := index.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(stats.Vectors, func(v retriever.VectorStatistics) bool { return v.Model == "model-b" && v.Vectors == 2 }) {
			t.Errorf("Stats: vectors are %+v, want 2 of model-b among them", stats.Vectors)
		}
		if dropped, err := store.DropVectors(t.Context(), "model-b"); err != nil || !dropped {
			t.Errorf("DropVectors: %v, %v; want true", dropped, err)
		}
		wantCoverage(t, store, model, 0, 2)
		wantCoverage(t, store, "model-b", 2, 2)
		wantVectors(t, store, "model-b", search(t, index, "one", 1), 1)
		if dropped, err := store.DropVectors(t.Context(), "model-b"); err != nil || dropped {
			t.Errorf("DropVectors again: %v, %v; want false", dropped, err)
		}
	})

	t.Run("restart", func(t *testing.T) {
		backend := open(t, newBackend)
		index, err := backend.Create(t.Context(), indexName)
		if err != nil {
			t.Fatal(err)
		}
		store := storeOf(t, index)
		upsert(t, index, Entry("a", "the tower of London"), Entry("b", "the tower of Pisa"))
		fill(t, store, model)
		upsert(t, index, Entry("c", "the tower of Babel"))
		if err := index.Close(); err != nil {
			t.Fatal(err)
		}
		if index, err = backend.Open(t.Context(), indexName); err != nil {
			t.Fatal(err)
		}
		defer finish(t, index)
		store = storeOf(t, index)
		wantCoverage(t, store, model, 2, 3)
		wantVectors(t, store, model, search(t, index, "tower", 10), 2)
		if missing, err := store.MissingVectors(t.Context(), model, 10); err != nil || ids(missing) != "[c#0]" {
			t.Errorf("missing are %s, %v; want [c#0]", ids(missing), err)
		}
	})

	t.Run("limits", func(t *testing.T) {
		_, store := createStore(t, newBackend, Entry("a", "one", "two", "three"), Entry("b", "four"), Entry("c", "five"))
		missing, err := store.MissingVectors(t.Context(), model, 2)
		if err != nil || len(missing) != 2 {
			t.Fatalf("MissingVectors: %s, %v; want two passages", ids(missing), err)
		}
		for name, vectors := range map[string][][]int8{
			"empty":                {{}, {1}},
			"zeros":                {{0, 0, 0}, {1, 2, 3}},
			"different dimensions": {{1, 2, 3}, {1, 2}},
			"too few":              {{1, 2, 3}},
		} {
			if err := store.PutVectors(t.Context(), model, missing, vectors); !errors.Is(err, retriever.ErrInvalidVector) {
				t.Errorf("PutVectors, %s: %v, want ErrInvalidVector", name, err)
			}
		}
		wantCoverage(t, store, model, 0, 5)
		fill(t, store, model)
		if err := store.PutVectors(t.Context(), model, missing[:1], [][]int8{{1, 2}}); !errors.Is(err, retriever.ErrInvalidVector) {
			t.Errorf("PutVectors with other dimensions than those stored: %v, want ErrInvalidVector", err)
		}
	})

	t.Run("changes meanwhile", func(t *testing.T) {
		index, store := createStore(t, newBackend, Entry("a", "old words"), Entry("b", "goes away"))
		missing, err := store.MissingVectors(t.Context(), model, 10)
		if err != nil || len(missing) != 2 {
			t.Fatalf("MissingVectors: %s, %v; want two passages", ids(missing), err)
		}
		upsert(t, index, Entry("a", "new words"))
		if _, err := index.Delete(t.Context(), []string{"b"}); err != nil {
			t.Fatal(err)
		}
		if err := store.PutVectors(t.Context(), model, missing, vectorsOf(missing)); err != nil {
			t.Errorf("PutVectors of passages that changed: %v, want them passed over", err)
		}
		wantVectors(t, store, model, search(t, index, "words", 1), 0)
		wantCoverage(t, store, model, 0, 1)
	})

	t.Run("cancelled and closed", func(t *testing.T) {
		index, store := createStore(t, newBackend, Entry("a", "one"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		calls := map[string]func(context.Context) error{
			"MissingVectors": func(ctx context.Context) error { _, err := store.MissingVectors(ctx, model, 1); return err },
			"PutVectors":     func(ctx context.Context) error { return store.PutVectors(ctx, model, nil, nil) },
			"Vectors":        func(ctx context.Context) error { _, err := store.Vectors(ctx, model, nil); return err },
			"VectorCoverage": func(ctx context.Context) error { _, err := store.VectorCoverage(ctx, model); return err },
			"DropVectors":    func(ctx context.Context) error { _, err := store.DropVectors(ctx, ""); return err },
		}
		for name, call := range calls {
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", name, err)
			}
		}
		if err := index.Close(); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			if err := call(t.Context()); !errors.Is(err, retriever.ErrClosed) {
				t.Errorf("%s after Close: %v, want ErrClosed", name, err)
			}
		}
	})

	t.Run("writers and an embedder at once", func(t *testing.T) {
		index, store := createStore(t, newBackend)
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				for i := range 8 {
					id := fmt.Sprintf("d%d", (w+i)%5)
					if err := index.Upsert(t.Context(), []retriever.Entry{Entry(id, fmt.Sprintf("text %d of writer %d", i, w), "another text")}); err != nil {
						t.Errorf("Upsert: %v", err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 5 {
				missing, err := store.MissingVectors(t.Context(), model, 3)
				if err == nil {
					err = store.PutVectors(t.Context(), model, missing, vectorsOf(missing))
				}
				if err != nil {
					t.Errorf("embedder: %v", err)
				}
			}
		}()
		writers.Wait()
		<-done
		fill(t, store, model)
		wantCoverage(t, store, model, 10, 10)
		wantVectors(t, store, model, search(t, index, "text", 20), 10)
	})
}

func storeOf(t *testing.T, index retriever.Index) retriever.VectorStore {
	t.Helper()
	store, ok := index.(retriever.VectorStore)
	if !ok {
		t.Skip("the index keeps no vectors")
	}
	return store
}

func createStore(t *testing.T, newBackend func(*testing.T) retriever.Backend, entries ...retriever.Entry) (retriever.Index, retriever.VectorStore) {
	t.Helper()
	index := create(t, newBackend, entries...)
	return index, storeOf(t, index)
}

// vectorsOf makes a vector of each passage's text: how often it has each of some
// letters. So a test can tell whether a vector belongs to a text.
func vectorsOf(hits []retriever.Hit) [][]int8 {
	vectors := make([][]int8, len(hits))
	for i, h := range hits {
		vectors[i] = make([]int8, 32)
		vectors[i][0] = 1
		for _, r := range h.Text {
			vectors[i][1+r%31]++
		}
	}
	return vectors
}

// fill gives every passage its vector, a few at a time.
func fill(t *testing.T, store retriever.VectorStore, model string) {
	t.Helper()
	for range 1000 {
		missing, err := store.MissingVectors(t.Context(), model, 2)
		if err != nil {
			t.Fatalf("MissingVectors: %v", err)
		}
		if len(missing) == 0 {
			return
		}
		if err := store.PutVectors(t.Context(), model, missing, vectorsOf(missing)); err != nil {
			t.Fatalf("PutVectors: %v", err)
		}
	}
	t.Fatal("passages go on missing after their vectors were put")
}

func wantCoverage(t *testing.T, store retriever.VectorStore, model string, vectors, passages uint64) {
	t.Helper()
	got, err := store.VectorCoverage(t.Context(), model)
	if err != nil {
		t.Fatalf("VectorCoverage: %v", err)
	}
	exact := vectors == passages || vectors == 0
	if got.Passages != passages || exact && got.Vectors != vectors || !exact && got.Complete() {
		t.Errorf("coverage of %s is %+v, want %d of %d", model, got, vectors, passages)
	}
}

// wantVectors makes sure that the vectors of hits are those of their texts, and
// that there are as many as wanted.
func wantVectors(t *testing.T, store retriever.VectorStore, model string, hits []retriever.Hit, want int) {
	t.Helper()
	got, err := store.Vectors(t.Context(), model, hits)
	if err != nil || len(got) != len(hits) {
		t.Fatalf("Vectors: %d for %d hits, %v", len(got), len(hits), err)
	}
	right := vectorsOf(hits)
	n := 0
	for i, v := range got {
		if v == nil {
			continue
		}
		n++
		if !slices.Equal(v, right[i]) {
			t.Errorf("%s has the vector %v, want that of its text, %v", hits[i].ID(), v, right[i])
		}
	}
	if n != want {
		t.Errorf("%d of %s have a vector, want %d", n, ids(hits), want)
	}
}
