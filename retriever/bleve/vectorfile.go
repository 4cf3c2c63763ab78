package bleve

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/needle-search/needle/retriever"
)

// vectorKey names what a vector was made of. A passage that changes has another
// key, so that an old vector cannot be taken for a new one; passages that say
// the same share one.
type vectorKey [16]byte

func keyOf(title, text string) vectorKey {
	h := sha256.New()
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(title)))
	h.Write(length[:])
	io.WriteString(h, title)
	io.WriteString(h, text)
	return vectorKey(h.Sum(nil)[:16])
}

// The layout of a file of vectors: a header (magic, dimensions, length of the
// model's name, the name, CRC-32), then records of one size (key, vector,
// CRC-32). Records are only ever added, so all that a crash can do is to leave a
// torn one at the end.
const (
	vectorMagic   = "NDLVEC01"
	vectorSuffix  = ".vec"
	vectorsFolder = "vectors"
	maxModelName  = 256
)

// vectorFile holds the vectors of one model.
type vectorFile struct {
	path  string
	model string

	mu         sync.RWMutex
	file       *os.File // nil until the first vector is stored
	closed     bool
	dimensions int
	header     int64
	// records finds a record's number by its key.
	records map[vectorKey]uint32
	count   uint32 // records in the file, doubles included
}

// vectorPath is where the vectors of a model lie in an index directory.
func vectorPath(index, model string) string {
	sum := sha256.Sum256([]byte(model))
	return filepath.Join(index, vectorsFolder, hex.EncodeToString(sum[:8])+vectorSuffix)
}

// openVectorFile opens the file of a model, which need not exist. What a crash
// tore is cut off; records that fail their checksum are left out.
func openVectorFile(path, model string) (*vectorFile, error) {
	v := &vectorFile{path: path, model: model, records: map[vectorKey]uint32{}}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	v.file = f
	if err := v.load(); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

func (v *vectorFile) load() error {
	f := v.file
	r := bufio.NewReaderSize(f, 1<<20)
	name, dimensions, size, err := readVectorHeader(r)
	if err != nil || name != v.model {
		// Vectors can be made again; a file that says nothing usable is begun
		// anew.
		return f.Truncate(0)
	}
	v.dimensions, v.header = dimensions, size
	damaged := false
	record := make([]byte, v.recordSize())
	for {
		if _, err := io.ReadFull(r, record); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			return err
		}
		if whole(record) {
			v.records[vectorKey(record)] = v.count
		} else {
			damaged = true
		}
		v.count++
	}
	if damaged {
		// Rewritten without them, so that they do not stay for ever.
		live := make(map[vectorKey]bool, len(v.records))
		for key := range v.records {
			live[key] = true
		}
		return v.retain(live)
	}
	return f.Truncate(v.end())
}

// readVectorHeader reads the header and returns its size.
func readVectorHeader(r io.Reader) (model string, dimensions int, size int64, err error) {
	fixed := make([]byte, len(vectorMagic)+8)
	if _, err := io.ReadFull(r, fixed); err != nil {
		return "", 0, 0, fmt.Errorf("%w: header: %w", retriever.ErrCorrupt, err)
	}
	d := binary.LittleEndian.Uint32(fixed[len(vectorMagic):])
	n := binary.LittleEndian.Uint32(fixed[len(vectorMagic)+4:])
	if string(fixed[:len(vectorMagic)]) != vectorMagic || d == 0 || d > retriever.MaxDimensions || n > maxModelName {
		return "", 0, 0, fmt.Errorf("%w: it is no file of vectors", retriever.ErrCorrupt)
	}
	rest := make([]byte, n+4)
	if _, err := io.ReadFull(r, rest); err != nil {
		return "", 0, 0, fmt.Errorf("%w: header: %w", retriever.ErrCorrupt, err)
	}
	all := append(fixed, rest...)
	if !whole(all) {
		return "", 0, 0, fmt.Errorf("%w: the header of the vectors does not match its checksum", retriever.ErrCorrupt)
	}
	return string(rest[:n]), int(d), int64(len(all)), nil
}

// sealed appends the checksum of data.
func sealed(data []byte) []byte {
	return binary.LittleEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
}

// whole reports whether data ends with the checksum of what is before it.
func whole(data []byte) bool {
	n := len(data) - 4
	return n >= 0 && crc32.ChecksumIEEE(data[:n]) == binary.LittleEndian.Uint32(data[n:])
}

func (v *vectorFile) recordSize() int64 { return int64(len(vectorKey{}) + v.dimensions + 4) }

func (v *vectorFile) end() int64 { return v.header + int64(v.count)*v.recordSize() }

// length is how many vectors there are.
func (v *vectorFile) length() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.records)
}

func (v *vectorFile) has(key vectorKey) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	_, ok := v.records[key]
	return ok
}

