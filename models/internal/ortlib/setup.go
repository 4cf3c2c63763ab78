package ortlib

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/needle-search/needle/models"
)

// Setup makes sure that there is a fitting library and returns it. With
// Options.From it takes that one into the cache. Otherwise it returns what
// [Locate] finds and, if that is nothing, fetches the pinned version with the
// first package client that delivers it. A damaged library in the cache is
// replaced.
//
// Setup is safe to run in any number of processes at once. When it is
// interrupted the cache is as it was before. Errors wrap
// [models.ErrRuntimeMissing] and list every way that is left.
func Setup(ctx context.Context, opts Options) (Library, error) {
	s, err := newSetup(opts)
	if err != nil {
		return Library{}, err
	}
	return s.run(ctx)
}

func (s *setup) run(ctx context.Context) (Library, error) {
	if s.opts.From == "" {
		lib, err := s.locate(true)
		if err == nil {
			return lib, nil
		}
		if _, named, namedErr := s.locateNamed(); named {
			return Library{}, namedErr // fetching would not make it used
		}
		if len(s.trust.packages) == 0 {
			return Library{}, s.failed(nil)
		}
	}
	unlock, err := s.lockCache(func() error {
		s.progress("wait for another set-up to end", 0, 0)
		select {
		case <-ctx.Done():
			return fmt.Errorf("set up ONNX Runtime: %w", context.Cause(ctx))
		case <-time.After(lockPoll):
			return nil
		}
	})
	if err != nil {
		return Library{}, fmt.Errorf("set up ONNX Runtime: %w", err)
	}
	defer unlock()
	if s.opts.From != "" {
		return s.take(ctx)
	}
	// The process that held the lock may have fetched it.
	if lib, err := s.locateCached(true); err == nil {
		return lib, nil
	}
	return s.fetch(ctx)
}

// take puts what the user named into the cache.
func (s *setup) take(ctx context.Context) (_ Library, err error) {
	fail := func(err error) (Library, error) {
		return Library{}, fmt.Errorf("set up ONNX Runtime from %s: %w", displayName(s.opts.From), err)
	}
	work, err := s.workDir()
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	lib, source, err := s.obtain(ctx, work)
	if err != nil {
		return fail(err)
	}
	installed, err := s.install(lib, source)
	if err != nil {
		return fail(err)
	}
	return installed, nil
}

// failed is the error of a set-up in which every way failed. It lists what was
// tried and every way that is left.
func (s *setup) failed(attempts []attempt) error {
	var b strings.Builder
	for _, a := range attempts {
		fmt.Fprintf(&b, "\n  %s: %v", a.name, a.err)
	}
	if len(attempts) == 0 {
		fmt.Fprintf(&b, "\n  no package of version %s is known for %s", Version, s.platform)
	}
	b.WriteString("\nways that are left:")
	if len(attempts) > 0 {
		var names []string
		for _, c := range s.clients {
			names = append(names, fmt.Sprintf("%s (%s)", c.name, c.remark))
		}
		fmt.Fprintf(&b, "\n  install one of the package clients %s, or mend its connection, and run \"needle setup\" again", strings.Join(names, ", "))
	}
	if r, ok := releases()[s.platform]; ok {
		fmt.Fprintf(&b, "\n  the official release archive (checked against a published digest): needle setup --from %s --sha256 %s", r.url, r.sha256)
	}
	fmt.Fprintf(&b, "\n  a closed network: needle setup --from FILE|DIR|URL, with %s or an archive that holds it (.tgz, .zip, .jar, .whl)", s.platform.LibraryName())
	fmt.Fprintf(&b, "\n  a library of version %s or newer that is there already: set %s or the config key %s to its path", MinVersion, EnvLibrary, s.opts.ConfigKey)
	if !s.platform.Tested() {
		fmt.Fprintf(&b, "\nnote: Needle's set-up was never tested on %s", s.platform)
	}
	return fmt.Errorf("set up ONNX Runtime: %w, and no way to fetch it worked:%s", models.ErrRuntimeMissing, b.String())
}
