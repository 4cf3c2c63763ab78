package pdf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	_ "unsafe" // for go:linkname

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
)

// instances is how many files are read at once; others wait.
const instances = 4

// largeFile is how big a file may be for its sandbox to be used again. The
// memory of a sandbox never shrinks.
const largeFile = 8 << 20

// pdfiumWasm is the module as the library embeds it. It keeps it to itself, but
// takes another one, so that it can be rewritten. Should the library change, it
// is empty, and files fail with an error that says so.
//
//go:linkname pdfiumWasm github.com/klippa-app/go-pdfium/webassembly.pdfiumWasm
var pdfiumWasm []byte

// An engine starts PDFium when it is first needed. Its sandboxes are used again
// for other files, because starting one takes as long as reading ten pages.
type engine struct {
	config Config
	// free holds a place for each sandbox that is not in use, nil for one that
	// was not started yet.
	free chan *sandbox

	mu     sync.Mutex
	module []byte
	cache  wazero.CompilationCache
}

func newEngine(config Config) *engine {
	e := &engine{config: config, free: make(chan *sandbox, instances)}
	for range instances {
		e.free <- nil
	}
	return e
}

// take waits for a sandbox; put gives it back.
func (e *engine) take(ctx context.Context) (*sandbox, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case box := <-e.free:
		if box != nil {
			return box, nil
		}
		box, err := e.start()
		if err != nil {
			e.free <- nil
		}
		return box, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (e *engine) put(box *sandbox) { e.free <- box }

// start starts a sandbox. The compiled code is shared by all.
func (e *engine) start() (*sandbox, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cache == nil {
		module, _, err := interruptible(pdfiumWasm)
		if err != nil {
			return nil, err
		}
		cache, err := wazero.NewCompilationCacheWithDir(cacheDir(e.config.CacheDir))
		if err != nil {
			cache = wazero.NewCompilationCache()
		}
		e.module, e.cache = module, cache
	}
	box := &sandbox{filesEach: e.config.SandboxFiles}
	pool, err := webassembly.Init(webassembly.Config{
		WASM:     e.module,
		MaxTotal: 1,
		RuntimeConfig: wazero.NewRuntimeConfig().
			WithCompilationCache(e.cache).
			WithMemoryLimitPages(uint32(e.config.MemoryMiB) * 16),
		FSConfig: wazero.NewFSConfig(), // by default it would see the whole disk
		Stdout:   box,
		Stderr:   io.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("pdf: start PDFium: %w", err)
	}
	box.pool = pool
	return box, nil
}

// close ends all sandboxes; none may be in use.
func (e *engine) close() error {
	var faults []error
	for range instances {
		box := <-e.free
		e.free <- nil
		if box != nil {
			faults = append(faults, box.close())
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cache != nil {
		faults = append(faults, e.cache.Close(context.Background()))
		e.cache = nil
	}
	return errors.Join(faults...)
}

// A sandbox is one PDFium with a memory of its own. It is used by one goroutine
// at a time.
type sandbox struct {
	pool      pdfium.Pool
	filesEach int // files until it is started anew

	instance pdfium.Pdfium // nil: to be started
	files    int
	stopped  func() error // of the file that is being read, for Write
}

// errStopped ends the code in a sandbox.
var errStopped = errors.New("pdf: stopped")

// Write implements [io.Writer] for the checks that [interruptible] adds. It is
// called by the code in the sandbox, so in the goroutine that called that.
func (s *sandbox) Write(p []byte) (int, error) {
	if s.stopped != nil && s.stopped() != nil {
		panic(errStopped) // wazero returns it as an error of the call
	}
	return len(p), nil
}

// use calls read with a running PDFium. What PDFium remembers of a file goes
// when the document is closed; after anything unusual it is started anew, and
// so it is after some files, in case it does not forget all.
func (s *sandbox) use(ctx context.Context, size int64, read func(pdfium.Pdfium) error) error {
	s.stopped = ctx.Err
	defer func() { s.stopped = nil }()
	if s.instance == nil {
		instance, err := s.pool.GetInstanceWithContext(ctx)
		if err != nil {
			return err
		}
		s.instance, s.files = instance, 0
	}
	clean := false
	defer func() {
		if s.files++; !clean || ctx.Err() != nil || s.files >= s.filesEach || size > largeFile {
			s.discard()
		}
	}()
	if err := read(s.instance); err != nil {
		return err
	}
	clean = true
	return nil
}

// discard ends PDFium and frees its memory. What it says does not matter: the
// file was read by then, or failed to be.
func (s *sandbox) discard() {
	if s.instance != nil {
		_ = s.instance.Close()
		s.instance = nil
	}
}

func (s *sandbox) close() error {
	s.discard()
	return s.pool.Close()
}

// cacheDir follows the rule of the other things that Needle keeps.
func cacheDir(configured string) string {
	dir := configured
	if dir == "" {
		dir = os.Getenv("NEEDLE_CACHE")
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "" // the cache then fails to open, and nothing is kept
		}
		dir = filepath.Join(user, "needle")
	}
	return filepath.Join(dir, "pdfium")
}
