// Package bolt keeps the records of a store in one file of the data directory:
//
//	driver, err := bolt.Open(ctx, filepath.Join(data, "store.db"))
//
// A write returns after the file was synced. One process at a time has the
// file open; others get [store.ErrLocked] after they have waited for a moment.
// A file of a later version is refused with [store.ErrVersion] and left alone.
// A [File] is safe for concurrent use.
package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/needle-search/needle/store"
)

// lockWait is how long opening waits for another process, which is longer than
// a command needs that changes one record.
const lockWait = 3 * time.Second

// A File is a driver on one file.
type File struct {
	db   *bbolt.DB
	file *os.File // that of db
	// idle is held shared by every transaction and exclusively by Scrub.
	idle sync.RWMutex
}

var _ store.Driver = (*File)(nil)

// Open opens the file, or makes it, readable by its owner only. Errors wrap
// [store.ErrLocked], [store.ErrVersion] or [store.ErrCorrupt].
func Open(ctx context.Context, path string) (*File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	f := &File{}
	var err error
	f.db, err = open(path, &f.file)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", store.ErrLocked, path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %s: %w", store.ErrCorrupt, path, err)
	case err != nil:
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := checkFormat(f.db, path); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	return f, nil
}

func open(path string, file **os.File) (db *bbolt.DB, err error) {
	// A damaged file makes bbolt panic now and then.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", store.ErrCorrupt, v)
		}
	}()
	// Without the freelist on disk a commit writes less; it is found again when
	// the file is opened, which is quick for a file of this size.
	return bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, OpenFile: opener(file)})
}

// A stored value is the version (8 bytes), when it expires (8 bytes, Unix
// milliseconds, 0 never), and the data.
const headBytes = 16

func encode(version uint64, r store.Record) []byte {
	value := make([]byte, headBytes, headBytes+len(r.Data))
	binary.BigEndian.PutUint64(value, version)
	if !r.Expires.IsZero() {
		binary.BigEndian.PutUint64(value[8:], uint64(r.Expires.UnixMilli()))
	}
	return append(value, r.Data...)
}

// decodeRecord copies what it returns: a value of bbolt is good until its
// transaction ends.
func decodeRecord(id, value []byte) (store.Record, error) {
	if len(value) < headBytes {
		return store.Record{}, fmt.Errorf("%w: record %q has %d bytes", store.ErrCorrupt, id, len(value))
	}
	r := store.Record{
		ID: string(id), Data: bytes.Clone(value[headBytes:]),
		Version: strconv.FormatUint(binary.BigEndian.Uint64(value), 10),
	}
	if ms := int64(binary.BigEndian.Uint64(value[8:])); ms != 0 {
		r.Expires = time.UnixMilli(ms)
	}
	return r, nil
}

func expired(r store.Record, now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

func (f *File) view(ctx context.Context, kind string, do func(*bbolt.Bucket) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.idle.RLock()
	defer f.idle.RUnlock()
	return fault(f.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte(kind)); b != nil {
			return do(b)
		}
		return nil
	}))
}

func (f *File) update(ctx context.Context, kind string, do func(*bbolt.Bucket) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.idle.RLock()
	defer f.idle.RUnlock()
	return fault(f.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(kind))
		if err != nil {
			return err
		}
		return do(b)
	}))
}

func fault(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) || errors.Is(err, bolterrors.ErrTxClosed) {
		return store.ErrClosed
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	}
	return err
}

func validID(id string) error {
	if id == "" || len(id) > store.MaxRecordID || !utf8.ValidString(id) || bytes.IndexByte([]byte(id), 0) >= 0 {
		return fmt.Errorf("%w: the id has %d bytes, or is not UTF-8 without NUL; allowed are 1 to %d", store.ErrInvalidRecord, len(id), store.MaxRecordID)
	}
	return nil
}

