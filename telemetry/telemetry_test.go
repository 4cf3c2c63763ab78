package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/telemetry"
)

// serve runs a server with a real index and a fake model.
func serve(t testing.TB, observer telemetry.Observer, metrics *telemetry.Metrics) (url string) {
	t.Helper()
	tokenizer := modelstest.NewTokenizer()
	registry := builtin.Registry()
	registry.SetTokenizer(func([]byte) (models.Tokenizer, error) { return tokenizer, nil })
	registry.SetModel(func(context.Context, *models.Bundle, pipeline.ModelOptions) (models.LanguageModel, error) {
		return modelstest.NewLanguageModel(modelstest.Options{}), nil
	})
	registry.AddHead(models.HeadSpan, func(models.HeadSpec, func(string) ([]byte, error), models.ModelInfo) (models.Head, error) {
		return modelstest.NewSpanHead(tokenizer, modelstest.Span{Question: "Who designed the tower?", Answer: "Ada Lane", Score: 8}), nil
	})
	registry.AddBundle("fake", modelstest.NewBundle)
	cfg := pipeline.DefaultConfig(registry)
	cfg.Data = t.TempDir()
	// Vectors are made in the background: whether they are there, and stages
	// and generations with them, is a matter of time.
	cfg.Ranker.Type = pipeline.RankerNone
	cfg.Reader.Bundle = "fake"
	p, err := pipeline.Open(t.Context(), cfg, pipeline.WithObserver(observer))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.Put(t.Context(), "", []retriever.Document{{ID: "tower", Text: "Ada Lane designed the tower."}}); err != nil {
		t.Fatal(err)
	}
	config := api.Config{Observer: observer}
	if metrics != nil {
		metrics.Watch(p)
		config.Metrics = metrics.Handler()
	}
	server, err := api.New(p, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	t.Cleanup(web.Close)
	return web.URL
}

func call(t testing.TB, method, url, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// scrape reads the samples of a real scrape by name and labels.
func scrape(t testing.TB, url string) map[string]float64 {
	t.Helper()
	status, text := call(t, http.MethodGet, url+"/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("got %d %s", status, text)
	}
	samples := make(map[string]float64)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		samples[line[:at]] = value
	}
	return samples
}

func TestMetrics(t *testing.T) {
	metrics := telemetry.NewMetrics()
	url := serve(t, metrics, metrics)
	for _, body := range []string{
		`{"question":"Who designed the tower?"}`, `{"question":"Who designed the tower?"}`,
		`{"question":"What colour is it?"}`, `{"question":" "}`,
	} {
		call(t, http.MethodPost, url+"/v1/ask", body)
	}
	call(t, http.MethodPost, url+"/v1/search", `{"query":"tower"}`)
	call(t, http.MethodPost, url+"/v1/rerank", `{"query":"tower","documents":["a tower"]}`)
	call(t, http.MethodGet, url+"/nothing/here", "")
	call(t, "STRANGE", url+"/nothing/there", "")
	got := scrape(t, url)
	for name, want := range map[string]float64{
		`needle_operation_duration_seconds_count{operation="ask",outcome="ok"}`:                3,
		`needle_operation_duration_seconds_count{operation="ask",outcome="refused"}`:           1,
		`needle_operation_duration_seconds_count{operation="search",outcome="ok"}`:             1,
		`needle_operation_duration_seconds_count{operation="rerank",outcome="ok"}`:             1,
		`needle_operation_duration_seconds_count{operation="ask",outcome="overloaded"}`:        0,
		`needle_questions_total{result="answered"}`:                                            2,
		`needle_questions_total{result="no_answer"}`:                                           1,
		`needle_stage_duration_seconds_count{stage="retrieve"}`:                                3,
		`needle_stage_duration_seconds_count{stage="decode"}`:                                  2,
		`needle_http_request_duration_seconds_count{code="200",method="POST",route="/v1/ask"}`: 3,
		`needle_http_request_duration_seconds_count{code="400",method="POST",route="/v1/ask"}`: 1,
		`needle_http_request_duration_seconds_count{code="404",method="GET",route="none"}`:     1,
		`needle_http_request_duration_seconds_count{code="404",method="other",route="none"}`:   1,
		`needle_http_requests_running`:                                                         1, // the scrape
		`needle_cache_hits_total{cache="answers"}`:                                             1,
		`needle_cache_misses_total{cache="answers"}`:                                           2,
		`needle_index_documents{index="default"}`:                                              1,
		`needle_index_generation{index="default"}`:                                             1,
		`needle_index_unreadable`:                                                              0,
		`needle_queue_rejected_total`:                                                          0,
		`needle_queue_requests`:                                                                0,
		`needle_model_call_failures_total`:                                                     0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s: got %v (%v), want %v", name, value, ok, want)
		}
	}
	for _, name := range []string{
		`needle_stage_duration_seconds_count{stage="queue"}`, `needle_stage_duration_seconds_count{stage="infer"}`,
		`needle_stage_duration_seconds_count{stage="tokenize"}`, `needle_model_call_windows_sum`, `needle_model_tokens_total`,
		`needle_cache_bytes{cache="tokens"}`, `needle_index_disk_bytes{index="default"}`, `needle_queue_workers`,
		`go_goroutines`, `process_resident_memory_bytes`, `needle_candidates_read_sum`,
	} {
		if got[name] <= 0 {
			t.Errorf("%s: got %v, want more than 0", name, got[name])
		}
	}
	for _, prefix := range []string{`needle_model_info{hash="`, `needle_build_info{date="`} {
		found := false
		for name, value := range got {
			found = found || strings.HasPrefix(name, prefix) && value == 1
		}
		if !found {
			t.Errorf("no sample %s...", prefix)
		}
	}
}

