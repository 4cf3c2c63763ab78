package bleve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/needle-search/needle/retriever"
)

// formatVersion is the version of the layout on disk that this package writes.
// It grows with every change that an older program could not read.
const formatVersion = 1

// The names inside an index directory.
const (
	settingsFile = "needle.json"
	storeFolder  = "store"
)

// settings is what an index was built with and cannot change. It lies in a file
// of its own because it must be read before scorch may touch anything: scorch
// repairs and cleans when it opens, which could harm a newer format.
type settings struct {
	Format   int    `json:"format"`
	Analyzer string `json:"analyzer"`
}

func writeSettings(dir string, s settings) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(dir, settingsFile), append(data, '\n'))
}

// readSettings reads the settings of the index at path. Its errors wrap
// ErrIndexNotFound, ErrCorrupt or ErrVersion.
func readSettings(path string) (settings, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return settings{}, fmt.Errorf("%w: %s does not exist", retriever.ErrIndexNotFound, path)
	case err != nil:
		return settings{}, err
	case !info.IsDir():
		return settings{}, fmt.Errorf("%w: %s is a file, not an index directory", retriever.ErrCorrupt, path)
	}
	data, err := os.ReadFile(filepath.Join(path, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, fmt.Errorf("%w: %s is not an index: it has no %s", retriever.ErrCorrupt, path, settingsFile)
	}
	if err != nil {
		return settings{}, err
	}
	var s settings
	err = json.Unmarshal(data, &s)
	if s.Format > formatVersion {
		return settings{}, fmt.Errorf("%w: %s has format %d, this program reads up to %d; update Needle", retriever.ErrVersion, path, s.Format, formatVersion)
	}
	if err != nil || s.Format < 1 || s.Analyzer == "" {
		return settings{}, fmt.Errorf("%w: %s is not readable", retriever.ErrCorrupt, filepath.Join(path, settingsFile))
	}
	return s, nil
}

// writeSynced writes a new file that survives a power failure once its
// directory is synced too.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