// get returns the vector of a key, or nil.
func (v *vectorFile) get(key vectorKey) ([]int8, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n, ok := v.records[key]
	if !ok {
		return nil, nil
	}
	record := make([]byte, v.recordSize())
	if _, err := v.file.ReadAt(record, v.header+int64(n)*v.recordSize()); err != nil {
		return nil, fmt.Errorf("%w: vectors: %w", retriever.ErrCorrupt, err)
	}
	if !whole(record) || vectorKey(record) != key {
		return nil, fmt.Errorf("%w: record %d of %s does not match its checksum", retriever.ErrCorrupt, n, v.path)
	}
	vector := make([]int8, v.dimensions)
	for i, b := range record[len(key) : len(key)+v.dimensions] {
		vector[i] = int8(b)
	}
	return vector, nil
}

// put stores vectors and returns when they are on disk. If that fails, none of
// them is stored.
func (v *vectorFile) put(keys []vectorKey, vectors [][]int8) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return retriever.ErrClosed
	}
	dimensions := v.dimensions
	for _, vector := range vectors {
		if err := retriever.CheckVector(vector, dimensions); err != nil {
			return err
		}
		dimensions = len(vector)
	}
	v.dimensions = dimensions
	if len(vectors) > 0 && v.header == 0 {
		if err := v.create(); err != nil {
			return err
		}
	}
	var data bytes.Buffer
	added := make(map[vectorKey]uint32, len(keys))
	for i, key := range keys {
		if _, ok := v.records[key]; ok {
			continue
		}
		if _, ok := added[key]; ok {
			continue
		}
		added[key] = v.count + uint32(len(added))
		record := make([]byte, 0, v.recordSize())
		record = append(record, key[:]...)
		for _, x := range vectors[i] {
			record = append(record, byte(x))
		}
		data.Write(sealed(record))
	}
	if len(added) == 0 {
		return nil
	}
	_, err := v.file.WriteAt(data.Bytes(), v.end())
	if err == nil {
		err = v.file.Sync()
	}
	if err != nil {
		return errors.Join(storageError(err), v.file.Truncate(v.end()))
	}
	v.count += uint32(len(added))
	for key, n := range added {
		v.records[key] = n
	}
	return nil
}

// create makes the file with its header.
func (v *vectorFile) create() error {
	folder := filepath.Dir(v.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if v.file == nil {
		f, err := os.OpenFile(v.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return storageError(err)
		}
		v.file = f
	}
	header := vectorHeader(v.model, v.dimensions)
	_, err := v.file.WriteAt(header, 0)
	if err = errors.Join(err, v.file.Sync(), syncDir(folder), syncDir(filepath.Dir(folder))); err != nil {
		return storageError(err)
	}
	v.header = int64(len(header))
	return nil
}

func vectorHeader(model string, dimensions int) []byte {
	header := binary.LittleEndian.AppendUint32([]byte(vectorMagic), uint32(dimensions))
	header = binary.LittleEndian.AppendUint32(header, uint32(len(model)))
	return sealed(append(header, model...))
}

// retain rewrites the file with the given keys only. Readers go on with the old
// file until the new one is in its place.
func (v *vectorFile) retain(live map[vectorKey]bool) (err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file == nil {
		return nil
	}
	f, err := os.OpenFile(v.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return storageError(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(storageError(err), f.Close(), os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.Write(vectorHeader(v.model, v.dimensions)); err != nil {
		return err
	}
	records := make(map[vectorKey]uint32, len(live))
	record := make([]byte, v.recordSize())
	for key, n := range v.records {
		if !live[key] {
			continue
		}
		if _, err := v.file.ReadAt(record, v.header+int64(n)*v.recordSize()); err != nil {
			return err
		}
		if !whole(record) {
			continue
		}
		records[key] = uint32(len(records))
		if _, err := w.Write(record); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Flush(), f.Sync()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), v.path); err != nil {
		return err
	}
	old := v.file
	v.file, v.records, v.count = f, records, uint32(len(records))
	return errors.Join(syncDir(filepath.Dir(v.path)), old.Close())
}

func (v *vectorFile) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	if v.file == nil {
		return nil
	}
	err := v.file.Close()
	v.file, v.records = nil, map[vectorKey]uint32{}
	return err
}

// checkVectorFile reads a file and returns what is wrong with it. A torn end is
// what a crash, or a writer at work, may leave.
func checkVectorFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	_, dimensions, _, err := readVectorHeader(r)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	record := make([]byte, len(vectorKey{})+dimensions+4)
	for n := 0; ; n++ {
		_, err := io.ReadFull(r, record)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !whole(record) {
			return fmt.Errorf("%w: record %d of %s does not match its checksum; delete the folder %s while nothing uses the index, and the vectors are made again",
				retriever.ErrCorrupt, n, path, filepath.Dir(path))
		}
	}
}
