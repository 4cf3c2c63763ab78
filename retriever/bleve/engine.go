package bleve

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/index/scorch/mergeplan"
	index "github.com/blevesearch/bleve_index_api"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/needle-search/needle/retriever"
)

// asyncCallback is the name under which scorch finds our error handler.
const asyncCallback = "needle"

// engines finds the engine of a store path. Scorch reports what fails in its
// background only to a function registered by name before the first index
// opens, with the path as the only clue, so a table for the whole process is
// what it takes.
var engines sync.Map

func init() {
	scorch.RegistryAsyncErrorCallbacks[asyncCallback] = func(err error, path string) {
		if e, ok := engines.Load(path); ok {
			e.(*engine).asyncError(err)
		}
	}
}

// retryPause is how long scorch's background is held after a failure. Without
// it a full disk makes scorch retry in a loop that eats a core. What fails
// because a file is damaged will fail again; it is tried again only because
// scorch knows nothing else.
const (
	retryPause  = time.Second
	damagePause = time.Minute
)

// engine is one opened scorch.
type engine struct {
	scorch  *scorch.Scorch
	queue   *index.AnalysisQueue
	path    string
	closing chan struct{}
	// dead receives the first failure after which no batch can finish.
	dead chan error
	// merging, if set, ends a merge that somebody waits for; hurry ends the
	// pause before it.
	merging atomic.Pointer[context.CancelCauseFunc]
	hurry   chan struct{}
}

// openEngine opens the store at path, which must have been checked if it is not
// new. A store that another process has open gives ErrLocked after the timeout.
func openEngine(path string, lockTimeout time.Duration) (e *engine, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	queue := index.NewAnalysisQueue(1)
	config := map[string]any{
		"path":                   path,
		"bolt_timeout":           lockTimeout.String(),
		"asyncErrorCallbackName": asyncCallback,
		"numSnapshotsToKeep":     1,
	}
	opened, err := scorch.NewScorch(scorch.Name, config, queue)
	if err != nil {
		queue.Close()
		return nil, err
	}
	e = &engine{
		scorch:  opened.(*scorch.Scorch),
		queue:   queue,
		path:    path,
		closing: make(chan struct{}),
		dead:    make(chan error, 1),
		hurry:   make(chan struct{}, 1),
	}
	defer func() {
		if err != nil {
			queue.Close()
		}
	}()
	if err := guard(e.scorch.Open); err != nil {
		return nil, storageError(err)
	}
	// Registered only now: a second opener of the same path must not take the
	// place of the first.
	engines.Store(path, e)
	return e, nil
}

func (e *engine) asyncError(err error) {
	if errors.Is(err, scorch.ErrAsyncPanic) {
		select {
		case e.dead <- err:
		default:
		}
		return
	}
	pause := retryPause
	// Scorch has made a text of the error.
	if strings.Contains(err.Error(), retriever.ErrCorrupt.Error()) {
		if end := e.merging.Load(); end != nil {
			(*end)(fmt.Errorf("%w: %w", retriever.ErrCorrupt, err))
			return
		}
		pause = damagePause
	}
	select {
	case <-e.closing:
	case <-e.hurry:
	case <-time.After(pause):
	}
}

// merge merges segments and waits for it. It ends early if a file turns out to
// be damaged. One call at a time.
func (e *engine) merge(ctx context.Context, options *mergeplan.MergePlanOptions) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	e.merging.Store(&end)
	defer e.merging.Store(nil)
	select {
	case e.hurry <- struct{}{}:
	default:
	}
	err := guard(func() error { return e.scorch.ForceMerge(ctx, options) })
	if cause := context.Cause(ctx); errors.Is(cause, retriever.ErrCorrupt) {
		return cause
	}
	return err
}

// batch writes and syncs a batch. It returns early if scorch dies meanwhile.
func (e *engine) batch(b *index.Batch) error {
	done := make(chan error, 1)
	go func() { done <- guard(func() error { return e.scorch.Batch(b) }) }()
	select {
	case err := <-done:
		if err == nil {
			// Scorch syncs its files but not the directory that names them.
			err = syncDir(e.path)
		}
		return storageError(err)
	case err := <-e.dead:
		return storageError(err)
	}
}

// snapshot returns the current state for reading; close it after use.
func (e *engine) snapshot() (*scorch.IndexSnapshot, error) {
	reader, err := e.scorch.Reader()
	if err != nil {
		return nil, err
	}
	snapshot, ok := reader.(*scorch.IndexSnapshot)
	if !ok || snapshot == nil {
		return nil, retriever.ErrClosed
	}
	return snapshot, nil
}

func (e *engine) close() error {
	close(e.closing)
	err := guard(e.scorch.Close)
	engines.Delete(e.path)
	e.queue.Close()
	return err
}

// storageError gives an error of the storage the sentinel that callers know.
// Scorch flattens errors into text, so the text is all there is to look at.
func storageError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return retriever.ErrLocked
	case strings.Contains(err.Error(), syscall.ENOSPC.Error()), strings.Contains(err.Error(), syscall.EDQUOT.Error()):
		return fmt.Errorf("%w: %w", retriever.ErrNoSpace, err)
	case strings.Contains(err.Error(), syscall.EROFS.Error()), strings.Contains(err.Error(), syscall.EACCES.Error()), strings.Contains(err.Error(), syscall.EPERM.Error()):
		return fmt.Errorf("%w: %w", retriever.ErrReadOnly, err)
	}
	return err
}

// damageSigns are in the errors of the libraries that meet damaged files: those
// of term dictionaries, of postings and of stored values.
var damageSigns = [...]string{"vellum", "roaring", "snappy: corrupt"}

// guard runs a function that reads index files. Damaged files make the library
// fail or slice out of range, and a file that is cut short while it is mapped
// faults; all of that becomes errors that wrap ErrCorrupt.
func guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", retriever.ErrCorrupt, r)
		}
	}()
	if err = f(); err == nil || errors.Is(err, retriever.ErrCorrupt) {
		return err
	}
	for _, sign := range damageSigns {
		if strings.Contains(err.Error(), sign) {
			return fmt.Errorf("%w: %w", retriever.ErrCorrupt, err)
		}
	}
	return err
}
