package ortlib

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Errors of Setup with Options.From, for errors.Is.
var (
	// ErrUnpinned says that the digest of a library is neither pinned nor given
	// by the user.
	ErrUnpinned = errors.New("the digest is not known")
	// ErrDigest says that content has another digest than it must have.
	ErrDigest = errors.New("wrong content")
)

// obtain brings what the user named into the work folder and checks it.
func (s *setup) obtain(ctx context.Context, work string) (found, string, error) {
	from := s.opts.From
	if u, ok := webAddress(from); ok {
		file, done, err := s.download(ctx, u)
		if err != nil {
			return found{}, "", err
		}
		lib, err := s.accept(ctx, file, work)
		if errors.Is(err, ErrDigest) || err == nil {
			done() // what is wrong must not be resumed
		}
		return lib, u.Redacted(), err
	}
	path, err := filepath.Abs(strings.TrimPrefix(from, "file://"))
	if err != nil {
		return found{}, "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return found{}, "", err
	}
	if !info.IsDir() {
		lib, err := s.copyAndAccept(ctx, path, work)
		return lib, path, err
	}
	candidates, err := s.candidatesIn(path)
	if err != nil {
		return found{}, "", err
	}
	if len(candidates) == 0 {
		return found{}, "", fmt.Errorf("the folder holds neither %s nor an archive of ONNX Runtime (.tgz, .zip, .jar, .whl)", s.platform.LibraryName())
	}
	var faults []error
	for _, candidate := range candidates {
		lib, err := s.copyAndAccept(ctx, candidate, work)
		if err == nil {
			return lib, candidate, nil
		}
		if ctx.Err() != nil {
			return found{}, "", err
		}
		faults = append(faults, fmt.Errorf("%s: %w", filepath.Base(candidate), err))
	}
	return found{}, "", errors.Join(faults...)
}

// webAddress tells whether the user named a URL, and not a file.
func webAddress(from string) (*url.URL, bool) {
	u, err := url.Parse(from)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, false
	}
	return u, true
}

// displayName is what the user named, without a password in it.
func displayName(from string) string {
	if u, ok := webAddress(from); ok {
		return u.Redacted()
	}
	return from
}

// candidatesIn lists libraries and archives in a folder and a few levels under
// it: libraries first, and what is nearer first.
func (s *setup) candidatesIn(dir string) ([]string, error) {
	const levels = 4
	type candidate struct {
		path    string
		depth   int
		archive bool
	}
	var all []candidate
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == dir {
				return err
			}
			return nil // one unreadable folder does not hide the others
		}
		if seen++; seen > s.limits.entries {
			return fmt.Errorf("the folder holds more than %d files; name the file itself", s.limits.entries)
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		depth := strings.Count(relative, string(filepath.Separator))
		if d.IsDir() {
			if depth >= levels || strings.HasSuffix(path, ".dSYM") {
				return fs.SkipDir
			}
			return nil
		}
		switch name := d.Name(); {
		case s.platform.isLibraryName(name):
			all = append(all, candidate{path, depth, false})
		case isArchiveName(name):
			all = append(all, candidate{path, depth, true})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		switch {
		case a.archive != b.archive && b.archive:
			return -1
		case a.archive != b.archive:
			return 1
		}
		return a.depth - b.depth
	})
	paths := make([]string, len(all))
	for i, c := range all {
		paths[i] = c.path
	}
	return paths, nil
}

// isArchiveName tells whether a file in a folder is worth opening as a package
// of ONNX Runtime.
func isArchiveName(name string) bool {
	name = strings.ToLower(name)
	if !strings.Contains(name, "onnxruntime") {
		return false
	}
	for _, suffix := range []string{".tgz", ".tar.gz", ".zip", ".jar", ".whl"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// copyAndAccept copies a file first, so that what is checked is what is
// installed even if somebody changes the file meanwhile.
func (s *setup) copyAndAccept(ctx context.Context, path, work string) (found, error) {
	f, err := os.Open(path)
	if err != nil {
		return found{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return found{}, err
	}
	if !info.Mode().IsRegular() {
		return found{}, errors.New("it is no regular file")
	}
	copied, err := os.CreateTemp(work, "from-")
	if err != nil {
		return found{}, err
	}
	step := "copy " + filepath.Base(path)
	content := &progressReader{
		r: &boundedReader{ctx: ctx, r: f, left: s.limits.archive,
			err: fmt.Errorf("it has more than %d bytes", s.limits.archive)},
		report: func(done int64) { s.progress(step, done, info.Size()) },
	}
	_, err = io.Copy(copied, content)
	if err := errors.Join(err, copied.Close()); err != nil {
		return found{}, err
	}
	return s.accept(ctx, copied.Name(), work)
}

// accept checks a library or an archive that lies in a file of this process and
// returns the library, in the work folder. Either the user's digest or a pinned
// one must match the file or the library in it.
func (s *setup) accept(ctx context.Context, file, work string) (found, error) {
	kind, err := formatOf(file)
	if err != nil {
		return found{}, err
	}
	if kind == formatOther {
		return found{}, fmt.Errorf("it is neither a shared library for %s nor an archive (.tgz, .zip, .jar, .whl)", s.platform)
	}
	s.progress("check the digest", 0, 0)
	outer, err := fileDigest(file)
	if err != nil {
		return found{}, err
	}
	lib := found{digest: outer}
	if kind == formatLibrary {
		if lib, err = s.acceptLibrary(file, work); err != nil {
			return found{}, err
		}
	} else if lib, err = s.extract(ctx, file, work, s.trusted); err != nil {
		return found{}, err
	}
	switch {
	case s.opts.SHA256 != "" && s.opts.SHA256 != outer && s.opts.SHA256 != lib.digest:
		return found{}, fmt.Errorf("%w: the SHA-256 is %s (of the library: %s), want %s", ErrDigest, outer, lib.digest, s.opts.SHA256)
	case s.opts.SHA256 != "", s.trusted(lib.digest), s.trust.archives[outer] != "":
		return lib, nil
	}
	return found{}, fmt.Errorf("%w: %s is none of the digests of ONNX Runtime %s for %s; if it is the library that you want (version %s), add --sha256 %s",
		ErrUnpinned, lib.digest, Version, s.platform, lib.id.version, lib.digest)
}

// trusted tells whether a library's digest is accepted by itself.
func (s *setup) trusted(digest string) bool {
	return digest == s.opts.SHA256 || s.trust.libraries[digest] != ""
}

// acceptLibrary copies a plain library into the work folder, if it fits.
func (s *setup) acceptLibrary(file, work string) (found, error) {
	f, err := os.Open(file)
	if err != nil {
		return found{}, err
	}
	defer f.Close()
	lib, _, err := copyTo(work, f)
	if err != nil {
		return found{}, err
	}
	if lib.id, err = inspect(lib.path); err != nil {
		return found{}, err
	}
	if lib.id.version == "" {
		lib.id.version = versionInName(filepath.Base(s.opts.From))
	}
	if reason := lib.id.check(s.platform); reason != "" {
		return found{}, errors.New(reason)
	}
	return lib, nil
}

// A progressReader tells how much was read.
type progressReader struct {
	r      io.Reader
	done   int64
	report func(done int64)
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	p.report(p.done)
	return n, err
}

// shortDigest names a file by what it was made from.
func shortDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
