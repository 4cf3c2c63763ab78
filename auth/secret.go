package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// KeyPrefix starts every API key, so that people and scanners for leaked
// secrets recognise one.
const KeyPrefix = "needle_"

// NewSecret returns a new API key as it is shown once, the id by which it is
// known, and the hash that is kept. The secret part has 130 random bits, which
// nobody can guess, so a single SHA-256 is a safe hash: the slow hashes that
// passwords need would cost every request 100 ms and protect nothing.
func NewSecret() (key, id, hash string) {
	id = strings.ToLower(rand.Text()[:12])
	key = KeyPrefix + id + "_" + strings.ToLower(rand.Text())
	return key, id, HashSecret(key)
}

// HashSecret returns the hash of a key as it is kept.
func HashSecret(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// MatchSecret compares a key with a kept hash. How long it takes does not
// depend on where they differ. An empty hash matches nothing and takes as long.
func MatchSecret(key, hash string) bool {
	want := hash
	if want == "" {
		want = strings.Repeat("0", 2*sha256.Size)
	}
	same := subtle.ConstantTimeCompare([]byte(HashSecret(key)), []byte(want)) == 1
	return same && hash != ""
}

// SecretID returns the id within an API key, and whether the text has the form
// of one. That says nothing about whether the key exists.
func SecretID(key string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(key, KeyPrefix)
	if !ok || len(key) > 256 {
		return "", false
	}
	id, secret, ok := strings.Cut(rest, "_")
	return id, ok && id != "" && secret != ""
}
