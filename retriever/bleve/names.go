package bleve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/needle-search/needle/retriever"
)

// namesFile says which directory an index lies in where that is not the one of
// its own name. It is made by the first swap. An index never moves, so that a
// swap disturbs nobody who has it open; and one transaction of a database
// changes several names at once, whatever happens meanwhile.
const namesFile = "names.db"

var namesBucket = []byte("directories")

// directories maps the names of indexes to the directories that they lie in.
type directories map[string]string

// of returns the directory of an index, and whether there is one.
func (d directories) of(name string) (string, bool) {
	if dir, ok := d[name]; ok {
		return dir, true
	}
	return name, !d.taken(name)
}

// taken reports whether a directory belongs to an index of another name.
func (d directories) taken(dir string) bool {
	for _, other := range d {
		if other == dir {
			return true
		}
	}
	return false
}

// put makes a directory that of a name.
func (d directories) put(name, dir string) {
	if name == dir {
		delete(d, name)
		return
	}
	d[name] = dir
}

// directories reads the names.
func (b *Backend) directories() (directories, error) {
	path := filepath.Join(b.dir, namesFile)
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return directories{}, nil
		}
		return nil, err
	}
	return b.withNames(path, true, nil)
}

// changeDirectories changes the names in one synced transaction.
func (b *Backend) changeDirectories(change func(directories) error) error {
	path := filepath.Join(b.dir, namesFile)
	err := b.createNames(path)
	if err == nil {
		_, err = b.withNames(path, false, change)
	}
	if err != nil {
		return storageError(err)
	}
	return syncDir(b.dir)
}

