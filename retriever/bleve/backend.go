package bleve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

	// naming is held shared while an index is found by its name, and exclusively
	// while names change.
	naming sync.RWMutex

	lock sync.Mutex
	// open holds the directories in use by this process, with their indexes once
	// they are open.
	open   map[string]*Index
	closed bool
}

var (
	_ retriever.Backend = (*Backend)(nil)
	_ retriever.Swapper = (*Backend)(nil)
)

// New returns a back end for the indexes in dir, which need not exist. It does
// no I/O; the error is that of [Config.Validate].
func New(config Config, dir string) (*Backend, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("bleve: configuration: %w", err)
	}
	return &Backend{config: config, dir: dir, open: map[string]*Index{}}, nil
}

func (b *Backend) fail(operation, name string, err error) error {
	return fmt.Errorf("bleve: %s index %q: %w", operation, name, err)
}

func storePath(path string) string { return filepath.Join(path, storeFolder) }

// claim marks a directory as in use by this process.
func (b *Backend) claim(dir string) error {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.closed {
		return retriever.ErrClosed
	}
	if _, ok := b.open[dir]; ok {
		return fmt.Errorf("%w: it is open in this process already", retriever.ErrLocked)
	}
	b.open[dir] = nil
	return nil
}

func (b *Backend) release(dir string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	delete(b.open, dir)
}

// find returns the directory of an index; b.naming must be held.
func (b *Backend) find(name string) (string, error) {
	if err := retriever.ValidStoredName(name); err != nil {
		return "", err
	}
	names, err := b.directories()
	if err != nil {
		return "", err
	}
	dir, ok := names.of(name)
	if !ok {
		return "", fmt.Errorf("%w: there is none in %s", retriever.ErrIndexNotFound, b.dir)
	}
	return dir, nil
}

// Open implements [retriever.Backend]. An index that was built with another
// analyzer than the configured one keeps its own; see
// [retriever.Statistics.Outdated].
func (b *Backend) Open(ctx context.Context, name string) (retriever.Index, error) {
	if err := ctx.Err(); err != nil {
		return nil, b.fail("open", name, err)
	}
	x, err := b.openNamed(name)
	if err != nil {
		return nil, b.fail("open", name, err)
	}
	return x, nil
}

func (b *Backend) openNamed(name string) (*Index, error) {
	b.naming.RLock()
	defer b.naming.RUnlock()
	dir, err := b.find(name)
	if err != nil {
		return nil, err
	}
	if err := b.claim(dir); err != nil {
		return nil, err
	}
	x, err := b.openClaimed(name, dir)
	if err != nil {
		b.release(dir)
		return nil, err
	}
	// Only now is the index locked against another process that swaps it.
	if now, err := b.find(name); err != nil || now != dir {
		return nil, errors.Join(fmt.Errorf("%w: it was swapped meanwhile; try again", retriever.ErrLocked), err, x.Close())
	}
	return x, nil
}

func (b *Backend) openClaimed(name, dir string) (*Index, error) {
	path := filepath.Join(b.dir, dir)
	s, err := readSettings(path)
	if err != nil {
		return nil, err
	}
	analyzer, err := newAnalyser(s.Analyzer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", retriever.ErrVersion, err)
	}
	if err := checkStore(storePath(path), b.config.LockTimeout, checkedBytes); err != nil {
		return nil, err
	}
	e, err := openEngine(storePath(path), b.config.LockTimeout)
	if err != nil {
		return nil, err
	}
	x := &Index{
		path: path, config: b.config, analyzer: analyzer, engine: e,
		commits: make(chan *request), onClose: func() { b.release(dir) }, now: time.Now,
	}
	x.name.Store(&name)
	if err := x.loadState(s); err != nil {
		return nil, errors.Join(err, e.close())
	}
	x.flats = startFlats(filepath.Join(path, flatFolder), x.snapshot)
	x.committer.Add(1)
	go x.commitLoop()
	b.lock.Lock()
	b.open[dir] = x
	b.lock.Unlock()
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
	x, err := b.create(name)
	if err != nil {
		return nil, b.fail("create", name, storageError(err))
	}
	return x, nil
}

func (b *Backend) create(name string) (*Index, error) {
	b.naming.Lock()
	defer b.naming.Unlock()
	if err := retriever.ValidStoredName(name); err != nil {
		return nil, err
	}
	names, err := b.directories()
	if err != nil {
		return nil, err
	}
	if dir, ok := names.of(name); ok && dir != name {
		// A name whose index is gone is what a crash during Drop leaves.
		if _, err := os.Lstat(filepath.Join(b.dir, dir)); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("%w: %s", retriever.ErrIndexExists, dir), err)
		}
	}
	dir, err := b.freeDirectory(names, name)
	if err != nil {
		return nil, err
	}
	if err := b.claim(dir); err != nil {
		if errors.Is(err, retriever.ErrLocked) {
			err = retriever.ErrIndexExists
		}
		return nil, err
	}
	x, err := b.createClaimed(name, dir, names)
	if err != nil {
		b.release(dir)
		return nil, err
	}
	return x, nil
}

func (b *Backend) createClaimed(name, dir string, names directories) (*Index, error) {
	path := filepath.Join(b.dir, dir)
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
	if _, mapped := names[name]; err == nil && (mapped || dir != name) {
		err = b.changeDirectories(func(d directories) error { d.put(name, dir); return nil })
	}
	if err == nil {
		var x *Index
		if x, err = b.openClaimed(name, dir); err == nil {
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
	b.naming.RLock()
	defer b.naming.RUnlock()
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var known directories
	if err == nil {
		known, err = b.directories()
	}
	if err != nil {
		return nil, fmt.Errorf("bleve: list indexes: %w", err)
	}
	candidates := slices.Collect(maps.Keys(known))
	for _, entry := range entries {
		if _, mapped := known[entry.Name()]; !mapped && !known.taken(entry.Name()) {
			candidates = append(candidates, entry.Name())
		}
	}
	var names []string
	for _, name := range candidates {
		if retriever.ValidIndexName(name) != nil {
			continue
		}
		dir, _ := known.of(name)
		if _, err := os.Stat(filepath.Join(b.dir, dir, settingsFile)); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Drop implements [retriever.Backend]. An index that is damaged can be dropped
// too.
func (b *Backend) Drop(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return b.fail("drop", name, err)
	}
	if err := b.drop(name); err != nil {
		return b.fail("drop", name, storageError(err))
	}
	return nil
}

func (b *Backend) drop(name string) error {
	b.naming.Lock()
	defer b.naming.Unlock()
	dir, err := b.find(name)
	if err != nil {
		return err
	}
	if err := b.claim(dir); err != nil {
		return err
	}
	defer b.release(dir)
	if err := b.dropClaimed(dir); err != nil {
		return err
	}
	if dir == name {
		return nil
	}
	return b.changeDirectories(func(d directories) error { delete(d, name); return nil })
}

func (b *Backend) dropClaimed(dir string) error {
	path := filepath.Join(b.dir, dir)
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
	if err := os.Rename(path, filepath.Join(doomed, dir)); err != nil {
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

// numbered are the directories of indexes that were made while another index lay
// in the directory of their name.
var numbered = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*(\.[a-z]+)?\.[0-9]+$`)

// sweep removes what processes that died left behind. What cannot be removed
// now is tried again next time.
func (b *Backend) sweep() {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return
	}
	names, err := b.directories()
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
		} else if numbered.MatchString(entry.Name()) && !names.taken(entry.Name()) {
			// An index that was made but never got its name.
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
