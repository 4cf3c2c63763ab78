package api_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/store"
)

// replica is a server of its own, with a data directory of its own, on an
// Elasticsearch that it shares.
type replica struct {
	*harness
	pipeline *pipeline.Pipeline
	store    *store.Store
	secret   string
}

func newReplica(t *testing.T, prefix string) *replica {
	t.Helper()
	address := os.Getenv("NEEDLE_ES_URL")
	if address == "" {
		testenv.Missing(t, false, "NEEDLE_ES_URL is not set; start a server with: export NEEDLE_ES_URL=$(deploy/elasticsearch/test-server.sh start)")
	}
	text := fmt.Sprintf("data: %q\nranker: {type: none}\nretriever: {type: elastic, addresses: [%q], index_prefix: %q, replicas: 0}\n", t.TempDir(), address, prefix)
	config, err := pipeline.ParseConfig("replica", []byte(text), builtin.Registry())
	if err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.Open(t.Context(), config)
	if errors.Is(err, models.ErrRuntimeMissing) && os.Getenv("CI") != "true" {
		t.Skipf("ONNX Runtime is not set up; run: go run ./cmd/needle setup (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := p.Store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{harness: newHarness(t, api.Config{}), pipeline: p, store: s}
	server, err := api.New(p, api.Config{Access: api.Access{Store: s}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.handler = server.Handler()
	return r
}

// call sends a request with the replica's key.
func (r *replica) call(method, target, body string, header ...string) answer {
	return r.do(method, target, body, append(bearer(r.secret), header...)...)
}

// ask returns the best answer and the generation that it is from.
func (r *replica) ask(question string) (text string, generation uint64, cached bool) {
	r.t.Helper()
	a := r.call("POST", "/v1/ask", fmt.Sprintf(`{"question":%q}`, question))
	var result pipeline.Result
	if err := json.Unmarshal(a.body, &result); err != nil || a.status != 200 {
		r.t.Fatalf("ask: got %d %s (%v), want 200", a.status, a.body, err)
	}
	if len(result.Answers) > 0 {
		text = result.Answers[0].Text
	}
	_, cached = result.TimingsMS["cache"]
	return text, result.Generation, cached
}

// soon waits for what happens elsewhere; how long it may take is documented, and
// not measured here.
func soon(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestReplicas runs two servers on one Elasticsearch: what is done through one
// holds on the other.
func TestReplicas(t *testing.T) {
	prefix := "test-" + strings.ToLower(rand.Text()) + "-"
	a, b := newReplica(t, prefix), newReplica(t, prefix)
	t.Cleanup(func() { removeIndexes(t, a.pipeline, os.Getenv("NEEDLE_ES_URL")+"/"+prefix+"store.records") })
	const question = "When does the lease of the Lyon office end?"
	document := func(year string) string {
		return fmt.Sprintf(`{"title":"Lyon","text":"The lease of the Lyon office ends in March %s. The landlord is Immobilier Rhône."}`, year)
	}

	// A key made on one works on the other.
	secret := newKey(t, a.store, store.Key{Name: "both"}, "admin")
	a.secret, b.secret = secret, secret
	for name, r := range map[string]*replica{"first": a, "second": b} {
		soon(t, "the key holding on the "+name, func() bool { return r.call("GET", "/v1/indexes", "").status == 200 })
		if got := r.do("GET", "/v1/indexes", "").status; got != 401 {
			t.Errorf("without the key the %s answers %d, want 401", name, got)
		}
	}

	// A write that is sent again to the other is not done again.
	const path = "/v1/indexes/default/documents/lyon.md"
	first := a.call("PUT", path, document("2031"), "Idempotency-Key", "one")
	again := b.call("PUT", path, document("2031"), "Idempotency-Key", "one")
	if first.status != 201 || again.status != 201 || again.header.Get("Idempotency-Replayed") != "true" || string(first.body) != string(again.body) {
		t.Errorf("sent again: %d %s, then %d %s, replayed %q", first.status, first.body, again.status, again.body, again.header.Get("Idempotency-Replayed"))
	}
	if got := b.call("PUT", path, document("2032"), "Idempotency-Key", "one"); got.status != 422 && got.status != 409 {
		t.Errorf("another request with the same Idempotency-Key: got %d %s", got.status, got.body)
	}

	// The other sees the document, and never serves an old answer as that of a
	// newer generation.
	soon(t, "the document being seen", func() bool {
		return b.call("GET", path, "").status == 200
	})
	answerOf := map[uint64]string{}
	consistent := func(r *replica) string {
		t.Helper()
		text, generation, _ := r.ask(question)
		if known, ok := answerOf[generation]; ok && known != text {
			t.Fatalf("generation %d has the answers %q and %q", generation, known, text)
		}
		answerOf[generation] = text
		return text
	}
	for _, year := range []string{"2031", "2040", "2050"} {
		if got := a.call("PUT", path, document(year)); got.status > 201 {
			t.Fatalf("PUT: %d %s", got.status, got.body)
		}
		want := "March " + year
		if got := consistent(a); got != want {
			t.Errorf("the first answers %q right after its own write, want %q", got, want)
		}
		soon(t, "the new answer on the second", func() bool { return consistent(b) == want })
		consistent(b)
		if text, _, cached := b.ask(question); text != want || !cached {
			t.Errorf("the second answers %q, cached %v; want %q from its cache", text, cached, want)
		}
	}

	// Feedback given to one is exported by the other; what is deleted through one
	// is erased for both.
	start := strings.Index("The lease of the Lyon office ends in March 2050", "March")
	feedback := fmt.Sprintf(`{"question":%q,"verdict":"correct","document_id":"lyon.md","answer":"March 2050","start":%d,"end":%d}`, question, start, start+10)
	if got := a.call("POST", "/v1/feedback", feedback); got.status != 201 {
		t.Fatalf("feedback: %d %s", got.status, got.body)
	}
	if got := b.call("GET", "/v1/feedback/export?include=pending", ""); got.status != 200 || !strings.Contains(string(got.body), "March 2050") {
		t.Errorf("the second exports %d %s, want the feedback given to the first", got.status, got.body)
	}
	if got := a.call("DELETE", path, ""); got.status > 204 {
		t.Fatalf("DELETE: %d %s", got.status, got.body)
	}
	soon(t, "the document being gone", func() bool { return b.call("GET", path, "").status == 404 })
	if got := b.call("GET", "/v1/feedback/export?include=pending", ""); got.status != 200 || strings.Contains(string(got.body), "March 2050") {
		t.Errorf("the second exports %d %s, want the answer erased", got.status, got.body)
	}
	soon(t, "the answer being gone", func() bool { text, _, _ := b.ask(question); return text == "" })

	// How fresh a directory is that one follows, the other knows too.
	directory := filepath.Join(t.TempDir(), "handbook")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, "leave.md"), []byte("# Leave\n\nThere are thirty days of leave.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.pipeline.Sync(t.Context(), []string{directory}, pipeline.SyncOptions{}); err != nil {
		t.Fatal(err)
	}
	if sources, err := b.pipeline.Sources(""); err != nil || len(sources) != 1 || sources[0].Name != "handbook" || sources[0].Documents != 1 || sources[0].LastSuccess.IsZero() {
		t.Errorf("the second knows the sources %+v, %v; want the handbook with one document", sources, err)
	}

	swapped(t, a, b, document)

	// A key revoked on one ends there at once, and on the other soon.
	keys, err := b.store.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("the second has %d keys, %v; want the one of the first", len(keys), err)
	}
	if _, err := a.store.RevokeKey(t.Context(), keys[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := a.call("GET", "/v1/indexes", "").status; got != 401 {
		t.Errorf("the first answers %d to a key that it revoked, want 401", got)
	}
	soon(t, "the revoked key being refused", func() bool { return b.call("GET", "/v1/indexes", "").status == 401 })
}

// swapped exchanges and rebuilds indexes through one replica while the other has
// them open.
func swapped(t *testing.T, a, b *replica, document func(year string) string) {
	t.Helper()
	const path = "/v1/indexes/default/documents/lyon.md"
	text := func(r *replica) string { return string(r.call("GET", path, "").body) }
	for target, year := range map[string]string{"default": "2031", "next": "2060"} {
		if got := a.call("PUT", "/v1/indexes/"+target+"/documents/lyon.md", document(year)); got.status > 201 {
			t.Fatalf("PUT: %d %s", got.status, got.body)
		}
	}
	soon(t, "the document being there again", func() bool { return strings.Contains(text(b), "2031") })
	if got := a.call("POST", "/v1/indexes/default/swap", `{"with":"next"}`); got.status > 204 {
		t.Fatalf("swap: %d %s", got.status, got.body)
	}
	if got := text(a); !strings.Contains(got, "2060") {
		t.Errorf("the first has %s after its own swap, want the other document", got)
	}
	soon(t, "the swap being seen", func() bool { return strings.Contains(text(b), "2060") })
	if answer, _, _ := b.ask("When does the lease of the Lyon office end?"); answer != "March 2060" {
		t.Errorf("the second answers %q after the swap, want March 2060", answer)
	}
	// A rebuild drops the index that the other has open.
	if _, err := a.pipeline.Rebuild(t.Context(), "", pipeline.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if answer, _, _ := b.ask("When does the lease of the Lyon office end?"); answer != "March 2060" {
			t.Errorf("the second answers %q after the rebuild, want March 2060", answer)
		}
	}
	if got := b.call("PUT", path, document("2070")); got.status > 201 {
		t.Fatalf("PUT after the rebuild: %d %s", got.status, got.body)
	}
	soon(t, "the second's write being seen", func() bool { return strings.Contains(text(a), "2070") })
	// An index that is dropped and made anew is another one.
	if got := a.call("DELETE", "/v1/indexes/default", ""); got.status > 204 {
		t.Fatalf("DELETE: %d %s", got.status, got.body)
	}
	if got := a.call("PUT", path, document("2080")); got.status > 201 {
		t.Fatalf("PUT: %d %s", got.status, got.body)
	}
	soon(t, "the new index being seen", func() bool { return strings.Contains(text(b), "2080") })
}

// removeIndexes removes the indexes of a pipeline and that of the store.

// removeIndexes removes the indexes of a pipeline and that of the store.
func removeIndexes(t *testing.T, p *pipeline.Pipeline, records string) {
	ctx := context.Background()
	infos, err := p.Indexes(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, info := range infos {
		if err := p.DropIndex(ctx, info.Name); err != nil {
			t.Error(err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, records, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}
