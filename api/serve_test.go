package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// serve runs a server until the end of the test. The function it returns stops
// it early and gives Serve's error.
func serve(t *testing.T, service pipeline.Service, config api.Config) (url string, stop func() error) {
	t.Helper()
	server, err := api.New(service, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	stop = sync.OnceValue(func() error {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		return <-served
	})
	t.Cleanup(func() { _ = stop() })
	return "http://" + listener.Addr().String(), stop
}

func post(t *testing.T, ctx context.Context, url, body string) (*http.Response, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response, string(data), err
}

// blockingAsk answers when it is told to, or when the request ends.
type blockingAsk struct {
	started chan struct{}
	release chan struct{}
	ended   chan error
}

func newBlockingAsk() blockingAsk {
	return blockingAsk{make(chan struct{}, 100), make(chan struct{}), make(chan error, 100)}
}

func (b blockingAsk) ask(ctx context.Context, r pipeline.Request) (*pipeline.Result, error) {
	b.started <- struct{}{}
	select {
	case <-ctx.Done():
		b.ended <- ctx.Err()
		return nil, ctx.Err()
	case <-b.release:
		b.ended <- nil
		return &pipeline.Result{Question: r.Question}, nil
	}
}

func TestDisconnectCancelsTheRequest(t *testing.T) {
	fake, block := newFake(), newBlockingAsk()
	fake.ask = block.ask
	url, _ := serve(t, fake, api.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := post(t, ctx, url+"/v1/ask", `{"question":"x"}`)
		done <- err
	}()
	<-block.started
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	if err := <-block.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the service got %v, want the request's end", err)
	}
}

// A request may take longer than a body may take to arrive.
func TestBodyTimeoutDoesNotEndTheAnswer(t *testing.T) {
	fake := newFake()
	fake.ask = func(ctx context.Context, r pipeline.Request) (*pipeline.Result, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(400 * time.Millisecond):
			return &pipeline.Result{Question: r.Question}, nil
		}
	}
	url, _ := serve(t, fake, api.Config{BodyTimeout: 100 * time.Millisecond, WriteTimeout: 100 * time.Millisecond})
	for range 2 { // the second on the same connection
		response, body, err := post(t, t.Context(), url+"/v1/ask", `{"question":"x"}`)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("got %v %s, want an answer", err, body)
		}
	}
}

func TestSlowBody(t *testing.T) {
	url, _ := serve(t, newFake(), api.Config{BodyTimeout: 100 * time.Millisecond})
	for _, route := range []struct{ path, media string }{
		{"/v1/ask", "application/json"}, {"/v1/indexes/default/documents", "application/json"}, {"/v1/indexes/default/bulk", "application/x-ndjson"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{\"question\":", route.path, route.media)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", route.path, err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), `"body_timeout"`) {
			t.Errorf("%s: got %d %s (%v), want 408", route.path, response.StatusCode, body, err)
		}
	}
}

func TestSlowAndHugeHeaders(t *testing.T) {
	url, _ := serve(t, newFake(), api.Config{ReadHeaderTimeout: 100 * time.Millisecond, MaxHeaderBytes: 8 << 10})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: local")
	if data, err := io.ReadAll(conn); err != nil || strings.Contains(string(data), "200") {
		t.Errorf("slow header: got %q (%v), want the connection to end", data, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Filler", strings.Repeat("x", 64<<10))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("huge header: got %d, want 431", response.StatusCode)
	}
}

// A name that points at a loopback address is how a web page reaches a server
// that is not meant for it.
func TestHost(t *testing.T) {
	url, _ := serve(t, newFake(), api.Config{Hosts: []string{"needle.example"}})
	for host, want := range map[string]int{
		"":                       200,
		"localhost":              200,
		"LOCALHOST:8080":         200,
		"127.0.0.1:1":            200,
		"[::1]:8080":             200,
		"needle.example":         200,
		"evil.example":           403,
		"evil.example:8080":      403,
		"localhost.evil.example": 403,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/indexes", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("Host %q: got %d, want %d", host, response.StatusCode, want)
		}
	}
}

