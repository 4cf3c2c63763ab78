package api_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
)

// improving answers in three steps.
func improving(f *fakeService) func(ctx context.Context, r pipeline.Request) (*pipeline.Result, error) {
	return func(ctx context.Context, r pipeline.Request) (*pipeline.Result, error) {
		if strings.TrimSpace(r.Question) == "" {
			return nil, pipeline.ErrEmptyQuestion
		}
		plain := newFake()
		tell := r.Progress
		r.Progress = nil
		result, err := plain.Ask(ctx, r)
		if err != nil {
			return nil, err
		}
		if tell != nil {
			tell(pipeline.Progress{Candidates: []pipeline.Candidate{f.candidate(false)}})
			partial := *result
			partial.Complete, partial.Answerable, partial.Answers = false, false, nil
			tell(pipeline.Progress{Result: &partial})
		}
		if strings.Contains(r.Question, "fail") {
			return nil, models.ErrOverloaded
		}
		return result, nil
	}
}

// events returns the names and data of a stream.
func events(t *testing.T, body string) (names, data []string) {
	t.Helper()
	for block := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		name, rest, ok := strings.Cut(strings.TrimPrefix(block, "event: "), "\ndata: ")
		if !ok || strings.Contains(rest, "\n") {
			t.Fatalf("broken event %q", block)
		}
		names, data = append(names, name), append(data, rest)
	}
	return names, data
}

func TestStream(t *testing.T) {
	h := newHarness(t, api.Config{})
	h.service.ask = improving(h.service)
	for name, r := range map[string]struct {
		body   string
		header []string
	}{
		"by the body":   {`{"question":"Who?","stream":true}`, nil},
		"by the header": {`{"question":"Who?"}`, []string{"Accept", "text/event-stream"}},
	} {
		a := h.do("POST", "/v1/ask", r.body, r.header...)
		if got := a.header.Get("Content-Type"); a.status != 200 || got != "text/event-stream" {
			t.Fatalf("%s: got %d with %q", name, a.status, got)
		}
		names, data := events(t, string(a.body))
		if want := []string{"candidates", "answers", "complete"}; !slices.Equal(names, want) {
			t.Fatalf("%s: got events %v, want %v", name, names, want)
		}
		if !strings.Contains(data[0], `"passage_id":"tower.md#0"`) || !strings.Contains(data[1], `"answers":[]`) || !strings.Contains(data[2], `"text":"Ada Lane"`) {
			t.Errorf("%s: got %v", name, data)
		}
	}
	a := h.do("POST", "/v1/ask", `{"question":"fail","stream":true}`)
	names, data := events(t, string(a.body))
	if want := []string{"candidates", "answers", "error"}; !slices.Equal(names, want) || !strings.Contains(data[2], `"code":"overloaded"`) {
		t.Errorf("got events %v, last %s, want %v with overloaded", names, data[len(data)-1], want)
	}
	if a := h.do("POST", "/v1/ask", `{"question":" ","stream":true}`); a.status != 400 || a.problem(t).Code != "empty_question" {
		t.Errorf("before the first event: got %d %s, want an ordinary problem", a.status, a.body)
	}
	if a := h.do("POST", "/v1/ask", `{"question":"Who?"}`, "Accept", "application/json, text/event-stream"); a.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %q, want JSON, which the client names first", a.header.Get("Content-Type"))
	}
}

func TestClientStreams(t *testing.T) {
	f := newFake()
	f.ask = improving(f)
	c := connect(t, f)
	var got []pipeline.Progress
	request := pipeline.Request{Question: "Who?", Progress: func(p pipeline.Progress) { got = append(got, p) }}
	result, err := c.Ask(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	request.Progress = nil
	want, err := c.Ask(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, result); diff != "" {
		t.Errorf("the streamed result differs (-plain +streamed):\n%s", diff)
	}
	if len(got) != 2 || len(got[0].Candidates) != 1 || got[1].Result == nil || got[1].Result.Complete {
		t.Errorf("got progress %+v, want candidates and an incomplete result", got)
	}
	if diff := cmp.Diff([]pipeline.Candidate{f.candidate(false)}, got[0].Candidates); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	request = pipeline.Request{Question: "fail", Progress: func(pipeline.Progress) {}}
	if _, err := c.Ask(t.Context(), request); !errors.Is(err, models.ErrOverloaded) {
		t.Errorf("got %v, want %v", err, models.ErrOverloaded)
	}
}

// TestStreamEndsWithItsClient leaves after the first event.
func TestStreamEndsWithItsClient(t *testing.T) {
	ended := make(chan error, 1)
	f := newFake()
	f.ask = func(ctx context.Context, r pipeline.Request) (*pipeline.Result, error) {
		r.Progress(pipeline.Progress{Candidates: []pipeline.Candidate{f.candidate(false)}})
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	url, _ := serve(t, f, api.Config{})
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/ask", strings.NewReader(`{"question":"Who?","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	// The first event arrives while the request still runs.
	if line, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || line != "event: candidates\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	_, _ = io.Copy(io.Discard, response.Body)
}
