package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/store"
	"github.com/needle-search/needle/telemetry"
)

// Bounds of counting feedback for scrapes. All of it is read, because what one
// judgement counts for depends on the others.
const (
	countEvery   = time.Minute
	countTimeout = 4 * time.Second // half of what a scrape may take
	countShare   = 100             // counting takes at most one part in so many
)

// countedFeedback counts what users said, not at every scrape.
type countedFeedback struct {
	pipeline *pipeline.Pipeline
	logger   *slog.Logger

	mu   sync.Mutex
	next time.Time
	last []telemetry.FeedbackState
}

func newCountedFeedback(p *pipeline.Pipeline, log *slog.Logger) *countedFeedback {
	return &countedFeedback{pipeline: p, logger: log}
}

// counts returns the last count, or a new one when it is time. While the store
// cannot be read the last one stays.
func (c *countedFeedback) counts() []telemetry.FeedbackState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.next) {
		return c.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	begin := time.Now()
	states, err := c.count(ctx)
	c.next = time.Now().Add(max(countEvery, countShare*time.Since(begin)))
	if err != nil {
		c.logger.WarnContext(ctx, "feedback was not counted for the metrics", "error", err)
		return c.last
	}
	c.last = states
	return states
}

func (c *countedFeedback) count(ctx context.Context) ([]telemetry.FeedbackState, error) {
	kept, err := c.pipeline.Store(ctx)
	if err != nil {
		return nil, err
	}
	indexes, err := c.pipeline.Indexes(ctx)
	if err != nil {
		return nil, err
	}
	var states []telemetry.FeedbackState
	for _, index := range indexes {
		cases, err := kept.Cases(ctx, index.Name, c.pipeline.Config().Monitor.Feedback.Judging())
		if err != nil {
			return nil, err
		}
		if len(cases) == 0 {
			continue
		}
		counts := make(map[store.Standing]int)
		for _, one := range cases {
			for _, j := range one.Judgements {
				counts[j.Standing]++
			}
		}
		for _, standing := range store.Standings() {
			states = append(states, telemetry.FeedbackState{Index: index.Name, Standing: string(standing), Judgements: counts[standing]})
		}
	}
	return states, nil
}
