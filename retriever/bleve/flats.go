package bleve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"
)

const (
	// flatFolder holds the flat files, beside the store and not in it: the store
	// is scorch's, and a backup needs only the store.
	flatFolder = "flat"
	flatSuffix = ".flat"
	// flatRecords is how many records a segment needs to be worth a flat file.
	// Smaller ones are soon merged, and quickly scored without.
	flatRecords = 2048
	// flatRetry is how long a segment whose flat file could not be made is left
	// alone.
	flatRetry = time.Minute
)

// storedSegment is a segment that lies in a file.
type storedSegment interface {
	segment.Segment
	Path() string
	CRC() uint32
}

// flats holds the open flat files of an index and makes those that are missing,
// one at a time, in the background. It is safe for concurrent use.
type flats struct {
	dir      string
	snapshot func() (*scorch.IndexSnapshot, error)
	records  atomic.Uint64 // see flatRecords

	lock   sync.Mutex
	open   map[string]*flat // by file name
	failed map[string]time.Time

	wake chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
	// round keeps two rounds from making the same file.
	round sync.Mutex
}

// startFlats opens the flat files in dir in the background.
func startFlats(dir string, snapshot func() (*scorch.IndexSnapshot, error)) *flats {
	ctx, stop := context.WithCancel(context.Background())
	f := &flats{
		dir: dir, snapshot: snapshot, open: map[string]*flat{}, failed: map[string]time.Time{},
		wake: make(chan struct{}, 1), stop: stop,
	}
	f.records.Store(flatRecords)
	f.done.Go(func() {
		// Only what is there: a program that is about to write, or to ask one
		// question, need not make anything.
		_ = f.update(ctx, false)
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.wake:
				// What could not be made is scored without.
				_ = f.update(ctx, true)
			}
		}
	})
	return f
}

// close waits for the background and closes all files. No query may run.
func (f *flats) close() {
	f.stop()
	f.done.Wait()
	f.lock.Lock()
	defer f.lock.Unlock()
	for name, file := range f.open {
		file.release()
		delete(f.open, name)
	}
}

// want returns the name of a segment's flat file, or false if it should have
// none.
func (f *flats) want(s *scorch.SegmentSnapshot) (storedSegment, string, bool) {
	stored, ok := s.Segment().(storedSegment)
	if !ok || stored.Count() < f.records.Load() || stored.Count() >= noRecord {
		return nil, "", false
	}
	base := filepath.Base(stored.Path())
	return stored, strings.TrimSuffix(base, filepath.Ext(base)) + flatSuffix, true
}

// acquire returns the flat file of a segment, to be released after use, or nil.
// If it is missing it is made in the background.
func (f *flats) acquire(s *scorch.SegmentSnapshot) *flat {
	stored, name, ok := f.want(s)
	if !ok {
		return nil
	}
	f.lock.Lock()
	file, failed := f.open[name], f.failed[name]
	f.lock.Unlock()
	if file != nil && file.SegmentCRC == stored.CRC() && file.acquire() {
		return file
	}
	if time.Since(failed) > flatRetry {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// update opens the flat files of the current segments, makes those that are
// missing if it may, and removes all others.
func (f *flats) update(ctx context.Context, build bool) error {
	f.round.Lock()
	defer f.round.Unlock()
	snapshot, err := f.snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	wanted := map[string]bool{}
	var faults []error
	for _, s := range snapshot.Segments() {
		stored, name, ok := f.want(s)
		if !ok {
			continue
		}
		wanted[name] = true
		if err := guard(func() error { return f.provide(ctx, stored, name, build) }); err != nil {
			faults = append(faults, fmt.Errorf("flat file of segment %s: %w", stored.Path(), err))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	f.sweep(wanted)
	return errors.Join(faults...)
}

// provide opens a segment's flat file, made if it is missing.
func (f *flats) provide(ctx context.Context, s storedSegment, name string, build bool) error {
	crc, path := s.CRC(), filepath.Join(f.dir, name)
	f.lock.Lock()
	file := f.open[name]
	if file != nil && file.SegmentCRC != crc {
		delete(f.open, name)
		file.release()
		file = nil
	}
	f.lock.Unlock()
	if file != nil {
		return nil
	}
	file, err := openFlat(path, crc, s.Count())
	if err != nil && build {
		if err = os.MkdirAll(f.dir, 0o700); err == nil {
			err = buildFlat(ctx, path, s, crc)
		}
		if err == nil {
			file, err = openFlat(path, crc, s.Count())
		}
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	switch {
	case err == nil:
		f.open[name] = file
		delete(f.failed, name)
	case !build && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, errStale)):
		return nil
	case ctx.Err() == nil:
		f.failed[name] = time.Now()
	}
	return err
}

// sweep closes and removes all files but those wanted. What cannot be removed
// now is tried again in the next round.
func (f *flats) sweep(wanted map[string]bool) {
	f.lock.Lock()
	for name, file := range f.open {
		if !wanted[name] {
			delete(f.open, name)
			file.release()
		}
	}
	for name := range f.failed {
		if !wanted[name] {
			delete(f.failed, name)
		}
	}
	f.lock.Unlock()
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !wanted[entry.Name()] {
			_ = os.Remove(filepath.Join(f.dir, entry.Name()))
		}
	}
}

// Warm makes the index as fast as it can be: it waits until all that is derived
// from the stored postings to search them faster is there. Queries cause the
// same to be made in the background, so that a server need not call it. Results
// do not depend on it.
func (x *Index) Warm(ctx context.Context) error {
	end, err := x.begin(ctx)
	if err == nil {
		defer end()
		err = x.flats.update(ctx, true)
	}
	if err != nil {
		return x.fail("warm", err)
	}
	return nil
}
