package telemetry

import (
	"context"
	"net/http"
	"time"

	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
)

// An Observer is told of what a server does, from the HTTP request down to the
// native calls of the model.
type Observer interface {
	pipeline.Observer
	// Begin is told of an HTTP request that begins and returns the context to
	// go on with, and what to call at its end with the pattern of the route and
	// the status.
	Begin(r *http.Request) (context.Context, func(route string, status int))
}

var (
	_ Observer = (*Metrics)(nil)
	_ Observer = (*Tracer)(nil)
)

// Join returns an observer that tells all of several; nil if there are none.
func Join(observers ...Observer) Observer {
	switch len(observers) {
	case 0:
		return nil
	case 1:
		return observers[0]
	}
	return joined(observers)
}

type joined []Observer

func (j joined) Stage(ctx context.Context, stage pipeline.Stage, begin, end time.Time, err error) {
	for _, o := range j {
		o.Stage(ctx, stage, begin, end, err)
	}
}

func (j joined) Inferred(call infer.Call) {
	for _, o := range j {
		o.Inferred(call)
	}
}

func (j joined) Finished(ctx context.Context, operation pipeline.Operation, result *pipeline.Result, begin, end time.Time, err error) {
	for _, o := range j {
		o.Finished(ctx, operation, result, begin, end, err)
	}
}

func (j joined) Begin(r *http.Request) (context.Context, func(route string, status int)) {
	ends := make([]func(string, int), len(j))
	for i, o := range j {
		ctx, end := o.Begin(r)
		r, ends[i] = r.WithContext(ctx), end
	}
	return r.Context(), func(route string, status int) {
		for _, end := range ends {
			end(route, status)
		}
	}
}
