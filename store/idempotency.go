package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// The errors of [Store.Begin], for errors.Is.
var (
	// ErrKeyReused says that an Idempotency-Key was sent with another request
	// before.
	ErrKeyReused = errors.New("the Idempotency-Key was used for another request")
	// ErrInFlight says that the first request with an Idempotency-Key has not
	// ended yet.
	ErrInFlight = errors.New("a request with this Idempotency-Key is still running")
)

// A Response is the answer to a write, as it is given again to a repetition.
type Response struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
}

// exchange is what is kept of a write.
type exchange struct {
	// Fingerprint is the hash of the request.
	Fingerprint string    `json:"fingerprint"`
	Response    *Response `json:"response,omitempty"`
}

// Times that idempotency records are kept: an answered one for a day, as is
// usual, and one in flight for longer than a request can run, so that the end
// of a process in between does not block the key for long.
const (
	answerKept   = 24 * time.Hour
	inFlightKept = 5 * time.Minute
)

// An Attempt is a write that has begun; one of its methods must be called when
// it has ended.
type Attempt struct {
	store       *Store
	id, version string
	fingerprint string
}

// Begin notes that a caller begins a write with an Idempotency-Key. If the same
// request was answered before, its answer is returned and there is no attempt.
// The fingerprint is any text that differs between different requests. Errors:
// [ErrKeyReused], [ErrInFlight].
func (s *Store) Begin(ctx context.Context, caller, key, fingerprint string) (*Attempt, *Response, error) {
	sum := sha256.Sum256([]byte(caller + "\x00" + key))
	id := hex.EncodeToString(sum[:])
	a := &Attempt{store: s, id: id, fingerprint: fingerprint}
	for {
		version, err := s.put(ctx, kindIdempotency, id, exchange{Fingerprint: fingerprint}, s.now().Add(inFlightKept), Condition{Absent: true})
		if err == nil {
			a.version = version
			return a, nil, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, nil, fmt.Errorf("store: begin: %w", err)
		}
		var known exchange
		_, err = s.get(ctx, kindIdempotency, id, &known)
		switch {
		case errors.Is(err, ErrNotFound):
			continue // it has ended without an answer since
		case err != nil:
			return nil, nil, fmt.Errorf("store: begin: %w", err)
		case known.Fingerprint != fingerprint:
			return nil, nil, ErrKeyReused
		case known.Response == nil:
			return nil, nil, ErrInFlight
		}
		return nil, known.Response, nil
	}
}

// Finish keeps the answer for repetitions.
func (a *Attempt) Finish(ctx context.Context, r Response) error {
	_, err := a.store.put(ctx, kindIdempotency, a.id, exchange{a.fingerprint, &r}, a.store.now().Add(answerKept), Condition{Version: a.version})
	if err != nil {
		return fmt.Errorf("store: finish: %w", err)
	}
	return nil
}

// Abandon forgets the attempt, so that the write can be tried again under the
// same key.
func (a *Attempt) Abandon(ctx context.Context) error {
	_, err := a.store.driver.Delete(ctx, kindIdempotency, a.id)
	if err != nil {
		return fmt.Errorf("store: abandon: %w", err)
	}
	return nil
}
