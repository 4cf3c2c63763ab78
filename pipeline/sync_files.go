package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/needle-search/needle/ingest"
)

// syncedFiles is what the last syncs of an index remember of files, so that
// those that have not changed need not be read. It is a shortcut: without it,
// or after a change of program, splitting or settings, all are.
type syncedFiles struct {
	Fingerprint string                      `json:"fingerprint"`
	Files       map[string]ingest.FileState `json:"files"`
}

func syncedFilesPath(data, index string) string {
	return filepath.Join(data, "sources", index+".files.json")
}

// fingerprint identifies everything but the files that documents depend on.
func (c *Config) fingerprint(splitter *ingest.Splitter) string {
	h := sha256.New()
	fmt.Fprintln(h, splitter.Fingerprint(), c.Limits.MaxDocumentBytes, c.Limits.ArchiveBytes, c.Limits.ArchiveFiles, c.Limits.ArchiveDepth)
	for _, name := range slices.Sorted(maps.Keys(c.Ingest.Formats)) {
		settings, err := yaml.Marshal(c.Ingest.Formats[name])
		fmt.Fprintf(h, "%s %q %v\n", name, settings, err)
	}
	// Another program may read a format better. Its file tells, whoever built it.
	if path, err := os.Executable(); err == nil {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintln(h, info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// readSyncedFiles returns what is remembered; nothing, if it cannot be used.
func readSyncedFiles(data, index, fingerprint string) syncedFiles {
	var s syncedFiles
	text, err := os.ReadFile(syncedFilesPath(data, index))
	if err != nil || json.Unmarshal(text, &s) != nil || s.Fingerprint != fingerprint {
		s = syncedFiles{Fingerprint: fingerprint}
	}
	if s.Files == nil {
		s.Files = map[string]ingest.FileState{}
	}
	return s
}

// update takes what a sync of some sources found in place of what was known of
// them.
func (s syncedFiles) update(sources []ingest.SourceReport, found map[string]ingest.FileState) {
	maps.DeleteFunc(s.Files, func(path string, _ ingest.FileState) bool {
		return slices.ContainsFunc(sources, func(source ingest.SourceReport) bool { return within(path, source.Path) })
	})
	maps.Copy(s.Files, found)
}

// write replaces the file as a whole.
func (s syncedFiles) write(data, index string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	path := syncedFilesPath(data, index)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), index+".*.tmp")
	if err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("sources: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// removeSyncedFiles forgets the files of an index that was dropped.
func removeSyncedFiles(data, index string) error {
	if err := os.Remove(syncedFilesPath(data, index)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sources: %w", err)
	}
	return nil
}
