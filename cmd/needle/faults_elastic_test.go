//go:build linux

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// An ownElastic is a real Elasticsearch that one test has for itself and may
// kill.
type ownElastic struct{ dir, url string }

func (e *ownElastic) script(t *testing.T, verb string) string {
	t.Helper()
	command := exec.Command(filepath.Join(testenv.Root(t), "deploy", "elasticsearch", "test-server.sh"), verb)
	command.Env = append(os.Environ(), "NEEDLE_ES_DIR="+e.dir, "NEEDLE_ES_HEAP=384m", "NEEDLE_ES_SECURITY=false")
	out, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = exit.Stderr
		}
		t.Fatalf("test-server.sh %s: %v\n%s", verb, err, out)
	}
	return strings.TrimSpace(string(out))
}

// startElastic starts one with the files that NEEDLE_ES_HOME names.
func startElastic(t *testing.T) *ownElastic {
	t.Helper()
	if os.Getenv("NEEDLE_ES_HOME") == "" {
		testenv.Missing(t, false, "NEEDLE_ES_HOME is not set: no Elasticsearch that this test may kill (NEEDLE_ES_DIR=DIR deploy/elasticsearch/test-server.sh start unpacks one; then NEEDLE_ES_HOME=DIR)")
	}
	dir, err := os.MkdirTemp("", "needle-elasticsearch-killed-")
	if err != nil {
		t.Fatal(err)
	}
	// The server's user has to get in.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	e := &ownElastic{dir: dir}
	t.Cleanup(func() {
		e.script(t, "stop")
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	e.url = e.script(t, "start")
	return e
}

// kill ends it as a power failure would.
func (e *ownElastic) kill(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(e.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Elasticsearch is gone", func() error {
		if syscall.Kill(pid, 0) == nil {
			return errors.New("it is there")
		}
		return nil
	})
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// TestElasticsearchGoesAway kills Elasticsearch under a running server and starts
// it again: while it is away every request gets a problem that says so, readiness
// tells, and the process lives; afterwards everything works without a restart.
func TestElasticsearchGoesAway(t *testing.T) {
	needRuntime(t)
	elastic := startElastic(t)
	data := t.TempDir()
	config := write(t, data, "needle.yaml", fmt.Sprintf("data: %q\nretriever: {type: elastic, addresses: [%q], index_prefix: test-%s-, replicas: 0, retries: 1, retry_wait: 50ms}\nserver: {addr: \"127.0.0.1:0\"}\n",
		data, elastic.url, strings.ToLower(rand.Text())))
	_, log := process(t, "serve", "--config", config)
	url := ""
	eventually(t, "the server comes up", func() error {
		if url = runningServer(t.Context(), data).URL; url == "" {
			return fmt.Errorf("no note:\n%s", log)
		}
		return nil
	})
	needle, err := client.New(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	put := func(name string) error {
		_, err := needle.Put(ctx, "", []retriever.Document{{ID: "tower", Text: "The Eiffel Tower was designed by " + name + ". It opened in 1889."}})
		return err
	}
	right := func(name string) func() error {
		return func() error {
			result, err := needle.Ask(ctx, pipeline.Request{Question: "Who designed the Eiffel Tower?"})
			if err != nil {
				return err
			}
			if len(result.Answers) == 0 || result.Answers[0].Text != name {
				return fmt.Errorf("got %+v, want %s", result.Answers, name)
			}
			return nil
		}
	}
	if err := put("Gustave Eiffel"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an answer", right("Gustave Eiffel"))
	if err := needle.Ready(ctx); err != nil {
		t.Errorf("ready: %v", err)
	}

	// Somebody asks all the time. What he gets is right, or a problem.
	stop := make(chan struct{})
	var asker sync.WaitGroup
	answered, away := 0, 0
	asker.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			result, err := needle.Ask(ctx, pipeline.Request{Question: "Who designed the Eiffel Tower?"})
			var problem *client.Error
			switch {
			case err == nil && len(result.Answers) > 0 && (result.Answers[0].Text == "Gustave Eiffel" || result.Answers[0].Text == "Stephen Sauvestre"):
				answered++
			case errors.As(err, &problem) && problem.Status == http.StatusServiceUnavailable && problem.Detail != "":
				away++
			default:
				t.Errorf("got %+v, %v; want the right answer or a 503", result, err)
				return
			}
		}
	})
	elastic.kill(t)
	isAway := func(what string, err error) {
		t.Helper()
		var problem *client.Error
		if !errors.As(err, &problem) || problem.Status != http.StatusServiceUnavailable || problem.Code != "index_unavailable" && problem.Code != "store_unavailable" || !strings.Contains(problem.Detail, "again") {
			t.Errorf("%s while Elasticsearch is away: %v (%+v), want a 503 that says what is away and what to do", what, err, problem)
		}
	}
	_, err = needle.Ask(ctx, pipeline.Request{Question: "When did the Eiffel Tower open?"})
	isAway("ask", err)
	_, err = needle.Search(ctx, pipeline.SearchRequest{Query: "tower"})
	isAway("search", err)
	isAway("put", put("Stephen Sauvestre"))
	isAway("ready", needle.Ready(ctx))
	if _, err := needle.Health(ctx); err != nil {
		t.Errorf("health: %v, want a process that lives", err)
	}

	elastic.script(t, "resume")
	eventually(t, "readiness", func() error { return needle.Ready(ctx) })
	eventually(t, "an answer after the restart", func() error {
		// The write was refused, or it had arrived before the server died.
		return errors.Join(right("Gustave Eiffel")())
	})
	if err := put("Stephen Sauvestre"); err != nil {
		t.Errorf("a write after the restart: %v", err)
	}
	eventually(t, "the new answer", right("Stephen Sauvestre"))
	close(stop)
	asker.Wait()
	if answered == 0 || away == 0 {
		t.Errorf("the asker got %d answers and %d problems, want both", answered, away)
	}
}
