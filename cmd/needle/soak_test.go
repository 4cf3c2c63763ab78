package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/needle-search/needle/bench/soak/workload"
)

// soak runs the short form of bench/soak.
func soak(t *testing.T, change func(*workload.Config)) *workload.Report {
	t.Helper()
	needRuntime(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := workload.Config{
		Command: []string{self}, Env: []string{asNeedle + "=1"}, Dir: t.TempDir(), Duration: 20 * time.Second, Facts: 12,
		Between: 6 * time.Second, Steady: 2 * time.Second, Swaps: 4 * time.Second, Compare: 6, Seed: 1,
	}
	change(&config)
	report, err := workload.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestSoak is the short form of bench/soak: mixed traffic with writes and models
// that are exchanged, every answer checked.
func TestSoak(t *testing.T) {
	report := soak(t, func(*workload.Config) {})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	for _, kind := range []string{"ask", "stream", "search", "read", "rerank", "put", "bulk", "models use", "index"} {
		if report.Requests[kind] == nil || report.Requests[kind].OK == 0 {
			t.Errorf("no request of the kind %q succeeded", kind)
		}
	}
	t.Logf("%d stretches and models checked, %d answers compared, %d of %d keepers named, p50 %.0f ms", report.Checked, report.Compared, report.Right, report.Asked, report.P50)
}

// TestSoakSeesStaleAnswers puts a cache in front of the server that knows nothing
// of generations: the soak must not pass.
func TestSoakSeesStaleAnswers(t *testing.T) {
	report := soak(t, func(c *workload.Config) {
		c.Duration, c.Between, c.Facts, c.Compare = 5*time.Second, 5*time.Second, 6, 1
		c.Via = func(server string) string {
			u, err := url.Parse(server)
			if err != nil {
				t.Error(err)
			}
			front := httptest.NewServer(forgetful(u))
			t.Cleanup(front.Close)
			return front.URL
		}
	})
	if err := report.Err(); !errors.Is(err, workload.ErrWrong) || !strings.Contains(err.Error(), "stale") {
		t.Errorf("with a cache that serves stale answers: %v, want ErrWrong", err)
	}
}

// forgetful answers a question that was asked before as it was answered then.
func forgetful(server *url.URL) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(server)
	proxy.FlushInterval = -1
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	var mu sync.Mutex
	known := map[[sha256.Size]byte][]byte{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/ask" {
			proxy.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Del("Accept-Encoding")
		key := sha256.Sum256(body)
		mu.Lock()
		answer, ok := known[key]
		mu.Unlock()
		if ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer)
			return
		}
		if bytes.Contains(body, []byte(`"stream":true`)) {
			proxy.ServeHTTP(w, r)
			return
		}
		recorder := httptest.NewRecorder()
		proxy.ServeHTTP(recorder, r)
		if recorder.Code == http.StatusOK {
			mu.Lock()
			known[key] = recorder.Body.Bytes()
			mu.Unlock()
		}
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	})
}
