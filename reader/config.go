package reader

import (
	"errors"
	"fmt"
)

// A Config says how passages are read. Start from [DefaultConfig].
type Config struct {
	// MaxSeqLength is the greatest number of tokens of one window, question and
	// special tokens included.
	MaxSeqLength int `yaml:"max_seq_length"`
	// Stride is how many passage tokens two neighbouring windows share.
	Stride int `yaml:"stride"`
	// MaxAnswerTokens is the longest answer in tokens.
	MaxAnswerTokens int `yaml:"max_answer_tokens"`
	// SpansPerPassage is how many non-overlapping spans are kept a passage.
	SpansPerPassage int `yaml:"spans_per_passage"`
}

// DefaultConfig returns windows of 384 tokens that overlap by 128, answers of
// up to 30 tokens and 5 spans a passage.
func DefaultConfig() Config {
	return Config{MaxSeqLength: 384, Stride: 128, MaxAnswerTokens: 30, SpansPerPassage: 5}
}

// Validate reports all faults, each naming the key, the value and what is
// allowed.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, key string, value int, allowed string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %d; allowed is %s", key, value, allowed))
		}
	}
	check(c.MaxSeqLength >= 32 && c.MaxSeqLength <= 8192, "max_seq_length", c.MaxSeqLength, "32 to 8192")
	check(c.Stride >= 0 && c.Stride < c.MaxSeqLength/2, "stride", c.Stride, "0 to less than half of max_seq_length")
	check(c.MaxAnswerTokens >= 1 && c.MaxAnswerTokens <= 512, "max_answer_tokens", c.MaxAnswerTokens, "1 to 512")
	check(c.SpansPerPassage >= 1 && c.SpansPerPassage <= 50, "spans_per_passage", c.SpansPerPassage, "1 to 50")
	return errors.Join(faults...)
}
