package bleve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/blevesearch/bleve/v2/util"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/needle-search/needle/retriever"
)

// checkedBytes is how much of a store is read in full to compare checksums when
// it is opened: enough to catch damage to a small index at once, little enough
// not to be felt. Verify reads everything.
const checkedBytes = 64 << 20

// segmentFile is a segment as the newest snapshot lists it.
type segmentFile struct {
	path    string
	version uint32
}

// checkStore reports whether the files of the newest snapshot are there and
// whole. Scorch itself falls back to an older snapshot without a word, which
// would lose acknowledged documents.
func checkStore(store string, lockTimeout time.Duration, maxBytes int64) error {
	var files []segmentFile
	err := guard(func() (err error) {
		files, err = segmentFiles(store, lockTimeout)
		return err
	})
	if err != nil {
		return err
	}
	for _, file := range files {
		n, err := checkSegment(file, maxBytes)
		if err != nil {
			return err
		}
		maxBytes -= n
	}
	return nil
}

// segmentFiles reads from scorch's root file which segments make the newest
// snapshot.
func segmentFiles(store string, lockTimeout time.Duration) ([]segmentFile, error) {
	root := filepath.Join(store, "root.bolt")
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("%w: %w", retriever.ErrCorrupt, err)
	}
	// The handle is kept to be closed whatever happens: a damaged file makes
	// bbolt panic half way through Open, and the lock would stay.
	var file *os.File
	defer func() {
		if file != nil {
			_ = file.Close()
		}
	}()
	db, err := bbolt.Open(root, 0o600, &bbolt.Options{
		ReadOnly: true, Timeout: lockTimeout, PreLoadFreelist: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, retriever.ErrLocked
	case errors.Is(err, os.ErrPermission):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", retriever.ErrCorrupt, root, err)
	}
	defer db.Close()
	var files []segmentFile
	err = db.View(func(tx *bbolt.Tx) error {
		w := walker{left: tx.Size()}
		if err := tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return w.walk(b, 0) }); err != nil {
			return err
		}
		snapshots := tx.Bucket(util.BoltSnapshotsBucket)
		if snapshots == nil {
			return errors.New("no snapshot")
		}
		newest, _ := snapshots.Cursor().Last()
		snapshot := snapshots.Bucket(newest)
		if newest == nil || snapshot == nil {
			return errors.New("no snapshot")
		}
		meta := snapshot.Bucket(util.BoltMetaDataKey)
		if meta == nil || len(meta.Get(util.BoltMetaDataSegmentVersionKey)) < 4 {
			return errors.New("the snapshot has no segment version")
		}
		version := binary.BigEndian.Uint32(meta.Get(util.BoltMetaDataSegmentVersionKey))
		return snapshot.ForEachBucket(func(key []byte) error {
			if key[0] == util.BoltInternalKey[0] || key[0] == util.BoltMetaDataKey[0] {
				return nil
			}
			name := snapshot.Bucket(key).Get(util.BoltPathKey)
			if name == nil {
				return fmt.Errorf("segment %x has no file", key)
			}
			files = append(files, segmentFile{filepath.Join(store, filepath.Base(string(name))), version})
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", retriever.ErrCorrupt, root, err)
	}
	return files, nil
}

// walker visits everything in scorch's root file. Scorch reads the file in the
// background, where a page that points nowhere would end the whole process; here
// it ends in an error.
type walker struct {
	// left is how many more bytes there can be; pages that point in a circle
	// use it up.
	left int64
	sum  byte
}

// maxBuckets is deeper than scorch nests buckets.
const maxBuckets = 8

func (w *walker) walk(b *bbolt.Bucket, depth int) error {
	if depth > maxBuckets {
		return errors.New("its buckets are nested too deep")
	}
	return b.ForEach(func(key, value []byte) error {
		w.left -= int64(len(key)+len(value)) + 1
		if w.left < 0 {
			return errors.New("it holds more than its size")
		}
		for _, data := range [...][]byte{key, value} {
			if len(data) > 0 {
				w.sum ^= data[0] ^ data[len(data)-1] // faults if it lies outside
			}
		}
		if value != nil {
			return nil
		}
		child := b.Bucket(key)
		if child == nil {
			return fmt.Errorf("bucket %x is missing", key)
		}
		return w.walk(child, depth+1)
	})
}

// checkSegment compares a segment's version and, if it has at most maxBytes,
// its checksum. It returns how many bytes were read. The last eight bytes of a
// segment are its version and the CRC-32 of all before the CRC.
func checkSegment(file segmentFile, maxBytes int64) (int64, error) {
	f, err := os.Open(file.path)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", retriever.ErrCorrupt, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	var tail [8]byte
	if size < int64(len(tail)) {
		return 0, fmt.Errorf("%w: %s is cut short", retriever.ErrCorrupt, file.path)
	}
	if _, err := f.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return 0, fmt.Errorf("%w: %w", retriever.ErrCorrupt, err)
	}
	if binary.BigEndian.Uint32(tail[:4]) != file.version {
		return 0, fmt.Errorf("%w: %s is cut short or overwritten", retriever.ErrCorrupt, file.path)
	}
	if size > maxBytes {
		return 0, nil
	}
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.LimitReader(f, size-4)); err != nil {
		return 0, fmt.Errorf("%w: %w", retriever.ErrCorrupt, err)
	}
	if sum.Sum32() != binary.BigEndian.Uint32(tail[4:]) {
		return 0, fmt.Errorf("%w: %s does not match its checksum", retriever.ErrCorrupt, file.path)
	}
	return size, nil
}
