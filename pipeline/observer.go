package pipeline

import (
	"context"
	"time"

	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// A Stage is a part of the work on a request.
type Stage string

// The stages of a request, in order.
const (
	StageRetrieve Stage = "retrieve" // finding candidates
	StageRank     Stage = "rank"     // reordering and cutting them
	StageTokenize Stage = "tokenize" // cutting texts into windows
	StageQueue    Stage = "queue"    // waiting for the model
	StageInfer    Stage = "infer"    // from the first native call to the last
	StageDecode   Stage = "decode"   // from logits to answers
)

// Stages returns all stages in order.
func Stages() []Stage {
	return []Stage{StageRetrieve, StageRank, StageTokenize, StageQueue, StageInfer, StageDecode}
}

// An Operation is what was asked of a pipeline.
type Operation string

// The operations that are observed.
const (
	OperationAsk    Operation = "ask"
	OperationSearch Operation = "search"
	OperationRead   Operation = "read"
	OperationRerank Operation = "rerank"
)

// Operations returns all operations.
func Operations() []Operation {
	return []Operation{OperationAsk, OperationSearch, OperationRead, OperationRerank}
}

// An Observer is told what a pipeline does: metrics and traces hang on it. Its
// methods are called from many goroutines, after the fact, and must return
// quickly. It sees no text of questions or documents.
type Observer interface {
	// Stage is told of a stage that ended. The context is the request's.
	Stage(ctx context.Context, stage Stage, begin, end time.Time, err error)
	// Inferred is told of every native call of the model.
	Inferred(call infer.Call)
	// Finished is told of every operation that ended. The outcome of ask and
	// read is in the result, which is nil for the others and after an error.
	Finished(ctx context.Context, operation Operation, result *Result, begin, end time.Time, err error)
}

// WithObserver sets who is told what the pipeline does.
func WithObserver(observer Observer) Option {
	return func(o *openOptions) {
		if observer != nil {
			o.observer = observer
		}
	}
}

// silent observes nothing.
type silent struct{}

func (silent) Stage(context.Context, Stage, time.Time, time.Time, error) {}
func (silent) Inferred(infer.Call)                                       {}
func (silent) Finished(context.Context, Operation, *Result, time.Time, time.Time, error) {
}

// observeGate passes on what the gate in front of the model reports.
func observeGate(c infer.Config, observer Observer) infer.Config {
	if _, off := observer.(silent); off {
		return c
	}
	c.Observe = observer.Inferred
	c.Done = func(ctx context.Context, r infer.Request) {
		if r.Started.IsZero() {
			observer.Stage(ctx, StageQueue, r.Queued, r.Ended, r.Err)
			return
		}
		observer.Stage(ctx, StageQueue, r.Queued, r.Started, nil)
		observer.Stage(ctx, StageInfer, r.Started, r.Ended, r.Err)
	}
	return c
}

// GateStats is the state of the queue in front of the model; it is zero without
// a reader.
func (p *Pipeline) GateStats() infer.Stats {
	m := p.slot.peek()
	if m == nil {
		return infer.Stats{}
	}
	return m.service.Stats()
}

// readObserved reads and reports how long the cutting took; the gate reports
// the rest.
func (p *Pipeline) readObserved(ctx context.Context, m *loadedModel, question string, passages []retriever.Passage, options reader.Options) (reader.Reading, error) {
	begin := time.Now()
	reading, err := m.reader.Read(ctx, question, passages, options)
	if reading.Tokenize > 0 {
		p.observer.Stage(ctx, StageTokenize, begin, begin.Add(reading.Tokenize), nil)
	}
	return reading, err
}
