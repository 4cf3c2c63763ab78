package bleve_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// countingContext is cancelled after it was asked a number of times, so that a
// test can cancel in the middle of a call.
type countingContext struct {
	context.Context
	left atomic.Int64
}

func (c *countingContext) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return c.Context.Err()
}

// TestCancelInside cancels long calls after they have begun.
func TestCancelInside(t *testing.T) {
	index := create(t, bleve.DefaultConfig())
	var entries []retriever.Entry
	for n := range 3000 {
		entries = append(entries, entry(fmt.Sprintf("doc%04d", n), "", strings.Repeat("alpha beta gamma delta epsilon zeta eta theta iota kappa ", 1+n%3)))
	}
	if err := index.Upsert(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"Retrieve": func(ctx context.Context) error {
			_, err := index.Retrieve(ctx, retriever.Query{Text: "alpha beta gamma delta epsilon zeta eta theta iota kappa", TopK: 5})
			return err
		},
		"List":   func(ctx context.Context) error { _, err := index.List(ctx, "", 3000); return err },
		"Verify": index.Verify,
		"Upsert": func(ctx context.Context) error { return index.Upsert(ctx, entries) },
	} {
		t.Run(name, func(t *testing.T) {
			counting := &countingContext{Context: t.Context()}
			counting.left.Store(2)
			if err := call(counting); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			if err := call(t.Context()); err != nil {
				t.Errorf("the call after a cancelled one: %v", err)
			}
		})
	}
}

// TestScratchIsClean cancels a query half way, which leaves scores behind in
// its working memory, and checks that no later query sees them.
func TestScratchIsClean(t *testing.T) {
	index := create(t, bleve.DefaultConfig())
	var entries []retriever.Entry
	for n := range 20_000 {
		entries = append(entries, entry(fmt.Sprintf("doc%05d", n), "", "alpha beta"))
	}
	if err := index.Upsert(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	query := retriever.Query{Text: "beta alpha", TopK: 3}
	want, err := index.Retrieve(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	for left := range int64(6) {
		counting := &countingContext{Context: t.Context()}
		counting.left.Store(left)
		_, _ = index.Retrieve(counting, query)
		got, err := index.Retrieve(t.Context(), query)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after a query cancelled at check %d: %v, %v; want %v", left, got, err, want)
		}
	}
}

func FuzzRetrieve(f *testing.F) {
	backend, err := bleve.New(bleve.DefaultConfig(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	index, err := backend.Create(f.Context(), "fuzz")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := index.Close(); err != nil {
			f.Error(err)
		}
	})
	err = index.Upsert(f.Context(), []retriever.Entry{
		entry("a", "Tower", "Who designed the tower? It's Eiffel's."), entry("b", "", "日本語 のテキスト, ﬁne naïve Straße"), entry("c", "", "x²+y² 🐞 1,000.5 a.b@c.de"),
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"who designed the tower", "日本語", "ﬁ", "'s", "\u202e", "a\x00b", "\xff", "x²", strings.Repeat("tower ", 100), "ing ed s"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, k int) {
		results, err := index.Retrieve(t.Context(), retriever.Query{Text: text, TopK: k, Explain: true})
		if err != nil {
			if !errors.Is(err, retriever.ErrInvalidQuery) {
				t.Errorf("error %v does not wrap ErrInvalidQuery", err)
			}
			return
		}
		if !utf8.ValidString(text) || k < 1 || len(results.Hits) > k {
			t.Errorf("an invalid query was answered with %d hits", len(results.Hits))
		}
		for i, hit := range results.Hits {
			if !(hit.Scores.BM25 > 0) || i > 0 && hit.Scores.BM25 > results.Hits[i-1].Scores.BM25 {
				t.Errorf("hit %d has score %v", i, hit.Scores.BM25)
			}
		}
	})
}
