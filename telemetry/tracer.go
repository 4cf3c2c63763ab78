package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
)

// A Tracer sends a span for every HTTP request, with one below it for each
// stage, to a collector. A request that comes with a traceparent header
// continues that trace.
type Tracer struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TraceContext
}

// TracerOptions set up a [Tracer].
type TracerOptions struct {
	// Endpoint is the address of an OTLP/HTTP collector, for example
	// http://127.0.0.1:4318; /v1/traces is added if it has no path.
	Endpoint string
	// Version is that of the program.
	Version string
	// Sample is the share of requests to trace, 0 to 1, of those that come
	// without a decision of their caller.
	Sample float64
}

// NewTracer returns a tracer, which must be closed. It does not wait for the
// collector: spans that cannot be delivered are dropped, and requests never
// wait for it.
func NewTracer(ctx context.Context, options TracerOptions) (*Tracer, error) {
	endpoint, err := url.Parse(options.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	if strings.Trim(endpoint.Path, "/") == "" {
		endpoint.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint.String()))
	if err != nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(options.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "needle"),
			attribute.String("service.version", options.Version),
		)),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/needle-search/needle")}, nil
}

// Close delivers what is left, for as long as the context lasts.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("telemetry: traces: %w", err)
	}
	return nil
}

// Begin implements [Observer].
func (t *Tracer) Begin(r *http.Request) (context.Context, func(route string, status int)) {
	ctx := t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	verb := method(r.Method)
	ctx, span := t.tracer.Start(ctx, verb, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", verb)))
	return ctx, func(route string, status int) {
		span.SetName(verb + " " + route)
		span.SetAttributes(attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}

// Stage implements [pipeline.Observer]: a span after the fact.
func (t *Tracer) Stage(ctx context.Context, stage pipeline.Stage, begin, end time.Time, err error) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := t.tracer.Start(ctx, string(stage), trace.WithTimestamp(begin))
	if err != nil {
		// The kind of the failure only: messages may quote what was asked.
		span.SetStatus(codes.Error, outcome(err))
	}
	span.End(trace.WithTimestamp(end))
}

// Inferred implements [pipeline.Observer]. Native calls are shared by requests,
// so they belong to no trace.
func (t *Tracer) Inferred(infer.Call) {}

// Finished implements [pipeline.Observer]: the outcome goes to the span of the
// request.
func (t *Tracer) Finished(ctx context.Context, operation pipeline.Operation, result *pipeline.Result, _, _ time.Time, err error) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("needle.operation", string(operation)), attribute.String("needle.outcome", outcome(err)))
	if result == nil {
		return
	}
	_, cached := result.TimingsMS["cache"]
	span.SetAttributes(
		attribute.String("needle.index", result.Index),
		attribute.Int64("needle.generation", int64(result.Generation)),
		attribute.String("needle.model", result.Model.Name),
		attribute.Bool("needle.answerable", result.Answerable),
		attribute.Bool("needle.complete", result.Complete),
		attribute.Bool("needle.cached", cached),
		attribute.Int("needle.candidates_read", result.CandidatesRead),
	)
}
