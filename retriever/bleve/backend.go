package bleve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	index "github.com/blevesearch/bleve_index_api"

	"github.com/needle-search/needle/retriever"
)

// Backend keeps the indexes of one directory.
type Backend struct {
	config Config
	dir    string

	lock   sync.Mutex
	open   map[string]bool
	closed bool
}

var _ retriever.Backend = (*Backend)(nil)

// New returns a back end for the indexes in dir, which need not exist. It does
// no I/O; the error is that of [Config.Validate].
func New(config Config, dir string) (*Backend, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("bleve: configuration: %w", err)
	}
	return &Backend{config: config, dir: dir, open: map[string]bool{}}, nil
}

func (b *Backend) fail(operation, name string, err error) error {
	return fmt.Errorf("bleve: %s index %q: %w", operation, name, err)
}

func storePath(path string) string { return filepath.Join(path, storeFolder) }

// claim marks a name as in use by this process.
func (b *Backend) claim(name string) error {
	if err := retriever.ValidIndexName(name); err != nil {
		return err
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.closed {
		return retriever.ErrClosed
	}
	if b.open[name] {
		return fmt.Errorf("%w: it is open in this process already", retriever.ErrLocked)
	}
	b.open[name] = true
	return nil
}

func (b *Backend) release(name string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	delete(b.open, name)
}

// Open implements [retriever.Backend].
func (b *Backend) Open(ctx context.Context, name string) (retriever.Index, error) {
	if err := ctx.Err(); err != nil {
		return nil, b.fail("open", name, err)
	}
	if err := b.claim(name); err != nil {
		return nil, b.fail("open", name, err)
	}
	x, err := b.openClaimed(name)
	if err != nil {
		b.release(name)
		return nil, b.fail("open", name, err)
	}
	return x, nil
}

func (b *Backend) openClaimed(name string) (*Index, error) {
	path := filepath.Join(b.dir, name)
	s, err := readSettings(path)
	if err != nil {
		return nil, err
	}
	wanted, err := analyzerName(b.config.Analyzer)
	if err != nil {
		return nil, err
	}
	if wanted != s.Analyzer {
		return nil, fmt.Errorf("it was built with analyzer %q, the configuration says %q; set retriever.analyzer to %q, or drop the index and add its documents again", s.Analyzer, b.config.Analyzer, s.Analyzer)
	}
	analyzer, err := newAnalyzer(b.config.Analyzer)
	if err != nil {
		return nil, err
	}
	if err := checkStore(storePath(path), b.config.LockTimeout, checkedBytes); err != nil {
		return nil, err
	}
	e, err := openEngine(storePath(path), b.config.LockTimeout)
	if err != nil {
		return nil, err
	}
	x := &Index{
		name: name, path: path, config: b.config, analyzer: analyzer, engine: e,
		commits: make(chan *request), onClose: func() { b.release(name) },
	}
	if err := x.loadState(s); err != nil {
		return nil, errors.Join(err, e.close())
	}
	x.committer.Add(1)
	go x.commitLoop()
	return x, nil
}

// loadState reads the state of a freshly opened index.
func (x *Index) loadState(s settings) error {
	snapshot, err := x.snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	current, err := decodeState(snapshot.Internal()[stateKey])
	if err != nil {
		return err
	}
	if current.Format != s.Format || current.Analyzer != s.Analyzer {
		return fmt.Errorf("%w: %s and the store disagree about format or analyzer", retriever.ErrCorrupt, filepath.Join(x.path, settingsFile))
	}
	x.generation.Store(current.Generation)
	return nil
}

// Create implements [retriever.Backend]. The index is made beside its place and
// moved there when it is complete.
func (b *Backend) Create(ctx context.Context, name string) (retriever.Index, error) {
	if err := ctx.Err(); err != nil {
		return nil, b.fail("create", name, err)
	}
	if err := b.claim(name); err != nil {
		if errors.Is(err, retriever.ErrLocked) {
			err = retriever.ErrIndexExists
		}
		return nil, b.fail("create", name, err)
	}
	x, err := b.createClaimed(name)
	if err != nil {
		b.release(name)
		return nil, b.fail("create", name, storageError(err))
	}
	return x, nil
}

func (b *Backend) createClaimed(name string) (*Index, error) {
	path := filepath.Join(b.dir, name)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%w: %s", retriever.ErrIndexExists, path)
		}
		return nil, err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, err
	}
	b.sweep()
	temporary, err := os.MkdirTemp(b.dir, prefixCreating)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temporary)
	if err := b.build(temporary); err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w: %s", retriever.ErrIndexExists, path)
		}
		return nil, err
	}
	err = syncDir(b.dir)
	if err == nil {
		var x *Index
		if x, err = b.openClaimed(name); err == nil {
			return x, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(path))
}

