package ortlib

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// found is a library that lies in the work folder, ready to be installed.
type found struct {
	path   string
	digest string // SHA-256
	id     identity
}

// A format is what a file is, told by its first bytes: names lie, for example
// behind a URL.
type format int

const (
	formatOther format = iota
	formatLibrary
	formatZip
	formatGzip
)

func formatOf(path string) (format, error) {
	f, err := os.Open(path)
	if err != nil {
		return formatOther, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return formatOther, nil
	}
	switch {
	case string(magic[:]) == "PK\x03\x04":
		return formatZip, nil
	case magic[0] == 0x1f && magic[1] == 0x8b:
		return formatGzip, nil
	}
	if _, err := identify(f); err != nil {
		return formatOther, nil
	}
	return formatLibrary, nil
}

// An extraction unpacks the one library for a platform from an archive into a
// folder. Names inside the archive choose what is looked at and never where
// something is written.
type extraction struct {
	setup  *setup
	dir    string
	accept func(digest string) bool
	// best is the first library for the platform; one with an accepted digest
	// ends the search.
	best     found
	accepted bool
	rejected []Rejection
	unpacked int64
}

// extract returns the library in an archive: the first whose digest is
// accepted, else the first for the platform.
func (s *setup) extract(ctx context.Context, archive, dir string, accept func(digest string) bool) (found, error) {
	x := &extraction{setup: s, dir: dir, accept: accept}
	kind, err := formatOf(archive)
	if err != nil {
		return found{}, err
	}
	switch kind {
	case formatZip:
		err = x.zip(ctx, archive)
	case formatGzip:
		err = x.tar(ctx, archive)
	default:
		err = errors.New("it is no archive that can be read; .zip, .jar, .whl, .tgz and .tar.gz can")
	}
	if err != nil {
		return found{}, err
	}
	if x.best.path == "" {
		var b strings.Builder
		for _, r := range x.rejected {
			fmt.Fprintf(&b, "; %s", r)
		}
		return found{}, fmt.Errorf("the archive holds no library for %s%s", s.platform, b.String())
	}
	return x.best, nil
}

// wanted tells whether a file in an archive can be the library. Debug symbols
// for macOS lie under the library's own name.
func (x *extraction) wanted(name string) bool {
	name = strings.ReplaceAll(name, `\`, "/")
	return x.setup.platform.isLibraryName(path.Base(name)) && !strings.Contains(name, ".dSYM/")
}

func (x *extraction) zip(ctx context.Context, archive string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("the archive cannot be read: %w", err)
	}
	defer r.Close()
	if len(r.File) > x.setup.limits.entries {
		return fmt.Errorf("the archive has %d files, more than %d", len(r.File), x.setup.limits.entries)
	}
	for _, entry := range r.File {
		if !entry.Mode().IsRegular() || !x.wanted(entry.Name) {
			continue
		}
		content, err := entry.Open()
		if err != nil {
			return fmt.Errorf("the archive cannot be read: %s: %w", entry.Name, err)
		}
		err = x.take(ctx, entry.Name, content)
		content.Close()
		if err != nil || x.accepted {
			return err
		}
	}
	return nil
}

func (x *extraction) tar(ctx context.Context, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("the archive cannot be read: %w", err)
	}
	// What is skipped is unpacked too, so the stream as a whole is bounded.
	bounded := &boundedReader{ctx: ctx, r: unzipped, left: x.setup.limits.stream,
		err: fmt.Errorf("the archive unpacks to more than %d bytes", x.setup.limits.stream)}
	r := tar.NewReader(bounded)
	for n := 0; ; n++ {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the archive cannot be read: %w", err)
		}
		if n >= x.setup.limits.entries {
			return fmt.Errorf("the archive has more than %d files", x.setup.limits.entries)
		}
		if header.Typeflag != tar.TypeReg || !x.wanted(header.Name) {
			continue
		}
		if err := x.take(ctx, header.Name, r); err != nil || x.accepted {
			return err
		}
	}
}

// take unpacks one file and keeps it if it is the best so far.
func (x *extraction) take(ctx context.Context, name string, content io.Reader) error {
	l := x.setup.limits
	bounded := &boundedReader{ctx: ctx, r: content, left: min(l.library, l.stream-x.unpacked),
		err: fmt.Errorf("it has more than %d bytes", l.library)}
	lib, n, err := copyTo(x.dir, bounded)
	x.unpacked += n
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	id, err := inspect(lib.path)
	if err == nil && id.version == "" {
		id.version = versionInName(path.Base(name))
	}
	lib.id = id
	accepted := x.accept(lib.digest)
	reason := ""
	switch {
	case err != nil:
		reason = err.Error()
	case accepted && id.version == "" && id.platform == x.setup.platform:
		// The digest says what the file does not.
	default:
		reason = id.check(x.setup.platform)
	}
	if reason != "" {
		x.rejected = append(x.rejected, Rejection{name, reason})
		return os.Remove(lib.path)
	}
	if x.best.path != "" && !accepted {
		return os.Remove(lib.path)
	}
	x.best, x.accepted = lib, accepted
	return nil
}

// copyTo writes content to a new file in a folder and computes its digest.
func copyTo(dir string, content io.Reader) (found, int64, error) {
	f, err := os.CreateTemp(dir, "library-")
	if err != nil {
		return found{}, 0, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), content)
	if err := errors.Join(err, f.Close()); err != nil {
		return found{}, n, errors.Join(err, os.Remove(f.Name()))
	}
	return found{path: filepath.Clean(f.Name()), digest: hex.EncodeToString(h.Sum(nil))}, n, nil
}

// A boundedReader fails once more than left bytes were read, where
// io.LimitReader would pretend that the content ends. It also ends with the
// context.
type boundedReader struct {
	ctx  context.Context // of the one call that made this reader
	r    io.Reader
	left int64
	err  error // what to fail with
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.left < 0 {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, b.err
	}
	return n, err
}
