package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/needle-search/needle/auth"
)

// A Key is an API key without its secret.
type Key struct {
	// ID is public; it stands in logs and revokes the key.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Hash is that of the secret; it leaves the store never.
	Hash      string      `json:"hash,omitempty"`
	Grants    auth.Grants `json:"grants"`
	Groups    []string    `json:"groups,omitempty"`
	AllGroups bool        `json:"all_groups,omitempty"`
	// Rate is how many requests a second the key may send, Burst how many at
	// once; 0 means as many as it likes.
	Rate      float64   `json:"rate,omitempty"`
	Burst     int       `json:"burst,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
	// ExpiresAt is when the key ends to be valid; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// Valid reports whether the key may be used.
func (k *Key) Valid(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Identity returns who stands behind the key.
func (k *Key) Identity() auth.Identity {
	return auth.Identity{ID: k.ID, Grants: k.Grants, Groups: k.Groups, AllGroups: k.AllGroups, Rate: k.Rate, Burst: k.Burst}
}

// Bounds of keys.
const (
	maxNameBytes = 200
	maxGrants    = 1000
	maxGroups    = 1000
	maxRate      = 1e6
)

func (k *Key) validate(now time.Time) error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrInvalidRecord}, args...)...))
	}
	if strings.TrimSpace(k.Name) == "" || len(k.Name) > maxNameBytes || !printable(k.Name) {
		fault("name: allowed are 1 to %d bytes of printable text", maxNameBytes)
	}
	if len(k.Grants) == 0 || len(k.Grants) > maxGrants {
		fault("roles: there are %d; allowed are 1 to %d", len(k.Grants), maxGrants)
	}
	for _, g := range k.Grants {
		if err := g.Validate(); err != nil {
			fault("roles: %w", err)
		}
	}
	if len(k.Groups) > maxGroups {
		fault("groups: there are %d; allowed are at most %d", len(k.Groups), maxGroups)
	}
	if slices.ContainsFunc(k.Groups, func(g string) bool { return g == "" || !printable(g) }) {
		fault("groups: one is empty or not printable text")
	}
	if !(k.Rate >= 0 && k.Rate <= maxRate) || k.Burst < 0 || k.Burst > maxRate {
		fault("rate: %v with a burst of %d; allowed is 0 (no limit) to %v", k.Rate, k.Burst, maxRate)
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
		fault("expires_at: %s has passed", k.ExpiresAt.Format(time.RFC3339))
	}
	return errors.Join(faults...)
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// CreateKey stores a new key and returns it with its secret, which cannot be
// had again. Name and Grants are needed; id, hash and time of creation are
// given by the store. Errors wrap [ErrInvalidRecord] if the key makes no sense.
func (s *Store) CreateKey(ctx context.Context, k Key) (stored Key, secret string, err error) {
	now := s.now().UTC().Truncate(time.Second)
	if err := k.validate(now); err != nil {
		return Key{}, "", err
	}
	secret, k.ID, k.Hash = auth.NewSecret()
	k.CreatedAt, k.RevokedAt, k.ExpiresAt = now, time.Time{}, k.ExpiresAt.UTC()
	if _, err := s.put(ctx, kindKey, k.ID, k, time.Time{}, Condition{Absent: true}); err != nil {
		return Key{}, "", fmt.Errorf("store: create key: %w", err)
	}
	s.keys.forget()
	k.Hash = ""
	return k, secret, nil
}

// Keys returns all keys in order of creation, also those that are expired or
// revoked, without hashes.
func (s *Store) Keys(ctx context.Context) ([]Key, error) {
	all, err := s.loadKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: list keys: %w", err)
	}
	for i := range all {
		all[i].Hash = ""
	}
	slices.SortStableFunc(all, func(a, b Key) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all, nil
}

func (s *Store) loadKeys(ctx context.Context) ([]Key, error) {
	all := []Key{}
	err := s.each(ctx, kindKey, "", func(r Record) error {
		var k Key
		if err := decode(kindKey, r, &k); err != nil {
			return err
		}
		all = append(all, k)
		return nil
	})
	return all, err
}

// RevokeKey ends a key for good, or returns [ErrNotFound]. The record stays, so
// that the list says what there was; revoking twice is allowed.
func (s *Store) RevokeKey(ctx context.Context, id string) (Key, error) {
	if id == "" || len(id) > MaxRecordID {
		return Key{}, fmt.Errorf("store: revoke key: %w", ErrNotFound)
	}
	now := s.now().UTC().Truncate(time.Second)
	k, err := change(ctx, s, kindKey, id, func(k *Key) bool {
		if !k.RevokedAt.IsZero() {
			return false
		}
		k.RevokedAt = now
		return true
	})
	s.keys.forget()
	if err != nil {
		return Key{}, fmt.Errorf("store: revoke key: %w", err)
	}
	k.Hash = ""
	return k, nil
}

// keysAge is how long keys in memory are used before the store is asked again,
// which is how long a key that was revoked through another server stays valid
// on this one. What this server revokes ends at once.
const keysAge = 2 * time.Second

// keyCache holds all keys. Loading happens under the lock, so that one request
// asks the store and the others wait for it.
type keyCache struct {
	mu     sync.Mutex
	loaded time.Time
	byID   map[string]Key
}

func (c *keyCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID = nil
}

func (s *Store) cachedKeys(ctx context.Context) (map[string]Key, error) {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if s.keys.byID != nil && s.now().Sub(s.keys.loaded) < keysAge {
		return s.keys.byID, nil
	}
	begin := s.now()
	all, err := s.loadKeys(ctx)
	if err != nil {
		return nil, err
	}
	s.keys.byID, s.keys.loaded = make(map[string]Key, len(all)), begin
	for _, k := range all {
		s.keys.byID[k.ID] = k
	}
	return s.keys.byID, nil
}

// HasKeys reports whether a key was ever created. A store whose keys are all
// revoked still has them, so that revoking the last one does not open a server
// to everybody.
func (s *Store) HasKeys(ctx context.Context) (bool, error) {
	keys, err := s.cachedKeys(ctx)
	return len(keys) > 0, err
}

// Authenticate returns who stands behind an API key, or an error that wraps
// [auth.ErrUnauthenticated] and does not say whether the key is unknown, wrong,
// expired or revoked. How long it takes does not depend on it either.
func (s *Store) Authenticate(ctx context.Context, secret string) (auth.Identity, error) {
	id, formed := auth.SecretID(secret)
	keys, err := s.cachedKeys(ctx)
	if err != nil {
		return auth.Identity{}, err
	}
	k := keys[id]
	if !auth.MatchSecret(secret, k.Hash) || !formed || !k.Valid(s.now()) {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	return k.Identity(), nil
}
