package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error = %v, want %v", err, want)
	}
}

// numbered makes documents whose text says their version.
func numbered(from, to, version int) []retriever.Document {
	var list []retriever.Document
	for n := from; n < to; n++ {
		list = append(list, retriever.Document{
			ID: fmt.Sprintf("doc%04d", n), Title: "Title", Text: fmt.Sprintf("The running towers of version%d, number %d.", version, n),
			Metadata: map[string]any{"n": int64(n)}, Groups: []string{"staff"},
		})
	}
	return list
}

func putIn(t testing.TB, p *pipeline.Pipeline, index string, documents ...retriever.Document) {
	t.Helper()
	if _, err := p.Put(t.Context(), index, documents); err != nil {
		t.Fatal(err)
	}
}

func count(t testing.TB, p *pipeline.Pipeline, index, query string) int {
	t.Helper()
	result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: query, Index: index, TopK: 1000, Access: pipeline.FullAccess()})
	if err != nil {
		t.Fatal(err)
	}
	return len(result.Hits)
}

func TestBackupAndRestore(t *testing.T) {
	cfg := fakes(t, modelstest.Options{})
	p := open(t, cfg, pipeline.WithoutReader())
	putIn(t, p, "docs", numbered(0, 700, 1)...)
	var file bytes.Buffer
	summary, err := p.Backup(t.Context(), "docs", &file)
	if err != nil || summary.Documents != 700 {
		t.Fatalf("Backup = %+v, %v", summary, err)
	}
	putIn(t, p, "docs", numbered(600, 800, 2)...)
	restore := func(data []byte, index string, replace bool) error {
		_, err := p.Restore(t.Context(), index, bytes.NewReader(data), pipeline.RestoreOptions{Replace: replace})
		return err
	}

	// A new name.
	if err := restore(file.Bytes(), "copy", false); err != nil {
		t.Fatal(err)
	}
	if got := count(t, p, "copy", "version1"); got != 700 {
		t.Errorf("the copy finds %d documents, want 700", got)
	}
	// Groups came along.
	if result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "version1", Index: "copy"}); err != nil || len(result.Hits) != 0 {
		t.Errorf("a caller without groups finds %d hits, %v", len(result.Hits), err)
	}
	// The types of fields came along, and the hashes.
	if results, err := p.Put(t.Context(), "copy", numbered(0, 1, 1)); err != nil || results[0].Status != pipeline.Unchanged {
		t.Errorf("Put of what was restored = %+v, %v; want unchanged", results, err)
	}

	// The old data stays, whatever is wrong.
	wantErr(t, restore(file.Bytes(), "docs", false), retriever.ErrIndexExists)
	spoilt := bytes.Clone(file.Bytes())
	spoilt[len(spoilt)/2] ^= 1
	wantErr(t, restore(spoilt, "docs", true), retriever.ErrCorrupt)
	wantErr(t, restore(file.Bytes()[:file.Len()-20], "docs", true), retriever.ErrCorrupt)
	wantErr(t, restore([]byte("no backup"), "docs", true), retriever.ErrCorrupt)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Restore(ctx, "docs", bytes.NewReader(file.Bytes()), pipeline.RestoreOptions{Replace: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("Restore: %v, want context.Canceled", err)
	}
	if one, two := count(t, p, "docs", "version1"), count(t, p, "docs", "version2"); one != 600 || two != 200 {
		t.Errorf("after failed restores there are %d and %d documents, want 600 and 200", one, two)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.Data, "indexes", "docs.restore*")); err != nil || len(left) > 0 {
		t.Errorf("failed restores left %v (%v)", left, err)
	}

	// In place, while it is read.
	var group sync.WaitGroup
	var done atomic.Bool
	for range 4 {
		group.Go(func() {
			for !done.Load() {
				result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "towers", Index: "docs", TopK: 1000, Access: pipeline.FullAccess()})
				if err != nil {
					t.Errorf("Search while restoring: %v", err)
					return
				}
				if n := len(result.Hits); n != 700 && n != 800 {
					t.Errorf("a search beside a restore finds %d documents, want 700 or 800", n)
				}
			}
		})
	}
	for range 3 {
		if err := restore(file.Bytes(), "docs", true); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	group.Wait()
	if one, two := count(t, p, "docs", "version1"), count(t, p, "docs", "version2"); one != 700 || two != 0 {
		t.Errorf("after the restore there are %d and %d documents, want 700 and 0", one, two)
	}
	if err := p.Verify(t.Context(), "docs"); err != nil {
		t.Error(err)
	}
}

