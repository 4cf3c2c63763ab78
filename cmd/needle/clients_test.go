package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/internal/testenv"
)

// A live is a server with keys on a new data directory.
type live struct {
	url, data string
	key       string // of an administrator
	client    *client.Client
}

// startLive starts a server as a process of its own.
func startLive(t *testing.T, args ...string) live {
	t.Helper()
	return startLiveIn(t, t.TempDir(), args...)
}

// startLiveIn is startLive in a given data directory.
func startLiveIn(t *testing.T, data string, args ...string) live {
	t.Helper()
	needRuntime(t)
	l := live{data: data}
	var created struct{ Key string }
	out := mustNeedle(t, "keys", "create", "--name", "admin", "--role", "admin", "--all-groups", "--json", "--data", l.data)
	if err := json.Unmarshal([]byte(out), &created); err != nil || created.Key == "" {
		t.Fatalf("%v in %s", err, out)
	}
	l.key = created.Key
	mustNeedle(t, "index", "add", write(t, t.TempDir(), "tower.txt", "The Eiffel Tower was designed by Gustave Eiffel. It opened in 1889."), "--data", l.data)
	_, log := process(t, append([]string{"serve", "--data", l.data, "--addr", "127.0.0.1:0"}, args...)...)
	for deadline := time.Now().Add(60 * time.Second); l.url == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not come up:\n%s", log)
		}
		l.url = runningServer(t.Context(), l.data).URL
	}
	c, err := client.New(l.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.client = c.WithKey(l.key)
	return l
}

// TestClients runs the tests and the example of the Python client, and the example
// of the Go client, against a live server.
func TestClients(t *testing.T) {
	server := startLive(t)
	root := testenv.Root(t)
	t.Run("python", func(t *testing.T) {
		python, err := exec.LookPath("python3")
		if err != nil {
			testenv.Missing(t, false, "python3 is missing: %v", err)
		}
		cmd := exec.CommandContext(t.Context(), python, "-B", "-m", "unittest", "discover", "-v", "tests")
		cmd.Dir = filepath.Join(root, "clients", "python")
		cmd.Env = append(os.Environ(), "NEEDLE_URL="+server.url, "NEEDLE_KEY="+server.key)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "skipped") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("go", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), "go", "run", "./clients/go/quickstart", "-server", server.url)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "NEEDLE_API_KEY="+server.key)
		out, err := cmd.CombinedOutput()
		for _, want := range []string{"memo/boiler created", "Jana Dvorakova (", "reading 1 passages", "at last: Osric Penhaligon"} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v\n%s\nwant %q in it", err, out, want)
			}
		}
	})
}