// broken is a pipeline whose indexes cannot be described.
type broken struct{ telemetry.Watched }

func (broken) Indexes(context.Context) ([]retriever.Statistics, error) {
	return nil, errors.New("the server is away")
}

func TestMetricsComeWithoutIndexes(t *testing.T) {
	cfg := pipeline.DefaultConfig(builtin.Registry())
	cfg.Data = t.TempDir()
	p, err := pipeline.Open(t.Context(), cfg, pipeline.WithoutReader())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	metrics := telemetry.NewMetrics()
	metrics.Watch(broken{p})
	recorder := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if !strings.Contains(recorder.Body.String(), "\nneedle_index_unreadable 1\n") || !strings.Contains(recorder.Body.String(), "\nneedle_queue_requests 0\n") {
		t.Errorf("got %d %s", recorder.Code, recorder.Body)
	}
}

// elsewhere is a pipeline whose model runs on another device than it should.
type elsewhere struct{ telemetry.Watched }

func (elsewhere) Models(context.Context) ([]pipeline.ModelStatus, error) {
	return []pipeline.ModelStatus{{Device: "cpu"}}, nil
}

func TestDeviceFallbackIsExported(t *testing.T) {
	for device, want := range map[string]string{"cpu": "0", "cuda:0": "1"} {
		cfg := pipeline.DefaultConfig(builtin.Registry())
		cfg.Data, cfg.Reader.Device = t.TempDir(), device
		p, err := pipeline.Open(t.Context(), cfg, pipeline.WithoutReader())
		if err != nil {
			t.Fatal(err)
		}
		metrics := telemetry.NewMetrics()
		metrics.Watch(elsewhere{p})
		recorder := httptest.NewRecorder()
		metrics.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		if !strings.Contains(recorder.Body.String(), "\nneedle_model_device_fallback "+want+"\n") {
			t.Errorf("%s: want %s; got %s", device, want, recorder.Body)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A collector receives traces over OTLP/HTTP.
type collector struct {
	mu    sync.Mutex
	spans []*tracev1.Span
	err   error
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		zipped, err := gzip.NewReader(body)
		if err != nil {
			c.err = err
			return
		}
		body = zipped
	}
	data, err := io.ReadAll(body)
	var request v1.ExportTraceServiceRequest
	if err = errors.Join(err, proto.Unmarshal(data, &request)); err != nil || r.URL.Path != "/v1/traces" {
		c.err = errors.Join(err, errors.New(r.URL.Path))
	}
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	answer, _ := proto.Marshal(&v1.ExportTraceServiceResponse{})
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = io.Copy(w, bytes.NewReader(answer))
}

func TestTraces(t *testing.T) {
	received := &collector{}
	web := httptest.NewServer(received)
	defer web.Close()
	tracer, err := telemetry.NewTracer(t.Context(), telemetry.TracerOptions{Endpoint: web.URL, Version: "test", Sample: 0})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, telemetry.Join(telemetry.NewMetrics(), tracer), nil)
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	body := `{"question":"Who designed the tower?"}`
	if status, text := call(t, http.MethodPost, url+"/v1/ask", body, "Traceparent", "00-"+traceID+"-"+parent+"-01"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, text)
	}
	// The sample is 0, and these callers did not decide for a trace.
	call(t, http.MethodPost, url+"/v1/ask", body)
	call(t, http.MethodPost, url+"/v1/ask", body, "Traceparent", "00-"+traceID+"-"+parent+"-00")
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	received.mu.Lock()
	defer received.mu.Unlock()
	if received.err != nil {
		t.Fatal(received.err)
	}
	var names []string
	var root *tracev1.Span
	for _, span := range received.spans {
		names = append(names, span.Name)
		if span.Name == "POST /v1/ask" {
			root = span
		}
	}
	slices.Sort(names)
	if want := []string{"POST /v1/ask", "decode", "infer", "queue", "retrieve", "tokenize"}; !slices.Equal(names, want) {
		t.Fatalf("got spans %v, want %v", names, want)
	}
	if got := hex.EncodeToString(root.ParentSpanId); got != parent {
		t.Errorf("parent of the request: got %s, want that of the caller, %s", got, parent)
	}
	for _, span := range received.spans {
		if got := hex.EncodeToString(span.TraceId); got != traceID {
			t.Errorf("%s: got trace %s, want %s", span.Name, got, traceID)
		}
		if span != root && !bytes.Equal(span.ParentSpanId, root.SpanId) {
			t.Errorf("%s is not below the request", span.Name)
		}
		if span.EndTimeUnixNano < span.StartTimeUnixNano || span.StartTimeUnixNano < root.StartTimeUnixNano || span.EndTimeUnixNano > root.EndTimeUnixNano {
			t.Errorf("%s: its times are not within the request's", span.Name)
		}
	}
	attributes := make(map[string]string)
	for _, a := range root.Attributes {
		attributes[a.Key] = a.Value.String()
	}
	if !strings.Contains(attributes["needle.operation"], "ask") || !strings.Contains(attributes["needle.answerable"], "true") || !strings.Contains(attributes["http.route"], "/v1/ask") {
		t.Errorf("got attributes %v", attributes)
	}
	if all, _ := json.Marshal(received.spans); regexp.MustCompile(`(?i)tower|lane`).Match(all) {
		t.Errorf("the spans hold what was asked or answered: %s", all)
	}
}

// BenchmarkObserver is what a stage and a request cost without observers, with
// metrics, and with traces that nobody asked for.
func BenchmarkObserver(b *testing.B) {
	tracer, err := telemetry.NewTracer(b.Context(), telemetry.TracerOptions{Endpoint: "http://127.0.0.1:1", Sample: 0})
	if err != nil {
		b.Fatal(err)
	}
	defer tracer.Close(context.Background())
	request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/ask", nil)
	for name, observer := range map[string]telemetry.Observer{"metrics": telemetry.NewMetrics(), "traces unsampled": tracer} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			now := time.Now()
			for b.Loop() {
				ctx, end := observer.Begin(request)
				for _, stage := range pipeline.Stages() {
					observer.Stage(ctx, stage, now, now, nil)
				}
				end("/v1/ask", http.StatusOK)
			}
		})
	}
}
