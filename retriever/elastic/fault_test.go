package elastic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/elastic"
	"github.com/needle-search/needle/retriever/retrievertest"
)

// proxy stands in front of the real server and does mischief.
type proxy struct {
	*httptest.Server
	forward *httputil.ReverseProxy
	// handle serves a request; pass hands it on to the server.
	lock   sync.Mutex
	handle func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter))
	calls  atomic.Int64
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	target, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{forward: httputil.NewSingleHostReverseProxy(target)}
	// What a client cuts off is no event for the log.
	p.forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.calls.Add(1)
		p.lock.Lock()
		handle := p.handle
		p.lock.Unlock()
		pass := func(w http.ResponseWriter) { p.forward.ServeHTTP(w, r) }
		if handle == nil {
			pass(w)
			return
		}
		handle(w, r, pass)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) set(handle func(http.ResponseWriter, *http.Request, func(http.ResponseWriter))) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.handle = handle
}

// through returns settings that reach the server by way of the proxy.
func (p *proxy) through(t *testing.T) (direct, proxied elastic.Config) {
	direct = config(t)
	proxied = direct
	proxied.Addresses = []string{p.URL}
	return direct, proxied
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = connection.Close()
	}
}

func isBulk(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/_bulk") }
func isState(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/_doc/state")
}

// TestRetries lets every kind of request fail twice before it succeeds.
func TestRetries(t *testing.T) {
	serverURL(t)
	for name, fail := range map[string]func(w http.ResponseWriter, pass func(http.ResponseWriter)){
		"429":         func(w http.ResponseWriter, _ func(http.ResponseWriter)) { w.WriteHeader(http.StatusTooManyRequests) },
		"503":         func(w http.ResponseWriter, _ func(http.ResponseWriter)) { w.WriteHeader(http.StatusServiceUnavailable) },
		"no answer":   func(w http.ResponseWriter, _ func(http.ResponseWriter)) { cut(w) },
		"lost answer": func(w http.ResponseWriter, pass func(http.ResponseWriter)) { pass(httptest.NewRecorder()); cut(w) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t)
			_, c := p.through(t)
			c.Retries = 4
			failed := map[string]int{}
			var lock sync.Mutex
			p.set(func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) {
				key := r.Method + r.URL.Path
				lock.Lock()
				failed[key]++
				first := failed[key] <= 2
				lock.Unlock()
				if first {
					fail(w, pass)
					return
				}
				pass(w)
			})
			index := create(t, c, retrievertest.Entry("a", "old text"), retrievertest.Entry("b", "other text"))
			if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("a", "new text", "of two passages")}); err != nil {
				t.Fatal(err)
			}
			if n, err := index.Delete(t.Context(), []string{"b"}); n != 1 || err != nil {
				t.Errorf("Delete = %d, %v; want 1", n, err)
			}
			if got := fmt.Sprint(search(t, index, "old new other text")); got != "[a#0]" {
				t.Errorf("hits = %s, want [a#0]", got)
			}
			stats, err := index.Stats(t.Context())
			if err != nil || stats.Generation != 3 || stats.Documents != 1 || stats.Passages != 2 {
				t.Errorf("Stats = %+v, %v; want generation 3, 1 document, 2 passages", stats, err)
			}
		})
	}
}

