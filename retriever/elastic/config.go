package elastic

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says where the server is and how indexes are analysed and scored.
// Start from [DefaultConfig].
type Config struct {
	// Addresses are the URLs of the cluster's nodes, without user and password.
	Addresses []string `yaml:"addresses"`
	// Username is the user for HTTP basic authentication; PasswordEnv names the
	// environment variable with the password.
	Username    string `yaml:"username"`
	PasswordEnv string `yaml:"password_env"`
	// APIKeyEnv names the environment variable with an encoded API key, which is
	// used instead of a user and password.
	APIKeyEnv string `yaml:"api_key_env"`
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
	// Shards is the number of primary shards of a new index. With one, scores
	// are exact for the whole index at the lowest cost.
	Shards int `yaml:"shards"`
	// Replicas is the number of copies of each shard of a new index.
	Replicas int `yaml:"replicas"`
	// Timeout bounds one attempt of one request.
	Timeout time.Duration `yaml:"timeout"`
	// Retries says how often a request is tried again when the server is
	// overloaded or cannot be reached. The waits grow, with jitter.
	Retries int `yaml:"retries"`
	// RetryWait is the wait before the first retry.
	RetryWait time.Duration `yaml:"retry_wait"`
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
	maxTimeout   = time.Hour
	maxRetries   = 20
	maxRetryWait = time.Minute
	maxBulkItems = 100_000
	minBulkBytes = 1 << 10
	maxBulkBytes = 90 << 20 // the server refuses requests of 100 MB
)

// DefaultConfig returns the settings for English text on a local server.
func DefaultConfig() Config {
	return Config{
		Addresses: []string{"http://127.0.0.1:9200"}, IndexPrefix: "needle-", Analyzer: analyzerStandard, K1: 1.2, B: 0.75,
		Shards: 1, Replicas: 1, Timeout: 30 * time.Second, Retries: 5, RetryWait: 200 * time.Millisecond,
		BulkDocuments: 1000, BulkBytes: 5 << 20,
	}
}

const analyzerStandard = "standard"

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
	if len(c.Addresses) == 0 {
		fault("addresses: the list is empty; give the URL of at least one node")
	}
	for i, address := range c.Addresses {
		// The address is not repeated: it may hold a password by mistake.
		if err := checkAddress(address); err != nil {
			fault("addresses: number %d %w", i+1, err)
		}
	}
	if c.APIKeyEnv != "" && (c.Username != "" || c.PasswordEnv != "") {
		fault("api_key_env: cannot be set together with username or password_env")
	}
	if (c.Username == "") != (c.PasswordEnv == "") {
		fault("username: needs password_env, and password_env needs username")
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
	for _, n := range []struct {
		key              string
		value, low, high int
	}{
		{"shards", c.Shards, 1, maxShards}, {"replicas", c.Replicas, 0, maxReplicas}, {"retries", c.Retries, 0, maxRetries},
		{"bulk_documents", c.BulkDocuments, 1, maxBulkItems}, {"bulk_bytes", c.BulkBytes, minBulkBytes, maxBulkBytes},
	} {
		if n.value < n.low || n.value > n.high {
			fault("%s: %d is not allowed; use a number from %d to %d", n.key, n.value, n.low, n.high)
		}
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		fault("timeout: %v is not allowed; use a duration above 0s, up to %v", c.Timeout, maxTimeout)
	}
	if c.RetryWait <= 0 || c.RetryWait > maxRetryWait {
		fault("retry_wait: %v is not allowed; use a duration above 0s, up to %v", c.RetryWait, maxRetryWait)
	}
	return errors.Join(faults...)
}

func checkAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("is not an http or https URL with a host")
	case u.User != nil:
		return errors.New("holds a user or password; use username and password_env")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("has a query or fragment")
	}
	return nil
}