func TestSwapIndexes(t *testing.T) {
	cfg := fakes(t, modelstest.Options{})
	p := open(t, cfg, pipeline.WithoutReader())
	putIn(t, p, "live", numbered(0, 10, 1)...)
	putIn(t, p, "next", numbered(0, 20, 2)...)
	if err := p.SwapIndexes(t.Context(), "live", "next"); err != nil {
		t.Fatal(err)
	}
	if a, b := count(t, p, "live", "version2"), count(t, p, "next", "version1"); a != 20 || b != 10 {
		t.Errorf("after the swap there are %d and %d documents, want 20 and 10", a, b)
	}
	stats, err := p.Stats(t.Context(), "live")
	if err != nil || stats.Name != "live" {
		t.Errorf("Stats(live) names %q, %v", stats.Name, err)
	}
	putIn(t, p, "live", numbered(20, 21, 2)...)
	if err := p.DropIndex(t.Context(), "next"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, p.SwapIndexes(t.Context(), "live", "next"), retriever.ErrIndexNotFound)
	wantErr(t, p.SwapIndexes(t.Context(), "live", "live"), pipeline.ErrInvalidRequest)
	wantErr(t, p.SwapIndexes(t.Context(), "live", "../live"), retriever.ErrInvalidIndexName)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, cfg, pipeline.WithoutReader())
	if n := count(t, again, "live", "version2"); n != 21 {
		t.Errorf("after a restart there are %d documents, want 21", n)
	}
	if err := again.Verify(t.Context(), "live"); err != nil {
		t.Error(err)
	}
}

// setAnalyzer changes retriever.analyzer as a user would, in the file.
func setAnalyzer(t *testing.T, cfg *pipeline.Config, analyzer string) {
	t.Helper()
	parsed, err := pipeline.ParseConfig("test", []byte("retriever: {type: bleve, analyzer: "+analyzer+"}"), builtin.Registry())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Retriever = parsed.Retriever
}

