package infer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/needle-search/needle/models"
)

// A Service runs encodings on one language model, behind a gate.
type Service struct {
	gate  *gate
	model models.LanguageModel
	info  models.ModelInfo

	mu      sync.Mutex
	closed  bool
	pending sync.WaitGroup // running calls of Each; none begins after closed
	closing sync.Once
	err     error
}

var _ models.Inferencer = (*Service)(nil)

// New makes a gate and puts a model behind it. The service owns the model.
func New(model models.LanguageModel, config Config) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	return attach(newGate(config.withDefaults()), model), nil
}

// Share puts another model behind the same gate and returns its service, which
// must be closed too. It fails with models.ErrModelClosed after Close.
func (s *Service) Share(model models.LanguageModel) (*Service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, models.ErrModelClosed
	}
	return attach(s.gate, model), nil
}

func attach(g *gate, model models.LanguageModel) *Service {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.services++
	return &Service{gate: g, model: model, info: model.Info()}
}

// Info describes the model.
func (s *Service) Info() models.ModelInfo { return s.info }

// Stats returns the state of the gate, all its services together.
func (s *Service) Stats() Stats {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	stats := s.gate.stats
	stats.Wait = s.gate.wait()
	return stats
}

// Run computes the outputs of every encoding, in order. Besides the errors of
// the model it returns models.ErrOverloaded and models.ErrModelClosed.
func (s *Service) Run(ctx context.Context, batch []models.Encoding) ([]models.Outputs, error) {
	results := make([]models.Outputs, len(batch))
	err := s.Each(ctx, batch, func(i int, outputs models.Outputs) error {
		results[i] = outputs
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// Each is Run for callers that need not keep the outputs, such as hidden states
// of which a head makes a few numbers. It calls visit once for every encoding,
// in any order, from several goroutines at a time, and returns after the last.
// An error of visit ends the request and is returned.
func (s *Service) Each(ctx context.Context, batch []models.Encoding, visit func(i int, outputs models.Outputs) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return models.ErrModelClosed
	}
	s.pending.Add(1)
	s.mu.Unlock()
	defer s.pending.Done()
	if len(batch) == 0 {
		return nil
	}

	r := &request{
		service:  s,
		batch:    batch,
		visit:    visit,
		queued:   time.Now(),
		priority: priorityOf(ctx),
		waiting:  make([]int, len(batch)),
		done:     make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	defer r.cancel()
	for i := range r.waiting {
		r.waiting[i] = i
	}
	slices.SortStableFunc(r.waiting, func(a, b int) int { return cmp.Compare(batch[a].Len(), batch[b].Len()) })
	err := s.gate.submit(r)
	if err == nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			s.gate.fail(r, ctx.Err())
			<-r.done
		}
		err = r.err
	}
	if done := s.gate.config.Done; done != nil {
		done(ctx, Request{Queued: r.queued, Started: r.started, Ended: time.Now(), Encodings: len(batch), Err: err})
	}
	return err
}

// warmLength bounds what Warm runs: models that take thousands of tokens would
// need seconds and gigabytes for the longest.
const warmLength = 512

// Warm runs encodings of several lengths up to the model's greatest or 512
// tokens, on all workers, so that the first question does not pay for first
// times.
func (s *Service) Warm(ctx context.Context) error {
	var batch []models.Encoding
	for _, length := range []int{16, 128, warmLength} {
		n := min(length, s.info.MaxLength)
		for range s.gate.config.Workers {
			batch = append(batch, models.Encoding{
				IDs:       make([]int32, n),
				TypeIDs:   make([]int32, n),
				Sequences: make([]int8, n),
				Offsets:   make([]models.Offset, n),
			})
		}
	}
	err := s.Each(ctx, batch, func(int, models.Outputs) error { return nil })
	if err != nil {
		return fmt.Errorf("infer: warm up: %w", err)
	}
	return nil
}

// Close waits for the requests that the service has and closes its model; the
// last service behind a gate ends it. Closing twice is allowed.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.closing.Do(func() {
		s.pending.Wait()
		s.gate.leave()
		s.err = s.model.Close()
	})
	return s.err
}
