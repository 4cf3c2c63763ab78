package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A CanaryState is the last run of the canaries of an index.
type CanaryState struct {
	Index        string
	Healthy      bool
	Score, Brier float64
	At           time.Time
}

// A DriftState is a distribution of live questions held against its reference.
type DriftState struct {
	Feature  string
	Distance float64
	Drifted  bool
}

// A FeedbackState is how many judgements about an index stand in one way.
type FeedbackState struct {
	Index, Standing string
	Judgements      int
}

// A Quality is what metrics read of the monitor at every scrape.
type Quality interface {
	Canaries() []CanaryState
	Drift() []DriftState
	// Shadow counts the questions of the candidate by outcome; nil without one.
	Shadow() map[string]int
	// Feedback counts the judgements about indexes that have any.
	Feedback() []FeedbackState
	// Rollbacks counts the models that were put back after an exchange.
	Rollbacks() int
}

// WatchQuality adds the state of the monitor to the metrics. It may be called
// once.
func (m *Metrics) WatchQuality(q Quality) { m.registry.MustRegister(newQuality(q)) }

type quality struct {
	source Quality

	healthy, score, brier, at, distance, drifted, shadow, judgements, rollbacks *prometheus.Desc
}

func newQuality(source Quality) *quality {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("needle_"+name, help, labels, nil)
	}
	return &quality{
		source:     source,
		healthy:    desc("canary_healthy", "1 if the last run of the canaries raised no alarm, else 0.", "index"),
		score:      desc("canary_score", "Mean score of the last run of the canaries, 0 to 1.", "index"),
		brier:      desc("canary_brier", "Mean Brier score of the last run of the canaries, 0 to 1; less is better.", "index"),
		at:         desc("canary_last_run_timestamp_seconds", "When the canaries were last asked.", "index"),
		distance:   desc("drift_distance", "Kolmogorov-Smirnov distance of the last window of live questions from the reference, 0 to 1.", "feature"),
		shadow:     desc("shadow_questions_total", "Questions that a candidate was to answer beside, by outcome.", "outcome"),
		judgements: desc("feedback_judgements", "Judgements of users, by what they count for; quarantined ones wait for a review. Counted every minute at most.", "index", "standing"),
		rollbacks:  desc("model_rollbacks_total", "Models that were put back because the canaries raised an alarm after an exchange."),
		drifted:    desc("drift_detected", "1 if the last window of live questions differs from the reference, else 0.", "feature"),
	}
}

// Describe names the metrics.
func (q *quality) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{q.healthy, q.score, q.brier, q.at, q.distance, q.drifted, q.shadow, q.judgements, q.rollbacks} {
		out <- d
	}
}

// Collect reads the state.
func (q *quality) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label)
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	for _, c := range q.source.Canaries() {
		gauge(q.healthy, truth(c.Healthy), c.Index)
		gauge(q.score, c.Score, c.Index)
		gauge(q.brier, c.Brier, c.Index)
		gauge(q.at, float64(c.At.UnixMilli())/1000, c.Index)
	}
	for outcome, n := range q.source.Shadow() {
		out <- prometheus.MustNewConstMetric(q.shadow, prometheus.CounterValue, float64(n), outcome)
	}
	for _, f := range q.source.Feedback() {
		out <- prometheus.MustNewConstMetric(q.judgements, prometheus.GaugeValue, float64(f.Judgements), f.Index, f.Standing)
	}
	out <- prometheus.MustNewConstMetric(q.rollbacks, prometheus.CounterValue, float64(q.source.Rollbacks()))
	for _, d := range q.source.Drift() {
		gauge(q.distance, d.Distance, d.Feature)
		gauge(q.drifted, truth(d.Drifted), d.Feature)
	}
}
