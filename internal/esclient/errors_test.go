package esclient

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzError feeds what a proxy or a server of another kind may answer.
func FuzzError(f *testing.F) {
	f.Add(404, []byte(`{"error":{"type":"index_not_found_exception","reason":"no such index","root_cause":[{"reason":"x"}],"caused_by":{"reason":"y"}}}`))
	f.Add(405, []byte(`{"error":"Incorrect HTTP method"}`))
	f.Add(502, []byte(`<html>`))
	f.Add(400, []byte(`{"error":{"caused_by":null,"root_cause":[{}]}}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := newError(status, body, "http://x")
		if !strings.Contains(e.Error(), "http://x") {
			t.Errorf("%v does not name the server", e)
		}
		_ = errors.Is(e, ErrUnavailable)
	})
}

func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		status                                 int
		body                                   string
		missing, exists, conflict, unavailable bool
	}{
		"missing":  {status: http.StatusNotFound, body: `{"error":{"type":"index_not_found_exception"}}`, missing: true},
		"exists":   {status: http.StatusBadRequest, body: `{"error":{"type":"resource_already_exists_exception"}}`, exists: true},
		"conflict": {status: http.StatusConflict, body: `{"error":{"type":"version_conflict_engine_exception"}}`, conflict: true},
		"busy":     {status: http.StatusTooManyRequests, body: `{"error":{"type":"es_rejected_execution_exception"}}`, unavailable: true},
		"full":     {status: http.StatusTooManyRequests, body: `{"error":{"type":"cluster_block_exception","reason":"disk usage exceeded flood-stage watermark"}}`},
		"gateway":  {status: http.StatusBadGateway, body: `<html>`, unavailable: true},
		"plain":    {status: http.StatusBadRequest, body: `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			err := error(newError(test.status, []byte(test.body), "x"))
			if got := [...]bool{Missing(err), Exists(err), Conflict(err), errors.Is(err, ErrUnavailable)}; got != [...]bool{test.missing, test.exists, test.conflict, test.unavailable} {
				t.Errorf("missing, exists, conflict, unavailable = %v of %v", got, err)
			}
			if got := Status(err); got != test.status {
				t.Errorf("Status = %d, want %d", got, test.status)
			}
		})
	}
}

// TestUnknownUserOfAServerThatComesBack: a refused user counts at once, unless
// the server was away a moment before.
func TestUnknownUserOfAServerThatComesBack(t *testing.T) {
	for name, test := range map[string]struct {
		answers  []int
		attempts int
		status   int // of the error, 0 if there is none
	}{
		"refused":             {[]int{401, 200}, 1, 401},
		"away, then starting": {[]int{503, 401, 401, 200}, 4, 0},
		"away, then refused":  {[]int{503, 401, 401, 401, 401, 401}, 5, 401},
	} {
		t.Run(name, func(t *testing.T) {
			attempts := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Elastic-Product", "Elasticsearch")
				w.WriteHeader(test.answers[attempts])
				attempts++
			}))
			defer server.Close()
			config := DefaultConfig()
			config.Addresses, config.Retries, config.RetryWait = []string{server.URL}, 4, time.Millisecond
			c, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err = c.Do(t.Context(), Request{Method: http.MethodGet, Path: "/"}, nil); Status(err) != test.status || attempts != test.attempts {
				t.Errorf("got %v after %d attempts, want the status %d after %d", err, attempts, test.status, test.attempts)
			}
		})
	}
}
