package bleve

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config says how indexes are analysed, scored and locked. Start from
// [DefaultConfig].
type Config struct {
	// Analyzer names the text analysis: "standard" (lower case, English stop
	// words, no stemming), "words" (lower case, every word kept) or a BCP 47
	// language tag such as "en" or "de-AT". It is fixed when an index is created.
	Analyzer string `yaml:"analyzer"`
	// K1 says how fast repetitions of a term stop counting, from 0 (a term
	// counts once) to 100. It may change at any time.
	K1 float64 `yaml:"k1"`
	// B says how much a long passage is marked down, from 0 to 1. It may change
	// at any time.
	B float64 `yaml:"b"`
	// LockTimeout is how long opening waits for another process to let go of an
	// index before it fails with [retriever.ErrLocked].
	LockTimeout time.Duration `yaml:"bolt_timeout"`
}

// The bounds of the settings.
const (
	maxK1          = 100
	maxLockTimeout = time.Minute
)

// DefaultConfig returns the settings for English text.
func DefaultConfig() Config {
	return Config{Analyzer: "en", K1: 1.2, B: 0.75, LockTimeout: time.Second}
}

// Validate reports every setting that cannot work, joined, each with its key,
// its value and what is allowed. It does no I/O.
func (c Config) Validate() error {
	var faults []error
	if _, err := analyzerName(c.Analyzer); err != nil {
		faults = append(faults, err)
	}
	if math.IsNaN(c.K1) || c.K1 < 0 || c.K1 > maxK1 {
		faults = append(faults, fmt.Errorf("k1: %v is not allowed; use a number from 0 to %d", c.K1, maxK1))
	}
	if math.IsNaN(c.B) || c.B < 0 || c.B > 1 {
		faults = append(faults, fmt.Errorf("b: %v is not allowed; use a number from 0 to 1", c.B))
	}
	if c.LockTimeout <= 0 || c.LockTimeout > maxLockTimeout {
		faults = append(faults, fmt.Errorf("bolt_timeout: %v is not allowed; use a duration above 0s, up to %v", c.LockTimeout, maxLockTimeout))
	}
	return errors.Join(faults...)
}
