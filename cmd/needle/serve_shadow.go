package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
)

// shadowed is a pipeline that shows a candidate what it was asked. Without a
// candidate it costs one atomic load a question.
type shadowed struct {
	*pipeline.Pipeline
	logger *slog.Logger

	shadow atomic.Pointer[monitor.Shadow]

	mu        sync.Mutex // starting and stopping, one at a time
	candidate *pipeline.Pipeline
	last      pipeline.ShadowStatus
}

var (
	_ pipeline.Service       = (*shadowed)(nil)
	_ pipeline.ModelManager  = (*shadowed)(nil)
	_ pipeline.Keeper        = (*shadowed)(nil)
	_ pipeline.ShadowManager = (*shadowed)(nil)
)

// openShadow puts a pipeline where a candidate can see its questions, with the
// candidate that the configuration names.
func openShadow(ctx context.Context, p *pipeline.Pipeline, log *slog.Logger) (*shadowed, error) {
	s := &shadowed{Pipeline: p, logger: log}
	section := p.Config().Monitor.Shadow
	if section.Config == "" {
		return s, nil
	}
	text, err := os.ReadFile(section.Config)
	if err != nil {
		return nil, fmt.Errorf("serve: monitor.shadow.config: %w", err)
	}
	if _, err := s.StartShadow(ctx, pipeline.ShadowUse{Config: string(text), Share: section.Share}); err != nil {
		return nil, fmt.Errorf("serve: monitor.shadow.config: %s: %w", section.Config, err)
	}
	return s, nil
}

// Ask answers as the pipeline does, and shows the candidate what came of it.
func (s *shadowed) Ask(ctx context.Context, request pipeline.Request) (*pipeline.Result, error) {
	result, err := s.Pipeline.Ask(ctx, request)
	if shadow := s.shadow.Load(); shadow != nil && err == nil {
		shadow.Offer(ctx, request, result)
	}
	return result, err
}

// StartShadow implements [pipeline.ShadowManager].
func (s *shadowed) StartShadow(ctx context.Context, use pipeline.ShadowUse) (pipeline.ShadowStatus, error) {
	if !(use.Share > 0 && use.Share <= 1) {
		return pipeline.ShadowStatus{}, fmt.Errorf("%w: share: %v; allowed is more than 0, at most 1", pipeline.ErrInvalidRequest, use.Share)
	}
	current := s.Config()
	config, err := current.Overlay("the candidate's configuration", []byte(use.Config))
	if err != nil {
		return pipeline.ShadowStatus{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	candidate, err := s.OpenBeside(ctx, config, pipeline.WithLogger(s.logger))
	if err != nil {
		return pipeline.ShadowStatus{}, err
	}
	m := current.Monitor
	// It goes on when the request that started it has ended.
	shadow, err := monitor.NewShadow(context.WithoutCancel(ctx), candidate, monitor.ShadowConfig{
		Share: use.Share, Idle: s.Idle, KeepText: m.KeepQuestions, Redact: m.Redact,
	}, s.logger)
	if err != nil {
		return pipeline.ShadowStatus{}, errors.Join(err, candidate.Close())
	}
	if err := s.stop(); err != nil {
		s.logger.ErrorContext(ctx, "the candidate before was not closed", "error", err)
	}
	s.candidate = candidate
	s.last = pipeline.ShadowStatus{Model: candidate.Model(), Changed: append([]string{}, current.Changed(config)...)}
	s.shadow.Store(shadow)
	return s.status(), nil
}

// stop ends the candidate that runs, if one does, and keeps what it did. The
// mutex is held.
func (s *shadowed) stop() error {
	shadow := s.shadow.Swap(nil)
	if shadow == nil {
		return nil
	}
	err := shadow.Close()
	model, changed := s.last.Model, s.last.Changed
	s.last = shadow.Status()
	s.last.Model, s.last.Changed = model, changed
	err = errors.Join(err, s.candidate.Close())
	s.candidate = nil
	return err
}

// status is that of the candidate that runs, or of the last one. The mutex is
// held.
func (s *shadowed) status() pipeline.ShadowStatus {
	status := s.last
	if shadow := s.shadow.Load(); shadow != nil {
		status = shadow.Status()
		status.Model, status.Changed = s.last.Model, s.last.Changed
	}
	if status.Changed == nil {
		status.Changed = []string{}
	}
	if status.Outcomes == nil {
		status.Outcomes = map[string]int{}
	}
	if status.Differences == nil {
		status.Differences = []pipeline.ShadowDifference{}
	}
	return status
}

// StopShadow implements [pipeline.ShadowManager].
func (s *shadowed) StopShadow(context.Context) (pipeline.ShadowStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.stop()
	return s.status(), err
}

// ShadowStatus implements [pipeline.ShadowManager].
func (s *shadowed) ShadowStatus(context.Context) (pipeline.ShadowStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status(), nil
}

// Close ends the candidate. The pipeline is closed by whom it belongs to.
func (s *shadowed) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop()
}

// counts are the questions of the candidate that runs, by outcome, for the
// metrics.
func (s *shadowed) counts() map[string]int {
	shadow := s.shadow.Load()
	if shadow == nil {
		return nil
	}
	status := shadow.Status()
	counts := status.Outcomes
	counts["dropped"], counts["failed"] = status.Dropped, status.Failed
	return counts
}
