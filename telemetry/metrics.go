package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/needle-search/needle/internal/buildinfo"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
)

// Metrics counts and times what a server does and offers it to Prometheus. It
// has a registry of its own, so several may live in one process.
type Metrics struct {
	registry *prometheus.Registry

	operations *prometheus.HistogramVec // operation, outcome
	stages     *prometheus.HistogramVec // stage
	answers    *prometheus.CounterVec   // outcome
	candidates prometheus.Histogram

	callSeconds  prometheus.Histogram
	callWindows  prometheus.Histogram
	callTokens   prometheus.Counter
	callFailures prometheus.Counter

	requests        *prometheus.HistogramVec // route, method, code
	requestsRunning prometheus.Gauge
}

var _ pipeline.Observer = (*Metrics)(nil)

// The buckets of times in seconds reach from a search in memory to the default
// limits.timeout. Those of stages begin lower, since a stage can be a small
// part of a request.
func operationBuckets() []float64 {
	return []float64{.002, .005, .01, .025, .05, .1, .2, .35, .5, .75, 1, 1.5, 2.5, 5, 10, 20, 30, 60}
}

func stageBuckets() []float64 {
	return []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

// The outcomes of operations that gave a result.
const (
	outcomeOK         = "ok"
	outcomeError      = "error"
	outcomeCancelled  = "cancelled"
	outcomeOverloaded = "overloaded"
	outcomeTimeout    = "timeout"
	outcomeRefused    = "refused"
)

// The outcomes of questions.
const (
	answered   = "answered"
	unanswered = "no_answer"
)

// NewMetrics returns metrics that are all zero. Those of a pipeline's state
// come with [Metrics.Watch].
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "needle_operation_duration_seconds", Help: "Time of whole operations of the pipeline.", Buckets: operationBuckets(),
		}, []string{"operation", "outcome"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "needle_stage_duration_seconds", Help: "Time of the stages of operations.", Buckets: stageBuckets(),
		}, []string{"stage"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "needle_questions_total", Help: "Questions by what became of them: answered or no_answer.",
		}, []string{"result"}),
		candidates: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "needle_candidates_read", Help: "Passages read for a question.", Buckets: []float64{0, 1, 2, 5, 10, 15, 20, 30, 50, 100, 200},
		}),
		callSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "needle_model_call_duration_seconds", Help: "Time of native calls of the language model.", Buckets: stageBuckets(),
		}),
		callWindows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "needle_model_call_windows", Help: "Windows in a native call of the language model.", Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
		callTokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "needle_model_tokens_total", Help: "Tokens that the language model computed.",
		}),
		callFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "needle_model_call_failures_total", Help: "Native calls of the language model that failed or were stopped.",
		}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "needle_http_request_duration_seconds", Help: "Time of HTTP requests.", Buckets: operationBuckets(),
		}, []string{"route", "method", "code"}),
		requestsRunning: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "needle_http_requests_running", Help: "HTTP requests that are being answered.",
		}),
	}
	m.registry.MustRegister(
		m.operations, m.stages, m.answers, m.candidates,
		m.callSeconds, m.callWindows, m.callTokens, m.callFailures,
		m.requests, m.requestsRunning, buildInfo(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	// A series that is missing until its first event hides that event from
	// rate(), and alerts on it never fire.
	for _, stage := range pipeline.Stages() {
		m.stages.WithLabelValues(string(stage))
	}
	for _, operation := range pipeline.Operations() {
		for _, outcome := range []string{outcomeOK, outcomeError, outcomeOverloaded, outcomeTimeout} {
			m.operations.WithLabelValues(string(operation), outcome)
		}
	}
	m.answers.WithLabelValues(answered)
	m.answers.WithLabelValues(unanswered)
	return m
}

func buildInfo() prometheus.Collector {
	build := buildinfo.Get()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "needle_build_info", Help: "The program; always 1.",
		ConstLabels: prometheus.Labels{"version": build.Version, "goversion": build.Go, "revision": build.Commit, "date": build.Date},
	})
	g.Set(1)
	return g
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Timeout: scrapeTimeout, EnableOpenMetrics: true})
}

// scrapeTimeout is below Prometheus's default of 10 s.
const scrapeTimeout = 8 * time.Second

// Stage implements [pipeline.Observer].
func (m *Metrics) Stage(_ context.Context, stage pipeline.Stage, begin, end time.Time, _ error) {
	m.stages.WithLabelValues(string(stage)).Observe(end.Sub(begin).Seconds())
}

// Inferred implements [pipeline.Observer].
func (m *Metrics) Inferred(call infer.Call) {
	m.callSeconds.Observe(call.Ran.Seconds())
	m.callWindows.Observe(float64(call.Encodings))
	m.callTokens.Add(float64(call.Tokens))
	if call.Err != nil {
		m.callFailures.Inc()
	}
}

// Finished implements [pipeline.Observer].
func (m *Metrics) Finished(_ context.Context, operation pipeline.Operation, result *pipeline.Result, begin, end time.Time, err error) {
	m.operations.WithLabelValues(string(operation), outcome(err)).Observe(end.Sub(begin).Seconds())
	if err != nil || result == nil {
		return
	}
	if result.Answerable {
		m.answers.WithLabelValues(answered).Inc()
	} else {
		m.answers.WithLabelValues(unanswered).Inc()
	}
	m.candidates.Observe(float64(result.CandidatesRead))
}

// Begin is told of an HTTP request that begins; the function it returns, of its
// end. An unknown route must be named by one constant, since every name makes a
// series.
func (m *Metrics) Begin(r *http.Request) (context.Context, func(route string, status int)) {
	begin := time.Now()
	m.requestsRunning.Inc()
	return r.Context(), func(route string, status int) {
		m.requestsRunning.Dec()
		m.requests.WithLabelValues(route, method(r.Method), strconv.Itoa(status)).Observe(time.Since(begin).Seconds())
	}
}

// method keeps strangers from making series.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return name
	}
	return "other"
}

// Names returns the names of all metrics that Needle itself may export, whether
// they have a value yet or not.
func (m *Metrics) Names() []string {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		m.registry.Describe(descriptions)
	}()
	var names []string
	for d := range descriptions {
		// A description tells its name in its text only.
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		if name, _, _ := strings.Cut(rest, `"`); strings.HasPrefix(name, "needle_") {
			names = append(names, name)
		}
	}
	return names
}
