package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// A Found is what [Walk] came upon: a file, or a fault in its place.
type Found struct {
	File  File
	Fault *Fault
}

// WalkOptions change what [Walk] takes. The zero value is usable.
type WalkOptions struct {
	// Exclude names directories that are not entered, such as the one that
	// holds the index.
	Exclude []string
	// IgnoreFile is the name of files that list what is not taken, in the syntax
	// of gitignore; each holds for its own directory and those below. Empty
	// means that there are none. See [IgnoreFile].
	IgnoreFile string
}

// Walk finds the files under the given paths, in the order of the paths and
// then of the names. A file has the id source/relative-path, where source is
// the name of the directory given; a file that was given itself has its own
// name as id.
//
// Hidden files, editors' leftovers and everything but regular files are
// skipped. Symbolic links are followed only to places inside the directory
// given that are not taken under their own name, so nothing is taken twice,
// loops end and nothing outside is read. Each thing that is left out is
// reported once.
func Walk(paths []string, options WalkOptions) iter.Seq[Found] {
	return func(yield func(Found) bool) {
		seen := map[string]bool{}
		exclude := map[string]bool{}
		for _, dir := range options.Exclude {
			if real, err := realPath(dir); err == nil {
				exclude[real] = true
			}
		}
		for _, given := range paths {
			real, err := realPath(given)
			if err != nil {
				if !yield(failed(given, err)) {
					return
				}
				continue
			}
			if seen[real] {
				continue
			}
			seen[real] = true
			if !walkGiven(given, real, options.IgnoreFile, exclude, yield) {
				return
			}
		}
	}
}

func walkGiven(given, real, ignoreFile string, exclude map[string]bool, yield func(Found) bool) bool {
	info, err := os.Stat(real)
	if err != nil {
		return yield(failed(given, err))
	}
	// The name is that of what the user typed, not of what a link leads to.
	absolute, err := filepath.Abs(given)
	if err != nil {
		return yield(failed(given, err))
	}
	name := filepath.Base(absolute)
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return yield(failed(given, errors.New("it is neither a file nor a directory")))
		}
		file := newFile(name, absolute, info, func() (*os.File, error) { return os.Open(real) })
		file.Given = true
		return yield(Found{File: file})
	}
	w := &walker{root: real, shown: absolute, source: name, ignoreFile: ignoreFile, exclude: exclude, entered: map[string]bool{}, yield: yield}
	if name == string(filepath.Separator) {
		w.source = ""
	}
	return w.directory(".", ".", nil)
}

// realPath returns the absolute path without symbolic links.
func realPath(p string) (string, error) {
	absolute, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}

// A walker visits one directory that was given. Paths are relative to it: the
// logical one is what ids are made of, the real one is free of links.
type walker struct {
	root, shown, source string
	ignoreFile          string
	exclude             map[string]bool
	entered             map[string]bool // real paths of directories entered through links
	yield               func(Found) bool
}

func (w *walker) show(logical string) string { return filepath.Join(w.shown, logical) }

func (w *walker) skip(logical, format string, args ...any) bool {
	return w.yield(Found{Fault: &Fault{Path: w.show(logical), Skipped: true, Reason: fmt.Sprintf(format, args...)}})
}

func (w *walker) directory(logical, real string, patterns []gitignore.Pattern) bool {
	if w.exclude[filepath.Join(w.root, real)] {
		return w.skip(logical, "this directory holds Needle's own data")
	}
	if w.ignoreFile != "" {
		var err error
		if patterns, err = readIgnore(w.root, real, logical, w.ignoreFile, patterns); err != nil {
			// Taking what was to be left out would be worse than taking nothing.
			return w.yield(failed(w.show(logical), fmt.Errorf("%s cannot be read, so nothing here is taken: %w", w.ignoreFile, err)))
		}
	}
	entries, err := os.ReadDir(filepath.Join(w.root, real))
	if err != nil && !w.yield(failed(w.show(logical), err)) {
		return false
	}
	// What could be read before the error is still taken.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		if !w.entry(filepath.Join(logical, entry.Name()), filepath.Join(real, entry.Name()), entry, patterns) {
			return false
		}
	}
	return true
}

