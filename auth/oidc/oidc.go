// Package oidc checks the bearer tokens of an OpenID provider: JSON Web Tokens
// that are signed with one of the keys at the provider's JWKS address.
//
//	v, err := oidc.New(oidc.Config{Issuer: "https://login.example.com/", Audience: []string{"needle"}, JWKSURL: "https://login.example.com/keys"})
//	who, err := v.Verify(ctx, token)
//
// A token must be signed with a key of the set by one of the configured
// asymmetric algorithms, come from the issuer, be meant for one of the
// audiences, and be neither expired nor from the future. A [Verifier] is safe
// for concurrent use. It fetches keys when it sees a token that none it knows
// has signed, but not more often than every few seconds, so that nobody can use
// it to flood the provider; and it forgets keys after a while, so that those
// that the provider has withdrawn end.
package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/needle-search/needle/auth"
)

// A Config says which tokens are accepted and what they stand for. Issuer,
// Audience and JWKSURL are needed.
type Config struct {
	Issuer   string
	Audience []string
	JWKSURL  string
	// Algorithms are the accepted signatures; none means RS256.
	Algorithms []string
	// ClockSkew is how far the provider's clock may be off, 0 to 5 min.
	ClockSkew time.Duration
	// SubjectClaim, RolesClaim and GroupsClaim name claims; a dot leads into an
	// object. Roles and groups are a list of texts, or one text with spaces
	// between. Empty means sub, roles and groups.
	SubjectClaim, RolesClaim, GroupsClaim string
	// Roles says what a value of the roles claim grants. Values that are not in
	// it grant nothing.
	Roles map[string]auth.Grants
	// DefaultGrants are those of every valid token.
	DefaultGrants auth.Grants
	// Rate is how many requests a second each subject may send; 0 means as many
	// as it likes.
	Rate float64

	// Now tells the time, and Client fetches the keys; nil means the usual.
	Now    func() time.Time
	Client *http.Client
}

// A Verifier checks tokens. See [New].
type Verifier struct {
	config   Config
	verifier *oidc.IDTokenVerifier
}

// New returns a verifier. It does no I/O: keys are fetched with the first
// token.
func New(c Config) (*Verifier, error) {
	if c.Issuer == "" || c.JWKSURL == "" || len(c.Audience) == 0 {
		return nil, errors.New("oidc: issuer, JWKS address and audience are needed")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{oidc.RS256}
	}
	for _, a := range c.Algorithms {
		// Symmetric signatures and none would let those who know the public keys
		// sign.
		if strings.HasPrefix(a, "HS") || strings.EqualFold(a, "none") {
			return nil, fmt.Errorf("oidc: algorithm %q: only asymmetric signatures are accepted", a)
		}
	}
	for claim, standard := range map[*string]string{&c.SubjectClaim: "sub", &c.RolesClaim: "roles", &c.GroupsClaim: "groups"} {
		if *claim == "" {
			*claim = standard
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	limited := *c.Client
	limited.Transport = &fetchLimit{next: c.Client.Transport, now: c.Now}
	keys := &keySet{url: c.JWKSURL, client: &limited, now: c.Now}
	return &Verifier{config: c, verifier: oidc.NewVerifier(c.Issuer, keys, &oidc.Config{
		SupportedSigningAlgs: c.Algorithms,
		// There may be several audiences; Verify checks them.
		SkipClientIDCheck: true,
		// Verify checks the times, with the clock skew on both ends.
		SkipExpiryCheck: true,
	})}, nil
}

// claims are those that decide whether a token is valid.
type claims struct {
	Expiry    *number `json:"exp"`
	NotBefore *number `json:"nbf"`
	IssuedAt  *number `json:"iat"`
}

// number is seconds since 1970, whole or not.
type number float64

func (n *number) time() time.Time {
	whole, fraction := math.Modf(float64(*n))
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// Verify returns who stands behind a token. Errors wrap
// [auth.ErrUnauthenticated] if the token is not valid, and [auth.ErrUnavailable] if
// that cannot be told.
func (v *Verifier) Verify(ctx context.Context, token string) (auth.Identity, error) {
	// The library drops the cause of a failure, so it comes back this way.
	var fetchFault error
	parsed, err := v.verifier.Verify(context.WithValue(ctx, faultKey{}, &fetchFault), token)
	if err != nil {
		if fetchFault != nil {
			return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, fetchFault)
		}
		return auth.Identity{}, refused(err.Error())
	}
	if !slices.ContainsFunc(parsed.Audience, func(a string) bool { return slices.Contains(v.config.Audience, a) }) {
		return auth.Identity{}, refused("it is meant for another audience")
	}
	var times claims
	var all map[string]any
	if err := errors.Join(parsed.Claims(&times), parsed.Claims(&all)); err != nil {
		return auth.Identity{}, refused("its claims cannot be read")
	}
	now, skew := v.config.Now(), v.config.ClockSkew
	switch {
	case times.Expiry == nil || !plausible(times.Expiry) || !now.Before(times.Expiry.time().Add(skew)):
		return auth.Identity{}, refused("it has expired, or never expires")
	case times.NotBefore != nil && (!plausible(times.NotBefore) || now.Before(times.NotBefore.time().Add(-skew))):
		return auth.Identity{}, refused("it is not valid yet")
	case times.IssuedAt != nil && (!plausible(times.IssuedAt) || now.Before(times.IssuedAt.time().Add(-skew))):
		return auth.Identity{}, refused("it was issued in the future")
	}
	subject, _ := claim(all, v.config.SubjectClaim).(string)
	if subject == "" || len(subject) > 256 || !utf8.ValidString(subject) || strings.IndexFunc(subject, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return auth.Identity{}, refused("its subject is missing or not printable")
	}
	who := auth.Identity{
		ID: "jwt:" + subject, Grants: slices.Clone(v.config.DefaultGrants),
		Groups: texts(claim(all, v.config.GroupsClaim)), Rate: v.config.Rate,
	}
	for _, role := range texts(claim(all, v.config.RolesClaim)) {
		who.Grants = append(who.Grants, v.config.Roles[role]...)
	}
	return who, nil
}

// refused gives the reason to the log; callers are told only that the token is
// not valid.
func refused(why string) error { return fmt.Errorf("%w: the token: %s", auth.ErrUnauthenticated, why) }

// plausible keeps times within what can be calculated with.
func plausible(n *number) bool { return *n > 0 && *n < 1<<40 }

// claim follows a path of names with dots into claims. A claim whose own name
// has dots, as some providers use, comes first.
func claim(all map[string]any, path string) any {
	if v, ok := all[path]; ok {
		return v
	}
	var at any = all
	for name := range strings.SplitSeq(path, ".") {
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[name]
	}
	return at
}

// texts reads a list of texts, or one text with spaces between.
func texts(v any) []string {
	var list []string
	switch v := v.(type) {
	case string:
		list = strings.Fields(v)
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok && s != "" {
				list = append(list, s)
			}
		}
	}
	return list
}

// Times of the keys: how long they are used before they are fetched again, and
// how long a fetch must be after the one before.
const (
	keysAge    = 15 * time.Minute
	fetchEvery = 10 * time.Second
)

// keySet is a remote key set that forgets keys after a while. The library's own
// keeps keys until it sees a token of an unknown one.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	keys  *oidc.RemoteKeySet
	since time.Time
}

