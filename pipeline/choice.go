package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/needle-search/needle/models"
)

// choiceFile records in a data directory which bundle `needle models use`
// chose.
const choiceFile = "reader.json"

// A ModelChoice is a bundle that was put in place of the configured one. It is
// kept in the data directory, so that it survives a restart, and it holds as
// long as reader.bundle says what it said then: who edits the configuration
// afterwards means it, and the configuration counts.
type ModelChoice struct {
	// Bundle is a known name or an absolute directory.
	Bundle string `json:"bundle"`
	// Precision is what was asked for; empty means reader.precision.
	Precision string `json:"precision,omitempty"`
	// Name and Hash are the bundle's. A bundle whose content is another by now
	// was never checked and is not opened.
	Name string `json:"name"`
	Hash string `json:"hash"`
	// Configured is what reader.bundle said.
	Configured string    `json:"configured"`
	Chosen     time.Time `json:"chosen"`
}

// Choice returns the bundle that was chosen for the data directory, nil if none
// was. A choice that reader.bundle has overruled since is returned with stale
// set.
func (c *Config) Choice() (choice *ModelChoice, stale bool, err error) {
	path := filepath.Join(c.Data, choiceFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("pipeline: chosen bundle: %w", err)
	}
	choice = &ModelChoice{}
	if err := json.Unmarshal(data, choice); err != nil || choice.Bundle == "" || choice.Hash == "" {
		return nil, false, fmt.Errorf("pipeline: chosen bundle: %s cannot be read (%w); remove it with: needle models use --reset", path, errors.Join(err, errBadChoice))
	}
	return choice, choice.Configured != c.Reader.Bundle, nil
}

var errBadChoice = errors.New("it names no bundle")

// writeChoice replaces the record; a nil choice removes it. The record is
// complete or the old one, whatever happens.
func (c *Config) writeChoice(choice *ModelChoice) error {
	path := filepath.Join(c.Data, choiceFile)
	if choice == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("pipeline: chosen bundle: %w", err)
		}
		return nil
	}
	data, err := json.MarshalIndent(choice, "", "  ")
	if err != nil {
		return fmt.Errorf("pipeline: chosen bundle: %w", err)
	}
	if err := writeSynced(path, append(data, '\n')); err != nil {
		return fmt.Errorf("pipeline: chosen bundle: %w", err)
	}
	return nil
}

func writeSynced(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	// Windows cannot sync a directory, and there the rename is enough.
	_ = dir.Sync()
	return dir.Close()
}

// selection is which bundle to open.
type selection struct {
	bundle, precision string
	// hash, when set, is what the content must be.
	hash string
	// chosen says that it is not the configured one.
	chosen bool
}

// selected is what the configuration and the choice make together.
func (c *Config) selected() (s selection, choice *ModelChoice, stale bool, err error) {
	s = selection{bundle: c.Reader.Bundle, precision: c.Reader.Precision}
	choice, stale, err = c.Choice()
	if err != nil || choice == nil || stale {
		return s, choice, stale, err
	}
	s.bundle, s.hash, s.chosen = choice.Bundle, choice.Hash, true
	if choice.Precision != "" {
		s.precision = choice.Precision
	}
	return s, choice, false, nil
}

// ApplyChoice makes the chosen bundle the configured one, for those who use the
// configuration with another data directory.
func (c *Config) ApplyChoice() error {
	s, _, _, err := c.selected()
	if err != nil {
		return err
	}
	c.Reader.Bundle, c.Reader.Precision = s.bundle, s.precision
	return nil
}

// open opens the bundle and checks that it is the one that was chosen.
func (s selection) open(registry *Registry) (*models.Bundle, error) {
	bundle, err := registry.OpenBundle(s.bundle)
	switch {
	case s.hash == "":
		return bundle, err
	case err != nil:
		return nil, fmt.Errorf("the bundle chosen by `needle models use` cannot be opened (go back to the configured one with: needle models use --reset): %w", err)
	case bundle.Hash != s.hash:
		return nil, fmt.Errorf("%w: %s has another content than when it was chosen by `needle models use` (hash %.12s, it was %.12s): choose it again to have it checked, or go back with: needle models use --reset",
			models.ErrInvalidBundle, s.bundle, bundle.Hash, s.hash)
	}
	return bundle, nil
}
