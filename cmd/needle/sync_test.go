package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/needle-search/needle/pipeline"
)

func TestIndexSync(t *testing.T) {
	data, files := t.TempDir(), t.TempDir()
	docs := filepath.Join(files, "docs")
	write(t, docs, "tower.txt", "The tower opened in 1889.")
	write(t, docs, "bridge.md", "# Bridge\n\nBuilt in 1864.")
	write(t, docs, "records.jsonl", `{"id": "r1", "text": "First."}`+"\n"+`{"id": "r2", "text": "Second."}`)
	other := write(t, files, "other.txt", "Not in the folder.")
	mustNeedle(t, "index", "add", other, "--data", data)
	list := func() string {
		var ids []string
		for line := range strings.Lines(mustNeedle(t, "index", "list", "--documents", "--data", data)) {
			id, _, _ := strings.Cut(line, "  ")
			ids = append(ids, id)
		}
		return strings.Join(ids, " ")
	}
	report := filepath.Join(files, "report.jsonl")
	sync := func(args ...string) string {
		t.Helper()
		return mustNeedle(t, append([]string{"index", "sync", docs, "--data", data, "--progress", "none", "--report", report}, args...)...)
	}
	steps := []struct {
		name   string
		change func()
		args   []string
		say    []string
		ids    string
	}{
		{"dry first", func() {}, []string{"--dry-run"}, []string{"would be added: docs/tower.txt", "dry run, nothing was changed: 4 added"}, "other.txt"},
		{"first", func() {}, nil, []string{"4 added, 0 updated, 0 deleted"}, "docs/bridge.md docs/tower.txt other.txt r1 r2"},
		{"again", func() {}, nil, []string{"0 added, 0 updated, 0 deleted, 4 unchanged"}, "docs/bridge.md docs/tower.txt other.txt r1 r2"},
		{"dry delete", func() {
			os.Remove(filepath.Join(docs, "bridge.md"))
			write(t, docs, "tower.txt", "The tower opened in 1890.")
			write(t, docs, "records.jsonl", `{"id": "r2", "text": "Second."}`)
		}, []string{"--dry-run"}, []string{"would be deleted: docs/bridge.md", "would be deleted: r1", "would be updated: docs/tower.txt"}, "docs/bridge.md docs/tower.txt other.txt r1 r2"},
		{"delete", func() {}, nil, []string{"0 added, 1 updated, 2 deleted, 1 unchanged"}, "docs/tower.txt other.txt r2"},
		{"ignore", func() { write(t, docs, ".needleignore", "*.jsonl\n") }, nil, []string{"1 deleted"}, "docs/tower.txt other.txt"},
	}
	for _, step := range steps {
		step.change()
		out := sync(step.args...)
		for _, want := range step.say {
			if !strings.Contains(out, want) {
				t.Errorf("%s: the output lacks %q:\n%s", step.name, want, out)
			}
		}
		if got := list(); got != step.ids {
			t.Errorf("%s: got documents %q, want %q", step.name, got, step.ids)
		}
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for line := range bytes.Lines(text) {
		var r reportLine
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		outcomes[r.Outcome]++
	}
	if outcomes["deleted"] != 1 || outcomes["unchanged"] != 1 || outcomes["skipped"] != 2 {
		t.Errorf("outcomes in the report: %v\n%s", outcomes, text)
	}
	if _, err := needle(t, "index", "sync", docs, "--data", data, "--report", filepath.Join(docs, "r.jsonl")); err == nil {
		t.Error("a report inside the directory was accepted")
	}
}

func TestIndexSyncKeepsAndTells(t *testing.T) {
	data, docs := t.TempDir(), filepath.Join(t.TempDir(), "docs")
	path := write(t, docs, "a.txt", "Alpha.")
	write(t, docs, "b.txt", "Beta.")
	args := []string{"index", "sync", docs, "--data", data, "--progress", "none"}
	mustNeedle(t, args...)
	status := func() sourceStatus {
		t.Helper()
		var s statistics
		if err := json.Unmarshal([]byte(mustNeedle(t, "index", "stats", "--json", "--data", data)), &s); err != nil {
			t.Fatal(err)
		}
		if len(s.Sources) != 1 || s.Documents != 2 {
			t.Fatalf("stats %+v", s)
		}
		return s.Sources[0]
	}
	first := status()
	if first.Failing || first.LagSeconds == nil || first.Documents != 2 || first.Added != 2 || first.LastChange.IsZero() {
		t.Errorf("after the first sync: %+v", first)
	}
	if err := os.WriteFile(path, []byte("%PDF-1.7\nbroken"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := needle(t, args...)
	if err == nil || !strings.Contains(out, "1 documents stay as they were") {
		t.Errorf("a broken file: %v\n%s", err, out)
	}
	broken := status()
	if !broken.Failing || broken.Kept != 1 || !broken.LastSuccess.Equal(first.LastSuccess) || !broken.LastChange.Equal(first.LastChange) {
		t.Errorf("after a broken file: %+v", broken)
	}
	away := docs + ".away"
	if err := os.Rename(docs, away); err != nil {
		t.Fatal(err)
	}
	if _, err := needle(t, args...); err == nil || !strings.Contains(err.Error(), "source is missing") {
		t.Errorf("a missing directory: %v", err)
	}
	if s := status(); !s.Failing || !strings.Contains(s.Failure, "missing") {
		t.Errorf("after it went missing: %+v", s)
	}
	if err := os.Rename(away, docs); err != nil {
		t.Fatal(err)
	}
	write(t, docs, "a.txt", "Alpha.")
	mustNeedle(t, args...)
	if s := status(); s.Failing || !s.LastSuccess.After(first.LastSuccess) {
		t.Errorf("after it was mended: %+v", s)
	}
	if out := mustNeedle(t, "index", "stats", "--data", data); !strings.Contains(out, "source docs") || !strings.Contains(out, "ago") {
		t.Errorf("stats: %s", out)
	}
	// A name that never was is not remembered as a source.
	if _, err := needle(t, "index", "sync", docs+"-typo", "--data", data); err == nil {
		t.Error("a directory that never was is accepted")
	}
	status()
}

func TestIndexSyncSameName(t *testing.T) {
	data := t.TempDir()
	a, b := filepath.Join(t.TempDir(), "docs"), filepath.Join(t.TempDir(), "docs")
	write(t, a, "a.txt", "Alpha.")
	write(t, b, "a.txt", "Another.")
	mustNeedle(t, "index", "sync", a, "--data", data)
	if _, err := needle(t, "index", "sync", b, "--data", data); err == nil || !strings.Contains(err.Error(), "same ids") {
		t.Errorf("two sources of the same name: %v", err)
	}
	// Once the first is gone, the second may take its place.
	if err := os.RemoveAll(a); err != nil {
		t.Fatal(err)
	}
	if out := mustNeedle(t, "index", "sync", b, "--data", data); !strings.Contains(out, "1 updated") {
		t.Errorf("a directory that moved: %s", out)
	}
	sources, err := pipeline.ReadSources(data, "default")
	if err != nil || len(sources) != 1 || sources[0].Path != b {
		t.Errorf("sources %+v, %v; want one at %s", sources, err, b)
	}
}

func TestIndexDropForgetsSources(t *testing.T) {
	data, docs := t.TempDir(), filepath.Join(t.TempDir(), "docs")
	write(t, docs, "a.txt", "Alpha.")
	mustNeedle(t, "index", "sync", docs, "--data", data)
	mustNeedle(t, "index", "drop", "default", "--yes", "--data", data)
	if sources, err := pipeline.ReadSources(data, "default"); err != nil || len(sources) != 0 {
		t.Errorf("after the index was dropped: %+v, %v", sources, err)
	}
}

// lockedBuffer takes what a command prints while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestIndexSyncWatch(t *testing.T) {
	docs := filepath.Join(t.TempDir(), "docs")
	data := filepath.Join(docs, "needle-data") // in the folder, as people do
	write(t, docs, "a.txt", "Alpha.")
	ctx, cancel := context.WithCancel(t.Context())
	var out lockedBuffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs([]string{"index", "sync", docs, "--data", data, "--watch", "--debounce", "50ms", "--progress", "none"})
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	expect := func(want string, n int) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); strings.Count(out.String(), want) < n; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q was not said %d times:\n%s", want, n, out.String())
			}
		}
	}
	expect("1 added", 1)
	write(t, docs, "sub/b.txt", "Beta.")
	expect("1 added", 2)
	write(t, docs, "a.txt", "Changed.")
	expect("1 updated", 1)
	if err := os.Remove(filepath.Join(docs, "sub", "b.txt")); err != nil {
		t.Fatal(err)
	}
	expect("1 deleted", 1)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("watch ended with %v", err)
	}
	if got := mustNeedle(t, "index", "list", "--documents", "--data", data); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "docs/a.txt") {
		t.Errorf("documents afterwards: %s", got)
	}
}
