package esclient

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config says where the cluster is and how to sign in. Start from
// [DefaultConfig].
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
	// CAFile is a PEM file with the certificates that the cluster's must be
	// signed by. Empty means those of the system.
	CAFile string `yaml:"ca_file"`
	// CAFingerprint is the SHA-256 of such a certificate in hexadecimal, which
	// Elasticsearch prints when it is started for the first time. It is used
	// instead of a file.
	CAFingerprint string `yaml:"ca_fingerprint"`
	// Timeout bounds one attempt of one request.
	Timeout time.Duration `yaml:"timeout"`
	// Retries says how often a request is tried again when the server is
	// overloaded or cannot be reached. The waits grow, with jitter.
	Retries int `yaml:"retries"`
	// RetryWait is the wait before the first retry.
	RetryWait time.Duration `yaml:"retry_wait"`
}

// The bounds of the settings.
const (
	maxTimeout   = time.Hour
	maxRetries   = 20
	maxRetryWait = time.Minute
)

// DefaultConfig returns the settings for a server on this machine without
// security.
func DefaultConfig() Config {
	return Config{Addresses: []string{"http://127.0.0.1:9200"}, Timeout: 30 * time.Second, Retries: 5, RetryWait: 200 * time.Millisecond}
}

// Validate reports every setting that cannot work, joined, each with its key,
// its value and what is allowed. It does no I/O.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Addresses) == 0 {
		fault("addresses: the list is empty; give the URL of at least one node")
	}
	secure := true
	for i, address := range c.Addresses {
		// The address is not repeated: it may hold a password by mistake.
		if err := checkAddress(address); err != nil {
			fault("addresses: number %d %w", i+1, err)
		}
		secure = secure && strings.HasPrefix(address, "https:")
	}
	if c.APIKeyEnv != "" && (c.Username != "" || c.PasswordEnv != "") {
		fault("api_key_env: cannot be set together with username or password_env")
	}
	if (c.Username == "") != (c.PasswordEnv == "") {
		fault("username: needs password_env, and password_env needs username")
	}
	switch {
	case c.CAFile != "" && c.CAFingerprint != "":
		fault("ca_fingerprint: cannot be set together with ca_file")
	case (c.CAFile != "" || c.CAFingerprint != "") && !secure:
		fault("addresses: ca_file and ca_fingerprint mean something for https only")
	}
	if _, err := fingerprint(c.CAFingerprint); err != nil {
		fault("ca_fingerprint: %w", err)
	}
	if c.Retries < 0 || c.Retries > maxRetries {
		fault("retries: %d is not allowed; use a number from 0 to %d", c.Retries, maxRetries)
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		fault("timeout: %v is not allowed; use a duration above 0s, up to %v", c.Timeout, maxTimeout)
	}
	if c.RetryWait <= 0 || c.RetryWait > maxRetryWait {
		fault("retry_wait: %v is not allowed; use a duration above 0s, up to %v", c.RetryWait, maxRetryWait)
	}
	return errors.Join(faults...)
}

// fingerprint decodes a fingerprint; colons between the bytes are how some
// programs print it.
func fingerprint(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(sum) != 32 {
		return nil, fmt.Errorf("%q is not a SHA-256 in hexadecimal", text)
	}
	return sum, nil
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
