package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/needle-search/needle/retriever"
)

// The outcomes that only [Ingester.Sync] has.
const (
	// Deleted says that a document's file or record is gone.
	Deleted Outcome = "deleted"
	// Kept says that a document was not seen but stays, because what held it
	// could not be read.
	Kept Outcome = "kept"
)

// The reasons for which a source is not synced, for errors.Is.
var (
	// ErrSourceMissing says that a source is not there; nothing of it is
	// deleted.
	ErrSourceMissing = errors.New("source is missing")
	// ErrManyDeletes says that a sync would have emptied a source.
	ErrManyDeletes = errors.New("too many documents would be deleted")
	// ErrSourceName says that two sources would make the same ids.
	ErrSourceName = errors.New("sources cannot be told apart")
)

// guardDocuments is how many documents of a source may be deleted whatever
// their share.
const guardDocuments = 20

// A SyncTarget is an index whose documents can be listed; every
// [retriever.Index] is one.
type SyncTarget interface {
	Target
	List(ctx context.Context, after string, limit int) ([]retriever.DocumentInfo, error)
}

// A Source is a directory, or a [Tree], whose documents an index follows.
type Source struct {
	// Path is the directory.
	Path string
	// Tree is what is read instead of a directory; Path then does not matter.
	Tree Tree
	// Former is where the directory was when it was last synced, if that was
	// elsewhere.
	Former string
}

// SyncOptions drive [Ingester.Sync]. The zero value is usable.
type SyncOptions struct {
	// AllowDeletes lifts the guard against emptying a source.
	AllowDeletes bool
	// DryRun only tells what would be done.
	DryRun bool
	// Known holds what the last sync remembered; files of the same size and
	// time, whose documents are still there, are not read. Without it all are.
	Known  map[string]FileState
	Events Events
}

// A SyncReport sums up a sync. With a dry run it says what would have been
// done.
type SyncReport struct {
	Report
	Deleted int            `json:"deleted"`
	Kept    int            `json:"kept"`
	DryRun  bool           `json:"dry_run,omitempty"`
	Sources []SourceReport `json:"sources"`
	// Unread counts files that were not read because they had not changed.
	Unread int `json:"unread"`
	// Files is what the next sync may be given as Known, nil after an error.
	Files map[string]FileState `json:"-"`
}

// A SourceReport is what became of one source.
type SourceReport struct {
	// Name is the first part of the ids, Path the absolute directory or the
	// address.
	Name string `json:"source"`
	Path string `json:"path"`
	// Documents counts those of the source in the index before anything was
	// deleted; Added, Updated, Deleted and Kept count changes.
	Documents int `json:"documents"`
	Added     int `json:"added"`
	Updated   int `json:"updated"`
	Deleted   int `json:"deleted"`
	Kept      int `json:"kept"`
	// Failed counts files and records that something was wrong with.
	Failed int `json:"failed"`
	// Err says why the source was not synced, or not wholly.
	Err error `json:"-"`
}

// Sync makes the index match the sources: it does what [Ingester.AddPaths]
// does, and then deletes the documents of the sources whose file or record is
// gone. A document belongs to a source if its file was in it and its id is
// either source/relative-path or one that the file gave; others are never
// touched.
//
// Nothing is deleted that could still be there: not where a file or directory
// could not be read, not after a run that ended early, not if a source is
// missing, and not, unless AllowDeletes is set, if a source would lose all its
// files or more than half of its documents (and more than 20). The error joins
// what kept sources from being synced; the others are done all the same. It
// wraps [ErrSourceMissing], [ErrManyDeletes] or [ErrSourceName] where they
// apply, else see [Ingester.AddPaths].
func (g *Ingester) Sync(ctx context.Context, index SyncTarget, sources []Source, options SyncOptions) (SyncReport, error) {
	s := &syncer{ingester: g, options: options, outcomes: map[[16]byte]Outcome{}, files: newFileMemory(options.Known)}
	s.report.DryRun = options.DryRun
	if err := s.open(ctx, sources); err != nil {
		return s.report, err
	}
	err := s.files.count(ctx, index)
	if err == nil {
		err = s.add(ctx, index)
	}
	if err == nil {
		err = s.match(ctx, index)
	}
	if err == nil {
		s.report.Files = s.files.states()
	}
	faults := []error{err}
	for _, source := range s.sources {
		source.Added, source.Updated = source.count[Added], source.count[Updated]
		if err != nil && source.Err == nil {
			source.Err = err
		} else {
			faults = append(faults, source.Err)
		}
		s.report.Sources = append(s.report.Sources, source.SourceReport)
	}
	return s.report, errors.Join(faults...)
}

