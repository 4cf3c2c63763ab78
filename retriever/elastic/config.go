package elastic

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/needle-search/needle/internal/esclient"
)

// Connection says where the cluster is and how to sign in.
type Connection = esclient.Config

// Config says where the server is and how indexes are analysed and scored.
// Start from [DefaultConfig].
type Config struct {
	// Connection says where the cluster is and how to sign in.
	Connection `yaml:",inline"`
	// IndexPrefix starts the names of all Elasticsearch indexes and aliases.
	IndexPrefix string `yaml:"index_prefix"`
	// Analyzer names the text analysis: "standard" (lower case and stop words,
	// no stemming), or a language by its tag ("en") or by the name of
	// Elasticsearch's analyzer ("english"). It is fixed when an index is
	// created.
	Analyzer string `yaml:"analyzer"`
	// StopWords replaces the analyzer's own list. Empty means that list, which
	// for "standard" is Elasticsearch's English one.
	StopWords []string `yaml:"stop_words"`
	// K1 says how fast repetitions of a term stop counting, from 0 (a term
	// counts once) to 100. It is fixed when an index is created.
	K1 float64 `yaml:"k1"`
	// B says how much a long passage is marked down, from 0 to 1. It is fixed
	// when an index is created.
	B float64 `yaml:"b"`
	// Hybrid finds candidates by their vectors too, beside their words: "none",
	// "rrf" (reciprocal-rank fusion of both lists) or "weighted" (a weighted sum
	// of both scores). It needs the vector ranker, which makes the vectors.
	Hybrid string `yaml:"hybrid"`
	// HybridWeight is the part of the vectors in the fusion, from 0 to 1, and
	// RRFK the constant of "rrf".
	HybridWeight float64 `yaml:"hybrid_weight"`
	RRFK         int     `yaml:"rrf_k"`
	// Existing are indexes that others made, by the names that they have within
	// Needle. They are read only.
	Existing map[string]Existing `yaml:"existing"`
	// Shards is the number of primary shards of a new index. With one, scores
	// are exact for the whole index at the lowest cost.
	Shards int `yaml:"shards"`
	// Replicas is the number of copies of each shard of a new index.
	Replicas int `yaml:"replicas"`
	// BulkDocuments and BulkBytes bound what one bulk request carries. A larger
	// document takes several requests.
	BulkDocuments int `yaml:"bulk_documents"`
	BulkBytes     int `yaml:"bulk_bytes"`
}

// The bounds of the settings.
const (
	maxK1        = 100
	maxShards    = 1024
	maxReplicas  = 100
	maxRRFK      = 10_000
	maxBulkItems = 100_000
	minBulkBytes = 1 << 10
	maxBulkBytes = 90 << 20 // the server refuses requests of 100 MB
)

// DefaultConfig returns the settings for English text on a local server.
func DefaultConfig() Config {
	return Config{
		Connection: esclient.DefaultConfig(), IndexPrefix: "needle-", Analyzer: analyzerStandard, K1: 1.2, B: 0.75,
		Hybrid: hybridNone, HybridWeight: 0.5, RRFK: 60, Shards: 1, Replicas: 1, BulkDocuments: 1000, BulkBytes: 5 << 20,
	}
}

const analyzerStandard = "standard"

// The values of Hybrid.
const (
	hybridNone     = "none"
	hybridRRF      = "rrf"
	hybridWeighted = "weighted"
)

// languages maps language tags to Elasticsearch's analyzers.
var languages = map[string]string{
	"ar": "arabic", "bg": "bulgarian", "bn": "bengali", "ca": "catalan", "ckb": "sorani", "cs": "czech", "da": "danish",
	"de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian",
	"fi": "finnish", "fr": "french", "ga": "irish", "gl": "galician", "hi": "hindi", "hu": "hungarian", "hy": "armenian",
	"id": "indonesian", "it": "italian", "ja": "cjk", "ko": "cjk", "lt": "lithuanian", "lv": "latvian", "nb": "norwegian",
	"nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
	"sv": "swedish", "th": "thai", "tr": "turkish", "zh": "cjk",
}

// analyzerName returns Elasticsearch's name of an analysis.
func analyzerName(configured string) (string, error) {
	if configured == analyzerStandard {
		return analyzerStandard, nil
	}
	tag, _, _ := strings.Cut(strings.ToLower(configured), "-")
	if name, ok := languages[tag]; ok {
		return name, nil
	}
	for _, name := range languages {
		if name == configured {
			return name, nil
		}
	}
	return "", fmt.Errorf("analyzer: %q is not allowed; use standard or one of %s (a region such as en-GB may follow a language)",
		configured, strings.Join(slices.Sorted(maps.Keys(languages)), ", "))
}

// prefixPattern is what Elasticsearch allows at the start of an index name,
// without the characters that mean something in a list of names.
var prefixPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// Validate reports every setting that cannot work, joined, each with its key,
// its value and what is allowed. It does no I/O.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := c.Connection.Validate(); err != nil {
		faults = append(faults, err)
	}
	if !prefixPattern.MatchString(c.IndexPrefix) {
		fault("index_prefix: %q is not allowed; use 1 to 100 of a-z, 0-9, ., - and _, starting with a letter or a digit", c.IndexPrefix)
	}
	if _, err := analyzerName(c.Analyzer); err != nil {
		faults = append(faults, err)
	}
	for _, word := range c.StopWords {
		if strings.TrimSpace(word) == "" || strings.HasPrefix(word, "_") {
			fault("stop_words: %q is not allowed; use words", word)
		}
	}
	if math.IsNaN(c.K1) || c.K1 < 0 || c.K1 > maxK1 {
		fault("k1: %v is not allowed; use a number from 0 to %d", c.K1, maxK1)
	}
	if math.IsNaN(c.B) || c.B < 0 || c.B > 1 {
		fault("b: %v is not allowed; use a number from 0 to 1", c.B)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Existing)) {
		if err := c.Existing[name].validate(name, c.IndexPrefix); err != nil {
			faults = append(faults, err)
		}
	}
	if !slices.Contains([]string{hybridNone, hybridRRF, hybridWeighted}, c.Hybrid) {
		fault("hybrid: %q is not allowed; use %s, %s or %s", c.Hybrid, hybridNone, hybridRRF, hybridWeighted)
	}
	if !(c.HybridWeight >= 0 && c.HybridWeight <= 1) {
		fault("hybrid_weight: %v is not allowed; use a number from 0 to 1", c.HybridWeight)
	}
	for _, n := range []struct {
		key              string
		value, low, high int
	}{
		{"shards", c.Shards, 1, maxShards}, {"rrf_k", c.RRFK, 1, maxRRFK}, {"replicas", c.Replicas, 0, maxReplicas},
		{"bulk_documents", c.BulkDocuments, 1, maxBulkItems}, {"bulk_bytes", c.BulkBytes, minBulkBytes, maxBulkBytes},
	} {
		if n.value < n.low || n.value > n.high {
			fault("%s: %d is not allowed; use a number from %d to %d", n.key, n.value, n.low, n.high)
		}
	}
	return errors.Join(faults...)
}
