package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/auth/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A provider serves a key set and signs tokens.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	down    bool
	fetches atomic.Int64
}

func newProvider(t testing.TB) *provider {
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) publish(keys ...jose.JSONWebKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

type signer struct {
	id        string
	algorithm jose.SignatureAlgorithm
	key       crypto.Signer
}

func newRSA(t testing.TB, id string) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jose.RS256, key}
}

func newEC(t testing.TB, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, jose.ES256, key}
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Algorithm: string(s.algorithm), Use: "sig"}
}

func (s signer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return sign(t, s.algorithm, jose.JSONWebKey{Key: s.key, KeyID: s.id}, claims)
}

func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	object, err := made.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const issuer = "https://login.example.com/"

func newVerifier(t *testing.T, p *provider, at *clock, edit func(*oidc.Config)) *oidc.Verifier {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := oidc.Config{
		Issuer: issuer, Audience: []string{"needle", "search"}, JWKSURL: p.URL, Algorithms: []string{"RS256", "ES256"}, ClockSkew: time.Minute,
		RolesClaim: "realm_access.roles",
		Roles:      map[string]auth.Grants{"admins": {{Role: auth.Admin, Index: "*"}}, "hr": {{Role: auth.Search, Index: "hr"}}},
		Now:        at.time, Client: &http.Client{Transport: transport, Timeout: 5 * time.Second},
	}
	if edit != nil {
		edit(&c)
	}
	v, err := oidc.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func good(now time.Time) map[string]any {
	return map[string]any{
		"iss": issuer, "aud": []string{"other", "needle"}, "sub": "ada", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"groups": []any{"staff", "hr", 7, ""}, "realm_access": map[string]any{"roles": []string{"hr", "unknown"}},
	}
}

func with(claims map[string]any, key string, value any) map[string]any {
	if value == nil {
		delete(claims, key)
	} else {
		claims[key] = value
	}
	return claims
}

func TestTokens(t *testing.T) {
	p, at := newProvider(t), &clock{now: time.Unix(1_800_000_000, 0)}
	rsaKey, ecKey, stranger := newRSA(t, "r1"), newEC(t, "e1"), newRSA(t, "r1")
	p.publish(rsaKey.public(), ecKey.public())
	v := newVerifier(t, p, at, nil)
	now := at.time()
	pemKey := func() []byte {
		der, err := x509.MarshalPKIXPublicKey(rsaKey.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}()
	none := func() string {
		body, err := json.Marshal(good(now))
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
	}()
	valid := rsaKey.sign(t, good(now))
	parts := strings.Split(valid, ".")
	for name, c := range map[string]struct {
		token string
		ok    bool
	}{
		"valid, RSA":                   {valid, true},
		"valid, elliptic curve":        {ecKey.sign(t, good(now)), true},
		"one audience as a text":       {rsaKey.sign(t, with(good(now), "aud", "search")), true},
		"expired within the skew":      {rsaKey.sign(t, with(good(now), "exp", now.Add(-59*time.Second).Unix())), true},
		"not yet, within the skew":     {rsaKey.sign(t, with(good(now), "nbf", now.Add(59*time.Second).Unix())), true},
		"without nbf and iat":          {rsaKey.sign(t, with(with(good(now), "nbf", nil), "iat", nil)), true},
		"nothing":                      {"", false},
		"no token":                     {"abc", false},
		"two parts":                    {parts[0] + "." + parts[1], false},
		"another payload":              {parts[0] + "." + strings.Split(rsaKey.sign(t, with(good(now), "sub", "root")), ".")[1] + "." + parts[2], false},
		"without signature":            {parts[0] + "." + parts[1] + ".", false},
		"signed by a stranger":         {stranger.sign(t, good(now)), false},
		"algorithm none":               {none, false},
		"public key as an HMAC secret": {sign(t, jose.HS256, pemKey, good(now)), false},
		"algorithm that is not taken":  {sign(t, jose.PS256, jose.JSONWebKey{Key: rsaKey.key, KeyID: "r1"}, good(now)), false},
		"expired":                      {rsaKey.sign(t, with(good(now), "exp", now.Add(-61*time.Second).Unix())), false},
		"never expires":                {rsaKey.sign(t, with(good(now), "exp", nil)), false},
		"expires in a strange year":    {rsaKey.sign(t, with(good(now), "exp", 1e300)), false},
		"not yet valid":                {rsaKey.sign(t, with(good(now), "nbf", now.Add(61*time.Second).Unix())), false},
		"issued in the future":         {rsaKey.sign(t, with(good(now), "iat", now.Add(time.Hour).Unix())), false},
		"another issuer":               {rsaKey.sign(t, with(good(now), "iss", "https://evil.example/")), false},
		"no issuer":                    {rsaKey.sign(t, with(good(now), "iss", nil)), false},
		"another audience":             {rsaKey.sign(t, with(good(now), "aud", []string{"mail"})), false},
		"no audience":                  {rsaKey.sign(t, with(good(now), "aud", nil)), false},
		"no subject":                   {rsaKey.sign(t, with(good(now), "sub", nil)), false},
		"a subject with a line break":  {rsaKey.sign(t, with(good(now), "sub", "a\nb")), false},
	} {
		who, err := v.Verify(t.Context(), c.token)
		if c.ok != (err == nil) {
			t.Errorf("%s: got %+v, %v", name, who, err)
		}
		if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: got %v, want ErrUnauthenticated", name, err)
		}
	}
	who, err := v.Verify(t.Context(), valid)
	if err != nil || who.ID != "jwt:ada" || strings.Join(who.Groups, " ") != "staff hr" || who.AllGroups ||
		!who.May(auth.Search, "hr") || who.May(auth.Search, "other") || who.May(auth.Write, "hr") {
		t.Errorf("got %+v, %v", who, err)
	}
}

func TestRotation(t *testing.T) {
	p, at := newProvider(t), &clock{now: time.Unix(1_800_000_000, 0)}
	old, next := newRSA(t, "k1"), newRSA(t, "k2")
	p.publish(old.public())
	v := newVerifier(t, p, at, nil)
	check := func(name string, s signer, want error) {
		t.Helper()
		_, err := v.Verify(t.Context(), s.sign(t, good(at.time())))
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	check("the first key", old, nil)
	check("a key that is not published", next, auth.ErrUnauthenticated)
	p.publish(old.public(), next.public())
	at.add(11 * time.Second)
	// The library forgets a finished fetch a moment after its answer; a token
	// that comes in between is held against that answer once more.
	for range 100 {
		if _, err := v.Verify(t.Context(), next.sign(t, good(at.time()))); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	check("a new key", next, nil)
	// A flood of tokens that nobody signed must not reach the provider.
	before := p.fetches.Load()
	for range 50 {
		check("a stranger", newEC(t, "x"), auth.ErrUnauthenticated)
	}
	if n := p.fetches.Load() - before; n > 1 {
		t.Errorf("50 unknown keys made %d fetches, want at most 1", n)
	}
	p.publish(next.public())
	at.add(16 * time.Minute)
	check("a key that was withdrawn", old, auth.ErrUnauthenticated)
	check("the one that is left", next, nil)
}

func TestProviderAway(t *testing.T) {
	p, at := newProvider(t), &clock{now: time.Unix(1_800_000_000, 0)}
	key := newRSA(t, "k1")
	p.publish(key.public())
	p.down = true
	v := newVerifier(t, p, at, nil)
	if _, err := v.Verify(t.Context(), key.sign(t, good(at.time()))); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("never seen: got %v, want ErrUnavailable", err)
	}
	p.mu.Lock()
	p.down = false
	p.mu.Unlock()
	at.add(11 * time.Second)
	if _, err := v.Verify(t.Context(), key.sign(t, good(at.time()))); err != nil {
		t.Errorf("back again: got %v", err)
	}
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	at.add(time.Hour)
	if _, err := v.Verify(t.Context(), key.sign(t, good(at.time()))); err != nil {
		t.Errorf("away again: got %v, want the keys that are known to do", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]oidc.Config{
		"no issuer":   {JWKSURL: "https://x/", Audience: []string{"a"}},
		"no keys":     {Issuer: issuer, Audience: []string{"a"}},
		"no audience": {Issuer: issuer, JWKSURL: "https://x/"},
		"HMAC":        {Issuer: issuer, JWKSURL: "https://x/", Audience: []string{"a"}, Algorithms: []string{"RS256", "HS256"}},
		"none":        {Issuer: issuer, JWKSURL: "https://x/", Audience: []string{"a"}, Algorithms: []string{"none"}},
	} {
		if _, err := oidc.New(c); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