func TestRebuild(t *testing.T) {
	cfg := fakes(t, modelstest.Options{})
	p := open(t, cfg, pipeline.WithoutReader())
	putIn(t, p, "", numbered(0, 1500, 1)...)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	setAnalyzer(t, cfg, "standard") // which does not stem
	p = open(t, cfg, pipeline.WithoutReader())
	stats, err := p.Stats(t.Context(), "")
	if err != nil || len(stats.Outdated) != 1 || !strings.Contains(stats.Outdated[0], "standard") {
		t.Fatalf("outdated = %q, %v; want the analyzer", stats.Outdated, err)
	}
	if n := count(t, p, "", "tower"); n != 1000 {
		t.Errorf("the old index finds %d documents, want 1000", n)
	}

	// The first try is cut off in the middle.
	ctx, cancel := context.WithCancel(t.Context())
	_, err = p.Rebuild(ctx, "", pipeline.RebuildOptions{Progress: func(done, _ uint64) {
		if done == 900 {
			cancel()
		}
	}})
	wantErr(t, err, context.Canceled)
	if n := count(t, p, "", "tower"); n != 1000 {
		t.Errorf("after an interrupted rebuild the old index finds %d documents, want 1000", n)
	}
	putIn(t, p, "", numbered(10, 20, 2)...)
	if _, err := p.Delete(t.Context(), "", []string{"doc0100", "doc1400"}); err != nil {
		t.Fatal(err)
	}

	// The second goes on, while others write.
	var once sync.Once
	var group sync.WaitGroup
	report, err := p.Rebuild(t.Context(), "", pipeline.RebuildOptions{Progress: func(done, total uint64) {
		if total != 1498 {
			t.Errorf("total = %d, want 1498", total)
		}
		if done < 700 {
			return
		}
		once.Do(func() {
			_, err := p.Rebuild(t.Context(), "", pipeline.RebuildOptions{})
			wantErr(t, err, pipeline.ErrRebuilding)
			putIn(t, p, "", numbered(0, 5, 3)...)
			if _, err := p.Delete(t.Context(), "", []string{"doc0200"}); err != nil {
				t.Error(err)
			}
			for w := range 4 {
				group.Go(func() {
					for n := range 20 {
						if _, err := p.Put(t.Context(), "", numbered(2000+w*20+n, 2001+w*20+n, 4)); err != nil {
							t.Error(err)
						}
					}
				})
			}
		})
	}})
	group.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if !report.Resumed || report.Kept == 0 || report.Copied == 0 {
		t.Errorf("report = %+v, want a rebuild that went on", report)
	}
	if stats, err = p.Stats(t.Context(), ""); err != nil || stats.Outdated != nil || stats.Documents != 1497+80 {
		t.Errorf("stats = %+v, %v; want %d documents and nothing outdated", stats, err, 1497+80)
	}
	for query, want := range map[string]int{"tower": 0, "version2": 10, "version3": 5, "version4": 80} {
		if n := count(t, p, "", query); n != want {
			t.Errorf("%q finds %d documents, want %d", query, n, want)
		}
	}
	if err := p.Verify(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.Data, "indexes", ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if entries, err := os.ReadDir(filepath.Join(cfg.Data, "indexes")); err != nil || len(entries) != 2 {
		t.Errorf("there are %v (%v), want the index and names.db", entries, err)
	}
}

func TestRebuildSplitsAnew(t *testing.T) {
	cfg := fakes(t, modelstest.Options{})
	p := open(t, cfg, pipeline.WithoutReader())
	long := retriever.Document{ID: "long", Text: strings.Repeat("One sentence of some words follows the other here. ", 60)}
	putIn(t, p, "", long)
	before, err := p.Stats(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Split.MaxTokens = 40
	cfg.Split.OverlapTokens = 0
	p = open(t, cfg, pipeline.WithoutReader())
	if _, err := p.Rebuild(t.Context(), "", pipeline.RebuildOptions{Split: true}); err != nil {
		t.Fatal(err)
	}
	after, err := p.Stats(t.Context(), "")
	if err != nil || after.Passages <= before.Passages {
		t.Errorf("there are %d passages (%v), want more than %d", after.Passages, err, before.Passages)
	}
	if results, err := p.Put(t.Context(), "", []retriever.Document{long}); err != nil || results[0].Status != pipeline.Unchanged {
		t.Errorf("Put of what was rebuilt = %+v, %v; want unchanged", results, err)
	}
}

func TestCompact(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}), pipeline.WithoutReader())
	putIn(t, p, "", numbered(0, 2000, 1)...)
	var ids []string
	for _, d := range numbered(10, 2000, 1) {
		ids = append(ids, d.ID)
	}
	if _, err := p.Delete(t.Context(), "", ids); err != nil {
		t.Fatal(err)
	}
	report, err := p.Compact(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if report.After >= report.Before/2 || report.After == 0 {
		t.Errorf("report = %+v, want a small part of the size", report)
	}
	if n := count(t, p, "", "version1"); n != 10 {
		t.Errorf("%d documents are found, want 10", n)
	}
	wantErr(t, p.Verify(t.Context(), ""), nil)
}
