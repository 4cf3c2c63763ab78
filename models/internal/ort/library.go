// Package ort is the one place that calls ONNX Runtime. It loads the shared
// library, opens sessions from bytes, and sees to it that no tensor or session
// is freed while native code uses it.
//
// The smallest use:
//
//	library, err := ort.Load(path)
//	session, err := library.NewSession(graph, ort.SessionConfig{Inputs: ..., Outputs: ...})
//	defer session.Close()
//	outputs, err := session.Run(ctx, shape, inputs)
//
// A process loads one library, once, and keeps it to its end: unloading would
// pull the code from under threads that the library started. All types are safe
// for concurrent use. What [Session.Run] returns is memory of Go that the
// caller owns; what it is given may be reused as soon as it returned.
package ort

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/needle-search/needle/models"
)

// MinimumVersion is the oldest ONNX Runtime whose interface is new enough.
const MinimumVersion = "1.24"

// ErrOtherLibrary says that the process has another ONNX Runtime loaded
// already.
var ErrOtherLibrary = errors.New("another ONNX Runtime library is loaded already")

// ErrLibrary says that a file is no ONNX Runtime library that this process can
// use: wrong architecture, too old, or something else altogether.
var ErrLibrary = errors.New("not a usable ONNX Runtime library")

// A Library is the loaded ONNX Runtime.
type Library struct {
	path    string
	file    os.FileInfo
	version string
}

// The dynamic linker's state belongs to the process, and so does this.
var process struct {
	sync.Mutex
	library *Library
}

// Load loads the library at path, or returns it if it is loaded already. A
// second, different library is refused with ErrOtherLibrary. A missing file
// gives models.ErrRuntimeMissing, a file that cannot be used ErrLibrary.
func Load(path string) (*Library, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("ort: load %s: %w", path, err)
	}
	file, err := os.Stat(full)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("ort: load %s: %w: there is no such file; run `needle setup` or set NEEDLE_ORT_LIB", path, models.ErrRuntimeMissing)
	case err != nil:
		return nil, fmt.Errorf("ort: load %s: %w", path, err)
	case file.IsDir():
		return nil, fmt.Errorf("ort: load %s: %w: it is a directory; name the library file in it", path, models.ErrRuntimeMissing)
	}

	process.Lock()
	defer process.Unlock()
	if l := process.library; l != nil {
		if os.SameFile(l.file, file) {
			return l, nil
		}
		return nil, fmt.Errorf("ort: load %s: %w: %s, version %s; a process can use one only", path, ErrOtherLibrary, l.path, l.version)
	}
	if err := checkFormat(full); err != nil {
		return nil, fmt.Errorf("ort: load %s: %w: %w", path, ErrLibrary, err)
	}
	mapLarge()
	ort.SetSharedLibraryPath(full)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("ort: load %s: %w: %s", path, ErrLibrary, explain(err))
	}
	// Official builds for Windows report their use to the maker.
	if err := ort.DisableTelemetry(); err != nil {
		return nil, fmt.Errorf("ort: load %s: %w: switch off telemetry: %w", path, ErrLibrary, err)
	}
	process.library = &Library{path: full, file: file, version: ort.GetVersion()}
	return process.library, nil
}

// Path returns where the library was loaded from.
func (l *Library) Path() string { return l.path }

// Version returns the version of ONNX Runtime, for example "1.29.0".
func (l *Library) Version() string { return l.version }

// explain translates what the wrapper and the dynamic linker say.
func explain(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "Error setting ORT API base: 2"):
		return "it is too old; version " + MinimumVersion + " or newer is needed"
	case strings.Contains(text, "OrtGetApiBase"):
		return "it is a library, but not ONNX Runtime (it has no OrtGetApiBase)"
	}
	if _, after, found := strings.Cut(text, "Platform-specific initialization failed: "); found {
		text = after
	}
	return text
}
