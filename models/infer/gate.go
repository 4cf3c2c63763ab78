package infer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/needle-search/needle/models"
)

// A gate is the queue and the workers that services share.
type gate struct {
	config  Config
	workers sync.WaitGroup

	mu       sync.Mutex
	work     sync.Cond  // signalled when queue grows or the gate closes
	queue    []*request // those with waiting encodings; the next in turn first
	services int        // the gate closes with the last
	closed   bool
	stats    Stats
	turns    uint64
	speed    speed
	places   map[*place]struct{}
	usual    [2]float64 // tokens of a place, by priority
}

// A request is one call of Each.
type request struct {
	service *Service
	// The context travels with the request through the queue, because the
	// native calls are made by workers; it ends when Each returns.
	ctx      context.Context
	cancel   context.CancelFunc
	batch    []models.Encoding
	visit    func(i int, outputs models.Outputs) error
	queued   time.Time
	priority Priority

	// The gate's mutex guards the rest.
	place   *place
	own     bool  // nobody else runs anything in the place
	waiting []int // indices into batch, the longest last
	started time.Time
	running int   // native calls
	err     error // the first failure
	done    chan struct{}
}

// A share is what one native call does for one request.
type share struct {
	request *request
	indices []int
}

func newGate(config Config) *gate {
	g := &gate{config: config, places: make(map[*place]struct{})}
	g.work.L = &g.mu
	g.stats.Workers = config.Workers
	for range config.Workers {
		g.workers.Go(g.serve)
	}
	return g
}

// submit puts a request into the queue.
func (g *gate) submit(r *request) error {
	tokens := r.tokens(r.waiting)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stats.Tokens > 0 && g.stats.Tokens+tokens > g.config.QueueTokens {
		return g.overload(g.wait())
	}
	if r.place = placeOf(r.ctx, g); r.place == nil {
		place, err := g.admit(r.ctx, tokens)
		if err != nil {
			return err
		}
		r.place, r.own = place, true
	}
	r.place.tokens += float64(tokens)
	r.place.weight = max(r.place.weight, r.place.tokens)
	g.stats.Tokens += tokens
	g.stats.Encodings += len(r.waiting)
	g.queue = append(g.queue, r)
	g.work.Broadcast()
	return nil
}

// fail ends a request early: what waits is dropped, what runs is told to stop.
func (g *gate) fail(r *request, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failLocked(r, err)
}

func (g *gate) failLocked(r *request, err error) {
	select {
	case <-r.done:
		return
	default:
	}
	if r.err == nil {
		r.err = err
	}
	r.place.failed = true
	r.cancel()
	if len(r.waiting) > 0 {
		g.stats.Encodings -= len(r.waiting)
		g.stats.Tokens -= r.tokens(r.waiting)
		r.waiting = nil
		if i := slices.Index(g.queue, r); i >= 0 {
			g.queue = slices.Delete(g.queue, i, i+1)
		}
	}
	g.finishLocked(r)
}

// finishLocked ends a request of which nothing waits or runs.
func (g *gate) finishLocked(r *request) {
	if len(r.waiting) > 0 || r.running > 0 {
		return
	}
	select {
	case <-r.done:
	default:
		if r.own {
			g.leavePlace(r.place)
		}
		close(r.done)
	}
}

// serve is the life of a worker.
func (g *gate) serve() {
	for {
		shares, ok := g.take()
		if !ok {
			return
		}
		g.run(shares)
	}
}

// take waits for work and returns what goes into the next native call. All
// shares are of one model.
func (g *gate) take() ([]share, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.queue) == 0 {
		if g.closed {
			return nil, false
		}
		g.work.Wait()
	}
	g.next()
	var shares []share
	service := g.queue[0].service
	longest, count := 0, 0
	// Each request gives what fits, in turn, and goes to the end of the queue.
	for visits := len(g.queue); visits > 0; visits-- {
		r := g.queue[0]
		if r.service != service {
			// Its turn comes in a call of its own; keep its place in line.
			break
		}
		s := share{request: r}
		for len(r.waiting) > 0 {
			i := r.waiting[len(r.waiting)-1]
			length := max(longest, r.batch[i].Len())
			if count > 0 && length*(count+1) > g.config.BatchTokens {
				break
			}
			longest = length
			count++
			s.indices = append(s.indices, i)
			r.waiting = r.waiting[:len(r.waiting)-1]
			g.stats.Encodings--
			g.stats.Tokens -= r.batch[i].Len()
		}
		if len(s.indices) == 0 {
			break
		}
		if r.running == 0 && r.started.IsZero() {
			r.started = time.Now()
		}
		r.running++
		shares = append(shares, s)
		g.queue = slices.Delete(g.queue, 0, 1)
		if len(r.waiting) > 0 {
			g.queue = append(g.queue, r)
			break // the budget is spent
		}
	}
	g.stats.Running++
	return shares, true
}

// run makes one native call and hands its results to their requests.
func (g *gate) run(shares []share) {
	service := shares[0].request.service
	batch, call := collect(shares)
	call.Model = service.info
	ctx, release := callContext(shares)
	started := time.Now()
	call.Waited = started.Sub(oldest(shares))
	outputs, err := service.model.Run(ctx, batch)
	release()
	call.Ran, call.Err = time.Since(started), err
	if err == nil && len(outputs) != len(batch) {
		err = fmt.Errorf("infer: the model gave %d outputs for %d encodings", len(outputs), len(batch))
	}

	next := 0
	failures := make([]error, len(shares))
	for k, s := range shares {
		failures[k] = err
		for _, i := range s.indices {
			// A request that ended does not want its results, and its own
			// context says best why it did.
			if ended := s.request.ctx.Err(); ended != nil {
				failures[k] = ended
			}
			if failures[k] == nil {
				failures[k] = s.request.visit(i, outputs[next])
			}
			next++
		}
	}
	if g.config.Observe != nil {
		g.config.Observe(call)
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Running--
	if err == nil {
		g.learn(call.Tokens, call.Ran)
	}
	for k, s := range shares {
		s.request.running--
		if failures[k] != nil {
			g.failLocked(s.request, failures[k])
		} else {
			g.finishLocked(s.request)
		}
	}
}

func collect(shares []share) ([]models.Encoding, Call) {
	var batch []models.Encoding
	var call Call
	for _, s := range shares {
		for _, i := range s.indices {
			e := s.request.batch[i]
			batch = append(batch, e)
			call.Tokens += e.Len()
		}
	}
	call.Encodings = len(batch)
	return batch, call
}

func oldest(shares []share) time.Time {
	t := shares[0].request.queued
	for _, s := range shares[1:] {
		if s.request.queued.Before(t) {
			t = s.request.queued
		}
	}
	return t
}

// callContext returns a context that ends when all the requests of a call have.
// The caller must release it.
func callContext(shares []share) (ctx context.Context, release func()) {
	if len(shares) == 1 {
		return shares[0].request.ctx, func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	left := len(shares)
	var stops []func() bool
	for _, s := range shares {
		stops = append(stops, context.AfterFunc(s.request.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// leave is called by every service once; the last ends the workers.
func (g *gate) leave() {
	g.mu.Lock()
	g.services--
	last := g.services == 0
	if last {
		g.closed = true
		g.work.Broadcast()
	}
	g.mu.Unlock()
	if last {
		g.workers.Wait()
	}
}

func (r *request) tokens(indices []int) int {
	n := 0
	for _, i := range indices {
		n += r.batch[i].Len()
	}
	return n
}