// createNames makes the file if it is missing. It gets its name only when it is
// whole: the database would take an empty file for a new one, and an empty file
// must be damage, because to take it for no names would exchange indexes.
func (b *Backend) createNames(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(b.dir, prefixCreating)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // or it is swept later
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{Timeout: b.config.LockTimeout})
	if err != nil {
		return err
	}
	if err := errors.Join(db.Sync(), db.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace what another process has made
	// meanwhile. Not every file system has links.
	if err := os.Link(f.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return os.Rename(f.Name(), path)
}

func (b *Backend) withNames(path string, readOnly bool, change func(directories) error) (d directories, err error) {
	// The handle is kept to be closed whatever happens: a damaged file makes
	// bbolt panic half way through Open, and the lock would stay.
	var file *os.File
	defer func() {
		if file != nil {
			_ = file.Close()
		}
	}()
	err = guard(func() (err error) {
		if info, err := os.Stat(path); err == nil && info.Size() == 0 {
			return errors.New("it is empty")
		}
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{
			ReadOnly: readOnly, Timeout: b.config.LockTimeout, PreLoadFreelist: true,
			OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
				file, err = os.OpenFile(name, flag, mode)
				return file, err
			},
		})
		if errors.Is(err, bolterrors.ErrTimeout) {
			return retriever.ErrLocked
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if change == nil {
			return db.View(func(tx *bbolt.Tx) error {
				d = readNames(tx)
				return nil
			})
		}
		return db.Update(func(tx *bbolt.Tx) error {
			d = readNames(tx)
			if err := change(d); err != nil {
				return err
			}
			if tx.Bucket(namesBucket) != nil {
				if err := tx.DeleteBucket(namesBucket); err != nil {
					return err
				}
			}
			bucket, err := tx.CreateBucket(namesBucket)
			if err != nil {
				return err
			}
			for name, dir := range d {
				if err := bucket.Put([]byte(name), []byte(dir)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return d, namesError(path, err)
}

// namesError says of an error that is not one of the system what it must be: the
// file is damaged.
func namesError(path string, err error) error {
	var number syscall.Errno
	switch {
	case err == nil, errors.Is(err, retriever.ErrLocked), errors.As(err, &number):
		return err
	case errors.Is(err, retriever.ErrCorrupt):
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%w: %s: %w", retriever.ErrCorrupt, path, err)
}

func readNames(tx *bbolt.Tx) directories {
	d := directories{}
	bucket := tx.Bucket(namesBucket)
	if bucket == nil {
		return d
	}
	_ = bucket.ForEach(func(name, dir []byte) error {
		// Cleaned, so that a file that was tampered with leads nowhere else.
		d[string(name)] = filepath.Base(string(dir))
		return nil
	})
	return d
}

// freeDirectory returns a directory for a new index: that of its name, or the
// name with a number if another index lies there.
func (b *Backend) freeDirectory(d directories, name string) (string, error) {
	for n := 0; ; n++ {
		dir := name
		if n > 0 {
			dir = name + "." + strconv.Itoa(n)
		}
		if d.taken(dir) {
			continue
		}
		_, err := os.Lstat(filepath.Join(b.dir, dir))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return dir, nil
		case err != nil:
			return "", err
		case n == 0:
			return "", fmt.Errorf("%w: %s", retriever.ErrIndexExists, filepath.Join(b.dir, dir))
		}
	}
}

// Swap implements [retriever.Swapper]. Both indexes may be open in this process
// but not in another one.
func (b *Backend) Swap(ctx context.Context, name, with string) error {
	err := ctx.Err()
	if err == nil {
		err = b.swap(name, with)
	}
	if err != nil {
		return fmt.Errorf("bleve: swap index %q with %q: %w", name, with, err)
	}
	return nil
}

func (b *Backend) swap(name, with string) error {
	for _, n := range [...]string{name, with} {
		if err := retriever.ValidStoredName(n); err != nil {
			return err
		}
	}
	if name == with {
		return fmt.Errorf("%w: both are the same", retriever.ErrInvalidIndexName)
	}
	// No index is opened or made while names change.
	b.naming.Lock()
	defer b.naming.Unlock()
	b.lock.Lock()
	closed := b.closed
	b.lock.Unlock()
	if closed {
		return retriever.ErrClosed
	}
	current, err := b.directories()
	if err != nil {
		return err
	}
	var held []func() error
	defer func() {
		for _, release := range held {
			_ = release() // only read from
		}
	}()
	there := map[string]bool{}
	for _, n := range [...]string{name, with} {
		dir, ok := current.of(n)
		if ok {
			_, err := readSettings(filepath.Join(b.dir, dir))
			if ok = !errors.Is(err, retriever.ErrIndexNotFound); ok && err != nil {
				return err
			}
		}
		if there[n] = ok; !ok {
			continue
		}
		release, err := b.hold(dir)
		if err != nil {
			return err
		}
		held = append(held, release)
	}
	if !there[with] {
		return fmt.Errorf("%w: %q", retriever.ErrIndexNotFound, with)
	}
	err = b.changeDirectories(func(d directories) error {
		from, _ := d.of(name)
		to, _ := d.of(with)
		d.put(name, to)
		delete(d, with)
		if there[name] {
			d.put(with, from)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.renameOpen()
	return nil
}

// hold keeps other processes from opening the index in a directory, unless this
// process has it open and does so already.
func (b *Backend) hold(dir string) (release func() error, err error) {
	b.lock.Lock()
	_, open := b.open[dir]
	b.lock.Unlock()
	if open {
		return func() error { return nil }, nil
	}
	err = guard(func() error {
		db, err := bbolt.Open(filepath.Join(b.dir, dir, storeFolder, "root.bolt"), 0o600, &bbolt.Options{Timeout: b.config.LockTimeout})
		if err != nil {
			return err
		}
		release = db.Close
		return nil
	})
	if err != nil {
		return nil, storageError(err)
	}
	return release, nil
}

// renameOpen tells the open indexes what they are called now.
func (b *Backend) renameOpen() {
	d, err := b.directories()
	if err != nil {
		return // only messages would be wrong
	}
	names := make(map[string]string, len(d))
	for name, dir := range d {
		names[dir] = name
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	for dir, x := range b.open {
		if x == nil {
			continue
		}
		name, ok := names[dir]
		if !ok {
			name = dir
		}
		x.name.Store(&name)
	}
}
