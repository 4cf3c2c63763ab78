package ingest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/needle-search/needle/retriever"
)

// fakeIndex is an index in memory.
type fakeIndex struct {
	mu      sync.Mutex
	entries map[string]retriever.Entry
	upserts int
	// before, if set, is asked before every write.
	before func(entries []retriever.Entry) error
}

func (f *fakeIndex) Upsert(ctx context.Context, entries []retriever.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f.upserts++
	if f.before != nil {
		if err := f.before(entries); err != nil {
			return err
		}
	}
	if f.entries == nil {
		f.entries = map[string]retriever.Entry{}
	}
	for _, e := range entries {
		if len(e.Passages) == 0 || e.ContentHash == "" {
			return fmt.Errorf("entry %q is not complete", e.Document.ID)
		}
		f.entries[e.Document.ID] = e
	}
	return nil
}

func (f *fakeIndex) Delete(_ context.Context, ids []string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.entries)
	for _, id := range ids {
		delete(f.entries, id)
	}
	return n - len(f.entries), nil
}

func (f *fakeIndex) Infos(_ context.Context, ids []string) (map[string]retriever.DocumentInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	infos := map[string]retriever.DocumentInfo{}
	for _, id := range ids {
		if e, ok := f.entries[id]; ok {
			infos[id] = retriever.DocumentInfo{ID: id, ContentHash: e.ContentHash, Passages: len(e.Passages)}
		}
	}
	return infos, nil
}

func (f *fakeIndex) ids() []string { return slices.Sorted(maps.Keys(f.entries)) }
