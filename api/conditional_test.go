package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

const towerPath = "/v1/indexes/default/documents/tower.md"

func TestETags(t *testing.T) {
	h := newHarness(t, api.Config{})
	first := h.do("GET", towerPath, "")
	tag := first.header.Get("ETag")
	if !strings.HasPrefix(tag, `"`) || len(tag) < 20 {
		t.Fatalf("got ETag %q, want a strong tag", tag)
	}
	for given, want := range map[string]int{
		tag: 304, "*": 304, "W/" + tag: 304, `"other", ` + tag: 304, `"other"`: 200, "nonsense": 200,
	} {
		a := h.do("GET", towerPath, "", "If-None-Match", given)
		if a.status != want || a.header.Get("ETag") != tag || want == 304 && len(a.body) > 0 {
			t.Errorf("GET with If-None-Match %s: got %d, want %d", given, a.status, want)
		}
	}
	steps := []struct {
		name, method, target, header, value string
		status                              int
	}{
		{"replace with a wrong tag", "PUT", towerPath, "If-Match", `"x"`, 412},
		{"replace with a weak tag", "PUT", towerPath, "If-Match", "W/" + tag, 412},
		{"replace with no tag at all", "PUT", towerPath, "If-Match", "x", 400},
		{"replace with a tag cut off", "PUT", towerPath, "If-Match", `"x`, 400},
		{"create what is there", "PUT", towerPath, "If-None-Match", "*", 412},
		{"replace what is not there", "PUT", "/v1/indexes/default/documents/absent", "If-Match", "*", 412},
		{"replace in an index that is not there", "PUT", "/v1/indexes/absent/documents/a", "If-Match", "*", 412},
		{"delete with a wrong tag", "DELETE", towerPath, "If-Match", `"x"`, 412},
		{"delete what is not there", "DELETE", "/v1/indexes/default/documents/absent", "If-Match", "*", 412},
		{"replace with the right tag", "PUT", towerPath, "If-Match", `"x", ` + tag, 200},
		{"replace with the old tag", "PUT", towerPath, "If-Match", tag, 412},
		{"create what is not there", "PUT", "/v1/indexes/default/documents/new", "If-None-Match", "*", 201},
		{"create it again", "PUT", "/v1/indexes/default/documents/new", "If-None-Match", "*", 412},
		{"delete what is there", "DELETE", "/v1/indexes/default/documents/new", "If-Match", "*", 204},
	}
	for _, s := range steps {
		body := ""
		if s.method == "PUT" {
			body = `{"text":"Another text."}`
		}
		a := h.do(s.method, s.target, body, s.header, s.value)
		if a.status != s.status {
			t.Errorf("%s: got %d %s, want %d", s.name, a.status, a.body, s.status)
		}
		if a.status == 412 && a.problem(t).Code != "precondition_failed" {
			t.Errorf("%s: got code %s", s.name, a.problem(t).Code)
		}
		if s.method == "PUT" && a.status < 300 {
			if got := h.do("GET", s.target, "").header.Get("ETag"); got != a.header.Get("ETag") || got == tag {
				t.Errorf("%s: answered the tag %s, stored is %s", s.name, a.header.Get("ETag"), got)
			}
		}
	}
	if _, there := h.service.indexes["absent"]; there {
		t.Error("a condition that does not hold made an index")
	}
}

// TestConditionalWritesRace lets many read, change and write one document; no
// change may be lost.
func TestConditionalWritesRace(t *testing.T) {
	h := newHarness(t, api.Config{})
	var group sync.WaitGroup
	var won atomic.Int64
	for g := range 8 {
		group.Go(func() {
			for i := range 10 {
				for {
					tag := h.do("GET", towerPath, "").header.Get("ETag")
					a := h.do("PUT", towerPath, fmt.Sprintf(`{"text":"change %d of %d"}`, i, g), "If-Match", tag)
					if a.status == http.StatusOK {
						won.Add(1)
						break
					}
					if a.status != http.StatusPreconditionFailed {
						t.Errorf("got %d %s", a.status, a.body)
						return
					}
				}
			}
		})
	}
	group.Wait()
	if won.Load() != 80 || len(h.service.puts) != 80 {
		t.Errorf("%d changes were acknowledged, %d written, want 80", won.Load(), len(h.service.puts))
	}
}

