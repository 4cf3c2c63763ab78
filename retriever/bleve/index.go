package bleve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"

	"github.com/needle-search/needle/retriever"
)

// Index is one open index.
type Index struct {
	// name changes when the index is swapped.
	name     atomic.Pointer[string]
	path     string
	config   Config
	analyzer *analyser
	// onClose tells the backend that the name is free again.
	onClose func()
	// now is the wall clock; tests set it back.
	now func() time.Time

	// life is held shared by every call and exclusively by Close.
	life   sync.RWMutex
	closed bool

	// engine is replaced when a failed write is rolled back; nil while it could
	// not be opened again.
	engineLock sync.RWMutex
	engine     *engine

	generation atomic.Uint64
	commits    chan *request
	committer  sync.WaitGroup
	scratch    sync.Pool // of *scratch
	flats      *flats

	vectorLock sync.Mutex
	vectorSets map[string]*vectorSet // by model
}

var (
	_ retriever.Index    = (*Index)(nil)
	_ retriever.Verifier = (*Index)(nil)
)

func (x *Index) fail(operation string, err error) error {
	return fmt.Errorf("bleve: %s index %q: %w", operation, *x.name.Load(), err)
}

// begin starts a call; the returned function ends it.
func (x *Index) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x.life.RLock()
	if x.closed {
		x.life.RUnlock()
		return nil, retriever.ErrClosed
	}
	return x.life.RUnlock, nil
}

// view is a snapshot of an index: what a reading call works on.
type view struct {
	*scorch.IndexSnapshot
	state *state
}

// withView runs a reading call on the current state of the index.
func (x *Index) withView(ctx context.Context, read func(view) error) error {
	end, err := x.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	snapshot, err := x.snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	return guard(func() error {
		s, err := decodeState(snapshot.Internal()[stateKey])
		if err != nil {
			return err
		}
		return read(view{snapshot, s})
	})
}

func (x *Index) snapshot() (*scorch.IndexSnapshot, error) {
	x.engineLock.RLock()
	defer x.engineLock.RUnlock()
	if x.engine == nil {
		return nil, fmt.Errorf("%w: the store could not be opened again after a failed write", retriever.ErrClosed)
	}
	return x.engine.snapshot()
}

// Exclusive implements [retriever.Exclusive]: the directory is locked.
func (x *Index) Exclusive() bool { return true }

// Generation implements [retriever.Index].
func (x *Index) Generation() uint64 { return x.generation.Load() }

// Stats implements [retriever.Index].
func (x *Index) Stats(ctx context.Context) (retriever.Statistics, error) {
	var stats retriever.Statistics
	vectors, err := x.vectorStatistics(ctx)
	if err != nil {
		return retriever.Statistics{}, x.fail("describe", err)
	}
	err = x.withView(ctx, func(v view) error {
		stats = x.statistics(v)
		stats.Bytes, stats.Vectors = diskBytes(x.path), vectors
		return nil
	})
	if err != nil {
		return retriever.Statistics{}, x.fail("describe", err)
	}
	return stats, nil
}

// statistics describes a view, but for the size on disk.
func (x *Index) statistics(v view) retriever.Statistics {
	stats := retriever.Statistics{
		Name: *x.name.Load(), Documents: v.state.Documents, Passages: v.state.Passages, Generation: v.state.Generation,
		Analyzer: v.state.Analyzer, K1: x.config.K1, B: x.config.B,
		AverageLength: v.state.averageLength(), Fields: v.state.Fields,
	}
	if wanted, err := analyzerName(x.config.Analyzer); err == nil && wanted != v.state.Analyzer {
		stats.Outdated = append(stats.Outdated, fmt.Sprintf("analyzer: it was built with %q, the configuration says %q", v.state.Analyzer, x.config.Analyzer))
	}
	return stats
}

// diskBytes adds up the files of a directory. Files may vanish meanwhile, so
// what cannot be read counts nothing.
func diskBytes(path string) int64 {
	var total int64
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// Close implements [retriever.Index].
func (x *Index) Close() error {
	x.life.Lock()
	defer x.life.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	close(x.commits)
	x.committer.Wait()
	x.flats.close()
	x.engineLock.Lock()
	defer x.engineLock.Unlock()
	err := x.closeVectors()
	if x.engine != nil {
		err = errors.Join(err, x.engine.close())
		x.engine = nil
	}
	x.onClose()
	if err != nil {
		return x.fail("close", err)
	}
	return nil
}
