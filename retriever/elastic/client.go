package elastic

import (
	"context"
	"errors"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

// ErrUnavailable says that the server cannot be reached or is overloaded, also
// after the retries. Such errors wrap [retriever.ErrUnavailable] too.
var ErrUnavailable = esclient.ErrUnavailable

// client sends requests whose errors are those of package retriever.
type client struct {
	*esclient.Client
}

// A request is one call of the server. The body is JSON, or lines of JSON where
// it is already encoded.
type request struct {
	method, path string
	body         any           // nil, []byte or what can be encoded
	timeout      time.Duration // 0 for the configured one
	once         bool          // a failure is told at once
}

// do sends a request, tries again as configured, and decodes the answer into
// out unless that is nil.
func (c *client) do(ctx context.Context, r request, out any) error {
	return known(c.Do(ctx, esclient.Request{Method: r.method, Path: r.path, Body: r.body, Timeout: r.timeout, Once: r.once}, out))
}

// itemFault returns the error of one item of a bulk request.
func (c *client) itemFault(status int, f esclient.Fault) error { return known(c.ItemError(status, f)) }

// serverError adds the retriever's sentinels to an error of the client.
type serverError struct{ error }

// known makes an error one that callers can tell from others.
func known(err error) error {
	if err == nil {
		return nil
	}
	return &serverError{err}
}

func (e *serverError) Unwrap() error { return e.error }

// Is makes the retriever's sentinels of what the server says.
func (e *serverError) Is(target error) bool {
	switch target {
	case retriever.ErrIndexNotFound:
		return esclient.Missing(e.error)
	case retriever.ErrIndexExists:
		return esclient.Exists(e.error)
	case retriever.ErrNoSpace:
		var refusal *esclient.Error
		return errors.As(e.error, &refusal) && refusal.Full()
	case retriever.ErrUnavailable:
		return errors.Is(e.error, ErrUnavailable)
	}
	return false
}
