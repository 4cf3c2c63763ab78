package esclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrUnavailable says that the server cannot be reached or is overloaded, also
// after the retries.
var ErrUnavailable = errors.New("elasticsearch is not available")

// An Error is a refusal by the server.
type Error struct {
	// Status is the HTTP status, Kind Elasticsearch's name of the fault and
	// Reason what it says of it; both may be empty.
	Status       int
	Kind, Reason string
	// Addresses are those of the cluster.
	Addresses string
}

// A Fault is how the server describes a fault, also that of one item of a bulk
// request.
type Fault struct {
	Type      string `json:"type"`
	Reason    string `json:"reason"`
	CausedBy  *Fault `json:"caused_by"`
	RootCause []struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	} `json:"root_cause"`
}

// Text returns the reasons, from the outermost to the innermost.
func (f Fault) Text() string {
	text := f.Reason
	if len(f.RootCause) > 0 && f.RootCause[0].Reason != text {
		text += ": " + f.RootCause[0].Reason
	}
	for cause := f.CausedBy; cause != nil; cause = cause.CausedBy {
		if !strings.Contains(text, cause.Reason) {
			text += ": " + cause.Reason
		}
	}
	return text
}

// ItemError returns the error of one item of a bulk request.
func (c *Client) ItemError(status int, f Fault) *Error {
	return &Error{Status: status, Kind: f.Type, Reason: f.Text(), Addresses: c.addresses}
}

func newError(status int, data []byte, addresses string) *Error {
	e := &Error{Status: status, Addresses: addresses}
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(data, &body) != nil {
		return e
	}
	var detail Fault
	if json.Unmarshal(body.Error, &detail) == nil {
		e.Kind, e.Reason = detail.Type, detail.Text()
	} else {
		_ = json.Unmarshal(body.Error, &e.Reason) // some errors are plain text
	}
	return e
}

func (e *Error) Error() string {
	text := fmt.Sprintf("Elasticsearch at %s answered %d", e.Addresses, e.Status)
	if e.Kind != "" {
		text += " " + e.Kind
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	switch e.Status {
	case http.StatusUnauthorized:
		text += "; check username and password_env, or api_key_env"
	case http.StatusForbidden:
		if !e.Full() {
			text += "; the user or API key needs the privileges that docs/elasticsearch.md lists"
		}
	}
	return text
}

// Full reports whether the server refuses writes because its disk is full.
func (e *Error) Full() bool {
	return e.Kind == "cluster_block_exception" && strings.Contains(e.Reason, "disk usage exceeded flood-stage watermark")
}

// Is makes [ErrUnavailable] of what may succeed later.
func (e *Error) Is(target error) bool {
	if target != ErrUnavailable || e.Full() {
		return false
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Missing reports whether an error says that there is no such index or alias.
func Missing(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == "index_not_found_exception"
}

// Exists reports whether an error says that an index is there already.
func Exists(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == "resource_already_exists_exception"
}

// Conflict reports whether an error says that a document changed meanwhile.
func Conflict(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == "version_conflict_engine_exception"
}

// Status returns the HTTP status of a refusal, 0 for other errors.
func Status(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
