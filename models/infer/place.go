package infer

import (
	"context"
	"fmt"
	"time"

	"github.com/needle-search/needle/models"
)

// A place is what somebody who is waited for takes in the queue, in one part or
// in several. The gate's mutex guards it.
type place struct {
	gate     *gate
	priority Priority
	// tokens is what was submitted so far, weight what the place counts for: at
	// least as much as such places usually end with.
	tokens, weight float64
	failed         bool
}

type placeKey struct{}

// placeOf returns the place that a context has at a gate, nil if it has none.
func placeOf(ctx context.Context, g *gate) *place {
	p, _ := ctx.Value(placeKey{}).(*place)
	if p == nil || p.gate != g {
		return nil
	}
	return p
}

// Enter takes a place in the queue for all that is going to be run under the
// context that it returns, so that somebody who would have to wait too long is
// told before anything was done for him, and not again in the middle. The caller
// must call leave when he is through. The error is an [OverloadError].
func (s *Service) Enter(ctx context.Context) (entered context.Context, leave func(), err error) {
	g := s.gate
	if placeOf(ctx, g) != nil {
		return ctx, func() {}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p, err := g.admit(ctx, 0)
	if err != nil {
		return ctx, func() {}, err
	}
	left := false
	leave = func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !left {
			left = true
			g.leavePlace(p)
			g.learnUsual(p)
		}
	}
	return context.WithValue(ctx, placeKey{}, p), leave, nil
}

type patientKey struct{}

// Patient returns a context whose requests are not refused for [Config.MaxWait]:
// for work that nobody is waiting for and that has to be done, such as the
// exchange of a model.
func Patient(ctx context.Context) context.Context {
	return context.WithValue(ctx, patientKey{}, true)
}

// admit makes a place for so many tokens, 0 if that is not known, or says why
// there is none. The gate's mutex is held.
func (g *gate) admit(ctx context.Context, tokens int) (*place, error) {
	p := &place{gate: g, priority: priorityOf(ctx), weight: float64(tokens)}
	if tokens == 0 {
		p.weight = g.usual[p.priority]
	}
	// Bulk requests leave half of the queue to those that somebody waits for.
	full := g.stats.Requests >= g.config.Queue || p.priority == Bulk && g.stats.Bulk >= max(g.config.Queue/2, 1)
	wait := g.expect(p.priority, p.weight)
	patient, _ := ctx.Value(patientKey{}).(bool)
	// While there is a worker for everybody, nobody is sent away, however slow
	// the workers are.
	late := g.config.MaxWait > 0 && wait > g.config.MaxWait && !patient && len(g.places) >= g.config.Workers
	if full || late {
		return nil, g.overload(wait)
	}
	g.places[p] = struct{}{}
	g.stats.Requests++
	if p.priority == Bulk {
		g.stats.Bulk++
	}
	return p, nil
}

// overload counts a refusal. The gate's mutex is held.
func (g *gate) overload(wait time.Duration) error {
	g.stats.Refused++
	return &OverloadError{
		Requests: g.stats.Requests, Tokens: g.stats.Tokens, RetryAfter: wait,
		cause: fmt.Errorf("%w: %d requests with %d tokens wait", models.ErrOverloaded, g.stats.Requests, g.stats.Tokens),
	}
}

func (g *gate) leavePlace(p *place) {
	if _, there := g.places[p]; !there {
		return
	}
	delete(g.places, p)
	g.stats.Requests--
	if p.priority == Bulk {
		g.stats.Bulk--
	}
}

// expect is how long a request would have to wait if those that are there now are
// replaced by others like them when they are through. Requests take turns, so it
// waits for as much of each as it has itself, whatever was done of that already;
// bulk requests get one turn of some. The gate's mutex is held.
func (g *gate) expect(priority Priority, tokens float64) time.Duration {
	var same, others float64
	for p := range g.places {
		if p.priority == priority {
			same += min(p.weight, tokens)
		} else {
			others += p.weight
		}
	}
	if priority == Interactive {
		others = min(others, (same+tokens)/(bulkTurn-1))
	}
	return time.Duration((same + others) * g.perToken() / float64(g.config.Workers) * float64(time.Second))
}

// usualMemory is the weight of the newest in the running mean of sizes.
const usualMemory = 0.1

// learnUsual keeps the usual size of a place up to date; those that were broken
// off, and those for which nothing had to be run, say nothing of it. The gate's
// mutex is held.
func (g *gate) learnUsual(p *place) {
	if p.failed || p.tokens == 0 {
		return
	}
	usual := &g.usual[p.priority]
	if *usual == 0 {
		*usual = p.tokens
		return
	}
	*usual += usualMemory * (p.tokens - *usual)
}
