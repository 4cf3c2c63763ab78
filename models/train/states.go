package train

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"

	"github.com/needle-search/needle/models"
)

// States are features of encodings, kept in a file, because computing them is
// what costs time: a second run, or one that was killed, finds them there.
type States struct {
	file  *os.File
	model models.Inferencer
	width int
	at    map[[32]byte]place
	end   int64
}

type place struct {
	offset int64
	count  int
}

// A record of the file is a header and its values: key, number of values and
// CRC-32 (Castagnoli) of the values.
const recordHeader = 32 + 4 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // read-only

// OpenStates opens the file of features, or makes it. What a killed run left
// half written is cut off. The model must give hidden states.
func OpenStates(path string, model models.Inferencer) (*States, error) {
	width := model.Info().Width
	if width == 0 {
		return nil, fmt.Errorf("train: %w: the graph of %q gives no hidden states (%s), only predictions; a head cannot be fitted on them", models.ErrInvalidBundle, model.Info().Name, models.OutputHidden)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("train: features: %w", err)
	}
	s := &States{file: file, model: model, width: width, at: make(map[[32]byte]place)}
	if err := s.scan(); err != nil {
		return nil, fmt.Errorf("train: features: %w", errors.Join(err, file.Close()))
	}
	return s, nil
}

// scan lists the whole records. Values are checked when they are read.
func (s *States) scan() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	var header [recordHeader]byte
	for s.end+recordHeader <= info.Size() {
		if _, err := s.file.ReadAt(header[:], s.end); err != nil {
			return err
		}
		count := int(binary.LittleEndian.Uint32(header[32:]))
		next := s.end + recordHeader + 4*int64(count)
		if next > info.Size() {
			break
		}
		s.at[[32]byte(header[:32])] = place{s.end, count}
		s.end = next
	}
	return s.file.Truncate(s.end)
}

// Close closes the file.
func (s *States) Close() error { return s.file.Close() }

// key names the features of an item: the model that made them and all that it
// saw.
func (s *States) key(t *Task, it item) [32]byte {
	h := sha256.New()
	info := s.model.Info()
	w := bufio.NewWriter(h)
	fmt.Fprintf(w, "%s %s %s %d %v\n%v\n%v\n", info.Hash, info.Precision, t.pooling, s.width, it.rows, it.encoding.IDs, it.encoding.TypeIDs)
	w.Flush()
	return [32]byte(h.Sum(nil))
}

// statesBatch is how many encodings are handed to the model at a time.
const statesBatch = 64

// fill computes the features that are missing.
func (s *States) fill(ctx context.Context, t *Task, keys [][32]byte, progress func(done, total int)) error {
	var missing []int
	for i := range t.items {
		if _, ok := s.at[keys[i]]; !ok {
			missing = append(missing, i)
		}
	}
	total := len(missing)
	for len(missing) > 0 {
		part := missing[:min(statesBatch, len(missing))]
		missing = missing[len(part):]
		batch := make([]models.Encoding, len(part))
		for i, n := range part {
			batch[i] = t.items[n].encoding
		}
		outputs, err := s.model.Run(ctx, batch)
		if err != nil {
			return err
		}
		for i, n := range part {
			features, err := t.features(t.items[n], outputs[i], s.width)
			if err != nil {
				return fmt.Errorf("train: %w", err)
			}
			if err := s.add(keys[n], features); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(total-len(missing), total)
		}
	}
	return s.file.Sync()
}

func (s *States) add(key [32]byte, features []float32) error {
	data := make([]byte, recordHeader, recordHeader+4*len(features))
	for _, v := range features {
		if v != v || math.IsInf(float64(v), 0) {
			return fmt.Errorf("train: %w: the model gave hidden states that are not numbers", models.ErrInvalidBundle)
		}
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	copy(data, key[:])
	binary.LittleEndian.PutUint32(data[32:], uint32(len(features)))
	binary.LittleEndian.PutUint32(data[36:], crc32.Checksum(data[recordHeader:], castagnoli))
	if _, err := s.file.WriteAt(data, s.end); err != nil {
		return fmt.Errorf("train: features: %w", err)
	}
	s.at[key] = place{s.end, len(features)}
	s.end += int64(len(data))
	return nil
}

var errDamagedStates = errors.New("the file of features is damaged; remove it and start again")

// get returns the features of an item. The slice is good until the next call.
func (s *States) get(key [32]byte, buffer []byte, into []float32) ([]byte, []float32, error) {
	p, ok := s.at[key]
	if !ok {
		return buffer, into, fmt.Errorf("train: features: %w", io.ErrUnexpectedEOF)
	}
	size := recordHeader + 4*p.count
	if cap(buffer) < size {
		buffer = make([]byte, size)
	}
	buffer = buffer[:size]
	if _, err := s.file.ReadAt(buffer, p.offset); err != nil {
		return buffer, into, fmt.Errorf("train: features: %w", err)
	}
	values := buffer[recordHeader:]
	if crc32.Checksum(values, castagnoli) != binary.LittleEndian.Uint32(buffer[36:]) {
		return buffer, into, fmt.Errorf("train: %w", errDamagedStates)
	}
	into = into[:0]
	for i := range p.count {
		into = append(into, math.Float32frombits(binary.LittleEndian.Uint32(values[4*i:])))
	}
	return buffer, into, nil
}
