package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// filesWith returns the files below a directory that hold a text.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || !e.Type().IsRegular():
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) { // a server works in there
			return nil
		}
		if bytes.Contains(data, []byte(text)) {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestErasure: a document that is deleted through the API leaves no text behind:
// not in answers that were cached, not in feedback, not in the free pages of the
// store's file, not in a backup that is made afterwards, and after a compaction
// in no file at all.
func TestErasure(t *testing.T) {
	const name, question = "Ambrose Tillotson", "Who bought the telephone exchange?"
	const text = "The telephone exchange was sold to " + name + "."
	server := startLive(t)
	needle, ctx := server.client, t.Context()
	if _, err := needle.Put(ctx, "", []retriever.Document{{ID: "gone", Text: text}, {ID: "kept", Text: "The exchange of letters goes on in Brno."}}); err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		t.Helper()
		result, err := needle.Ask(ctx, pipeline.Request{Question: question, IncludeRejected: true, Explain: true})
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for range 2 { // the second one comes from the cache
		if got := ask(); !strings.Contains(got, name) {
			t.Fatalf("got %s, want %s in it", got, name)
		}
	}
	start := strings.Index(text, name)
	for _, comment := range []string{"", name + " it was"} {
		if _, err := needle.AddFeedback(ctx, store.Feedback{
			Question: question, Verdict: store.Correct, DocumentID: "gone", Answer: name, Start: start, End: start + len(name), Comment: comment,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if found := filesWith(t, server.data, name); !strings.Contains(strings.Join(found, " "), "store.db") {
		t.Fatalf("%s is in %v; without store.db this test shows nothing", name, found)
	}
	if n, err := needle.Delete(ctx, "", []string{"gone"}); n != 1 || err != nil {
		t.Fatalf("Delete: %d, %v", n, err)
	}

	if got := ask(); strings.Contains(got, name) {
		t.Errorf("after the deletion the answer is %s", got)
	}
	if found := filesWith(t, server.data, name); strings.Contains(strings.Join(found, " "), "store.db") {
		t.Errorf("%s is still in %v", name, found)
	}
	cases, err := needle.Feedback(ctx, client.FeedbackPage{})
	if shown, _ := json.Marshal(cases); err != nil || strings.Contains(string(shown), name) {
		t.Errorf("the feedback says %s, %v", shown, err)
	}
	var packed bytes.Buffer
	if _, err := needle.Backup(ctx, "", &packed); err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	backup, err := io.ReadAll(unpacked)
	if err != nil || !bytes.Contains(backup, []byte("exchange of letters")) {
		t.Fatalf("the backup lacks what is left: %v", err)
	}
	if bytes.Contains(backup, []byte("Tillotson")) {
		t.Error("the text is in a backup that was made after the deletion")
	}
	if _, err := needle.Compact(ctx, ""); err != nil {
		t.Fatal(err)
	}
	// The engine removes the files that it has merged in the background.
	var left []string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if left = filesWith(t, server.data, "Tillotson"); len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		t.Errorf("after the compaction the text is still in %v", left)
	}
}

// TestSweep: what a crash left between index and store is erased when a server
// starts, and what has expired goes.
func TestSweep(t *testing.T) {
	data := t.TempDir()
	mustNeedle(t, "index", "add", write(t, t.TempDir(), "kept.jsonl", `{"id": "kept", "text": "The boiler is in Brno."}`), "--data", data)
	cfg, err := pipeline.LoadConfig("", builtin.Registry())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = data
	p, err := pipeline.Open(t.Context(), cfg, pipeline.WithoutReader())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := p.Store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"gone", "kept"} {
		if _, err := s.AddFeedback(t.Context(), store.Feedback{Index: "default", Question: "Where?", Verdict: store.Correct, DocumentID: id, Answer: "in " + id, Start: 0, End: 5}); err != nil {
			t.Fatal(err)
		}
	}
	swept := make(chan struct{})
	log := slog.New(slog.NewTextHandler(writerFunc(func(line []byte) (int, error) {
		if bytes.Contains(line, []byte("msg=swept")) {
			close(swept)
		}
		return len(line), nil
	}), nil))
	stop := startSweeping(t.Context(), p, time.Hour, log)
	select {
	case <-swept:
	case <-t.Context().Done():
	}
	stop()
	left := map[string]bool{}
	err = s.EachFeedback(t.Context(), "default", func(f store.Feedback) error {
		left[f.DocumentID] = f.Answer != ""
		return nil
	})
	if err != nil || left["gone"] || !left["kept"] {
		t.Errorf("which answers are left: %v, %v; want that of kept only", left, err)
	}
	if found := filesWith(t, data, "in gone"); len(found) > 0 {
		t.Errorf("the answer is still in %v", found)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
