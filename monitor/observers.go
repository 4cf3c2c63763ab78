package monitor

import (
	"context"
	"time"

	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
)

// Observers tells all of several what a pipeline does, in order.
type Observers []pipeline.Observer

var _ pipeline.Observer = Observers(nil)

// Stage tells all of a stage.
func (o Observers) Stage(ctx context.Context, stage pipeline.Stage, begin, end time.Time, err error) {
	for _, each := range o {
		each.Stage(ctx, stage, begin, end, err)
	}
}

// Inferred tells all of a native call.
func (o Observers) Inferred(call infer.Call) {
	for _, each := range o {
		each.Inferred(call)
	}
}

// Finished tells all of an operation.
func (o Observers) Finished(ctx context.Context, operation pipeline.Operation, result *pipeline.Result, begin, end time.Time, err error) {
	for _, each := range o {
		each.Finished(ctx, operation, result, begin, end, err)
	}
}
