package esclient

import (
	"errors"
	"net/http"
	"strings"
	"testing"
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
