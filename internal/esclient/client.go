package esclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
)

// longestWait bounds the wait between two attempts, also if the server asks for
// more.
const longestWait = 10 * time.Second

// A Client sends requests to a cluster. See [New].
type Client struct {
	es        *elasticsearch.Client
	transport *http.Transport
	addresses string
	timeout   time.Duration
	retries   int
	wait      time.Duration
}

// New returns a client. It reads the environment variables and files that the
// configuration names, and does not contact the cluster.
func New(c Config) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	trust, err := trusted(c)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     trust,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     time.Minute,
	}
	settings := elasticsearch.Config{
		Addresses: c.Addresses, Transport: transport,
		// The retries are ours, because a wait must end with the context.
		DisableRetry: true,
	}
	secret := func(key, name string) (string, error) {
		value := os.Getenv(name)
		if value == "" {
			return "", fmt.Errorf("%s: the environment variable %s is empty", key, name)
		}
		return value, nil
	}
	switch {
	case c.APIKeyEnv != "":
		settings.APIKey, err = secret("api_key_env", c.APIKeyEnv)
	case c.Username != "":
		settings.Username = c.Username
		settings.Password, err = secret("password_env", c.PasswordEnv)
	}
	if err != nil {
		return nil, err
	}
	es, err := elasticsearch.NewClient(settings)
	if err != nil {
		return nil, err
	}
	return &Client{
		es: es, transport: transport, addresses: strings.Join(c.Addresses, ", "),
		timeout: c.Timeout, retries: c.Retries, wait: c.RetryWait,
	}, nil
}

// trusted returns what certificates are trusted, nil for those of the system.
func trusted(c Config) (*tls.Config, error) {
	switch {
	case c.CAFile != "":
		data, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM form", c.CAFile)
		}
		return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
	case c.CAFingerprint != "":
		sum, err := fingerprint(c.CAFingerprint)
		if err != nil {
			return nil, fmt.Errorf("ca_fingerprint: %w", err)
		}
		var hosts []string
		for _, address := range c.Addresses {
			if u, err := url.Parse(address); err == nil {
				hosts = append(hosts, u.Hostname())
			}
		}
		return pinned(sum, hosts), nil
	}
	return nil, nil
}

// Addresses are those of the configuration, for messages.
func (c *Client) Addresses() string { return c.addresses }

// Retries is how often a request is tried again.
func (c *Client) Retries() int { return c.retries }

// A Request is one call of the server. It must be safe to repeat: the answer to
// an attempt may be lost. The body is JSON, or lines of JSON where it is encoded
// already.
type Request struct {
	Method, Path string
	Body         any // nil, []byte or what can be encoded
	// Timeout replaces that of the configuration for one attempt.
	Timeout time.Duration
	// Once says that a failure is not tried again.
	Once bool
}

// Do sends a request, tries again as configured, and decodes the answer into
// out unless that is nil. Its errors are [ErrUnavailable], an [*Error] and the
// context's.
func (c *Client) Do(ctx context.Context, r Request, out any) error {
	body, lines := r.Body.([]byte)
	if r.Body != nil && !lines {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return err
		}
	}
	contentType := "application/json"
	if lines {
		contentType = "application/x-ndjson"
	}
	// A server that has just come back listens before it knows its users.
	away := false
	for attempt := 0; ; attempt++ {
		data, asked, err := c.once(ctx, r, body, contentType)
		if err == nil {
			if out == nil {
				return nil
			}
			if err := json.Unmarshal(data, out); err != nil {
				return fmt.Errorf("the answer to %s %s is not what Elasticsearch sends: %w", r.Method, r.Path, err)
			}
			return nil
		}
		away = away || errors.Is(err, ErrUnavailable)
		again := errors.Is(err, ErrUnavailable) || away && Status(err) == http.StatusUnauthorized
		if !again || attempt >= c.retries || r.Once {
			return err
		}
		if err := c.Pause(ctx, attempt, asked); err != nil {
			return err
		}
	}
}

// Pause waits before another attempt, or as long as the server asked. Half of
// the wait is random, so that clients that failed together do not come back
// together.
func (c *Client) Pause(ctx context.Context, attempt int, asked time.Duration) error {
	wait := min(c.wait<<min(attempt, 16), longestWait)
	wait = wait/2 + rand.N(wait/2+1)
	if asked > wait {
		wait = min(asked, longestWait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once is one attempt. It returns how long the server asked to wait.
func (c *Client) once(ctx context.Context, r Request, body []byte, contentType string) ([]byte, time.Duration, error) {
	timeout := c.timeout
	if r.Timeout > 0 {
		timeout = r.Timeout
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(attempt, r.Method, r.Path, reader)
	if err != nil {
		return nil, 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	response, err := c.es.Perform(req)
	var data []byte
	if err == nil {
		data, err = io.ReadAll(response.Body)
		if closeErr := response.Body.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if attempt.Err() != nil {
			err = fmt.Errorf("no answer within %v", timeout)
		}
		// The cause is not wrapped: a deadline of one attempt is not the
		// caller's.
		return nil, 0, fmt.Errorf("%w at %s: %v", ErrUnavailable, c.addresses, err)
	}
	if response.StatusCode < 300 {
		return data, 0, nil
	}
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 0
	}
	return nil, time.Duration(min(seconds, 60)) * time.Second, newError(response.StatusCode, data, c.addresses)
}

// Close lets go of idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
