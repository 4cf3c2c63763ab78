package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// openFiles counts the descriptors of this process, -1 where that is unknown.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}

// TestManyIndexes uses 200 indexes at once, of which eight may be open. Each
// keeps to itself, and neither goroutines nor files grow with their number.
func TestManyIndexes(t *testing.T) {
	const indexes, limit, workers, rounds = 200, 8, 16, 40
	cfg := fakes(t, modelstest.Options{})
	cfg.Limits.OpenIndexes = limit
	p := open(t, cfg, pipeline.WithoutReader())
	name := func(n int) string { return fmt.Sprintf("index-%03d", n) }
	document := func(n int, id string) retriever.Document {
		return retriever.Document{ID: id, Text: fmt.Sprintf("a shared word and mark%03d", n)}
	}
	fill := func(from, to int) {
		var group sync.WaitGroup
		for w := range workers {
			group.Go(func() {
				for n := from + w; n < to; n += workers {
					if _, err := p.Put(t.Context(), name(n), []retriever.Document{document(n, "first")}); err != nil {
						t.Errorf("Put into %s: %v", name(n), err)
					}
				}
			})
		}
		group.Wait()
	}
	// Goroutines and files of a full pool are the measure.
	fill(0, limit*2)
	settle(t, p, limit)
	goroutines, files := runtime.NumGoroutine(), openFiles()
	fill(limit*2, indexes)

	var written [indexes]sync.Map
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for round := range rounds {
				n := random.IntN(indexes)
				if round%3 == 0 {
					id := fmt.Sprintf("doc-%d-%d", w, round)
					if _, err := p.Put(t.Context(), name(n), []retriever.Document{document(n, id)}); err != nil {
						t.Errorf("Put into %s: %v", name(n), err)
					}
					written[n].Store(id, true)
					continue
				}
				result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "shared", Index: name(n), TopK: 50})
				if err != nil {
					t.Errorf("Search in %s: %v", name(n), err)
					return
				}
				if len(result.Hits) == 0 || result.Index != name(n) {
					t.Errorf("%s gives %d hits of %s", name(n), len(result.Hits), result.Index)
				}
				for _, hit := range result.Hits {
					if hit.Text != document(n, "").Text {
						t.Errorf("%s gives %q, which is another's", name(n), hit.Text)
					}
				}
			}
		})
	}
	group.Wait()
	settle(t, p, limit)
	if now := runtime.NumGoroutine(); now > goroutines+10 {
		t.Errorf("%d goroutines with %d indexes, %d with %d", now, indexes, goroutines, limit*2)
	}
	if now := openFiles(); now > files+10 {
		t.Errorf("%d open files with %d indexes, %d with %d", now, indexes, files, limit*2)
	}
	for n := range indexes {
		want := 1
		written[n].Range(func(any, any) bool { want++; return true })
		stats, err := p.Stats(t.Context(), name(n))
		if err != nil || stats.Documents != uint64(want) {
			t.Errorf("%s has %d documents (%v), want %d", name(n), stats.Documents, err, want)
		}
	}
}

// settle waits until no more indexes are open than allowed and nothing closes.
func settle(t *testing.T, p *pipeline.Pipeline, limit int) {
	t.Helper()
	for range 500 {
		if pipeline.OpenIndexes(p) <= limit {
			runtime.GC()
			time.Sleep(50 * time.Millisecond) // what was closed ends its goroutines
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d indexes are open, %d are allowed", pipeline.OpenIndexes(p), limit)
}

// TestDropWhileReading: readers that began before an index is dropped get their
// results; later ones are told that it is gone; a new one can be made at once.
func TestDropWhileReading(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}), pipeline.WithoutReader())
	for round := range 5 {
		put(t, p, towers()...)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for {
					result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "tower"})
					if err != nil {
						wantErr(t, err, retriever.ErrIndexNotFound)
						return
					}
					if len(result.Hits) == 0 {
						t.Errorf("round %d: no hits", round)
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		if err := p.DropIndex(t.Context(), ""); err != nil {
			t.Error(err)
		}
		group.Wait()
	}
}
