package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/telemetry"
)

// closeTraces is how long the last traces may take to be delivered.
const closeTraces = 5 * time.Second

// serverTelemetry is what the configuration asks for. The observer and the
// handler of /metrics are nil where it asks for none; watch adds the state of
// the pipeline once it is open, and stop delivers what is left.
type serverTelemetry struct {
	observer telemetry.Observer
	metrics  http.Handler
	watch    func(*pipeline.Pipeline, telemetry.Quality)
	stop     func()
}

func openTelemetry(ctx context.Context, cfg pipeline.Telemetry, log *slog.Logger) (serverTelemetry, error) {
	t := serverTelemetry{watch: func(*pipeline.Pipeline, telemetry.Quality) {}, stop: func() {}}
	var observers []telemetry.Observer
	if cfg.Metrics {
		metrics := telemetry.NewMetrics()
		observers = append(observers, metrics)
		t.metrics = metrics.Handler()
		t.watch = func(p *pipeline.Pipeline, quality telemetry.Quality) {
			metrics.Watch(p)
			metrics.WatchQuality(quality)
		}
	}
	if cfg.OTLP != "" {
		tracer, err := telemetry.NewTracer(ctx, telemetry.TracerOptions{Endpoint: cfg.OTLP, Version: version(), Sample: cfg.Sample})
		if err != nil {
			return t, err
		}
		observers = append(observers, tracer)
		t.stop = func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTraces)
			defer cancel()
			if err := tracer.Close(ctx); err != nil {
				log.Warn("the last traces were not delivered", "error", err)
			}
		}
	}
	t.observer = telemetry.Join(observers...)
	return t, nil
}

// requests is the observer of the HTTP server; nil as an interface if there is
// none.
func (t serverTelemetry) requests() api.Observer {
	if t.observer == nil {
		return nil
	}
	return t.observer
}

// pipelineOptions hands the observers over, where there are any: a nil one inside
// an interface would be called.
func (t serverTelemetry) pipelineOptions(log *slog.Logger, others monitor.Observers) []pipeline.Option {
	options := []pipeline.Option{pipeline.WithLogger(log)}
	if t.observer != nil {
		others = append(others, t.observer)
	}
	if len(others) > 0 {
		options = append(options, pipeline.WithObserver(others))
	}
	return options
}