// A syncer is one run of Sync.
type syncer struct {
	ingester *Ingester
	options  SyncOptions
	sources  []*source
	outcomes map[[16]byte]Outcome // of the documents that were seen
	// broken holds the files and directories that could not be read.
	broken map[string]bool
	files  *fileMemory
	report SyncReport
}

type source struct {
	SourceReport
	former string
	tree   *treeWalk // nil: a directory
	files  int
	count  map[Outcome]int
	gone   []string
}

// open finds the sources and refuses those that cannot be told apart.
func (s *syncer) open(ctx context.Context, sources []Source) error {
	for _, given := range sources {
		path, err := filepath.Abs(given.Path)
		if given.Tree != nil {
			path, err = given.Tree.Address(), nil
		}
		if err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		next := &source{SourceReport: SourceReport{Name: SourceName(path), Path: path}, count: map[Outcome]int{}}
		if given.Tree != nil {
			next.tree = &treeWalk{tree: given.Tree, ignoreFile: s.ingester.options.Walk.IgnoreFile}
		}
		if given.Former != "" && given.Former != path {
			next.former = given.Former
		}
		if next.Name == string(filepath.Separator) {
			return fmt.Errorf("sync %s: %w: the root of the file system has no name", path, ErrSourceName)
		}
		for _, other := range s.sources {
			switch {
			case other.Name == next.Name:
				return fmt.Errorf("sync %s: %w: its documents would have the same ids as those of %s; rename one of them or use two indexes", path, ErrSourceName, other.Path)
			case Inside(path, other.Path), Inside(other.Path, path):
				return fmt.Errorf("sync %s: %w: it overlaps with %s", path, ErrSourceName, other.Path)
			}
		}
		if next.tree != nil {
			if err := given.Tree.Check(ctx); err != nil {
				next.Err = fmt.Errorf("sync %s: %w: %w; nothing of it was deleted", path, ErrSourceMissing, err)
			}
		} else if info, err := os.Stat(path); err != nil {
			next.Err = fmt.Errorf("sync %s: %w: %s; nothing of it was deleted", path, ErrSourceMissing, pathReason(err))
		} else if !info.IsDir() {
			next.Err = fmt.Errorf("sync %s: %w: it is not a directory; use index add for single files", path, ErrSourceMissing)
		}
		s.sources = append(s.sources, next)
	}
	return nil
}

// add brings in what is there and notes what was seen.
func (s *syncer) add(ctx context.Context, index SyncTarget) error {
	s.broken = map[string]bool{}
	events := s.options.Events
	events.Document = func(id string, outcome Outcome, passages int) {
		s.outcomes[idKey(id)] = outcome
		if s.options.Events.Document != nil {
			s.options.Events.Document(id, outcome, passages)
		}
	}
	events.Fault = func(f Fault) {
		s.note(f)
		s.files.fault(f)
		if s.options.Events.Fault != nil {
			s.options.Events.Fault(f)
		}
	}
	var target Target = index
	if s.options.DryRun {
		target = dryTarget{index}
	}
	r := newRecorder(events)
	counted, bytes := 0, int64(0)
	for found := range s.walk(ctx) {
		if err := ctx.Err(); err != nil {
			s.report.Report = r.finish()
			return fmt.Errorf("ingest: %w", err)
		}
		if found.Fault == nil {
			counted++
			bytes += found.File.Size
		}
	}
	r.total(counted, bytes)
	var err error
	s.report.Report, err = s.ingester.run(ctx, target, r, func(ctx context.Context, b *batcher) error {
		return s.ingester.readFiles(ctx, b, func(yield func(Found) bool) {
			for found := range s.walk(ctx) {
				if found.Fault == nil {
					if source := s.of(found.File.Path); source != nil {
						source.files++
					}
					if s.files.unchanged(found.File) {
						s.report.Unread++
						r.fileDone(false, found.File.Size)
						continue
					}
				}
				if !yield(found) {
					return
				}
			}
		})
	})
	return err
}

// note remembers what could not be read. Calls come one at a time.
func (s *syncer) note(f Fault) {
	if source := s.of(f.Path); source != nil && !f.Skipped {
		source.Failed++
	}
	switch {
	case errors.Is(f.Err, ErrDuplicate):
		// The document of that id was seen.
	case f.DocumentID != "":
		s.outcomes[idKey(f.DocumentID)] = Kept
	case f.Err != nil && !errors.Is(f.Err, ErrEmpty):
		s.broken[f.Path] = true
	}
}

// of returns the source that a path lies in.
func (s *syncer) of(path string) *source {
	for _, source := range s.sources {
		if Inside(path, source.Path) {
			return source
		}
	}
	return nil
}

