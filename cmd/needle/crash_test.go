//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// TestCrash kills a server with the signal of a fault in native code while it is
// written to, three times, and starts it again as a service manager does: it ends
// in a way that makes the manager do so, says where it was, and whatever was
// acknowledged is there, as a whole.
func TestCrash(t *testing.T) {
	needRuntime(t)
	unit := string(readFile(t, testenv.Root(t)+"/deploy/systemd/needle.service"))
	compose := string(readFile(t, testenv.Root(t)+"/deploy/docker-compose.yaml"))
	if !strings.Contains(unit, "\nRestart=on-failure\n") || !strings.Contains(compose, "restart: unless-stopped") {
		t.Error("the unit or the compose file does not restart a server that failed")
	}
	data := t.TempDir()
	acknowledged := map[string]string{}
	const signals = 3
	for round := range signals + 1 {
		command, log := process(t, "serve", "--data", data, "--addr", "127.0.0.1:0")
		url := ""
		for deadline := time.Now().Add(60 * time.Second); url == ""; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("start %d: the server does not come up:\n%s", round, log)
			}
			url = runningServer(t.Context(), data).URL
		}
		needle, err := client.New(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for id, text := range acknowledged {
			if d, err := needle.Document(t.Context(), "", id); err != nil || d.Text != text {
				t.Errorf("start %d: %s holds %q, %v; want what was acknowledged, %q", round, id, d.Text, err, text)
			}
		}
		if round > 0 {
			if err := needle.Verify(t.Context(), ""); err != nil {
				t.Errorf("start %d: %v", round, err)
			}
			if result, err := needle.Ask(t.Context(), pipeline.Request{Question: "Who keeps the lighthouse of the tower?"}); err != nil || !result.Complete {
				t.Errorf("start %d: %+v, %v", round, result, err)
			}
		}
		if round == signals {
			return
		}
		crash(t, command, needle, round, acknowledged)
		if said := log.String(); !strings.Contains(said, "SIGSEGV") || !strings.Contains(said, "goroutine") {
			t.Errorf("round %d: the process says %q, want the signal and where it was", round, said)
		}
	}
}

// crash kills the server amid writes and notes what it acknowledged.
func crash(t *testing.T, command *exec.Cmd, needle *client.Client, round int, acknowledged map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	killed := false
	for n := 0; ; n++ {
		d := retriever.Document{ID: fmt.Sprintf("doc%d", n%7), Text: fmt.Sprintf("The lighthouse of the tower is kept in round %d by keeper %d.", round, n)}
		_, err := needle.Put(ctx, "", []retriever.Document{d})
		if err != nil {
			if !killed || ctx.Err() != nil {
				t.Fatalf("write %d: %v", n, err)
			}
			// Nobody knows whether it was done.
			delete(acknowledged, d.ID)
			break
		}
		acknowledged[d.ID] = d.Text
		if n == 20 {
			killed = true
			go func() { _ = command.Process.Signal(syscall.SIGSEGV) }()
		}
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) {
		t.Fatalf("round %d: the process ended with %v, want a failure, which a service manager restarts", round, err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