func (w *walker) entry(logical, real string, entry fs.DirEntry, patterns []gitignore.Pattern) bool {
	if reason := ignored(entry.Name()); reason != "" {
		return w.skip(logical, "%s", reason)
	}
	if matchesIgnore(patterns, logical, entry.IsDir()) {
		return w.skip(logical, "%s leaves it out", w.ignoreFile)
	}
	switch {
	case entry.IsDir():
		return w.directory(logical, real, patterns)
	case entry.Type()&fs.ModeSymlink != 0:
		return w.link(logical, real, patterns)
	case !entry.Type().IsRegular():
		return w.skip(logical, "it is not a regular file")
	}
	info, err := entry.Info()
	if err != nil {
		return w.yield(failed(w.show(logical), err))
	}
	return w.file(logical, real, info)
}

func (w *walker) file(logical, real string, info fs.FileInfo) bool {
	root := w.root
	id := path.Join(w.source, filepath.ToSlash(logical))
	// Opening within the root makes sure that a directory that is replaced by
	// a link meanwhile cannot lead outside.
	return w.yield(Found{File: newFile(id, w.show(logical), info, func() (*os.File, error) { return os.OpenInRoot(root, real) })})
}

func (w *walker) link(logical, real string, patterns []gitignore.Pattern) bool {
	target, err := filepath.EvalSymlinks(filepath.Join(w.root, real))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return w.skip(logical, "it is a symbolic link to something that does not exist")
		}
		return w.yield(failed(w.show(logical), err))
	}
	inside, err := filepath.Rel(w.root, target)
	if err != nil || !filepath.IsLocal(inside) {
		return w.skip(logical, "it is a symbolic link that leads out of %s", w.shown)
	}
	if inside == "." || !slices.ContainsFunc(strings.Split(filepath.ToSlash(inside), "/"), func(name string) bool { return ignored(name) != "" }) {
		return w.skip(logical, "it is a symbolic link to %s, which is taken under its own name", w.show(inside))
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
		return w.yield(failed(w.show(logical), err))
	case info.Mode().IsRegular():
		return w.file(logical, inside, info)
	case !info.IsDir():
		return w.skip(logical, "it is not a regular file")
	case w.entered[inside]:
		return w.skip(logical, "it is a symbolic link to a directory that was taken already")
	}
	w.entered[inside] = true
	return w.directory(logical, inside, patterns)
}

// ignored says why a name is never taken, or "".
func ignored(name string) string {
	switch {
	case strings.HasPrefix(name, "."):
		return "it is hidden"
	case name == "node_modules", name == "__pycache__", name == "__MACOSX", name == "lost+found":
		return "it holds no documents"
	case strings.HasPrefix(name, "~$"), strings.HasPrefix(name, ".~lock"), strings.HasSuffix(name, "~"),
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#"),
		strings.EqualFold(name, "thumbs.db"), strings.EqualFold(name, "desktop.ini"):
		return "it is a leftover of another program"
	}
	switch Extension(name) {
	case ".tmp", ".part", ".crdownload", ".swp", ".lock":
		return "it is a temporary file"
	}
	return ""
}

func failed(shown string, err error) Found {
	return Found{Fault: &Fault{Path: shown, Reason: pathReason(err), Err: err}}
}

// pathReason returns an error without the path, which the fault names already.
func pathReason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Op + ": " + pathError.Err.Error()
	}
	return err.Error()
}

func newFile(id, shown string, info fs.FileInfo, open func() (*os.File, error)) File {
	return File{
		ID: id, Path: shown, Size: info.Size(), ModTime: info.ModTime().UTC(),
		Open: func() (Content, error) {
			f, err := open()
			if err != nil {
				return nil, err
			}
			// Something else may have been put in the file's place meanwhile.
			if state, err := f.Stat(); err != nil || !state.Mode().IsRegular() {
				return nil, errors.Join(errors.New("it is not a regular file any more"), err, f.Close())
			}
			return f, nil
		},
	}
}