func TestIdempotencyKey(t *testing.T) {
	h := newHarness(t, api.Config{Access: api.Access{Store: newStore(t)}})
	const target = "/v1/indexes/default/documents"
	body := `{"id":"a","text":"x"}`
	first := h.do("POST", target, body, "Idempotency-Key", "k1")
	again := h.do("POST", target, body, "Idempotency-Key", "k1")
	if first.status != 201 || again.status != 201 || string(first.body) != string(again.body) || len(h.service.puts) != 1 {
		t.Errorf("got %d %s, then %d %s with %d writes; want the same answer and one write", first.status, first.body, again.status, again.body, len(h.service.puts))
	}
	for _, name := range []string{"Content-Type", "Location", "ETag"} {
		if first.header.Get(name) == "" || again.header.Get(name) != first.header.Get(name) {
			t.Errorf("%s: got %q, then %q", name, first.header.Get(name), again.header.Get(name))
		}
	}
	if first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
		t.Error("only the repetition must say that it is one")
	}
	for name, a := range map[string]answer{
		"another body": h.do("POST", target, `{"id":"a","text":"y"}`, "Idempotency-Key", "k1"),
		"another path": h.do("PUT", target+"/a", body, "Idempotency-Key", "k1"),
	} {
		if a.status != http.StatusUnprocessableEntity || a.problem(t).Code != "idempotency_key_reused" {
			t.Errorf("%s: got %d %s, want 422", name, a.status, a.body)
		}
	}
	if a := h.do("DELETE", target+"/a", "", "Idempotency-Key", "k2"); a.status != 204 {
		t.Errorf("delete: got %d %s", a.status, a.body)
	}
	if a := h.do("DELETE", target+"/a", "", "Idempotency-Key", "k2"); a.status != 204 {
		t.Errorf("delete again: got %d %s, want the answer of before", a.status, a.body)
	}
	// What failed can be tried again under the same key.
	h.service.err = retriever.ErrNoSpace
	if a := h.do("POST", target, body, "Idempotency-Key", "k3"); a.status != http.StatusInsufficientStorage {
		t.Errorf("a full disk: got %d %s", a.status, a.body)
	}
	h.service.err = nil
	if a := h.do("POST", target, body, "Idempotency-Key", "k3"); a.status != 201 {
		t.Errorf("with room again: got %d %s, want 201", a.status, a.body)
	}
	for _, bad := range []string{strings.Repeat("x", 256), "a\tb", "é"} {
		if a := h.do("POST", target, body, "Idempotency-Key", bad); a.status != 400 {
			t.Errorf("key %q: got %d, want 400", bad, a.status)
		}
	}
	if a := h.do("POST", "/v1/keys", `{"name":"n","roles":["search"]}`, "Idempotency-Key", "k4"); a.status != 400 {
		t.Errorf("keys: got %d, want 400", a.status)
	}
	if a := h.do("POST", "/v1/indexes/default/bulk", `{"id":"b","text":"x"}`, "Content-Type", "application/x-ndjson", "Idempotency-Key", "k5"); a.status != 400 {
		t.Errorf("bulk: got %d, want 400", a.status)
	}
}

func TestIdempotencyKeyInFlight(t *testing.T) {
	h := newHarness(t, api.Config{Access: api.Access{Store: newStore(t)}})
	started, release := make(chan struct{}), make(chan struct{})
	h.service.put = func(context.Context, string, []retriever.Document) ([]pipeline.PutResult, error) {
		close(started)
		<-release
		return []pipeline.PutResult{{ID: "tower.md", Status: pipeline.Updated, Passages: 1, Generation: 9}}, nil
	}
	done := make(chan answer, 1)
	go func() { done <- h.do("PUT", towerPath, `{"text":"x"}`, "Idempotency-Key", "k") }()
	<-started
	a := h.do("PUT", towerPath, `{"text":"x"}`, "Idempotency-Key", "k")
	if a.status != http.StatusConflict || a.problem(t).Code != "idempotency_in_flight" || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, want 409 with Retry-After", a.status, a.body)
	}
	close(release)
	if a := <-done; a.status != 200 {
		t.Errorf("the first: got %d %s", a.status, a.body)
	}
}

// Callers do not see each other's answers.
func TestIdempotencyKeyIsTheCallers(t *testing.T) {
	kept := newStore(t)
	one, two := newKey(t, kept, store.Key{}, "write"), newKey(t, kept, store.Key{}, "write")
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	for _, secret := range []string{one, two} {
		a := h.do("PUT", "/v1/indexes/default/documents/x", `{"text":"x"}`, "Idempotency-Key", "k", "Authorization", "Bearer "+secret)
		if a.header.Get("Idempotency-Replayed") != "" || a.status > 299 {
			t.Errorf("got %d %s, want a write of its own", a.status, a.body)
		}
	}
	if len(h.service.puts) != 2 {
		t.Errorf("got %d writes, want 2", len(h.service.puts))
	}
}

func TestClientConditions(t *testing.T) {
	fake := newFake()
	url, _ := serve(t, fake, api.Config{Access: api.Access{Store: newStore(t)}})
	c, err := client.New(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, tag, err := c.DocumentTag(t.Context(), "", "tower.md")
	if err != nil || tag == "" || d.Title != "The tower" {
		t.Fatalf("DocumentTag: got %+v, %q, %v", d, tag, err)
	}
	d.Text = "Other text."
	result, next, err := c.PutDocument(t.Context(), "", d, client.Condition{IfMatch: tag, IdempotencyKey: "k"})
	if err != nil || next == tag || result.Status != pipeline.Updated {
		t.Errorf("PutDocument: got %+v, %q, %v", result, next, err)
	}
	if again, same, err := c.PutDocument(t.Context(), "", d, client.Condition{IfMatch: tag, IdempotencyKey: "k"}); err != nil || same != next || again != result {
		t.Errorf("repeated: got %+v, %q, %v; want what the first got", again, same, err)
	}
	if _, _, err := c.PutDocument(t.Context(), "", d, client.Condition{IfMatch: tag}); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("with the old tag: got %v, want ErrPreconditionFailed", err)
	}
	if _, _, err := c.PutDocument(t.Context(), "", d, client.Condition{IfAbsent: true}); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("if absent: got %v, want ErrPreconditionFailed", err)
	}
	if err := c.DeleteDocument(t.Context(), "", "tower.md", client.Condition{IfMatch: tag}); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("DeleteDocument with the old tag: got %v, want ErrPreconditionFailed", err)
	}
	if err := c.DeleteDocument(t.Context(), "", "tower.md", client.Condition{IfMatch: next}); err != nil {
		t.Errorf("DeleteDocument: %v", err)
	}
	if err := c.DeleteDocument(t.Context(), "", "tower.md", client.Condition{}); !errors.Is(err, retriever.ErrDocumentNotFound) {
		t.Errorf("DeleteDocument again: got %v, want ErrDocumentNotFound", err)
	}
}
