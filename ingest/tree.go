package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// A Tree is a source of files that is not a directory of this machine, such as
// a bucket. It is safe for concurrent use.
type Tree interface {
	// Address names the tree as users write it, without a slash at its end:
	// "s3://bucket/prefix". With a slash and the name of a file it is the path of
	// that file.
	Address() string
	// Check returns an error if the tree is not there or must not be read.
	Check(ctx context.Context) error
	// List gives all files; those of one folder come together. After an error,
	// which is the last, others may be missing.
	List(ctx context.Context) iter.Seq2[TreeFile, error]
	// Open opens a file as it was listed. If it is another one by then, reading
	// fails with [ErrChanged]. The content may be used until the context ends.
	Open(ctx context.Context, file TreeFile) (Content, error)
}

// A TreeFile is a file of a [Tree].
type TreeFile struct {
	// Name is relative to the tree, with slashes.
	Name    string
	Size    int64
	ModTime time.Time
	// Version changes with the content, such as an ETag; it may be empty.
	Version string
}

// IsAddress reports whether a source is the address of a [Tree] and not a
// directory, and what it is that reads it: "s3" for "s3://bucket".
func IsAddress(source string) (scheme string, ok bool) {
	scheme, _, ok = strings.Cut(source, "://")
	return scheme, ok && scheme != "" && !strings.ContainsAny(scheme, `/\`)
}

// SourceName returns the first part of the ids of a source's documents.
func SourceName(source string) string {
	if _, ok := IsAddress(source); ok {
		return path.Base(source)
	}
	return filepath.Base(source)
}

// Inside reports whether a path is that of a source or of something in it. Both
// must be absolute, or addresses.
func Inside(at, source string) bool {
	separator := byte(filepath.Separator)
	if _, ok := IsAddress(source); ok {
		separator = '/'
	}
	rest, ok := strings.CutPrefix(at, source)
	return ok && (rest == "" || rest[0] == separator)
}

// parent returns what holds a path, "" if nothing does.
func parent(at string) string {
	if _, ok := IsAddress(at); !ok {
		if up := filepath.Dir(at); up != at {
			return up
		}
		return ""
	}
	slash := strings.LastIndexByte(at, '/')
	if slash < 1 || at[slash-1] == '/' {
		return ""
	}
	return at[:slash]
}

// moved returns where a path lies after the source that it is in was moved.
func moved(at, from, to string) string {
	rest := filepath.ToSlash(at[len(from):])
	if _, ok := IsAddress(to); ok {
		return to + rest
	}
	return to + filepath.FromSlash(rest)
}

// walk gives the files of all sources that are there.
func (s *syncer) walk(ctx context.Context) iter.Seq[Found] {
	return func(yield func(Found) bool) {
		var paths []string
		for _, source := range s.sources {
			if source.Err == nil && source.tree == nil {
				paths = append(paths, source.Path)
			}
		}
		for found := range Walk(paths, s.ingester.options.Walk) {
			if !yield(found) {
				return
			}
		}
		for _, source := range s.sources {
			if source.Err == nil && source.tree != nil && !source.tree.files(ctx, yield) {
				return
			}
		}
	}
}

// A treeWalk finds the files of a tree by the rules of [Walk].
type treeWalk struct {
	tree       Tree
	ignoreFile string
	// ignore holds the patterns of every folder with an ignore file, nil until
	// they were read.
	ignore map[string][]gitignore.Pattern
}

// files gives the files of the tree. It is used by one goroutine at a time.
func (w *treeWalk) files(ctx context.Context, yield func(Found) bool) bool {
	address := w.tree.Address()
	if err := w.readIgnores(ctx); err != nil {
		return yield(failed(address, err))
	}
	// Files of one folder come together, so the last folder is worth keeping.
	folder, left, told := "", "", ""
	var patterns []gitignore.Pattern
	fresh := true
	for file, err := range w.tree.List(ctx) {
		if err != nil {
			return yield(failed(address, err))
		}
		if strings.HasSuffix(file.Name, "/") {
			continue // stands for an empty folder
		}
		shown := address + "/" + strings.ToValidUTF8(file.Name, "\uFFFD")
		skip := func(shown, reason string) bool {
			return yield(Found{Fault: &Fault{Path: shown, Skipped: true, Reason: reason}})
		}
		if !isTreeName(file.Name) {
			if !skip(shown, "its name cannot be that of a file, so it is not taken") {
				return false
			}
			continue
		}
		dir, base := path.Split(file.Name)
		if fresh || dir != folder {
			folder, fresh = dir, false
			patterns, left = w.enter(strings.TrimSuffix(dir, "/"))
			if left != "" {
				var reason string
				left, reason, _ = strings.Cut(left, "\x00")
				if left != told && !skip(address+"/"+left, reason) {
					return false
				}
				told = left
			}
		}
		if left != "" {
			continue
		}
		reason := ignored(base)
		if reason == "" && matchesIgnore(patterns, file.Name, false) {
			reason = w.ignoreFile + " leaves it out"
		}
		if reason != "" {
			if !skip(shown, reason) {
				return false
			}
			continue
		}
		if !yield(Found{File: w.file(ctx, file)}) {
			return false
		}
	}
	return true
}

func (w *treeWalk) file(ctx context.Context, file TreeFile) File {
	address := w.tree.Address()
	return File{
		ID: path.Join(SourceName(address), file.Name), Path: address + "/" + file.Name,
		Size: file.Size, ModTime: file.ModTime.UTC(), Version: file.Version,
		Open: func() (Content, error) { return w.tree.Open(ctx, file) },
	}
}

// enter returns the patterns that hold in a folder, or the folder on the way to
// it that is left out, a zero byte and the reason.
func (w *treeWalk) enter(folder string) (patterns []gitignore.Pattern, left string) {
	patterns = w.ignore[""]
	for at := 0; at < len(folder); {
		end := len(folder)
		if slash := strings.IndexByte(folder[at:], '/'); slash >= 0 {
			end = at + slash
		}
		here := folder[:end]
		if reason := ignored(folder[at:end]); reason != "" {
			return nil, here + "\x00" + reason
		}
		if matchesIgnore(patterns, here, true) {
			return nil, here + "\x00" + w.ignoreFile + " leaves it out"
		}
		patterns = append(patterns[:len(patterns):len(patterns)], w.ignore[here]...)
		at = end + 1
	}
	return patterns, ""
}

// readIgnores reads all ignore files of the tree, once.
func (w *treeWalk) readIgnores(ctx context.Context) error {
	if w.ignoreFile == "" || w.ignore != nil {
		return nil
	}
	ignore := map[string][]gitignore.Pattern{}
	for file, err := range w.tree.List(ctx) {
		if err != nil {
			return err
		}
		dir, base := path.Split(file.Name)
		if base != w.ignoreFile || !isTreeName(file.Name) {
			continue
		}
		data, err := w.read(ctx, file)
		if err != nil {
			// Taking what was to be left out would be worse than taking nothing.
			return fmt.Errorf("%s cannot be read, so nothing here is taken: %w", file.Name, err)
		}
		dir = strings.TrimSuffix(dir, "/")
		domain := dir
		if domain == "" {
			domain = "."
		}
		ignore[dir] = parseIgnore(data, domain)
	}
	w.ignore = ignore
	return nil
}

func (w *treeWalk) read(ctx context.Context, file TreeFile) (data []byte, err error) {
	content, err := w.tree.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	return io.ReadAll(io.NewSectionReader(content, 0, min(file.Size, maxIgnoreBytes)))
}

// isTreeName reports whether a name can be part of an id and of a path: keys of
// buckets may be anything.
func isTreeName(name string) bool {
	return fs.ValidPath(name) && name != "." && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}
