package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/needle-search/needle/retriever"
)

// A RebuildStatus says how far a rebuild is that was started in the background.
type RebuildStatus struct {
	Index string `json:"index"`
	// State is one of the states below.
	State string `json:"state"`
	// Done of Total documents are through.
	Done    uint64    `json:"done"`
	Total   uint64    `json:"total"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Report says what was done, once State is "done".
	Report *RebuildReport `json:"report,omitempty"`
	// Error says why it failed, once State is "failed".
	Error string `json:"error,omitempty"`
}

// The states of a rebuild.
const (
	RebuildNone    = "none" // there was none since the pipeline was opened
	RebuildRunning = "running"
	RebuildDone    = "done"
	RebuildFailed  = "failed"
)

// jobs are the rebuilds of a pipeline that run in the background, at most one an
// index. The zero value has none.
type jobs struct {
	mu      sync.Mutex
	status  map[string]*RebuildStatus
	cancel  []context.CancelFunc
	stopped bool
	running sync.WaitGroup
}

// stop ends the jobs and waits for them.
func (j *jobs) stop() {
	j.mu.Lock()
	j.stopped = true
	for _, cancel := range j.cancel {
		cancel()
	}
	j.mu.Unlock()
	j.running.Wait()
}

// StartRebuild implements [Keeper]; see [Pipeline.Rebuild]. Closing the pipeline
// interrupts it.
func (p *Pipeline) StartRebuild(ctx context.Context, index string, options RebuildOptions) error {
	target, err := p.index(ctx, index)
	if err != nil {
		return err
	}
	j := &p.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return ErrClosed
	}
	if s := j.status[target.name]; s != nil && s.State == RebuildRunning {
		return fmt.Errorf("%w: %q", ErrRebuilding, target.name)
	}
	status := &RebuildStatus{Index: target.name, State: RebuildRunning, Started: time.Now().UTC()}
	if j.status == nil {
		j.status = map[string]*RebuildStatus{}
	}
	j.status[target.name] = status
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	j.cancel = append(j.cancel, cancel)
	options.Progress = func(done, total uint64) {
		j.mu.Lock()
		defer j.mu.Unlock()
		status.Done, status.Total = done, total
	}
	j.running.Go(func() {
		defer cancel()
		report, err := p.Rebuild(background, target.name, options)
		j.mu.Lock()
		defer j.mu.Unlock()
		status.Ended = time.Now().UTC()
		if err != nil {
			status.State, status.Error = RebuildFailed, err.Error()
			if !errors.Is(err, context.Canceled) {
				p.logger.Error("rebuilding an index failed", "index", target.name, "error", err)
			}
			return
		}
		status.State, status.Report = RebuildDone, &report
		p.logger.Info("an index was rebuilt", "index", target.name, "documents", report.Documents, "copied", report.Copied)
	})
	return nil
}

// RebuildStatus implements [Keeper].
func (p *Pipeline) RebuildStatus(_ context.Context, index string) (RebuildStatus, error) {
	index = cmp.Or(index, p.config.Index)
	if err := retriever.ValidIndexName(index); err != nil {
		return RebuildStatus{}, err
	}
	p.jobs.mu.Lock()
	defer p.jobs.mu.Unlock()
	if s := p.jobs.status[index]; s != nil {
		return *s, nil
	}
	return RebuildStatus{Index: index, State: RebuildNone}, nil
}
