package infer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/needle-search/needle/models"
)

// A Config sizes the gate; the zero value fits a CPU.
type Config struct {
	// Workers is how many native calls run at a time; 0 means the usable cores
	// (GOMAXPROCS) divided by Threads.
	Workers int
	// Threads is how many cores one call keeps busy, 1 when 0; it must be what
	// the model was opened with.
	Threads int
	// Queue is how many requests may wait or run, 256 when 0. Later ones fail
	// with models.ErrOverloaded.
	Queue int
	// QueueTokens is how many tokens may wait, 1048576 when 0. A request that
	// finds the queue empty is taken at any size.
	QueueTokens int
	// MaxWait is how long a request may have to wait for others, by what is there
	// already, its own size and the speed of the workers so far; one that would
	// wait longer fails at once with models.ErrOverloaded. 0 means any time.
	// As long as there are no more requests than workers, all are taken.
	MaxWait time.Duration
	// BatchTokens is how many tokens, padding included, one call may have. 0
	// gives every encoding a call of its own, which is best on a CPU; GPUs want
	// some thousands.
	BatchTokens int
	// Observe, when set, is told of every native call, from the goroutine that
	// made it. It must return quickly.
	Observe func(Call)
	// Done, when set, is told of every request that ended, from the goroutine
	// that made it and with its context. It must return quickly.
	Done func(ctx context.Context, request Request)
}

// The defaults of a [Config].
const (
	DefaultQueue       = 256
	DefaultQueueTokens = 1 << 20
)

// A Call is one native call, as an observer sees it.
type Call struct {
	Model models.ModelInfo
	// Encodings and Tokens are what the call computed, without padding.
	Encodings, Tokens int
	// Waited is how long the oldest encoding of the call was in the queue.
	Waited time.Duration
	// Ran is how long the call took.
	Ran time.Duration
	// Err is how it failed, nil if it did not.
	Err error
}

// A Request is one call of Each or Run that ended, as an observer sees it.
type Request struct {
	// Queued is when it came, Started when its first native call began (zero
	// if none did), Ended when the last one had ended.
	Queued, Started, Ended time.Time
	// Encodings is how many it had.
	Encodings int
	// Err is how it failed, nil if it did not.
	Err error
}

// Stats are the gate's state at one moment.
type Stats struct {
	Workers int `json:"workers"`
	// Running is how many native calls run.
	Running int `json:"running"`
	// Requests is how many requests wait or run, those of [Service.Enter] from
	// then until they leave.
	Requests int `json:"requests"`
	// Encodings and Tokens are what waits.
	Encodings int `json:"encodings"`
	Tokens    int `json:"tokens"`
	// Bulk is how many of the requests have priority Bulk.
	Bulk int `json:"bulk"`
	// Wait is about how long what waits will keep the workers busy.
	Wait time.Duration `json:"wait"`
	// Refused counts the requests that found the queue full, since the start.
	Refused uint64 `json:"refused"`
}

// Validate checks the values.
func (c Config) Validate() error {
	var faults []error
	for _, v := range []struct {
		key   string
		value int
	}{
		{"workers", c.Workers}, {"threads", c.Threads}, {"queue", c.Queue},
		{"queue_tokens", c.QueueTokens}, {"batch_tokens", c.BatchTokens},
	} {
		if v.value < 0 {
			faults = append(faults, fmt.Errorf("%s is %d; it cannot be negative", v.key, v.value))
		}
	}
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	if c.Threads == 0 {
		c.Threads = 1
	}
	if c.Workers == 0 {
		c.Workers = max(runtime.GOMAXPROCS(0)/c.Threads, 1)
	}
	if c.Queue == 0 {
		c.Queue = DefaultQueue
	}
	if c.QueueTokens == 0 {
		c.QueueTokens = DefaultQueueTokens
	}
	return c
}