// faultKey is the context key of a *error for why keys could not be fetched.
type faultKey struct{}

// VerifySignature implements the library's KeySet.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.verify(ctx, token)
	if fault, ok := ctx.Value(faultKey{}).(*error); ok && (errors.Is(err, errFetch) || ctx.Err() != nil) {
		*fault = err
	}
	return payload, err
}

func (k *keySet) verify(ctx context.Context, token string) ([]byte, error) {
	k.mu.Lock()
	now := k.now()
	current := k.keys
	fresh := current != nil && now.Sub(k.since) < keysAge
	k.mu.Unlock()
	if fresh {
		return current.VerifySignature(ctx, token)
	}
	next := oidc.NewRemoteKeySet(oidc.ClientContext(ctx, k.client), k.url)
	payload, err := next.VerifySignature(ctx, token)
	if errors.Is(err, errFetch) {
		if current == nil {
			return nil, err
		}
		// The provider is away: what was known of it stays good.
		return current.VerifySignature(ctx, token)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == current {
		k.keys, k.since = next, now
	}
	return payload, err
}

// errFetch says that keys could not be fetched.
var errFetch = errors.New("fetch the keys")

// fetchLimit keeps fetches apart and turns every failure into errFetch.
type fetchLimit struct {
	next http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	last time.Time
	body []byte
	head http.Header
}

// maxKeys is the longest key set in bytes.
const maxKeys = 1 << 20

// RoundTrip fetches the keys, or gives again what it fetched a moment ago.
func (f *fetchLimit) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if f.last.IsZero() || now.Sub(f.last) >= fetchEvery || now.Before(f.last) {
		f.last = now
		body, head, err := f.fetch(r)
		if err != nil {
			f.body = nil
			return nil, fmt.Errorf("%w: %w", errFetch, err)
		}
		f.body, f.head = body, head
	}
	if f.body == nil {
		return nil, fmt.Errorf("%w: it failed a moment ago", errFetch)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: f.head.Clone(), Body: io.NopCloser(strings.NewReader(string(f.body))), ContentLength: int64(len(f.body)), Request: r,
	}, nil
}

func (f *fetchLimit) fetch(r *http.Request) ([]byte, http.Header, error) {
	next := f.next
	if next == nil {
		next = http.DefaultTransport
	}
	response, err := next.RoundTrip(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeys+1))
	switch {
	case err != nil:
		return nil, nil, err
	case response.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("%s answered %s", r.URL.Redacted(), response.Status)
	case len(body) > maxKeys:
		return nil, nil, fmt.Errorf("%s answered more than %d bytes", r.URL.Redacted(), maxKeys)
	case !json.Valid(body):
		return nil, nil, fmt.Errorf("%s answered something that is no JSON", r.URL.Redacted())
	}
	return body, response.Header, nil
}
