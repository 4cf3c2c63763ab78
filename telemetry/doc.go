// Package telemetry exports what Needle does: metrics for Prometheus and traces
// over OTLP.
//
//	metrics := telemetry.NewMetrics()
//	p, err := pipeline.Open(ctx, cfg, pipeline.WithObserver(metrics))
//	metrics.Watch(p)
//	http.Handle("/metrics", metrics.Handler())
//
// A [Metrics] and a [Tracer] are both [pipeline.Observer]s; [Both] joins them.
// Neither ever holds text of questions or documents. Everything is safe for
// concurrent use.
package telemetry
