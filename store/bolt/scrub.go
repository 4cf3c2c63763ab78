package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"github.com/needle-search/needle/store"
)

var _ store.Scrubber = (*File)(nil)

// Scrub implements [store.Scrubber]. bbolt never writes over what it deletes: the
// old bytes stay in pages that are free until something else happens to need
// them. Scrub fills those with zeros, on disk before it returns.
//
// No transaction runs meanwhile. What is free then is in use neither by the
// newest state of the file nor by any reader; the state before it, which bbolt
// falls back to when the newest one is damaged, cannot be needed any more,
// because the newest was synced when its transaction ended.
func (f *File) Scrub(ctx context.Context) error {
	f.idle.Lock()
	defer f.idle.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	// Beginning to write gives up the pages that readers had kept. Nothing is
	// written by the transaction.
	tx, err := f.db.Begin(true)
	if err != nil {
		return fault(err)
	}
	err = f.zeroFree(tx)
	if err := errors.Join(err, tx.Rollback()); err != nil {
		return fmt.Errorf("store: scrub: %w", err)
	}
	return nil
}

func (f *File) zeroFree(tx *bbolt.Tx) error {
	size := f.db.Info().PageSize
	page, zero := make([]byte, size), make([]byte, size)
	changed := false
	for id := 0; ; id++ {
		info, err := tx.Page(id)
		if err != nil {
			return err
		}
		if info == nil { // past the last page
			break
		}
		if info.Type != "free" {
			continue
		}
		at := int64(id) * int64(size)
		if _, err := f.file.ReadAt(page, at); err != nil {
			return err
		}
		if bytes.Equal(page, zero) {
			continue
		}
		if _, err := f.file.WriteAt(zero, at); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return f.file.Sync()
}

// The record that says how the file is laid out. Files of versions that did not
// write it are of format 1.
const (
	metaBucket = "needle"
	formatKey  = "format"
	// format grows with every change that an older program could not read.
	format = "1"
)

// checkFormat refuses a file of a later version before anything is written to it,
// and marks one that says nothing.
func checkFormat(db *bbolt.DB, path string) error {
	marked := ""
	err := db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte(metaBucket)); b != nil {
			marked = string(b.Get([]byte(formatKey)))
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case marked == format:
		return nil
	case marked != "":
		return fmt.Errorf("%w: %s has format %q, this program reads %s; update Needle", store.ErrVersion, path, marked, format)
	}
	return db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
		if err != nil {
			return err
		}
		return b.Put([]byte(formatKey), []byte(format))
	})
}

// opener is os.OpenFile that remembers the file.
func opener(opened **os.File) func(string, int, os.FileMode) (*os.File, error) {
	return func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		*opened = f
		return f, err
	}
}
