package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrCheckpoint says that a checkpoint cannot be gone on from: it is damaged,
// or of other examples, another model or another configuration.
var ErrCheckpoint = errors.New("the checkpoint does not fit")

// run names all that decides about the result.
func (f *fitter) run() string {
	h := sha256.New()
	c := f.config
	fmt.Fprintln(h, "1", f.task.kind, f.task.labels, f.task.pooling, c.Seed, c.HoldOut, c.Patience, c.Batch, c.LearningRate, c.Decay)
	fmt.Fprintln(h, f.origin)
	for i, it := range f.task.items {
		fmt.Fprintf(h, "%x %v\n", f.keys[i], it.target)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func (f *fitter) load() (bool, error) {
	if f.config.Checkpoint == "" {
		return false, nil
	}
	data, err := os.ReadFile(f.config.Checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("train: checkpoint: %w", err)
	}
	var s state
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&s); err != nil {
		return false, fmt.Errorf("train: %w: %s is damaged (%w); remove it to start again", ErrCheckpoint, f.config.Checkpoint, err)
	}
	n := len(f.origin)
	if s.Run != f.Run || len(s.Weights) != n || len(s.Mean) != n || len(s.Square) != n || len(s.Best) != n || len(s.Rounds) != s.Round+1 || s.BestRound < 0 || s.BestRound > s.Round {
		return false, fmt.Errorf("train: %w: %s is of other examples, another model or other settings; remove it to start again", ErrCheckpoint, f.config.Checkpoint)
	}
	f.state = s
	return true, nil
}

// save replaces the checkpoint as a whole.
func (f *fitter) save() (err error) {
	if f.config.Checkpoint == "" {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("train: checkpoint: %w", err)
		}
	}()
	var data bytes.Buffer
	if err := gob.NewEncoder(&data).Encode(f.state); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(f.config.Checkpoint), filepath.Base(f.config.Checkpoint)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(data.Bytes())
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), f.config.Checkpoint)
	}
	if err != nil {
		os.Remove(temporary.Name())
	}
	return err
}
