package infer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/models/modelstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// encoding returns one whose first id tells it apart.
func encoding(id, length int) models.Encoding {
	e := models.Encoding{
		IDs:       make([]int32, length),
		TypeIDs:   make([]int32, length),
		Sequences: make([]int8, length),
		Offsets:   make([]models.Offset, length),
	}
	e.IDs[0] = int32(id)
	return e
}

func identify(t *testing.T, o models.Outputs) int {
	t.Helper()
	hidden, err := o.Get(models.OutputHidden, -1)
	if err != nil {
		t.Fatal(err)
	}
	return int(hidden.Data[0])
}

func open(t *testing.T, model models.LanguageModel, config infer.Config) *infer.Service {
	t.Helper()
	s, err := infer.New(model, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// service is a language model in the eyes of the conformance suite.
func TestServiceConforms(t *testing.T) {
	for _, batchTokens := range []int{0, 2048} {
		t.Run(fmt.Sprintf("batch tokens %d", batchTokens), func(t *testing.T) {
			modelstest.TestLanguageModel(t, func(t *testing.T) models.LanguageModel {
				s, err := infer.New(modelstest.NewLanguageModel(modelstest.Options{}), infer.Config{Workers: 3, BatchTokens: batchTokens})
				if err != nil {
					t.Fatal(err)
				}
				return s
			})
		})
	}
}

func TestRunKeepsTheOrder(t *testing.T) {
	for _, batchTokens := range []int{0, 100} {
		t.Run(fmt.Sprintf("batch tokens %d", batchTokens), func(t *testing.T) {
			s := open(t, modelstest.NewLanguageModel(modelstest.Options{}), infer.Config{Workers: 4, BatchTokens: batchTokens})
			var group sync.WaitGroup
			for asker := range 8 {
				group.Go(func() {
					var batch []models.Encoding
					for i := range 50 {
						batch = append(batch, encoding(1000*asker+i, 1+(i*7)%40))
					}
					results, err := s.Run(t.Context(), batch)
					if err != nil {
						t.Error(err)
						return
					}
					for i, o := range results {
						if got, want := identify(t, o), 1000*asker+i; got != want {
							t.Errorf("result %d is of encoding %d, want %d", i, got, want)
						}
					}
				})
			}
			group.Wait()
			if got := s.Stats(); got.Requests != 0 || got.Tokens != 0 || got.Encodings != 0 || got.Running != 0 {
				t.Errorf("stats at rest: %+v", got)
			}
		})
	}
}

// A turnstile is a model that records what it is given and waits for a permit
// for each call.
type turnstile struct {
	models.LanguageModel
	permits chan struct{}

	mu    sync.Mutex
	order []int
}

func newTurnstile() *turnstile {
	m := &turnstile{permits: make(chan struct{}, 1000)}
	m.LanguageModel = modelstest.NewLanguageModel(modelstest.Options{
		BeforeRun: func(ctx context.Context, batch []models.Encoding) error {
			m.mu.Lock()
			for _, e := range batch {
				m.order = append(m.order, int(e.IDs[0]))
			}
			m.mu.Unlock()
			select {
			case <-m.permits:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	return m
}

func (m *turnstile) started() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

// waitFor polls, because nothing tells from outside that a request waits.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}

func TestRequestsTakeTurns(t *testing.T) {
	m := newTurnstile()
	s := open(t, m, infer.Config{Workers: 1})
	var group sync.WaitGroup
	run := func(batch ...models.Encoding) {
		before := s.Stats().Requests
		group.Go(func() {
			if _, err := s.Run(t.Context(), batch); err != nil {
				t.Error(err)
			}
		})
		waitFor(t, "the request is queued", func() bool { return s.Stats().Requests == before+1 })
	}
	run(encoding(1, 5), encoding(2, 9), encoding(3, 7), encoding(4, 8))
	waitFor(t, "the first call starts", func() bool { return len(m.started()) == 1 })
	run(encoding(11, 3), encoding(12, 4))
	run(encoding(21, 6))
	for range 7 {
		m.permits <- struct{}{}
	}
	group.Wait()
	// The longest first within a request, requests in turn.
	want := []int{2, 4, 12, 21, 3, 11, 1}
	if got := m.started(); !slices.Equal(got, want) {
		t.Errorf("order of calls: got %v, want %v", got, want)
	}
}

func TestBatchesJoinRequests(t *testing.T) {
	m := newTurnstile()
	var mu sync.Mutex
	var calls []infer.Call
	s := open(t, m, infer.Config{Workers: 1, BatchTokens: 40, Observe: func(c infer.Call) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, c)
	}})
	var group sync.WaitGroup
	run := func(batch ...models.Encoding) {
		before := s.Stats().Requests
		group.Go(func() {
			results, err := s.Run(t.Context(), batch)
			if err != nil {
				t.Error(err)
				return
			}
			for i, o := range results {
				if got, want := identify(t, o), int(batch[i].IDs[0]); got != want {
					t.Errorf("result is of encoding %d, want %d", got, want)
				}
			}
		})
		waitFor(t, "the request is queued", func() bool { return s.Stats().Requests == before+1 })
	}
	run(encoding(1, 40))
	waitFor(t, "the first call starts", func() bool { return len(m.started()) == 1 })
	run(encoding(2, 10))
	run(encoding(3, 10), encoding(4, 10))
	run(encoding(5, 10), encoding(6, 10))
	for range 3 {
		m.permits <- struct{}{}
	}
	group.Wait()
	var sizes []int
	for _, c := range calls {
		sizes = append(sizes, c.Encodings)
	}
	if want := []int{1, 4, 1}; !slices.Equal(sizes, want) {
		t.Errorf("encodings of each call: got %v, want %v", sizes, want)
	}
}

func TestFullQueueRefuses(t *testing.T) {
	tests := []struct {
		name    string
		config  infer.Config
		waiting []models.Encoding
		next    []models.Encoding
		refused bool
	}{
		{"requests", infer.Config{Workers: 1, Queue: 2}, []models.Encoding{encoding(2, 4)}, []models.Encoding{encoding(3, 4)}, true},
		{"room for requests", infer.Config{Workers: 1, Queue: 3}, []models.Encoding{encoding(2, 4)}, []models.Encoding{encoding(3, 4)}, false},
		{"tokens", infer.Config{Workers: 1, QueueTokens: 10}, []models.Encoding{encoding(2, 6)}, []models.Encoding{encoding(3, 5)}, true},
		{"room for tokens", infer.Config{Workers: 1, QueueTokens: 10}, []models.Encoding{encoding(2, 6)}, []models.Encoding{encoding(3, 4)}, false},
		{"large one at rest", infer.Config{Workers: 1, QueueTokens: 10}, nil, []models.Encoding{encoding(3, 200)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newTurnstile()
			s := open(t, m, tt.config)
			var group sync.WaitGroup
			start := func(batch []models.Encoding) {
				before := s.Stats().Requests
				group.Go(func() {
					if _, err := s.Run(t.Context(), batch); err != nil {
						t.Errorf("a request that was taken: %v", err)
					}
				})
				waitFor(t, "the request is queued", func() bool { return s.Stats().Requests == before+1 })
			}
			start([]models.Encoding{encoding(1, 4)})
			waitFor(t, "the call starts", func() bool { return len(m.started()) == 1 })
			if tt.waiting != nil {
				start(tt.waiting)
			}
			if !tt.refused {
				for range 10 {
					m.permits <- struct{}{}
				}
			}
			_, err := s.Run(t.Context(), tt.next)
			if got := errors.Is(err, models.ErrOverloaded); got != tt.refused {
				t.Errorf("error is %v; refused is %v, want %v", err, got, tt.refused)
			}
			if got := s.Stats().Refused == 1; got != tt.refused {
				t.Errorf("refused in stats: got %v, want %v", got, tt.refused)
			}
			for range 10 {
				m.permits <- struct{}{}
			}
			group.Wait()
		})
	}
}

func TestCancellationDropsTheQueueAndWaitsForTheCall(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	m := modelstest.NewLanguageModel(modelstest.Options{
		BeforeRun: func(ctx context.Context, _ []models.Encoding) error {
			if calls.Add(1) > 1 {
				return nil
			}
			close(inside)
			<-ctx.Done()
			<-leave // native code takes its time to stop
			return ctx.Err()
		},
	})
	s := open(t, m, infer.Config{Workers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, []models.Encoding{encoding(1, 9), encoding(2, 8), encoding(3, 7)})
		result <- err
	}()
	<-inside
	cancel()
	waitFor(t, "the queue is empty", func() bool { return s.Stats().Encodings == 0 && s.Stats().Tokens == 0 })
	select {
	case err := <-result:
		t.Fatalf("Run returned (%v) while the native call ran", err)
	default:
	}
	// Another request goes on as soon as the worker is free.
	other := make(chan error, 1)
	go func() {
		_, err := s.Run(t.Context(), []models.Encoding{encoding(4, 5)})
		other <- err
	}()
	close(leave)
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled request: got error %v, want context.Canceled", err)
	}
	if err := <-other; err != nil {
		t.Errorf("other request: %v", err)
	}
	if got := calls.Load(); got != 2 {
		t.Errorf("native calls: got %d, want 2 (what waited was dropped)", got)
	}
}

func TestCancelledRequestDoesNotEndTheBatchOfOthers(t *testing.T) {
	m := newTurnstile()
	s := open(t, m, infer.Config{Workers: 1, BatchTokens: 1000})
	first, second := make(chan error, 1), make(chan error, 1)
	blocker := make(chan error, 1)
	go func() { _, err := s.Run(t.Context(), []models.Encoding{encoding(1, 4)}); blocker <- err }()
	waitFor(t, "the worker is busy", func() bool { return len(m.started()) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	go func() { _, err := s.Run(ctx, []models.Encoding{encoding(2, 4)}); first <- err }()
	waitFor(t, "one waits", func() bool { return s.Stats().Requests == 2 })
	go func() { _, err := s.Run(t.Context(), []models.Encoding{encoding(3, 4)}); second <- err }()
	waitFor(t, "two wait", func() bool { return s.Stats().Requests == 3 })
	m.permits <- struct{}{}
	waitFor(t, "the batch runs", func() bool { return len(m.started()) == 3 })
	cancel()
	m.permits <- struct{}{}
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled request: got error %v, want context.Canceled", err)
	}
	if err := <-second; err != nil {
		t.Errorf("other request of the batch: %v", err)
	}
	if err := <-blocker; err != nil {
		t.Error(err)
	}
}

func TestOneFailureEndsTheRequest(t *testing.T) {
	broken := errors.New("broken")
	m := modelstest.NewLanguageModel(modelstest.Options{
		BeforeRun: func(_ context.Context, batch []models.Encoding) error {
			if batch[0].IDs[0] == 7 {
				return broken
			}
			return nil
		},
	})
	s := open(t, m, infer.Config{Workers: 2})
	var batch []models.Encoding
	for i := range 20 {
		batch = append(batch, encoding(i, 20-i))
	}
	if _, err := s.Run(t.Context(), batch); !errors.Is(err, broken) {
		t.Errorf("got error %v, want %v", err, broken)
	}
	visited := errors.New("visited")
	err := s.Each(t.Context(), batch[:3], func(i int, _ models.Outputs) error {
		if i == 1 {
			return visited
		}
		return nil
	})
	if !errors.Is(err, visited) {
		t.Errorf("error of visit: got %v, want %v", err, visited)
	}
	if _, err := s.Run(t.Context(), batch[8:]); err != nil {
		t.Errorf("a request afterwards: %v", err)
	}
}

func TestModelsShareTheGate(t *testing.T) {
	var running, most atomic.Int32
	count := func(ctx context.Context, _ []models.Encoding) error {
		n := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(time.Millisecond)
		return nil
	}
	one := open(t, modelstest.NewLanguageModel(modelstest.Options{Name: "one", BeforeRun: count}), infer.Config{Workers: 2})
	two, err := one.Share(modelstest.NewLanguageModel(modelstest.Options{Name: "two", BeforeRun: count}))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		s := []*infer.Service{one, two}[i%2]
		group.Go(func() {
			results, err := s.Run(t.Context(), []models.Encoding{encoding(i, 3), encoding(i+100, 4)})
			if err != nil {
				t.Error(err)
				return
			}
			if got := identify(t, results[1]); got != i+100 {
				t.Errorf("result of %d, want %d", got, i+100)
			}
		})
	}
	group.Wait()
	if got := most.Load(); got > 2 {
		t.Errorf("%d native calls ran at a time, want at most 2", got)
	}
	// The second goes on without the first.
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Run(t.Context(), []models.Encoding{encoding(1, 1)}); !errors.Is(err, models.ErrModelClosed) {
		t.Errorf("run on the closed one: got %v, want ErrModelClosed", err)
	}
	if _, err := two.Run(t.Context(), []models.Encoding{encoding(1, 1)}); err != nil {
		t.Errorf("run on the open one: %v", err)
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Share(modelstest.NewLanguageModel(modelstest.Options{})); !errors.Is(err, models.ErrModelClosed) {
		t.Errorf("share after close: got %v, want ErrModelClosed", err)
	}
}

func TestWarmUsesTheGreatestLength(t *testing.T) {
	var mu sync.Mutex
	lengths := map[int]int{}
	m := modelstest.NewLanguageModel(modelstest.Options{MaxLength: 300, BeforeRun: func(_ context.Context, batch []models.Encoding) error {
		mu.Lock()
		defer mu.Unlock()
		lengths[batch[0].Len()]++
		return nil
	}})
	s := open(t, m, infer.Config{Workers: 2})
	if err := s.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lengths[300] != 2 {
		t.Errorf("calls by length: got %v, want 2 of 300", lengths)
	}
}

func TestConfigIsChecked(t *testing.T) {
	_, err := infer.New(modelstest.NewLanguageModel(modelstest.Options{}), infer.Config{Workers: -1, Queue: -2})
	want := "infer: workers is -1; it cannot be negative\nqueue is -2; it cannot be negative"
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}
