package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8"

	"github.com/needle-search/needle/retriever"
)

// ErrUnavailable says that the server cannot be reached or is overloaded, also
// after the retries.
var ErrUnavailable = errors.New("elasticsearch is not available")

// longestWait bounds the wait between two attempts, also if the server asks for
// more.
const longestWait = 10 * time.Second

// client speaks JSON with the server and tries again what may succeed later.
// Every request that it sends is safe to repeat.
type client struct {
	es        *elasticsearch.Client
	transport *http.Transport
	addresses string
	timeout   time.Duration
	retries   int
	wait      time.Duration
}

func newClient(c Config) (*client, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
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
	var err error
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
	return &client{
		es: es, transport: transport, addresses: strings.Join(c.Addresses, ", "),
		timeout: c.Timeout, retries: c.Retries, wait: c.RetryWait,
	}, nil
}

// A request is one call of the server. The body is JSON, or lines of JSON where
// it is already encoded.
type request struct {
	method, path string
	body         any // nil, []byte or what can be encoded
}

// do sends a request, tries again as configured, and decodes the answer into
// out unless that is nil.
func (c *client) do(ctx context.Context, r request, out any) error {
	body, lines := r.body.([]byte)
	if r.body != nil && !lines {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return err
		}
	}
	contentType := "application/json"
	if lines {
		contentType = "application/x-ndjson"
	}
	for attempt := 0; ; attempt++ {
		data, asked, err := c.once(ctx, r, body, contentType)
		if err == nil {
			if out == nil {
				return nil
			}
			if err := json.Unmarshal(data, out); err != nil {
				return fmt.Errorf("the answer to %s %s is not what Elasticsearch sends: %w", r.method, r.path, err)
			}
			return nil
		}
		if !errors.Is(err, ErrUnavailable) || attempt >= c.retries {
			return err
		}
		if err := c.pause(ctx, attempt, asked); err != nil {
			return err
		}
	}
}

// pause waits before another attempt. Half of the wait is random, so that
// clients that failed together do not come back together.
func (c *client) pause(ctx context.Context, attempt int, asked time.Duration) error {
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
func (c *client) once(ctx context.Context, r request, body []byte, contentType string) ([]byte, time.Duration, error) {
	attempt, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(attempt, r.method, r.path, reader)
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
			err = fmt.Errorf("no answer within %v", c.timeout)
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
	return nil, time.Duration(min(seconds, 60)) * time.Second, newServerError(response.StatusCode, data, c.addresses)
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// serverError is a refusal by the server.
type serverError struct {
	status       int
	kind, reason string
	addresses    string
}

func newServerError(status int, data []byte, addresses string) *serverError {
	e := &serverError{status: status, addresses: addresses}
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(data, &body) != nil {
		return e
	}
	var detail itemError
	if json.Unmarshal(body.Error, &detail) == nil {
		e.kind, e.reason = detail.Type, detail.text()
	} else {
		_ = json.Unmarshal(body.Error, &e.reason) // some errors are plain text
	}
	return e
}

// itemError is how the server describes a fault.
type itemError struct {
	Type      string     `json:"type"`
	Reason    string     `json:"reason"`
	CausedBy  *itemError `json:"caused_by"`
	RootCause []struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	} `json:"root_cause"`
}

func (e itemError) text() string {
	text := e.Reason
	if len(e.RootCause) > 0 && e.RootCause[0].Reason != text {
		text += ": " + e.RootCause[0].Reason
	}
	for cause := e.CausedBy; cause != nil; cause = cause.CausedBy {
		if !strings.Contains(text, cause.Reason) {
			text += ": " + cause.Reason
		}
	}
	return text
}

func (e *serverError) Error() string {
	text := fmt.Sprintf("Elasticsearch at %s answered %d", e.addresses, e.status)
	if e.kind != "" {
		text += " " + e.kind
	}
	if e.reason != "" {
		text += ": " + e.reason
	}
	switch e.status {
	case http.StatusUnauthorized:
		text += "; check username and password_env, or api_key_env"
	case http.StatusForbidden:
		if !e.full() {
			text += "; the user or API key needs the privileges that docs/elasticsearch.md lists"
		}
	}
	return text
}

// full reports whether the server refuses writes because its disk is full.
func (e *serverError) full() bool {
	return e.kind == "cluster_block_exception" && strings.Contains(e.reason, "disk usage exceeded flood-stage watermark")
}

// Is makes the retriever's sentinels of what the server says.
func (e *serverError) Is(target error) bool {
	switch target {
	case retriever.ErrIndexNotFound:
		return e.kind == "index_not_found_exception"
	case retriever.ErrIndexExists:
		return e.kind == "resource_already_exists_exception"
	case retriever.ErrNoSpace:
		return e.full()
	case ErrUnavailable:
		if e.full() {
			return false
		}
		switch e.status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
	}
	return false
}

// isConflict reports whether a document on the server changed meanwhile.
func isConflict(err error) bool {
	var e *serverError
	return errors.As(err, &e) && e.kind == "version_conflict_engine_exception"
}
