package ortlib

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	recordName = "library.json"
	fetchStem  = "fetch-"
	lockName   = "lock"
)

// A record says what the cached library is. Its rename into place is what
// installs a library.
type record struct {
	File    string `json:"file"`
	SHA256  string `json:"sha256"`
	Bytes   int64  `json:"bytes"`
	Version string `json:"version"`
	// Source says where it came from.
	Source string `json:"source"`
	// Changed is the file's time of change, in nanoseconds of Unix time. With
	// Bytes it stands for the content while nobody touched the file.
	Changed int64 `json:"changed"`
}

// locateCached returns the library in the cache; the error wraps
// fs.ErrNotExist where there is none. A thorough look reads it in full.
func (s *setup) locateCached(thorough bool) (Library, error) {
	rec, err := s.readRecord()
	if err != nil {
		return Library{}, err
	}
	path := filepath.Join(s.dir, rec.File)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		// Another process may have put a new library in place since the record
		// was read.
		again, againErr := s.readRecord()
		if againErr != nil || again == rec {
			return Library{}, fmt.Errorf("the cached library %s is gone; \"needle setup\" fetches it again", rec.File)
		}
		rec, path = again, filepath.Join(s.dir, again.File)
		info, err = os.Stat(path)
	}
	if err != nil {
		return Library{}, fmt.Errorf("the cached library cannot be read: %w", err)
	}
	if info.Size() != rec.Bytes {
		return Library{}, fmt.Errorf("the cached library %s is damaged: it has %d bytes, want %d; \"needle setup\" replaces it",
			rec.File, info.Size(), rec.Bytes)
	}
	if thorough || info.ModTime().UnixNano() != rec.Changed {
		sum, err := fileDigest(path)
		if err != nil {
			return Library{}, fmt.Errorf("the cached library cannot be read: %w", err)
		}
		if sum != rec.SHA256 {
			return Library{}, fmt.Errorf("the cached library %s is damaged: its SHA-256 is %s, want %s; \"needle setup\" replaces it",
				rec.File, sum, rec.SHA256)
		}
	}
	return Library{Path: path, Version: rec.Version, Origin: FromCache, Source: rec.Source}, nil
}

func (s *setup) readRecord() (record, error) {
	data, err := os.ReadFile(filepath.Join(s.dir, recordName))
	if err != nil {
		return record{}, err
	}
	return parseRecord(data)
}

func parseRecord(data []byte) (record, error) {
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return record{}, fmt.Errorf("the cache's %s is damaged: %w; \"needle setup\" replaces it", recordName, err)
	}
	if rec.File == "" || rec.File != filepath.Base(rec.File) || !filepath.IsLocal(rec.File) || !hexDigest.MatchString(rec.SHA256) {
		return record{}, fmt.Errorf("the cache's %s is damaged: it names no library; \"needle setup\" replaces it", recordName)
	}
	return rec, nil
}

// install moves a checked library from the same file system into the cache.
func (s *setup) install(from found, source string) (Library, error) {
	fail := func(err error) (Library, error) {
		return Library{}, fmt.Errorf("put the library into the cache %s: %w", s.dir, err)
	}
	if err := os.Chmod(from.path, 0o755); err != nil {
		return fail(err)
	}
	if err := syncFile(from.path); err != nil {
		return fail(err)
	}
	info, err := os.Stat(from.path)
	if err != nil {
		return fail(err)
	}
	rec := record{
		File: s.platform.cachedName(from.digest), SHA256: from.digest, Bytes: info.Size(),
		Version: from.id.version, Source: source, Changed: info.ModTime().UnixNano(),
	}
	path := filepath.Join(s.dir, rec.File)
	if err := os.Rename(from.path, path); err != nil {
		return fail(err)
	}
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fail(err)
	}
	next := filepath.Join(filepath.Dir(from.path), recordName)
	if err := os.WriteFile(next, append(data, '\n'), 0o644); err != nil {
		return fail(err)
	}
	if err := syncFile(next); err != nil {
		return fail(err)
	}
	if err := os.Rename(next, filepath.Join(s.dir, recordName)); err != nil {
		return fail(err)
	}
	if err := syncDir(s.dir); err != nil {
		return fail(err)
	}
	s.removeOthers(rec.File)
	return Library{Path: path, Version: rec.Version, Origin: FromCache, Source: source}, nil
}

// removeOthers clears away libraries that the record no longer names. One that
// is loaded cannot be removed on Windows; the next set-up tries again.
func (s *setup) removeOthers(keep string) {
	ext := filepath.Ext(s.platform.LibraryName())
	stem := strings.TrimSuffix(s.platform.LibraryName(), ext) + "-"
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Name() != keep && strings.HasPrefix(e.Name(), stem) && strings.HasSuffix(e.Name(), ext) {
			_ = os.Remove(filepath.Join(s.dir, e.Name()))
		}
	}
}

// lockCache waits until this process is the only one that changes the cache.
func (s *setup) lockCache(wait func() error) (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w; set %s to a folder that can be written", err, EnvCache)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache folder: %w; set %s to a folder that can be written", err, EnvCache)
	}
	for {
		ok, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock the cache folder %s: %w", s.dir, err)
		}
		if ok {
			return func() { f.Close() }, nil // closing releases the lock
		}
		if err := wait(); err != nil {
			f.Close()
			return nil, err
		}
	}
}

// workDir makes a folder for one attempt, after removing those that killed
// processes left. It is called under the lock.
func (s *setup) workDir() (string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), fetchStem) {
			_ = os.RemoveAll(filepath.Join(s.dir, e.Name()))
		}
	}
	return os.MkdirTemp(s.dir, fetchStem)
}

// fileDigest returns the SHA-256 of a file in hexadecimal.
func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockPoll is how often a waiting process looks whether the lock is free.
const lockPoll = 100 * time.Millisecond