// TestItemErrors makes the server put off one item of a bulk request and refuse
// another one.
func TestItemErrors(t *testing.T) {
	p := newProxy(t)
	_, c := p.through(t)
	index := create(t, c, retrievertest.Entry("seed", "text"))
	putOff := 0
	p.set(func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) {
		if !isBulk(r) {
			pass(w)
			return
		}
		body, _ := io.ReadAll(r.Body)
		// What the server answers for a passage of "slow" is replaced once by
		// 429, and for the second passage of "bad" always by 400.
		lines := bytes.Split(bytes.TrimSpace(body), []byte("\n"))
		var kept [][]byte
		faults := map[int]string{}
		for i := 0; i+1 < len(lines); i += 2 {
			item := i / 2
			switch {
			case bytes.Contains(lines[i+1], []byte(`"slow"`)) && putOff == 0:
				putOff++
				faults[item] = `{"index":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue is full"}}}`
			case bytes.Contains(lines[i+1], []byte(`second of bad`)):
				faults[item] = `{"index":{"status":400,"error":{"type":"document_parsing_exception","reason":"made up"}}}`
			default:
				kept = append(kept, lines[i], lines[i+1])
			}
		}
		if len(faults) == 0 {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			pass(w)
			return
		}
		if len(kept) > 0 {
			body := append(bytes.Join(kept, []byte("\n")), '\n')
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			pass(httptest.NewRecorder())
		}
		var items []string
		for item := range len(lines) / 2 {
			if fault, ok := faults[item]; ok {
				items = append(items, fault)
			} else {
				items = append(items, `{"index":{"status":201}}`)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		fmt.Fprintf(w, `{"errors":true,"items":[%s]}`, strings.Join(items, ","))
	})
	err := index.Upsert(t.Context(), []retriever.Entry{
		retrievertest.Entry("slow", "slow text"), retrievertest.Entry("bad", "first of bad text", "second of bad text"), retrievertest.Entry("good", "good text"),
	})
	if !errors.Is(err, retriever.ErrInvalidDocument) || !strings.Contains(err.Error(), "made up") {
		t.Errorf("Upsert: %v, want ErrInvalidDocument with the server's reason", err)
	}
	if refused, only := retriever.RefusedDocuments(err); len(refused) != 1 || refused[0].DocumentID != "bad" || !only {
		t.Errorf("refused documents = %v, %v; want bad alone", refused, only)
	}
	if putOff != 1 {
		t.Errorf("%d items were put off, want 1", putOff)
	}
	if got := fmt.Sprint(search(t, index, "text")); strings.Contains(got, "bad") || !strings.Contains(got, "slow#0") || !strings.Contains(got, "good#0") {
		t.Errorf("hits = %s, want slow and good, and no part of bad", got)
	}
}

// TestInterrupted ends writes at every request that they make. Readers see the
// old version or the new one, and the next writer cleans up.
func TestInterrupted(t *testing.T) {
	serverURL(t)
	for stop := 1; ; stop++ {
		done := false
		t.Run(fmt.Sprintf("request %d", stop), func(t *testing.T) {
			p := newProxy(t)
			direct, c := p.through(t)
			c.Retries = 0
			old := retrievertest.Entry("doc", "old text", "old text", "old text")
			create(t, direct, old)
			index := reopen(t, c)
			p.calls.Store(0)
			p.set(func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
				if p.calls.Load() >= int64(stop) {
					cut(w)
					return
				}
				pass(w)
			})
			err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("doc", "new text", "new text")})
			if done = p.calls.Load() < int64(stop); done && err != nil {
				t.Fatalf("Upsert: %v", err)
			}
			if err != nil && !errors.Is(err, elastic.ErrUnavailable) {
				t.Errorf("Upsert: %v, want ErrUnavailable", err)
			}
			p.set(nil)
			reader := reopen(t, direct)
			got := fmt.Sprint(search(t, reader, "old"), search(t, reader, "new"))
			if got != "[doc#0 doc#1 doc#2] []" && got != "[] [doc#0 doc#1]" {
				t.Errorf("old and new hits = %s, want one version whole", got)
			}
			if err == nil && got != "[] [doc#0 doc#1]" {
				t.Errorf("old and new hits = %s after an acknowledged write", got)
			}
			// The interrupted process goes on, and its next write leaves nothing
			// behind but what is valid.
			for range 2 {
				if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("doc", "last text")}); err != nil {
					t.Fatal(err)
				}
			}
			reader = reopen(t, direct)
			if got := fmt.Sprint(search(t, reader, "old new last text")); got != "[doc#0]" {
				t.Errorf("hits = %s, want [doc#0]", got)
			}
			ask(t, http.MethodPost, direct.Addresses[0]+"/"+direct.IndexPrefix+"test/_refresh", "")
			count := ask(t, http.MethodPost, direct.Addresses[0]+"/"+direct.IndexPrefix+"test/_count", `{"query":{"term":{"kind":"passage"}}}`)
			if fmt.Sprint(count["count"]) != "1" {
				t.Errorf("the server stores %v passages, want 1", count["count"])
			}
		})
		if done || stop > 30 {
			if stop < 6 || stop > 30 {
				t.Errorf("a write takes %d requests; the test expects 5 to 30", stop-1)
			}
			return
		}
	}
}

// TestTwoWriters lets two processes write the same documents at the same time.
func TestTwoWriters(t *testing.T) {
	c := config(t)
	create(t, c)
	var group sync.WaitGroup
	var acknowledged atomic.Int64
	for w := range 2 {
		index := reopen(t, c)
		group.Go(func() {
			for i := range 6 {
				e := retrievertest.Entry(fmt.Sprintf("doc%d", i%3), fmt.Sprintf("text by writer%d", w), fmt.Sprintf("text by writer%d", w))
				err := index.Upsert(t.Context(), []retriever.Entry{e})
				if err == nil {
					acknowledged.Add(1)
				} else if !errors.Is(err, retriever.ErrLocked) {
					t.Errorf("Upsert: %v, want success or ErrLocked", err)
				}
			}
		})
	}
	group.Wait()
	index := reopen(t, c)
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.Generation != uint64(acknowledged.Load()) || stats.Documents != 3 || stats.Passages != 6 {
		t.Errorf("generation %d, %d documents, %d passages; want %d, 3, 6", stats.Generation, stats.Documents, stats.Passages, acknowledged.Load())
	}
	if acknowledged.Load() < 6 {
		t.Errorf("%d of 12 writes went through, want at least half", acknowledged.Load())
	}
}

