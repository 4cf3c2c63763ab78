package infer

import (
	"context"
	"sync/atomic"
	"time"
)

// A Priority says whose turn it is when several requests wait.
type Priority int

const (
	// Interactive requests have somebody waiting for them; it is the default.
	Interactive Priority = iota
	// Bulk requests run when no interactive one waits, with one turn in
	// bulkTurn at the least, so that they end at some time.
	Bulk
)

// bulkTurn is of how many turns bulk requests get one while interactive ones
// wait.
const bulkTurn = 8

type priorityKey struct{}

// WithPriority returns a context whose requests have a priority.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

// priorityOf returns the priority of a context.
func priorityOf(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityKey{}).(Priority)
	return p
}

type oneKey struct{}

// AsOne returns a context under which everything that is run counts as one
// request: once its first part was taken, the rest is not refused for
// [Config.MaxWait], because the work done so far would be lost.
func AsOne(ctx context.Context) context.Context {
	return context.WithValue(ctx, oneKey{}, new(atomic.Bool))
}

// taken is set once a part was taken; nil outside of AsOne.
func taken(ctx context.Context) *atomic.Bool {
	t, _ := ctx.Value(oneKey{}).(*atomic.Bool)
	return t
}

// next brings the request whose turn it is to the head of the queue: the first
// interactive one, or every bulkTurn-th time the first bulk one. Within a
// priority requests take turns. The gate's mutex is held.
func (g *gate) next() {
	wanted := Interactive
	if g.turns++; g.turns%bulkTurn == 0 {
		wanted = Bulk
	}
	for i, r := range g.queue {
		if r.priority == wanted {
			copy(g.queue[1:i+1], g.queue[:i])
			g.queue[0] = r
			return
		}
	}
}

// rateMemory is the weight of the newest call in the running mean of speed.
const rateMemory = 0.05

// learn keeps the speed of the workers up to date; the gate's mutex is held.
func (g *gate) learn(tokens int, ran time.Duration) {
	if tokens == 0 || ran <= 0 {
		return
	}
	perToken := ran.Seconds() / float64(tokens)
	if g.perToken == 0 {
		g.perToken = perToken
		return
	}
	g.perToken += rateMemory * (perToken - g.perToken)
}

// wait is about how long what waits now will keep the workers busy; 0 as long as
// nothing is known of their speed. The gate's mutex is held.
func (g *gate) wait() time.Duration {
	return time.Duration(float64(g.stats.Tokens) * g.perToken / float64(g.config.Workers) * float64(time.Second))
}

// An OverloadError says that the queue is full. It wraps models.ErrOverloaded.
type OverloadError struct {
	Requests, Tokens int
	// RetryAfter is when there will be room, about.
	RetryAfter time.Duration
	cause      error
}

func (e *OverloadError) Error() string { return e.cause.Error() }

// Unwrap returns the cause, which wraps models.ErrOverloaded.
func (e *OverloadError) Unwrap() error { return e.cause }

// After is when to try again; servers tell their clients.
func (e *OverloadError) After() time.Duration { return e.RetryAfter }