func TestShutdownDrains(t *testing.T) {
	fake, block := newFake(), newBlockingAsk()
	fake.ask = block.ask
	url, stop := serve(t, fake, api.Config{})
	type outcome struct {
		body string
		err  error
	}
	got := make(chan outcome, 1)
	go func() {
		_, body, err := post(t, context.Background(), url+"/v1/ask", `{"question":"asked before the end"}`)
		got <- outcome{body, err}
	}()
	<-block.started
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	// New connections are refused while the old request goes on.
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		conn.Close()
	}
	close(block.release)
	if o := <-got; o.err != nil || !strings.Contains(o.body, "asked before the end") {
		t.Errorf("got %q, %v, want the answer", o.body, o.err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve returned %v, want nil", err)
	}
}

func TestShutdownCutsOff(t *testing.T) {
	fake, block := newFake(), newBlockingAsk()
	fake.ask = block.ask
	url, stop := serve(t, fake, api.Config{DrainTimeout: 50 * time.Millisecond})
	status := make(chan int, 1)
	go func() {
		response, _, err := post(t, context.Background(), url+"/v1/ask", `{"question":"x"}`)
		if err != nil {
			status <- 0
			return
		}
		status <- response.StatusCode
	}()
	<-block.started
	if err := stop(); err == nil || !strings.Contains(err.Error(), "still running") {
		t.Errorf("Serve returned %v, want an error that says so", err)
	}
	if err := <-block.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the service got %v, want to be cancelled", err)
	}
	if got := <-status; got != http.StatusServiceUnavailable {
		t.Errorf("the client got %d, want 503", got)
	}
}

func TestServeFails(t *testing.T) {
	server, err := api.New(newFake(), api.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := server.Serve(t.Context(), listener); err == nil {
		t.Error("got nil from a closed listener")
	}
}

func TestTooManyRequests(t *testing.T) {
	fake, block := newFake(), newBlockingAsk()
	fake.ask = block.ask
	url, _ := serve(t, fake, api.Config{MaxRequests: 2})
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			if response, body, err := post(t, context.Background(), url+"/v1/ask", `{"question":"x"}`); err != nil || response.StatusCode != 200 {
				t.Errorf("got %s %v, want 200", body, err)
			}
		})
	}
	<-block.started
	<-block.started
	response, body, err := post(t, t.Context(), url+"/v1/ask", `{"question":"x"}`)
	if err != nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !strings.Contains(body, `"overloaded"`) {
		t.Errorf("got %s %v, want 503 with Retry-After", body, err)
	}
	health, err := http.Get(url + "/healthz")
	if err != nil || health.StatusCode != http.StatusOK {
		t.Errorf("healthz under load: got %v", err)
	} else {
		health.Body.Close()
	}
	close(block.release)
	running.Wait()
	if response, body, err := post(t, t.Context(), url+"/v1/ask", `{"question":"x"}`); err != nil || response.StatusCode != 200 {
		t.Errorf("after the load: got %s %v, want 200", body, err)
	}
}

func TestConcurrentRequests(t *testing.T) {
	fake := newFake()
	url, _ := serve(t, fake, api.Config{})
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("g%d/%d", g, i)
				if response, body, err := post(t, t.Context(), url+"/v1/indexes/default/documents", `{"id":"`+id+`","text":"x"}`); err != nil || response.StatusCode != http.StatusCreated {
					t.Errorf("%s: got %s %v, want 201", id, body, err)
				}
				if response, body, err := post(t, t.Context(), url+"/v1/ask", `{"question":"q","explain":true}`); err != nil || response.StatusCode != http.StatusOK {
					t.Errorf("ask: got %s %v, want 200", body, err)
				}
			}
		})
	}
	group.Wait()
	if got := len(fake.indexes["default"]); got != 161 {
		t.Errorf("got %d documents, want 161", got)
	}
}

// An error that comes before the body was read must reach the client.
func TestErrorBeforeTheBody(t *testing.T) {
	fake := newFake()
	url, _ := serve(t, fake, api.Config{MaxBodyBytes: 1 << 20})
	response, body, err := post(t, t.Context(), url+"/v1/indexes/default/documents", `{"id":"x","text":"`+strings.Repeat("x", 8<<20)+`"}`)
	if err != nil || response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: got %.200s %v, want 413", body, err)
	}
	fake.err = retriever.ErrNoSpace
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/indexes/default/bulk", strings.NewReader(lines(200_000)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err = http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("bulk: %v", err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusInsufficientStorage {
		t.Errorf("bulk: got %d, want 507", response.StatusCode)
	}
}