// unreadable reports whether a file, or a directory that it is in, could not
// be read.
func (s *syncer) unreadable(path string) bool {
	for len(s.broken) > 0 {
		// A member of a file lies in "file!".
		if s.broken[path] || s.broken[strings.TrimSuffix(path, "!")] {
			return true
		}
		if path = parent(path); path == "" {
			break
		}
	}
	return false
}

// listPage is how many documents are looked at in one step.
const listPage = 1000

// match finds what is in the index but not in the sources, and deletes it.
func (s *syncer) match(ctx context.Context, index SyncTarget) error {
	for after := ""; ; {
		page, err := index.List(ctx, after, listPage)
		if err != nil {
			return fmt.Errorf("sync: list documents: %w", err)
		}
		for _, info := range page {
			after = info.ID
			s.look(info)
		}
		if len(page) < listPage {
			break
		}
	}
	for _, source := range s.sources {
		if err := s.remove(ctx, index, source); err != nil {
			return err
		}
	}
	return nil
}

// look decides what becomes of one stored document.
func (s *syncer) look(info retriever.DocumentInfo) {
	for _, source := range s.sources {
		path, ok := source.owns(info)
		if !ok {
			continue
		}
		source.Documents++
		outcome, seen := s.outcomes[idKey(info.ID)]
		switch {
		case source.Err != nil:
		case !seen && s.files.same[holder(path)]:
			source.count[Unchanged]++
			s.files.document(path)
			s.tell(info.ID, Unchanged, info.Passages)
		case seen && outcome != Kept:
			source.count[outcome]++
			s.files.document(path)
		case seen || s.unreadable(path):
			source.Kept++
			s.tell(info.ID, Kept, info.Passages)
		default:
			source.gone = append(source.gone, info.ID)
		}
		return
	}
}

// owns reports whether a document came from the source, and where its file is
// or would be now.
func (s *source) owns(info retriever.DocumentInfo) (path string, ok bool) {
	path = info.Source.URI
	if s.former != "" && Inside(path, s.former) {
		path = moved(path, s.former, s.Path)
	}
	if !Inside(path, s.Path) {
		return "", false
	}
	return path, strings.HasPrefix(info.ID, s.Name+"/") || !namesFile(info.ID, path)
}

// namesFile reports whether an id was made of the path of the document's file,
// by whatever source: then the id of another source is not ours.
func namesFile(id, path string) bool {
	path = filepath.ToSlash(path)
	for {
		_, rest, ok := strings.Cut(path, "/")
		if !ok {
			return false
		}
		if tail, ok := strings.CutPrefix(id, rest); ok && rest != "" && (tail == "" || tail[0] == '#' || tail[0] == '/') {
			return true
		}
		path = rest
	}
}

// remove deletes what is gone of a source, unless a guard forbids it.
func (s *syncer) remove(ctx context.Context, index SyncTarget, source *source) error {
	gone := len(source.gone)
	if source.Err != nil || gone == 0 {
		return nil
	}
	if before := source.Documents - source.count[Added]; !s.options.AllowDeletes {
		switch {
		case source.files == 0:
			source.Err = fmt.Errorf("sync %s: %w: no file is left, as if a disk were not mounted; its %d documents stay. If they are to go, pass --allow-deletes", source.Path, ErrManyDeletes, gone)
		case gone > guardDocuments && 2*gone > before:
			source.Err = fmt.Errorf("sync %s: %w: %d of %d, more than half; they stay. If they are to go, pass --allow-deletes", source.Path, ErrManyDeletes, gone, before)
		}
		if source.Err != nil {
			return nil
		}
	}
	for len(source.gone) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("sync: stopped while deleting; run it again to go on: %w", err)
		}
		batch := source.gone[:min(len(source.gone), s.ingester.options.BatchDocuments)]
		if !s.options.DryRun {
			if _, err := index.Delete(ctx, batch); err != nil {
				return fmt.Errorf("sync: delete %d documents: %w", len(batch), err)
			}
		}
		for _, id := range batch {
			source.Deleted++
			s.tell(id, Deleted, 0)
		}
		source.gone = source.gone[len(batch):]
	}
	return nil
}

func (s *syncer) tell(id string, outcome Outcome, passages int) {
	switch outcome {
	case Deleted:
		s.report.Deleted++
	case Unchanged:
		s.report.Unchanged++
	default:
		s.report.Kept++
	}
	if s.options.Events.Document != nil {
		s.options.Events.Document(id, outcome, passages)
	}
}

// dryTarget knows what is stored and stores nothing.
type dryTarget struct{ Target }

func (dryTarget) Upsert(context.Context, []retriever.Entry) error { return nil }

func (dryTarget) Delete(context.Context, []string) (int, error) {
	return 0, fmt.Errorf("sync: %w: a dry run deletes nothing", fs.ErrInvalid)
}
