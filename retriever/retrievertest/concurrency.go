package retrievertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/needle-search/needle/retriever"
)

func testConcurrency(t *testing.T, newBackend func(*testing.T) retriever.Backend) {
	t.Run("writers and readers", func(t *testing.T) {
		index := create(t, newBackend)
		const writers, rounds = 8, 6
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for round := range rounds {
					// Every document has as many passages as it has rounds
					// behind it, all of the same version.
					version := fmt.Sprintf("version%d", round)
					parts := make([]string, round+1)
					for i := range parts {
						parts[i] = "shared text of " + version
					}
					e := Entry(fmt.Sprintf("doc%d", w), parts...)
					if err := index.Upsert(t.Context(), []retriever.Entry{e}); err != nil {
						t.Errorf("Upsert: %v", err)
						return
					}
					// What is acknowledged is found at once.
					document, err := index.Document(t.Context(), e.Document.ID)
					if err != nil || document.Text != e.Document.Text {
						t.Errorf("Document = %q, %v; want %q", document.Text, err, e.Document.Text)
						return
					}
				}
			})
		}
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				var last uint64
				for {
					select {
					case <-done:
						return
					default:
					}
					results, err := index.Retrieve(t.Context(), retriever.Query{Text: "shared", TopK: 1000, AllGroups: true})
					if err != nil {
						t.Errorf("Retrieve: %v", err)
						return
					}
					if results.Generation < last {
						t.Errorf("generation fell from %d to %d", last, results.Generation)
					}
					last = results.Generation
					wholeDocuments(t, results.Hits)
				}
			})
		}
		group.Wait()
		close(done)
		readers.Wait()
		wantCounts(t, index, writers, writers*rounds)
	})

	t.Run("one id", func(t *testing.T) {
		index := create(t, newBackend)
		var group sync.WaitGroup
		for w := range 8 {
			group.Go(func() {
				for round := range 4 {
					if round%2 == 1 && w%4 == 0 {
						if _, err := index.Delete(t.Context(), []string{"doc"}); err != nil {
							t.Errorf("Delete: %v", err)
						}
						continue
					}
					e := Entry("doc", strings.Fields(strings.Repeat("same ", w+1))...)
					if err := index.Upsert(t.Context(), []retriever.Entry{e}); err != nil {
						t.Errorf("Upsert: %v", err)
					}
				}
			})
		}
		group.Wait()
		upsert(t, index, Entry("doc", "last"))
		wantCounts(t, index, 1, 1)
	})

	t.Run("close while busy", func(t *testing.T) {
		index := create(t, newBackend, Entry("a", "text"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var group sync.WaitGroup
		started := make(chan struct{}, 8)
		for w := range 8 {
			group.Go(func() {
				for i := 0; ; i++ {
					var err error
					if w%2 == 0 {
						err = index.Upsert(ctx, []retriever.Entry{Entry(fmt.Sprintf("%d-%d", w, i), "text")})
					} else {
						_, err = index.Retrieve(ctx, retriever.Query{Text: "text", TopK: 10})
					}
					if i == 0 {
						started <- struct{}{}
					}
					if errors.Is(err, retriever.ErrClosed) {
						return
					}
					if err != nil {
						t.Errorf("call beside Close: %v, want success or ErrClosed", err)
						return
					}
				}
			})
		}
		for range 8 {
			<-started
		}
		if err := index.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		group.Wait()
	})
}

// wholeDocuments checks that a reader sees each document in one version, with
// all its passages.
func wholeDocuments(t *testing.T, hits []retriever.Hit) {
	t.Helper()
	passages := map[string]int{}
	texts := map[string]string{}
	for _, hit := range hits {
		passages[hit.DocumentID]++
		if text, ok := texts[hit.DocumentID]; ok && text != hit.Text {
			t.Errorf("%s is seen in two versions, %q and %q", hit.DocumentID, text, hit.Text)
		}
		texts[hit.DocumentID] = hit.Text
	}
	for id, n := range passages {
		var round int
		if _, err := fmt.Sscanf(texts[id], "shared text of version%d", &round); err != nil || n != round+1 {
			t.Errorf("%s has %d passages of %q", id, n, texts[id])
		}
	}
}
