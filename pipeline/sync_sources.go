package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

// A SourceState says how fresh a source of an index is. Times that never were
// are zero.
type SourceState struct {
	// Name is the first part of the ids, Path the directory.
	Name string `json:"source"`
	Path string `json:"path"`
	// LastStart and LastEnd are those of the last sync; one that was killed has
	// no end after its start.
	LastStart time.Time `json:"last_start,omitzero"`
	LastEnd   time.Time `json:"last_end,omitzero"`
	// LastSuccess is the start of the last sync that took in everything, so
	// the index is at least as new as this.
	LastSuccess time.Time `json:"last_success,omitzero"`
	// LastChange is when a sync last added, updated or deleted a document.
	LastChange time.Time `json:"last_change,omitzero"`
	// LastFailure is when a sync last failed, and Failure why; see
	// [SourceState.Failing].
	LastFailure time.Time `json:"last_failure,omitzero"`
	Failure     string    `json:"failure,omitempty"`
	// The counts are those of the last sync.
	Documents int `json:"documents"`
	Added     int `json:"added"`
	Updated   int `json:"updated"`
	Deleted   int `json:"deleted"`
	Kept      int `json:"kept"`
	Failed    int `json:"failed"`
}

// Lag is how far the index may be behind the source; false if no sync has ever
// succeeded.
func (s SourceState) Lag(now time.Time) (time.Duration, bool) {
	if s.LastSuccess.IsZero() {
		return 0, false
	}
	return max(0, now.Sub(s.LastSuccess)), true
}

// Failing reports whether the last sync failed.
func (s SourceState) Failing() bool {
	return !s.LastFailure.IsZero() && !s.LastFailure.Before(s.LastSuccess)
}

// Sources are the sources of one index in the order in which they came.
type Sources []SourceState

// sourcesFormat is the version of the file.
const sourcesFormat = 1

type sourcesFile struct {
	Format  int     `json:"format"`
	Sources Sources `json:"sources"`
}

func sourcesPath(data, index string) string { return filepath.Join(data, "sources", index+".json") }

// ReadSources reads what syncs have recorded of an index's sources; none if it
// was never synced.
func ReadSources(data, index string) (Sources, error) {
	if err := retriever.ValidIndexName(index); err != nil {
		return nil, err
	}
	path := sourcesPath(data, index)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sources: %w", err)
	}
	var file sourcesFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("sources: %s cannot be read (%w); remove it to start a new record", path, err)
	}
	if file.Format != sourcesFormat {
		return nil, fmt.Errorf("sources: %s: %w: %d, want %d", path, retriever.ErrVersion, file.Format, sourcesFormat)
	}
	return file.Sources, nil
}

// write replaces the record as a whole, or not at all.
func (s Sources) write(data, index string) (err error) {
	path := sourcesPath(data, index)
	defer func() {
		if err != nil {
			err = fmt.Errorf("sources: %w", err)
		}
	}()
	text, err := json.MarshalIndent(sourcesFile{Format: sourcesFormat, Sources: s}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), index+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDirectory(filepath.Dir(path))
}

// removeSources forgets the sources of an index that was dropped.
func removeSources(data, index string) error {
	if err := os.Remove(sourcesPath(data, index)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sources: %w", err)
	}
	return removeSyncedFiles(data, index)
}

// syncDirectory makes a rename last. Systems that cannot sync a directory do
// so by themselves.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = dir.Sync()
	return dir.Close()
}

// start notes that a sync of a directory begins.
func (s *Sources) start(path string, at time.Time) {
	for i := range *s {
		// A directory that has moved keeps its record by its name; its path
		// changes only once the sync is through.
		if state := &(*s)[i]; state.Path == path || state.Name == filepath.Base(path) {
			state.LastStart = at.UTC()
			return
		}
	}
	*s = append(*s, SourceState{Name: filepath.Base(path), Path: path, LastStart: at.UTC()})
}

// end notes what became of it.
func (s *Sources) end(r ingest.SourceReport, at time.Time) {
	for i := range *s {
		state := &(*s)[i]
		if state.Name != r.Name {
			continue
		}
		state.LastEnd = at.UTC()
		state.Documents = r.Documents - r.Deleted
		state.Added, state.Updated, state.Deleted, state.Kept, state.Failed = r.Added, r.Updated, r.Deleted, r.Kept, r.Failed
		if r.Added+r.Updated+r.Deleted > 0 {
			state.LastChange = at.UTC()
		}
		if r.Err == nil && r.Kept == 0 {
			// What was kept still has its former path.
			state.Path = r.Path
		}
		switch {
		case errors.Is(r.Err, ingest.ErrSourceMissing) && state.LastSuccess.IsZero() && state.Documents == 0:
			// A mistyped name is not a source.
			*s = slices.Delete(*s, i, i+1)
		case r.Err != nil:
			state.LastFailure, state.Failure = at.UTC(), r.Err.Error()
		case r.Failed > 0:
			state.LastFailure, state.Failure = at.UTC(), fmt.Sprintf("%d files or records were not taken", r.Failed)
		default:
			state.LastSuccess = state.LastStart
		}
		return
	}
}