// build writes an empty index into an existing directory.
func (b *Backend) build(path string) error {
	analyzer, err := analyzerName(b.config.Analyzer)
	if err != nil {
		return err
	}
	s := settings{Format: formatVersion, Analyzer: analyzer}
	if err := writeSettings(path, s); err != nil {
		return err
	}
	e, err := openEngine(storePath(path), b.config.LockTimeout)
	if err != nil {
		return err
	}
	data, err := json.Marshal(&state{Format: s.Format, Analyzer: s.Analyzer})
	if err == nil {
		first := index.NewBatch()
		first.SetInternal([]byte(stateKey), data)
		err = e.batch(first)
	}
	return errors.Join(err, e.close(), syncDir(path))
}

// Names implements [retriever.Backend].
func (b *Backend) Names(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("bleve: list indexes: %w", err)
	}
	b.lock.Lock()
	closed := b.closed
	b.lock.Unlock()
	if closed {
		return nil, fmt.Errorf("bleve: list indexes: %w", retriever.ErrClosed)
	}
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("bleve: list indexes: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if retriever.ValidIndexName(entry.Name()) != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(b.dir, entry.Name(), settingsFile)); err == nil {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Drop implements [retriever.Backend]. An index that is damaged can be dropped
// too.
func (b *Backend) Drop(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return b.fail("drop", name, err)
	}
	if err := b.claim(name); err != nil {
		return b.fail("drop", name, err)
	}
	defer b.release(name)
	if err := b.dropClaimed(name); err != nil {
		return b.fail("drop", name, err)
	}
	return nil
}

func (b *Backend) dropClaimed(name string) error {
	path := filepath.Join(b.dir, name)
	if _, err := readSettings(path); err != nil && !errors.Is(err, retriever.ErrCorrupt) {
		return err
	} else if _, statErr := os.Stat(filepath.Join(path, settingsFile)); statErr != nil {
		// Without the settings file it may be anybody's directory.
		return errors.Join(err, statErr)
	}
	// Only to learn whether another process has it open; damage does not matter.
	if err := checkStore(storePath(path), b.config.LockTimeout, 0); errors.Is(err, retriever.ErrLocked) {
		return err
	}
	b.sweep()
	doomed, err := os.MkdirTemp(b.dir, prefixDropped)
	if err != nil {
		return err
	}
	// Renamed first, so that the index is there as a whole or not at all.
	if err := os.Rename(path, filepath.Join(doomed, name)); err != nil {
		return errors.Join(err, os.Remove(doomed))
	}
	return errors.Join(syncDir(b.dir), os.RemoveAll(doomed))
}

// The prefixes of directories that are no indexes; "." starts no index name.
const (
	prefixCreating = ".creating-"
	prefixDropped  = ".dropped-"
)

// abandonedAfter is the age at which a half-made index must be that of a process
// that died.
const abandonedAfter = time.Hour

// sweep removes what processes that died left behind. What cannot be removed
// now is tried again next time.
func (b *Backend) sweep() {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		abandoned := false
		if strings.HasPrefix(entry.Name(), prefixDropped) {
			abandoned = true
		} else if strings.HasPrefix(entry.Name(), prefixCreating) {
			info, err := entry.Info()
			abandoned = err == nil && time.Since(info.ModTime()) > abandonedAfter
		}
		if abandoned {
			_ = os.RemoveAll(filepath.Join(b.dir, entry.Name()))
		}
	}
}

// Close implements [retriever.Backend].
func (b *Backend) Close() error {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.closed = true
	return nil
}
