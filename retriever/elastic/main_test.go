package elastic_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/elastic"
	"github.com/needle-search/needle/retriever/retrievertest"
)

// serverURL returns the address of the real server that the tests need, or
// skips the test. In CI the server is promised.
func serverURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("NEEDLE_ES_URL")
	if url != "" {
		return url
	}
	const missing = "NEEDLE_ES_URL is not set; start a server with: export NEEDLE_ES_URL=$(deploy/elasticsearch/test-server.sh start)"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// config returns the settings for a part of the server that is the test's own
// and emptied when it ends.
func config(t testing.TB) elastic.Config {
	t.Helper()
	c := elastic.DefaultConfig()
	c.Addresses = []string{serverURL(t)}
	c.IndexPrefix = "test-" + strings.ToLower(rand.Text()) + "-"
	c.Replicas = 0
	c.RetryWait = 5 * time.Millisecond
	t.Cleanup(func() { cleanUp(t, c) })
	return c
}

func cleanUp(t testing.TB, c elastic.Config) {
	t.Helper()
	b, err := elastic.New(c)
	if err != nil {
		t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	names, err := b.Names(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if err := b.Drop(ctx, name); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func newBackend(t testing.TB, c elastic.Config) *elastic.Backend {
	t.Helper()
	b, err := elastic.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// create returns a new index, which is verified and closed when the test ends.
func create(t testing.TB, c elastic.Config, entries ...retriever.Entry) *elastic.Index {
	t.Helper()
	index, err := newBackend(t, c).Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	finish(t, index)
	if len(entries) > 0 {
		if err := index.Upsert(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
	}
	return index.(*elastic.Index)
}

// reopen opens the index that create made, as another process would.
func reopen(t testing.TB, c elastic.Config) *elastic.Index {
	t.Helper()
	index, err := newBackend(t, c).Open(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	finish(t, index)
	return index.(*elastic.Index)
}

func finish(t testing.TB, index retriever.Index) {
	t.Cleanup(func() {
		if err := index.(retriever.Verifier).Verify(context.Background()); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if err := index.Close(); err != nil {
			t.Error(err)
		}
	})
}

// ask sends a request to the server past the package under test.
func ask(t testing.TB, method, url, body string) map[string]any {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %v", method, url, response.StatusCode, answer)
	}
	return answer
}

func search(t testing.TB, index retriever.Index, text string) []string {
	t.Helper()
	results, err := index.Retrieve(t.Context(), retriever.Query{Text: text, TopK: 100, AllGroups: true})
	if err != nil {
		t.Fatalf("Retrieve(%q): %v", text, err)
	}
	ids := make([]string, len(results.Hits))
	for i, hit := range results.Hits {
		ids[i] = hit.ID()
	}
	return ids
}

func TestConformance(t *testing.T) {
	serverURL(t)
	retrievertest.Run(t, func(t *testing.T) retriever.Backend {
		backend, err := elastic.New(config(t))
		if err != nil {
			t.Fatal(err)
		}
		return backend
	})
}
