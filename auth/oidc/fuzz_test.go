package oidc_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"

	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/auth/oidc"
)

// fuzzVerifier accepts what the signer signs for needle.
func fuzzVerifier(f *testing.F, s signer) *oidc.Verifier {
	f.Helper()
	p := newProvider(f)
	p.publish(s.public())
	v, err := oidc.New(oidc.Config{
		Issuer: "https://login.example", Audience: []string{"needle"}, JWKSURL: p.URL, Algorithms: []string{string(s.algorithm)},
		Roles:  map[string]auth.Grants{"boss": {{Role: auth.Admin, Index: auth.AllIndexes}}},
		Client: p.Client(),
	})
	if err != nil {
		f.Fatal(err)
	}
	return v
}

// FuzzToken shows any text as a token. Nothing that was not signed gets in.
func FuzzToken(f *testing.F) {
	s := newEC(f, "one")
	v := fuzzVerifier(f, s)
	good := s.sign(f, map[string]any{"iss": "https://login.example", "aud": "needle", "sub": "anna", "exp": time.Now().Add(24 * time.Hour).Unix(), "roles": []string{"reader"}})
	parts := strings.Split(good, ".")
	for _, token := range []string{good, good + ".", parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0." + parts[1] + ".", "a.b.c", "..", "", good[:len(good)-2], parts[0] + ".e30." + parts[2], `{"payload":"e30","signatures":[]}`} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		who, err := v.Verify(t.Context(), token)
		switch {
		case err != nil && !errors.Is(err, auth.ErrUnauthenticated) && !errors.Is(err, auth.ErrUnavailable):
			t.Errorf("%q: got %v, want ErrUnauthenticated", token, err)
		case err == nil && who.ID != "jwt:anna":
			t.Errorf("%q is taken for %q", token, who.ID)
		case err == nil && who.Grants.MayAny(auth.Admin):
			t.Errorf("%q may administrate", token)
		}
	})
}

// FuzzClaims signs any claims: a provider may be odd, and what it says of roles
// and groups must not break or widen anything.
func FuzzClaims(f *testing.F) {
	s := newEC(f, "one")
	v := fuzzVerifier(f, s)
	key := jose.SigningKey{Algorithm: s.algorithm, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}
	for _, claims := range []string{
		`"sub":"anna","roles":"boss","groups":["a",1,null]`, `"sub":1`, `"sub":"a\u0000"`, `"sub":"x","roles":{"boss":true}`, `"sub":"x","exp":1e300`, `"sub":"x","exp":"never"`,
		`"sub":"x","nbf":-1`, `"sub":"x","iat":9e18`, `"aud":["other","needle"],"sub":"y"`, `"aud":{"needle":1}`, `"sub":"x","roles":[[["boss"]]]`, `"iss":"https://evil.example"`,
	} {
		f.Add(claims)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		payload := `{"iss":"https://login.example","aud":"needle","exp":4000000000,` + claims + `}`
		if !json.Valid([]byte(payload)) {
			return
		}
		made, err := jose.NewSigner(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		object, err := made.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		token, err := object.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		who, err := v.Verify(t.Context(), token)
		if err != nil {
			if !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("%s: got %v, want ErrUnauthenticated", payload, err)
			}
			return
		}
		if subject, ok := strings.CutPrefix(who.ID, "jwt:"); !ok || subject == "" || strings.IndexFunc(subject, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Errorf("%s is taken for %q", payload, who.ID)
		}
		if who.AllGroups || who.Grants.MayAny(auth.Admin) && !strings.Contains(payload, "boss") && !strings.Contains(payload, `\u`) {
			t.Errorf("%s gives %+v", payload, who)
		}
	})
}
