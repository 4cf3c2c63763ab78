//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// smallDisk returns a directory on a file system of its own.
func smallDisk(t *testing.T, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", megabytes), "tmpfs", dir).CombinedOutput(); err != nil {
		testenv.Missing(t, false, "a small file system cannot be mounted: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// TestFullDisk: when the disk of the data directory is full, a server refuses
// writes with a code that says so, goes on answering, loses nothing, and takes
// writes again when there is room.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 24)
	server := startLiveIn(t, filepath.Join(disk, "data"))
	needle, ctx := server.client, t.Context()
	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("x"), 64<<10)
	for err == nil {
		_, err = ballast.Write(block)
	}
	ballast.Close()

	wantFull := func(what string, err error) {
		t.Helper()
		var problem *client.Error
		if !errors.As(err, &problem) || problem.Status != 507 || problem.Code != "no_space" || !errors.Is(err, retriever.ErrNoSpace) {
			t.Errorf("%s: got %v, want 507 no_space", what, err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	big := func(id string) retriever.Document {
		var text strings.Builder
		for range 200_000 {
			fmt.Fprintf(&text, "%x ", random.Uint64())
		}
		return retriever.Document{ID: id, Text: text.String()}
	}
	_, err = needle.Put(ctx, "", []retriever.Document{big("big")})
	wantFull("a document", err)
	feedback := func() error {
		_, err := needle.AddFeedback(ctx, store.Feedback{Question: "Who?", Verdict: store.Unanswerable, Comment: strings.Repeat("long ", 800)})
		return err
	}
	for range 200 { // until the free pages of the store's file are used up
		if err = feedback(); err != nil {
			break
		}
	}
	wantFull("feedback", err)

	ask := func() {
		t.Helper()
		result, err := needle.Ask(ctx, pipeline.Request{Question: "Who designed the Eiffel Tower?"})
		if err != nil || len(result.Answers) == 0 || result.Answers[0].Text != "Gustave Eiffel" || !result.Complete {
			t.Errorf("with a full disk the answer is %+v, %v", result, err)
		}
	}
	ask()
	if err := needle.Verify(ctx, ""); err != nil {
		t.Errorf("with a full disk: %v", err)
	}
	if err := needle.Ready(ctx); err != nil {
		t.Errorf("with a full disk: %v", err)
	}
	if _, err := needle.Document(ctx, "", "big"); !errors.Is(err, retriever.ErrDocumentNotFound) {
		t.Errorf("the refused document: got %v, want ErrDocumentNotFound", err)
	}

	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	if _, err := needle.Put(ctx, "", []retriever.Document{big("big")}); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := feedback(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	ask()
	if err := needle.Verify(ctx, ""); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
