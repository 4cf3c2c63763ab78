package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/telemetry"
)

// driftDir is where the reference of the drift watch stands in a data
// directory.
const driftDir = "monitor"

// serverMonitor is what a server watches of its own quality. Parts that the
// configuration turns off are nil.
type serverMonitor struct {
	config    monitor.WatchConfig
	canaries  *monitor.Canaries
	drift     *monitor.Drift
	questions *monitor.Questions
	shadow    *shadowed // nil until the pipeline is open
	feedback  *countedFeedback

	mu    sync.Mutex
	watch *monitor.Watch // nil until it runs
}

var _ telemetry.Quality = (*serverMonitor)(nil)

func openMonitor(cfg *pipeline.Config, log *slog.Logger) (m *serverMonitor, err error) {
	c := cfg.Monitor
	m = &serverMonitor{
		config:   monitor.WatchConfig{Interval: c.Interval, Settle: c.Settle, Rollback: c.Rollback},
		canaries: monitor.OpenCanaries(filepath.Join(cfg.Data, canariesDir)),
	}
	if c.WebhookEnv != "" {
		m.config.Webhook = os.Getenv(c.WebhookEnv)
		if u, err := url.Parse(m.config.Webhook); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("serve: monitor.webhook_env: %s holds no URL with http or https", c.WebhookEnv)
		}
	}
	if c.Drift {
		drift := monitor.DefaultDriftConfig()
		drift.Window = c.DriftWindow
		if m.drift, err = monitor.OpenDrift(filepath.Join(cfg.Data, driftDir), drift, log); err != nil {
			return nil, err
		}
	}
	if c.KeepQuestions {
		m.questions, err = monitor.OpenQuestions(filepath.Join(cfg.Data, questionsDir), monitor.QuestionsConfig{Retention: c.Retention, Redact: c.Redact}, log)
	}
	return m, err
}

// observers are those that a pipeline tells what it does.
func (m *serverMonitor) observers() monitor.Observers {
	var list monitor.Observers
	if m.drift != nil {
		list = append(list, m.drift)
	}
	if m.questions != nil {
		list = append(list, m.questions)
	}
	return list
}

// start asks the canaries until the context ends or stop is called, which
// waits for the end.
func (m *serverMonitor) start(ctx context.Context, p *pipeline.Pipeline, log *slog.Logger) (stop func()) {
	watch := monitor.NewWatch(m.canaries, p, m.config, log)
	m.mu.Lock()
	m.watch = watch
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { watch.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// close writes what waits.
func (m *serverMonitor) close() error {
	if m.questions == nil {
		return nil
	}
	return m.questions.Close()
}

// Canaries returns the last run of every index.
func (m *serverMonitor) Canaries() []telemetry.CanaryState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watch == nil {
		return nil
	}
	var states []telemetry.CanaryState
	for index, run := range m.watch.Last() {
		states = append(states, telemetry.CanaryState{Index: index, Healthy: run.Healthy(), Score: run.Score, Brier: run.Brier, At: run.At})
	}
	return states
}

// Rollbacks counts the models that were put back.
func (m *serverMonitor) Rollbacks() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watch == nil {
		return 0
	}
	return m.watch.Rollbacks()
}

// Feedback counts the judgements of users.
func (m *serverMonitor) Feedback() []telemetry.FeedbackState {
	if m.feedback == nil {
		return nil
	}
	return m.feedback.counts()
}

// Drift returns the last window of live questions.
func (m *serverMonitor) Drift() []telemetry.DriftState {
	if m.drift == nil {
		return nil
	}
	var states []telemetry.DriftState
	for _, f := range m.drift.Last().Features {
		states = append(states, telemetry.DriftState{Feature: f.Feature, Distance: f.Distance, Drifted: f.Drifted})
	}
	return states
}

// Shadow counts the questions of the candidate by outcome.
func (m *serverMonitor) Shadow() map[string]int {
	if m.shadow == nil {
		return nil
	}
	return m.shadow.counts()
}
