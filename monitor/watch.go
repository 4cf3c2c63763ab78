package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// A Watched is the pipeline that a [Watch] keeps an eye on.
type Watched interface {
	Asker
	pipeline.ModelManager
	Stats(ctx context.Context, index string) (retriever.Statistics, error)
}

var _ Watched = (*pipeline.Pipeline)(nil)

// WatchConfig says how canaries are watched.
type WatchConfig struct {
	// Interval is the longest time between two runs.
	Interval time.Duration
	// Settle is how long an index must have stayed the same after a change
	// before it is looked at: an import changes it many times. It is also how
	// often changes are looked for.
	Settle time.Duration
	// Webhook is called with every run that raises an alarm, and with the first
	// one that is healthy again; empty means none.
	Webhook string
	// Rollback puts the model before back when the run after a swap raises an
	// alarm.
	Rollback bool
}

// A Watch asks the canaries on schedule and after every change, and raises
// alarms. See [NewWatch].
type Watch struct {
	canaries *Canaries
	watched  Watched
	config   WatchConfig
	logger   *slog.Logger
	client   *http.Client

	mu   sync.Mutex
	last map[string]CanaryRun // by index
	back int                  // models that were rolled back
}

// NewWatch makes a watch over the canaries of a data directory. It does nothing
// before [Watch.Run].
func NewWatch(canaries *Canaries, watched Watched, config WatchConfig, logger *slog.Logger) *Watch {
	return &Watch{
		canaries: canaries, watched: watched, config: config, logger: logger,
		client: &http.Client{Timeout: 10 * time.Second}, last: make(map[string]CanaryRun),
	}
}

// Last returns the last run of every index, for metrics and status pages.
func (w *Watch) Last() map[string]CanaryRun {
	w.mu.Lock()
	defer w.mu.Unlock()
	runs := make(map[string]CanaryRun, len(w.last))
	for index, run := range w.last {
		runs[index] = run
	}
	return runs
}

// Rollbacks returns how often a model was put back.
func (w *Watch) Rollbacks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.back
}

// state is what the answers of an index depend on.
type state struct {
	generation uint64
	model      pipeline.ModelRef
}

// seen is what a watch knows of an index between two looks.
type seen struct {
	asked  state                // at the last run
	now    state                // at the last look
	reader pipeline.ModelStatus // the model of the last run
	at     time.Time            // of the last run
	known  bool
}

// state returns what answers depend on now.
func (w *Watch) state(ctx context.Context, index string) (state, pipeline.ModelStatus, error) {
	stats, err := w.watched.Stats(ctx, index)
	if err != nil {
		return state{}, pipeline.ModelStatus{}, err
	}
	models, err := w.watched.Models(ctx)
	if err != nil {
		return state{}, pipeline.ModelStatus{}, err
	}
	for _, m := range models {
		if m.Role == pipeline.RoleReader {
			return state{stats.Generation, m.Model}, m, nil
		}
	}
	return state{}, pipeline.ModelStatus{}, pipeline.ErrNoReader
}

// Run watches until the context ends. Faults of single runs are logged.
func (w *Watch) Run(ctx context.Context) {
	indexes := make(map[string]*seen)
	ticker := time.NewTicker(w.config.Settle)
	defer ticker.Stop()
	for {
		names, err := w.canaries.Indexes()
		if err != nil {
			w.logger.ErrorContext(ctx, "canaries cannot be read", "error", err)
		}
		for _, name := range names {
			if indexes[name] == nil {
				indexes[name] = &seen{}
			}
			if err := w.look(ctx, name, indexes[name]); err != nil && ctx.Err() == nil {
				w.logger.ErrorContext(ctx, "canaries were not asked", "index", name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look asks the canaries of an index if it is time to.
func (w *Watch) look(ctx context.Context, index string, s *seen) error {
	now, reader, err := w.state(ctx, index)
	if err != nil {
		return err
	}
	settled := now == s.now
	s.now = now
	reason := ""
	switch {
	case !s.known:
		reason = "start"
	case now.model != s.asked.model:
		reason = "model" // it changes at once, and users are waiting
	case now != s.asked && settled:
		reason = "index"
	case time.Since(s.at) >= w.config.Interval:
		reason = "schedule"
	default:
		return nil
	}
	previous := s.reader
	run, err := w.ask(ctx, index, reason)
	s.asked, s.reader, s.at, s.known = now, reader, time.Now(), true
	if err != nil {
		return err
	}
	if reason == "model" && !run.Healthy() && w.config.Rollback {
		return w.rollBack(ctx, index, previous, s)
	}
	return nil
}

func (w *Watch) ask(ctx context.Context, index, reason string) (CanaryRun, error) {
	run, err := w.canaries.Run(ctx, w.watched, index, reason)
	if err != nil {
		return run, err
	}
	w.mu.Lock()
	before, known := w.last[index]
	w.last[index] = run
	w.mu.Unlock()
	attrs := []any{"index", index, "reason", reason, "score", run.Score, "brier", run.Brier, "n", run.N, "model", run.Model.Hash, "generation", run.Generation}
	switch {
	case !run.Healthy():
		w.logger.ErrorContext(ctx, "canaries raise an alarm", append(attrs, "alarms", run.Alarms)...)
		w.notify(ctx, run)
	case known && !before.Healthy():
		w.logger.InfoContext(ctx, "canaries are healthy again", attrs...)
		w.notify(ctx, run)
	default:
		w.logger.InfoContext(ctx, "canaries are healthy", attrs...)
	}
	return run, nil
}

// rollBack puts the model back that answered before, and asks again.
func (w *Watch) rollBack(ctx context.Context, index string, previous pipeline.ModelStatus, s *seen) error {
	use := pipeline.ModelUse{Reset: true}
	if previous.Chosen {
		use = pipeline.ModelUse{Bundle: previous.Bundle, Precision: previous.Model.Precision}
	}
	swap, err := w.watched.UseModel(ctx, use)
	if err != nil {
		return fmt.Errorf("monitor: roll back to %s: %w", previous.Model.Name, err)
	}
	w.mu.Lock()
	w.back++
	w.mu.Unlock()
	w.logger.WarnContext(ctx, "the model was rolled back", "index", index, "from", swap.Previous.Model.Hash, "to", swap.Current.Model.Hash)
	if s.asked, s.reader, err = w.state(ctx, index); err != nil {
		return err
	}
	s.now = s.asked
	_, err = w.ask(ctx, index, "rollback")
	return err
}

// notify calls the webhook. What it answers changes nothing but the log.
func (w *Watch) notify(ctx context.Context, run CanaryRun) {
	if w.config.Webhook == "" {
		return
	}
	err := func() error {
		// Single outcomes hold text of the documents, which a chat room need not
		// see.
		run.Outcomes = nil
		data, err := json.Marshal(struct {
			Event string `json:"event"`
			CanaryRun
		}{"needle.canary", run})
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.Webhook, bytes.NewReader(data))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := w.client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode >= 300 {
			return fmt.Errorf("it answered %s", response.Status)
		}
		return nil
	}()
	if err != nil {
		w.logger.ErrorContext(ctx, "the webhook was not told of the canaries", "error", err)
	}
}
