package auth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/auth"
)

// FuzzParseGrants reads any role. What is accepted is valid, and reads the same
// when it is written down again.
func FuzzParseGrants(f *testing.F) {
	for _, text := range []string{"search", "write:hr,sales", "admin:*", "monitor", "monitor:hr", "search:", ":hr", "search:hr:x", " write : a , b ", "root", "search:../x", "search:\xff", "search:" + strings.Repeat("x", 65), "search,write"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		grants, err := auth.ParseGrants([]string{text})
		for _, g := range grants {
			if g.Validate() != nil {
				t.Errorf("%q gives %v, which is not valid", text, g)
			}
		}
		again, againErr := auth.ParseGrants(grants.Strings())
		if againErr != nil || !slices.Equal(again, grants) {
			t.Errorf("%q gives %v, which reads as %v, %v", text, grants, again, againErr)
		}
		if err == nil && len(grants) == 0 {
			t.Errorf("%q is accepted and grants nothing", text)
		}
		// No text grants more than it says.
		if !strings.Contains(text, "admin") && grants.MayAny(auth.Admin) {
			t.Errorf("%q grants admin", text)
		}
	})
}

// FuzzSecret holds any text against the hash of a key.
func FuzzSecret(f *testing.F) {
	key, id, hash := auth.NewSecret()
	f.Add(key)
	f.Add(key + "x")
	f.Add(auth.KeyPrefix)
	f.Add(auth.KeyPrefix + "_")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if auth.MatchSecret(text, hash) != (text == key) {
			t.Errorf("%q matches: %v", text, text != key)
		}
		if got, ok := auth.SecretID(text); ok != (got != "") || text == key && got != id {
			t.Errorf("%q has the id %q, %v", text, got, ok)
		}
		if auth.MatchSecret(text, "") {
			t.Errorf("%q matches no hash", text)
		}
	})
}
