package ortlib

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/needle-search/needle/models"
)

// The environment variables that this package reads.
const (
	// EnvLibrary names the library's file, or the folder that holds it.
	EnvLibrary = "NEEDLE_ORT_LIB"
	// EnvCache replaces the folder under which Needle keeps what it fetched.
	EnvCache = "NEEDLE_CACHE"
)

// DefaultConfigKey is the config key that messages name when
// [Options.ConfigKey] is empty.
const DefaultConfigKey = "runtime.library"

// An Origin says how a library was found.
type Origin string

// The places where a library can be found, in the order of the search.
const (
	FromConfig      Origin = "config"
	FromEnvironment Origin = "environment"
	FromSystem      Origin = "system"
	FromCache       Origin = "cache"
)

// A Library is a shared library of ONNX Runtime that fits.
type Library struct {
	Path string
	// Version is "" where neither the file nor its name tells it, which only
	// happens to a library that the user named.
	Version string
	Origin  Origin
	// Source says where a cached library came from, for example
	// "pip package 1.29.0".
	Source string
	// PassedOver are the libraries that came first but do not fit.
	PassedOver []Rejection
}

// A Rejection is a library that was found and not taken.
type Rejection struct{ Path, Reason string }

// String returns path and reason.
func (r Rejection) String() string { return r.Path + ": " + r.Reason }

// Locate finds a fitting library without changing or fetching anything. A path
// that the user named (config, then NEEDLE_ORT_LIB) must fit: nothing else is
// tried. After these come the libraries of the system and the cache, where those
// that do not fit are passed over. Errors wrap [models.ErrRuntimeMissing] and
// list every way out.
//
// A cached library is trusted by its size and time of change, and is read in
// full only when these differ from what [Setup] recorded; [Setup] and
// [Diagnose] always read it in full.
func Locate(opts Options) (Library, error) {
	s, err := newSetup(opts)
	if err != nil {
		return Library{}, err
	}
	return s.locate(false)
}

// locate searches; thorough reads cached libraries in full.
func (s *setup) locate(thorough bool) (Library, error) {
	if lib, named, err := s.locateNamed(); named || err != nil {
		return lib, err
	}
	lib, found, rejected := s.locateSystem()
	if found {
		lib.PassedOver = rejected
		return lib, nil
	}
	lib, err := s.locateCached(thorough)
	lib.PassedOver = rejected
	if err == nil {
		return lib, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		rejected = append(rejected, Rejection{s.dir, err.Error()})
	}
	return Library{PassedOver: rejected}, s.missing(rejected)
}

// locateNamed looks at the paths that the user named.
func (s *setup) locateNamed() (lib Library, named bool, err error) {
	for _, named := range []struct {
		path, key string
		origin    Origin
	}{
		{s.opts.Path, "config key " + s.opts.ConfigKey, FromConfig},
		{s.getenv(EnvLibrary), EnvLibrary, FromEnvironment},
	} {
		if named.path == "" {
			continue
		}
		path, err := s.libraryAt(named.path)
		if err != nil {
			return Library{}, true, fmt.Errorf("locate ONNX Runtime: %s is %q: %w: %w; correct or remove it",
				named.key, named.path, models.ErrRuntimeMissing, err)
		}
		id, err := inspect(path)
		if err != nil {
			return Library{}, true, fmt.Errorf("locate ONNX Runtime: %s is %q: %w: %w; correct or remove it",
				named.key, named.path, models.ErrRuntimeMissing, err)
		}
		// Who names a library whose version cannot be told knows what they do;
		// the loader asks it for its API before use.
		if reason := id.check(s.platform); reason != "" && (id.platform != s.platform || id.version != "") {
			return Library{}, true, fmt.Errorf("locate ONNX Runtime: %s is %q: %w: %s; correct or remove it",
				named.key, named.path, models.ErrRuntimeMissing, reason)
		}
		return Library{Path: path, Version: id.version, Origin: named.origin}, true, nil
	}
	return Library{}, false, nil
}

// libraryAt returns the library that a path means: a file, or the one in a
// folder.
func (s *setup) libraryAt(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		// The path is in the message around this one already.
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return "", err
	}
	if !info.IsDir() {
		return path, nil
	}
	if found := s.librariesIn(path); len(found) > 0 {
		return found[0], nil
	}
	return "", fmt.Errorf("the folder holds no %s", s.platform.LibraryName())
}

// missing is the error of a search that found nothing.
func (s *setup) missing(rejected []Rejection) error {
	var b strings.Builder
	for _, r := range rejected {
		fmt.Fprintf(&b, " (passed over %s)", r)
	}
	return fmt.Errorf("locate ONNX Runtime: %w%s; run \"needle setup\", which fetches version %s once; or set %s to the path of %s %s or newer; "+
		"or set the config key %s to it; or, on a closed network, run \"needle setup --from FILE|DIR|URL\"",
		models.ErrRuntimeMissing, b.String(), Version, EnvLibrary, s.platform.LibraryName(), MinVersion, s.opts.ConfigKey)
}
