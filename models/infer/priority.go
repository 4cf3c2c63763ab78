package infer

import (
	"context"
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

// A speed is how fast the workers are, as means over the last calls.
type speed struct{ seconds, tokens float64 }

// rateMemory is the weight of the newest call in the running means.
const rateMemory = 0.05

// learn keeps the speed of the workers up to date; the gate's mutex is held.
func (g *gate) learn(tokens int, ran time.Duration) {
	if tokens == 0 || ran <= 0 {
		return
	}
	if g.speed.tokens == 0 {
		g.speed = speed{ran.Seconds(), float64(tokens)}
		return
	}
	// Apart, because short calls are slow for their size and many.
	g.speed.seconds += rateMemory * (ran.Seconds() - g.speed.seconds)
	g.speed.tokens += rateMemory * (float64(tokens) - g.speed.tokens)
}

// perToken is how many seconds one worker needs for a token; 0 as long as nothing
// is known. The gate's mutex is held.
func (g *gate) perToken() float64 {
	if g.speed.tokens == 0 {
		return 0
	}
	return g.speed.seconds / g.speed.tokens
}

// wait is about how long what waits now will keep the workers busy. The gate's
// mutex is held.
func (g *gate) wait() time.Duration {
	return time.Duration(float64(g.stats.Tokens) * g.perToken() / float64(g.config.Workers) * float64(time.Second))
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