// TestSlowServer answers too late for one attempt, and never for a caller who
// gives up.
func TestSlowServer(t *testing.T) {
	p := newProxy(t)
	_, c := p.through(t)
	index := create(t, c, retrievertest.Entry("a", "text"))
	held := make(chan struct{})
	defer close(held)
	p.set(func(_ http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) {
		select {
		case <-held:
		case <-r.Context().Done():
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := index.Retrieve(ctx, retriever.Query{Text: "text", TopK: 1}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, elastic.ErrUnavailable) {
		t.Errorf("Retrieve: %v, want the caller's deadline", err)
	}
	c.Timeout, c.Retries = 50*time.Millisecond, 1
	if _, err := newBackend(t, c).Names(t.Context()); !errors.Is(err, elastic.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), p.URL) {
		t.Errorf("Names: %v, want ErrUnavailable that names %s", err, p.URL)
	}
	p.set(nil)
	if got := fmt.Sprint(search(t, index, "text")); got != "[a#0]" {
		t.Errorf("hits = %s, want [a#0]", got)
	}
}

// TestUnreachable needs no server.
func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	c := elastic.DefaultConfig()
	c.Addresses, c.Retries, c.RetryWait = []string{address}, 2, time.Millisecond
	_, err = newBackend(t, c).Open(t.Context(), "test")
	if !errors.Is(err, elastic.ErrUnavailable) || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), `"test"`) {
		t.Errorf("Open: %v, want ErrUnavailable that names %s and the index", err, address)
	}
}

// TestDiskFull passes on what a server says whose disk is full.
func TestDiskFull(t *testing.T) {
	p := newProxy(t)
	direct, c := p.through(t)
	c.Retries = 0
	index := create(t, c, retrievertest.Entry("a", "text"))
	block := direct.Addresses[0] + "/" + direct.IndexPrefix + "test.v1/_settings"
	ask(t, http.MethodPut, block, `{"index.blocks.read_only_allow_delete": true}`)
	err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("b", "text")})
	if !errors.Is(err, retriever.ErrNoSpace) {
		t.Errorf("Upsert: %v, want ErrNoSpace", err)
	}
	ask(t, http.MethodPut, block, `{"index.blocks.read_only_allow_delete": null}`)
	if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("b", "text")}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(search(t, index, "text")); got != "[a#0 b#0]" {
		t.Errorf("hits = %s, want [a#0 b#0]", got)
	}
}

// TestDroppedElsewhere drops an index that another process has open: nothing may
// bring it back.
func TestDroppedElsewhere(t *testing.T) {
	c := config(t)
	backend := newBackend(t, c)
	index, err := backend.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("a", "text")}); err != nil {
		t.Fatal(err)
	}
	if err := backend.Drop(t.Context(), "test"); !errors.Is(err, retriever.ErrLocked) {
		t.Errorf("Drop of an open index: %v, want ErrLocked", err)
	}
	if err := newBackend(t, c).Drop(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("b", "text")}); !errors.Is(err, retriever.ErrIndexNotFound) {
		t.Errorf("Upsert: %v, want ErrIndexNotFound", err)
	}
	if names, err := backend.Names(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("Names = %q, %v; want none", names, err)
	}
	if _, err := newBackend(t, c).Create(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("b", "text")}); !errors.Is(err, retriever.ErrIndexNotFound) && !errors.Is(err, retriever.ErrCorrupt) {
		t.Errorf("Upsert into an index that was replaced: %v, want ErrIndexNotFound or ErrCorrupt", err)
	}
}

// TestSlowBulk lets the server do what it is told, but answer a bulk request too
// late, twice. The third attempt finds the documents there already.
func TestSlowBulk(t *testing.T) {
	p := newProxy(t)
	_, c := p.through(t)
	c.Timeout, c.Retries = time.Second, 4
	index := create(t, c, retrievertest.Entry("seed", "text"))
	late := 0
	p.set(func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) {
		if !isBulk(r) || late == 2 {
			pass(w)
			return
		}
		late++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read: %v", err)
		}
		request := r.Clone(context.WithoutCancel(r.Context()))
		request.Body = io.NopCloser(bytes.NewReader(body))
		p.forward.ServeHTTP(httptest.NewRecorder(), request)
		<-r.Context().Done()
	})
	if err := index.Upsert(t.Context(), []retriever.Entry{retrievertest.Entry("a", "slow text", "of two passages"), retrievertest.Entry("b", "text")}); err != nil {
		t.Fatal(err)
	}
	if late != 2 {
		t.Errorf("%d bulk requests were answered too late, want 2", late)
	}
	p.set(nil)
	stats, err := index.Stats(t.Context())
	if err != nil || stats.Documents != 3 || stats.Passages != 4 {
		t.Errorf("Stats = %+v, %v; want 3 documents, 4 passages", stats, err)
	}
}
