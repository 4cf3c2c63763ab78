package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Store keeps keys, idempotency records, feedback and freshness. It is safe
// for concurrent use. See [New].
type Store struct {
	driver Driver
	now    func() time.Time

	// keys is what of the keys is in memory; see [Store.Authenticate].
	keys keyCache

	closeOnce sync.Once
	closeErr  error
}

// New returns a store on a driver, which it owns from then on.
func New(driver Driver) *Store { return &Store{driver: driver, now: time.Now} }

// Close releases the driver. Closing twice is allowed.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.driver.Close() })
	return s.closeErr
}

// Sweep removes what has expired, from the storage too where the driver is a
// [Scrubber]. It is called now and then by whoever holds the store open for long.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	n, err := s.driver.Sweep(ctx, kindIdempotency, s.now())
	if err == nil && n > 0 {
		err = s.scrub(ctx)
	}
	return n, err
}

// scrub makes what was erased vanish from the storage.
func (s *Store) scrub(ctx context.Context) error {
	if d, ok := s.driver.(Scrubber); ok {
		return d.Scrub(ctx)
	}
	return nil
}

// get decodes a record.
func (s *Store) get(ctx context.Context, kind, id string, into any) (version string, err error) {
	r, err := s.driver.Get(ctx, kind, id)
	if err != nil {
		return "", err
	}
	return r.Version, decode(kind, r, into)
}

func decode(kind string, r Record, into any) error {
	if err := json.Unmarshal(r.Data, into); err != nil {
		return fmt.Errorf("%w: %s %q: %w", ErrCorrupt, kind, r.ID, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, kind, id string, value any, expires time.Time, condition Condition) (version string, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("%w: %s %q: %w", ErrInvalidRecord, kind, id, err)
	}
	return s.driver.Put(ctx, kind, Record{ID: id, Data: data, Expires: expires}, condition)
}

// each calls a function with all records of a kind that start with a prefix, in
// order, until it returns an error.
func (s *Store) each(ctx context.Context, kind, prefix string, do func(Record) error) error {
	for after := ""; ; {
		page, err := s.driver.List(ctx, kind, prefix, after, maxPage)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := do(r); err != nil {
				return err
			}
			after = r.ID
		}
		if len(page) < maxPage {
			return nil
		}
	}
}

// change rewrites a record as a function says, again if somebody else was
// faster. The function returns false if nothing is to be changed.
func change[T any](ctx context.Context, s *Store, kind, id string, edit func(*T) bool) (T, error) {
	for {
		var value T
		version, err := s.get(ctx, kind, id, &value)
		if err != nil {
			return value, err
		}
		if !edit(&value) {
			return value, nil
		}
		_, err = s.put(ctx, kind, id, value, time.Time{}, Condition{Version: version})
		if !errors.Is(err, ErrConflict) {
			return value, err
		}
	}
}