// Get implements [store.Driver].
func (f *File) Get(ctx context.Context, kind, id string) (r store.Record, err error) {
	if err := validID(id); err != nil {
		return r, fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	err = f.view(ctx, kind, func(b *bbolt.Bucket) (err error) {
		if value := b.Get([]byte(id)); value != nil {
			r, err = decodeRecord([]byte(id), value)
		}
		return err
	})
	if err == nil && (r.ID == "" || expired(r, time.Now())) {
		return store.Record{}, fmt.Errorf("%w: %s %q", store.ErrNotFound, kind, id)
	}
	return r, err
}

// Put implements [store.Driver].
func (f *File) Put(ctx context.Context, kind string, r store.Record, condition store.Condition) (version string, err error) {
	if err := validID(r.ID); err != nil {
		return "", err
	}
	err = f.update(ctx, kind, func(b *bbolt.Bucket) error {
		var known store.Record
		if value := b.Get([]byte(r.ID)); value != nil {
			var err error
			if known, err = decodeRecord([]byte(r.ID), value); err != nil {
				return err
			}
		}
		there := known.ID != "" && !expired(known, time.Now())
		if condition.Absent && there || condition.Version != "" && (!there || known.Version != condition.Version) {
			return fmt.Errorf("%w: %s %q", store.ErrConflict, kind, r.ID)
		}
		// The sequence grows for the whole kind, so no version comes twice.
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		version = strconv.FormatUint(n, 10)
		return b.Put([]byte(r.ID), encode(n, r))
	})
	if err != nil {
		return "", err
	}
	return version, nil
}

// Delete implements [store.Driver].
func (f *File) Delete(ctx context.Context, kind, id string) (there bool, err error) {
	if validID(id) != nil {
		return false, nil
	}
	err = f.update(ctx, kind, func(b *bbolt.Bucket) error {
		value := b.Get([]byte(id))
		if value == nil {
			return nil
		}
		r, err := decodeRecord([]byte(id), value)
		there = err == nil && !expired(r, time.Now())
		return b.Delete([]byte(id))
	})
	return there && err == nil, err
}

// List implements [store.Driver].
func (f *File) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	var list []store.Record
	now := time.Now()
	err := f.view(ctx, kind, func(b *bbolt.Bucket) error {
		cursor := b.Cursor()
		for id, value := cursor.Seek([]byte(max(prefix, after))); id != nil && len(list) < limit && bytes.HasPrefix(id, []byte(prefix)); id, value = cursor.Next() {
			if string(id) <= after {
				continue
			}
			r, err := decodeRecord(id, value)
			if err != nil {
				return err
			}
			if !expired(r, now) {
				list = append(list, r)
			}
		}
		return nil
	})
	return list, err
}

// sweepBatch bounds how long a sweep keeps others from writing.
const sweepBatch = 1000

// Sweep implements [store.Driver].
func (f *File) Sweep(ctx context.Context, kind string, now time.Time) (int, error) {
	total := 0
	for after := []byte(nil); ; {
		var old [][]byte
		var seen int
		err := f.view(ctx, kind, func(b *bbolt.Bucket) error {
			cursor := b.Cursor()
			for id, value := cursor.Seek(after); id != nil && seen < sweepBatch; id, value = cursor.Next() {
				if bytes.Equal(id, after) {
					continue
				}
				seen++
				after = bytes.Clone(id)
				if r, err := decodeRecord(id, value); err == nil && expired(r, now) {
					old = append(old, after)
				}
			}
			return nil
		})
		if err == nil && len(old) > 0 {
			err = f.update(ctx, kind, func(b *bbolt.Bucket) error {
				for _, id := range old {
					// It may have been written again since.
					if r, err := decodeRecord(id, b.Get(id)); err != nil || !expired(r, now) {
						continue
					}
					if err := b.Delete(id); err != nil {
						return err
					}
					total++
				}
				return nil
			})
		}
		if err != nil || seen < sweepBatch {
			return total, err
		}
	}
}

// Close implements [store.Driver].
func (f *File) Close() error { return f.db.Close() }
