package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
)

// ShadowConfig says what a candidate is asked, and what is kept of it.
type ShadowConfig struct {
	// Share is the share of live questions that it answers, more than 0, at most
	// 1.
	Share float64
	// Idle reports whether users leave the model free; the candidate is asked
	// only then. Nil means always.
	Idle func() bool
	// KeepText keeps the texts of questions that are answered differently, and
	// Redact replaces in them what may name a person.
	KeepText, Redact bool
}

// Bounds of a shadow. What does not fit is dropped and counted: no user waits
// for a candidate.
const (
	shadowQueue       = 64
	shadowPatience    = 30 * time.Second // for the model to be free
	shadowTimeout     = time.Minute      // for one question
	shadowDifferences = 100
	shadowTimes       = 1000
)

// A Shadow asks a candidate a sample of the questions that users ask, one at a
// time, at the priority of bulk work, and holds its answers against those that
// the users got. It is safe for concurrent use. Close it.
type Shadow struct {
	candidate Asker
	config    ShadowConfig
	logger    *slog.Logger

	cancel  context.CancelFunc
	running sync.WaitGroup
	queue   chan shadowed

	mu          sync.Mutex
	status      pipeline.ShadowStatus
	changes     float64 // sum of changes of the probability
	times       [2][]float64
	differences []pipeline.ShadowDifference // the oldest first
}

// shadowed is a question with what a user got.
type shadowed struct {
	request pipeline.Request
	current pipeline.ShadowAnswer
	none    bool // no answer was given
	index   string
}

// NewShadow begins to take questions for a candidate, until the context ends or
// Close is called.
func NewShadow(ctx context.Context, candidate Asker, config ShadowConfig, logger *slog.Logger) (*Shadow, error) {
	if !(config.Share > 0 && config.Share <= 1) {
		return nil, fmt.Errorf("monitor: shadow: %w: share: %v; allowed is more than 0, at most 1", pipeline.ErrInvalidRequest, config.Share)
	}
	ctx, cancel := context.WithCancel(context.WithValue(infer.WithPriority(ctx, infer.Bulk), ownKey{}, true))
	s := &Shadow{
		candidate: candidate, config: config, logger: logger, cancel: cancel, queue: make(chan shadowed, shadowQueue),
		status: pipeline.ShadowStatus{Running: true, Since: time.Now().UTC(), Share: config.Share, Outcomes: make(map[string]int)},
	}
	for _, outcome := range pipeline.ShadowOutcomes() {
		s.status.Outcomes[outcome] = 0
	}
	s.running.Go(func() { s.work(ctx) })
	return s, nil
}

// Close ends the asking and waits for the question that is being answered to
// be cancelled. Closing twice is allowed.
func (s *Shadow) Close() error {
	s.cancel()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Running = false
	return nil
}

// Offer shows a question and what a user got. It returns at once.
func (s *Shadow) Offer(ctx context.Context, request pipeline.Request, result *pipeline.Result) {
	if own(ctx) || request.Fresh || result == nil || rand.Float64() >= s.config.Share {
		return
	}
	// A budget, a stream or another unit of offsets make a result that cannot be
	// held against another one.
	request.Progress, request.Budget, request.OffsetUnit, request.Explain = nil, 0, "", false
	request.IncludeRejected, request.Fresh = true, true
	item := shadowed{request: request, current: shadowAnswer(result), none: !result.Answerable, index: result.Index}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.status.Running {
		return
	}
	s.status.Sampled++
	if !result.Complete || len(result.Answers) > 0 && item.current.End <= item.current.Start {
		s.status.Dropped++
		return
	}
	select {
	case s.queue <- item:
	default:
		s.status.Dropped++
	}
}

func shadowAnswer(result *pipeline.Result) pipeline.ShadowAnswer {
	a := pipeline.ShadowAnswer{NoAnswerProbability: result.NoAnswerProbability, Milliseconds: result.TimingsMS["total"]}
	if best := slices.Concat(result.Answers, result.Rejected); len(best) > 0 {
		a.DocumentID, a.Start, a.End, a.Probability = best[0].DocumentID, best[0].Start, best[0].End, best[0].Probability
	}
	return a
}

func (s *Shadow) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case item := <-s.queue:
			s.ask(ctx, item)
		}
	}
}

func (s *Shadow) ask(ctx context.Context, item shadowed) {
	if !s.free(ctx) {
		s.mu.Lock()
		s.status.Dropped++
		s.mu.Unlock()
		return
	}
	asking, cancel := context.WithTimeout(ctx, shadowTimeout)
	defer cancel()
	result, err := s.candidate.Ask(asking, item.request)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Asked++
	if err != nil {
		s.status.Failed++
		if s.status.Failed == 1 {
			s.logger.WarnContext(ctx, "the candidate beside failed to answer", "error", err)
		}
		return
	}
	s.compare(item, result)
}

// free waits until users leave the model alone.
func (s *Shadow) free(ctx context.Context) bool {
	if s.config.Idle == nil {
		return ctx.Err() == nil
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	give := time.NewTimer(shadowPatience)
	defer give.Stop()
	for !s.config.Idle() {
		select {
		case <-ctx.Done():
			return false
		case <-give.C:
			return false
		case <-tick.C:
		}
	}
	return ctx.Err() == nil
}

// compare counts what became of a question. The mutex is held.
func (s *Shadow) compare(item shadowed, result *pipeline.Result) {
	candidate := shadowAnswer(result)
	outcome := pipeline.ShadowOther
	switch {
	case item.none && !result.Answerable:
		outcome = pipeline.ShadowSame
	case item.none:
		outcome = pipeline.ShadowOnlyCandidate
	case !result.Answerable:
		outcome = pipeline.ShadowOnlyCurrent
	case item.current.DocumentID == candidate.DocumentID && item.current.Start == candidate.Start && item.current.End == candidate.End:
		outcome = pipeline.ShadowSame
	}
	s.status.Outcomes[outcome]++
	s.changes += candidate.Probability - item.current.Probability
	for i, ms := range [2]float64{item.current.Milliseconds, candidate.Milliseconds} {
		s.times[i] = append(s.times[i], ms)
		if extra := len(s.times[i]) - shadowTimes; extra > 0 {
			s.times[i] = s.times[i][extra:]
		}
	}
	if outcome == pipeline.ShadowSame {
		return
	}
	d := pipeline.ShadowDifference{At: time.Now().UTC(), Index: item.index, Outcome: outcome, Current: item.current, Candidate: candidate}
	if s.config.KeepText {
		if d.Question = item.request.Question; s.config.Redact {
			d.Question = redact(d.Question)
		}
	}
	if s.differences = append(s.differences, d); len(s.differences) > shadowDifferences {
		s.differences = s.differences[1:]
	}
}

// Status tells what the candidate did so far.
func (s *Shadow) Status() pipeline.ShadowStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Outcomes = make(map[string]int, len(s.status.Outcomes))
	for outcome, n := range s.status.Outcomes {
		status.Outcomes[outcome] = n
	}
	if n := status.Asked - status.Failed; n > 0 {
		status.ProbabilityChange = s.changes / float64(n)
	}
	status.CurrentMS, status.CandidateMS = median(s.times[0]), median(s.times[1])
	status.Differences = slices.Clone(s.differences)
	slices.Reverse(status.Differences)
	return status
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
