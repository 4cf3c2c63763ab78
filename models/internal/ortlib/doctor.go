package ortlib

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Check is one thing that [Diagnose] looked at.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail says what was found, or what is wrong.
	Detail string `json:"detail"`
	// Remedy says what to do; it is empty when all is well.
	Remedy string `json:"remedy,omitempty"`
}

// A Report is the result of [Diagnose].
type Report struct {
	Checks []Check `json:"checks"`
	// Library is the one that would be used, nil when there is none.
	Library *Library `json:"-"`
}

// OK tells whether a library was found and all that was asked of it works.
func (r Report) OK() bool {
	for _, c := range r.Checks {
		if !c.OK {
			return false
		}
	}
	return r.Library != nil
}

// Diagnose looks at everything that [Locate] and [Setup] depend on and changes
// nothing. The cached library is read in full, and Options.Load tries the
// library that would be used. It only fails when the options are wrong.
func Diagnose(ctx context.Context, opts Options) (Report, error) {
	s, err := newSetup(opts)
	if err != nil {
		return Report{}, err
	}
	return s.diagnose(ctx), nil
}

func (s *setup) diagnose(ctx context.Context) Report {
	var r Report
	lib, err := s.locate(true)
	r.add(s.checkPlatform())
	r.add(s.checkSearch(lib, err))
	r.add(s.checkCache(err))
	if err == nil {
		r.Library = &lib
		if s.opts.Load != nil {
			r.add(s.checkLoad(ctx, lib))
		}
	} else {
		r.add(s.checkClients())
	}
	return r
}

func (r *Report) add(c Check) { r.Checks = append(r.Checks, c) }

func (s *setup) checkPlatform() Check {
	c := Check{Name: "platform", OK: true, Detail: s.platform.String()}
	switch {
	case len(s.trust.packages) == 0:
		c.Detail += fmt.Sprintf("; ONNX Runtime %s cannot be fetched for it, a library of your own is needed", Version)
	case !s.platform.Tested():
		c.Detail += "; Needle's set-up was never tested on it"
	}
	return c
}

func (s *setup) checkSearch(lib Library, err error) Check {
	c := Check{Name: "library", OK: err == nil}
	for _, rejected := range lib.PassedOver {
		c.Detail += fmt.Sprintf("passed over %s; ", rejected)
	}
	if err != nil {
		c.Detail += "no library that fits was found"
		c.Remedy = fmt.Sprintf("run \"needle setup\", which fetches ONNX Runtime %s once, or set %s or the config key %s",
			Version, EnvLibrary, s.opts.ConfigKey)
		if _, named, namedErr := s.locateNamed(); named {
			c.Detail, c.Remedy = namedErr.Error(), "correct or remove the path"
		}
		return c
	}
	version := lib.Version
	if version == "" {
		version = "unknown"
	}
	c.Detail += fmt.Sprintf("%s, version %s, found by %s", lib.Path, version, lib.Origin)
	if lib.Source != "" {
		c.Detail += " (" + lib.Source + ")"
	}
	return c
}

// checkCache looks at the cache even when the library comes from elsewhere: a
// damaged one would be a surprise on the day when the other is gone.
func (s *setup) checkCache(located error) Check {
	c := Check{Name: "cache", OK: true}
	lib, err := s.locateCached(true)
	switch {
	case err == nil:
		c.Detail = fmt.Sprintf("%s is intact", lib.Path)
	case errors.Is(err, fs.ErrNotExist):
		c.Detail = s.dir + " is empty"
		if located != nil {
			if err := writable(s.dir); err != nil {
				c.OK, c.Detail = false, err.Error()
				c.Remedy = "make it writable or set " + EnvCache + " to another folder"
			}
		}
	default:
		c.OK, c.Detail, c.Remedy = false, err.Error(), "run \"needle setup\""
	}
	return c
}

// writable looks for the nearest folder above a path that exists and tries to
// make a file in it.
func writable(dir string) error {
	for {
		info, err := os.Stat(dir)
		if err == nil {
			if !info.IsDir() {
				return fmt.Errorf("%s is no folder", dir)
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return err
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".needle-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (s *setup) checkLoad(ctx context.Context, lib Library) Check {
	c := Check{Name: "load"}
	if err := ctx.Err(); err != nil {
		c.Detail = err.Error()
		return c
	}
	version, err := s.opts.Load(lib.Path)
	switch {
	case err != nil:
		c.Detail = err.Error()
		c.Remedy = s.loadRemedy(lib)
	case unfit(version) != "":
		c.Detail = fmt.Sprintf("%s: %s", lib.Path, unfit(version))
		c.Remedy = s.loadRemedy(lib)
	default:
		c.OK, c.Detail = true, "it loads and says that it is version "+version
	}
	return c
}

func (s *setup) loadRemedy(lib Library) string {
	switch lib.Origin {
	case FromConfig:
		return "set the config key " + s.opts.ConfigKey + " to another library or remove it"
	case FromEnvironment:
		return "set " + EnvLibrary + " to another library or remove it"
	}
	if s.platform.OS == "linux" && !hasGlibc() {
		return "the packages of ONNX Runtime need glibc, which this system (musl) does not have: install the distribution's own onnxruntime package"
	}
	if s.platform.OS == "windows" {
		return "install the Microsoft Visual C++ redistributable, or set " + EnvLibrary + " to another library"
	}
	return "set " + EnvLibrary + " to another library of version " + MinVersion + " or newer"
}

// hasGlibc tells whether the loader of the GNU C library is there.
func hasGlibc() bool {
	for _, pattern := range []string{"/lib64/ld-linux-*.so.*", "/lib/ld-linux-*.so.*"} {
		if matches, err := filepath.Glob(pattern); err == nil && len(matches) > 0 {
			return true
		}
	}
	return false
}

// checkClients says what "needle setup" could use. None of them is no fault by
// itself, so it is only asked when there is no library.
func (s *setup) checkClients() Check {
	c := Check{Name: "package clients"}
	var present, all []string
	for _, client := range s.clients {
		all = append(all, client.name)
		for _, program := range client.programs {
			if _, err := exec.LookPath(program[0]); err == nil {
				present = append(present, client.name)
				break
			}
		}
	}
	if len(present) > 0 && len(s.trust.packages) > 0 {
		c.OK, c.Detail = true, "\"needle setup\" can use "+strings.Join(present, ", ")
		return c
	}
	c.Detail = fmt.Sprintf("none of %s can deliver ONNX Runtime here", strings.Join(all, ", "))
	c.Remedy = "install one of them, or run \"needle setup --from FILE|DIR|URL\""
	if r, ok := releases()[s.platform]; ok {
		c.Remedy += fmt.Sprintf(", for example --from %s --sha256 %s", r.url, r.sha256)
	}
	return c
}
