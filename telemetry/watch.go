package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// A Watched is what metrics read at every scrape. A [pipeline.Pipeline] is one.
type Watched interface {
	// Model names the bundle that answers.
	Model() pipeline.ModelRef
	// Models describes the models that are open.
	Models(ctx context.Context) ([]pipeline.ModelStatus, error)
	// Config says on which device they should run.
	Config() *pipeline.Config
	// GateStats is the state of the queue in front of the model.
	GateStats() infer.Stats
	// CacheStats is the state of each cache.
	CacheStats() []pipeline.CacheStats
	// Indexes describes all indexes.
	Indexes(ctx context.Context) ([]retriever.Statistics, error)
	// Sources says how fresh the sources of an index are.
	Sources(index string) (pipeline.Sources, error)
}

var _ Watched = (*pipeline.Pipeline)(nil)

// Watch adds the state of a pipeline to the metrics. It may be called once.
func (m *Metrics) Watch(w Watched) { m.registry.MustRegister(newWatcher(w)) }

// A watcher reads the state when it is scraped.
type watcher struct {
	watched Watched
	all     []*prometheus.Desc

	model, fallback, workers, running, waiting, windows, tokens, refused *prometheus.Desc

	cacheHits, cacheMisses, cacheEvictions, cacheBytes, cacheLimit, cacheEntries *prometheus.Desc

	documents, passages, generation, bytes, indexErrors *prometheus.Desc

	sourceSuccess, sourceChange, sourceFailure, sourceFailing, sourceDocuments *prometheus.Desc
}

func newWatcher(watched Watched) *watcher {
	w := &watcher{watched: watched}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("needle_"+name, help, labels, nil)
		w.all = append(w.all, d)
		return d
	}
	w.model = desc("model_info", "The bundle that answers; always 1.", "name", "hash", "precision")
	w.fallback = desc("model_device_fallback", "1 if a model runs on another device than the configured one, else 0.")
	w.workers = desc("queue_workers", "Native calls that may run at a time.")
	w.running = desc("queue_running_calls", "Native calls that run.")
	w.waiting = desc("queue_requests", "Requests that wait for the model or are in it.")
	w.windows = desc("queue_windows", "Windows that wait for the model.")
	w.tokens = desc("queue_tokens", "Tokens that wait for the model.")
	w.refused = desc("queue_rejected_total", "Requests that found the queue full.")
	w.cacheHits = desc("cache_hits_total", "Lookups that found an entry.", "cache")
	w.cacheMisses = desc("cache_misses_total", "Lookups that found none.", "cache")
	w.cacheEvictions = desc("cache_evictions_total", "Entries that made room for others.", "cache")
	w.cacheBytes = desc("cache_bytes", "Memory of the entries.", "cache")
	w.cacheLimit = desc("cache_limit_bytes", "Memory that the entries may take.", "cache")
	w.cacheEntries = desc("cache_entries", "Entries.", "cache")
	w.documents = desc("index_documents", "Documents of an index.", "index")
	w.passages = desc("index_passages", "Passages of an index.", "index")
	w.generation = desc("index_generation", "Committed changes of an index.", "index")
	w.bytes = desc("index_disk_bytes", "What an index takes on disk.", "index")
	w.indexErrors = desc("index_unreadable", "1 if the indexes could not be described.")
	w.sourceSuccess = desc("source_last_success_timestamp_seconds", "Start of the last sync that took in everything; 0 if there was none.", "index", "source")
	w.sourceChange = desc("source_last_change_timestamp_seconds", "When a sync last changed a document; 0 if none did.", "index", "source")
	w.sourceFailure = desc("source_last_failure_timestamp_seconds", "When a sync last failed; 0 if none did.", "index", "source")
	w.sourceFailing = desc("source_failing", "1 if the last sync failed.", "index", "source")
	w.sourceDocuments = desc("source_documents", "Documents that the source had at its last sync.", "index", "source")
	return w
}

// Describe implements [prometheus.Collector].
func (w *watcher) Describe(out chan<- *prometheus.Desc) {
	for _, d := range w.all {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (w *watcher) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	if ref := w.watched.Model(); ref.Name != "" {
		gauge(w.model, 1, ref.Name, ref.Hash, ref.Precision)
	}
	gauge(w.fallback, w.onAnotherDevice())
	gate := w.watched.GateStats()
	gauge(w.workers, float64(gate.Workers))
	gauge(w.running, float64(gate.Running))
	gauge(w.waiting, float64(gate.Requests))
	gauge(w.windows, float64(gate.Encodings))
	gauge(w.tokens, float64(gate.Tokens))
	counter(w.refused, gate.Refused)
	for _, c := range w.watched.CacheStats() {
		counter(w.cacheHits, c.Hits, c.Name)
		counter(w.cacheMisses, c.Misses, c.Name)
		counter(w.cacheEvictions, c.Evictions, c.Name)
		gauge(w.cacheBytes, float64(c.Bytes), c.Name)
		gauge(w.cacheLimit, float64(c.Limit), c.Name)
		gauge(w.cacheEntries, float64(c.Entries), c.Name)
	}
	w.collectIndexes(gauge)
}

// onAnotherDevice is 1 if a model runs elsewhere than it should.
func (w *watcher) onAnotherDevice() float64 {
	// Models are described from memory, so there is nothing to wait for.
	all, err := w.watched.Models(context.Background())
	if err != nil {
		return 0
	}
	for _, m := range all {
		if m.Device != "" && m.Device != w.watched.Config().Reader.Device {
			return 1
		}
	}
	return 0
}

func (w *watcher) collectIndexes(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	// A retriever on another machine may hang; the rest of the metrics must
	// come out all the same, above all then.
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout/2)
	defer cancel()
	indexes, err := w.watched.Indexes(ctx)
	if err != nil {
		gauge(w.indexErrors, 1)
		return
	}
	gauge(w.indexErrors, 0)
	for _, s := range indexes {
		gauge(w.documents, float64(s.Documents), s.Name)
		gauge(w.passages, float64(s.Passages), s.Name)
		gauge(w.generation, float64(s.Generation), s.Name)
		gauge(w.bytes, float64(s.Bytes), s.Name)
		sources, err := w.watched.Sources(s.Name)
		if err != nil {
			continue
		}
		for _, source := range sources {
			failing := 0.0
			if source.Failing() {
				failing = 1
			}
			gauge(w.sourceSuccess, seconds(source.LastSuccess), s.Name, source.Name)
			gauge(w.sourceChange, seconds(source.LastChange), s.Name, source.Name)
			gauge(w.sourceFailure, seconds(source.LastFailure), s.Name, source.Name)
			gauge(w.sourceFailing, failing, s.Name, source.Name)
			gauge(w.sourceDocuments, float64(source.Documents), s.Name, source.Name)
		}
	}
}

// seconds is the Unix time; 0 for a time that never was.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
