package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func (h *harness) bulk(body string) answer {
	h.t.Helper()
	return h.do("POST", "/v1/indexes/new/bulk", body, "Content-Type", "application/x-ndjson")
}

func bulkResults(t *testing.T, body []byte) []wire.BulkResult {
	t.Helper()
	var results []wire.BulkResult
	for line := range bytes.Lines(body) {
		var r wire.BulkResult
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		results = append(results, r)
	}
	return results
}

// summary writes results as "line:status" or "line:code".
func summary(results []wire.BulkResult) []string {
	out := []string{}
	for _, r := range results {
		what := string(r.Status)
		if r.Problem != nil {
			what += "=" + r.Problem.Code
		}
		out = append(out, fmt.Sprintf("%d:%s:%s", r.Line, r.ID, what))
	}
	return out
}

func TestBulk(t *testing.T) {
	cases := []struct {
		name, body string
		want       []string
	}{
		{"nothing", "", []string{}},
		{"blank lines", "\n \n\r\n", []string{}},
		{"one, no newline at the end", `{"id":"a","text":"x"}`, []string{"1:a:created"}},
		{"CRLF", "{\"id\":\"a\",\"text\":\"x\"}\r\n{\"id\":\"b\",\"text\":\"x\"}\r\n", []string{"1:a:created", "2:b:created"}},
		{"a broken line among good ones", "{\"id\":\"a\",\"text\":\"x\"}\n\n{broken\n{\"id\":\"b\",\"text\":\"y\"}\n",
			[]string{"1:a:created", "3::refused=invalid_body", "4:b:created"}},
		{"all kinds of faults", strings.Join([]string{
			`{"text":"x"}`, `{"id":"","text":"x"}`, `{"id":"a"}`, `{"id":"b","text":"x","metadata":{"year":"old"}}`, `[]`,
			`{"id":"c","text":"x","extra":1}`, `{"id":"d","text":"x\u0000"}`, "{\"id\":\"e\",\"text\":\"\xff\"}", `{"id":"f","text":"x"}{}`,
			`{"id":"g","text":"x","metadata":{"a":[1]}}`, `{"id":"h","text":"good"}`,
		}, "\n"), []string{
			"1::refused=invalid_document", "2::refused=invalid_document", "3:a:refused=invalid_document", "4:b:refused=field_conflict", "5::refused=invalid_body",
			"6::refused=invalid_body", "7::refused=invalid_text", "8::refused=invalid_text", "9::refused=invalid_body",
			"10::refused=invalid_document", "11:h:created",
		}},
		{"the same id twice", `{"id":"a","text":"x"}` + "\n" + `{"id":"a","text":"y"}`, []string{"1:a:created", "2:a:updated"}},
		{"a long line", `{"id":"a","text":"x"}` + "\n" + `{"id":"b","text":"` + strings.Repeat("x", 200000) + `"}` + "\n" + `{"id":"c","text":"x"}`,
			[]string{"1:a:created", "2::refused=body_too_large", "3:c:created"}},
		{"a long last line", `{"id":"a","text":"x"}` + "\n" + strings.Repeat("x", 200000), []string{"1:a:created", "2::refused=body_too_large"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, api.Config{MaxBodyBytes: 100_000})
			a := h.bulk(c.body)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/x-ndjson" {
				t.Fatalf("got %d %s, want 200", a.status, a.body)
			}
			if got := summary(bulkResults(t, a.body)); !slices.Equal(got, c.want) {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"id\":\"d%d\",\"text\":\"text %d\"}\n", i, i)
	}
	return b.String()
}

func TestBulkBatches(t *testing.T) {
	h := newHarness(t, api.Config{})
	if got := len(bulkResults(t, h.bulk(lines(300)).body)); got != 300 {
		t.Errorf("got %d results, want 300", got)
	}
	if want := []int{128, 128, 44}; !slices.Equal(h.service.puts, want) {
		t.Errorf("got batches of %v, want %v", h.service.puts, want)
	}
	h.service.puts = nil
	big := fmt.Sprintf(`{"id":"%%d","text":"%s"}`+"\n", strings.Repeat("x", 3<<20))
	h.bulk(fmt.Sprintf(big, 1) + fmt.Sprintf(big, 2) + fmt.Sprintf(big, 3))
	if want := []int{2, 1}; !slices.Equal(h.service.puts, want) {
		t.Errorf("got batches of %v of 3 MiB each, want %v", h.service.puts, want)
	}
}

func TestBulkFailsBeforeTheFirstResult(t *testing.T) {
	h := newHarness(t, api.Config{})
	h.service.err = retriever.ErrNoSpace
	a := h.bulk(lines(500))
	if p := a.problem(t); a.status != http.StatusInsufficientStorage || p.Code != "no_space" {
		t.Errorf("got %d %s, want 507", a.status, a.body)
	}
	h.service.err = nil
	if a := h.do("POST", "/v1/indexes/Bad/bulk", lines(1), "Content-Type", "application/x-ndjson"); a.problem(t).Code != "invalid_index_name" {
		t.Errorf("got %d %s, want invalid_index_name", a.status, a.body)
	}
}

func TestBulkFailsInTheMiddle(t *testing.T) {
	h := newHarness(t, api.Config{})
	calls := 0
	h.service.put = func(_ context.Context, _ string, documents []retriever.Document) ([]pipeline.PutResult, error) {
		calls++
		results := []pipeline.PutResult{}
		for i, d := range documents {
			if calls == 2 && i == 1 {
				// The first of the second batch was stored, one was refused, and
				// then the disk was full.
				return results, errors.Join(&pipeline.DocumentError{Position: 3, ID: documents[3].ID, Err: retriever.ErrFieldConflict},
					fmt.Errorf("write /srv/secret: %w", retriever.ErrNoSpace))
			}
			results = append(results, pipeline.PutResult{ID: d.ID, Status: pipeline.Created, Passages: 1})
		}
		return results, nil
	}
	a := h.bulk(lines(400))
	results := bulkResults(t, a.body)
	if len(results) != 257 || calls != 2 {
		t.Fatalf("got %d results and %d writes, want 257 and 2", len(results), calls)
	}
	got := summary(slices.Concat(results[127:132], results[255:]))
	want := []string{
		"128:d127:created", "129:d128:created", "130:d129:refused=no_space", "131:d130:refused=no_space", "132:d131:refused=field_conflict",
		"256:d255:refused=no_space", "0::aborted=no_space",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if strings.Contains(string(a.body), "/srv/secret") {
		t.Errorf("the cause is shown: %s", a.body)
	}
}

// TestBulkStreams reads results of a real connection while the request is
// still being sent.
func TestBulkStreams(t *testing.T) {
	url, _ := serve(t, newFake(), api.Config{})
	body, in := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/indexes/new/bulk", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	go func() { _, _ = io.WriteString(in, lines(200)) }()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	scanner := bufio.NewScanner(response.Body)
	for range 128 {
		if !scanner.Scan() {
			t.Fatalf("the results ended: %v", scanner.Err())
		}
	}
	// 128 results are here, and the body has not ended yet.
	if _, err := io.WriteString(in, `{"id":"last","text":"x"}`); err != nil {
		t.Fatal(err)
	}
	in.Close()
	last, n := "", 128
	for scanner.Scan() {
		last = scanner.Text()
		n++
	}
	if n != 201 || !strings.Contains(last, `"id":"last"`) || scanner.Err() != nil {
		t.Errorf("got %d results, the last %s (%v), want 201", n, last, scanner.Err())
	}
}
