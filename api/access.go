package api

import (
	"cmp"
	"io"

	"github.com/needle-search/needle/store"
)

// Access says who may use a server. The zero value lets everybody do
// everything, which is for servers that only this machine can reach.
type Access struct {
	// Store keeps keys, idempotency records and feedback. As soon as it has
	// ever had a key, every request needs one. Nil means that there are none.
	Store *store.Store
	// RequireKeys demands a key also while there is none.
	RequireKeys bool
	// Tokens checks bearer tokens that are no keys; nil means that there are
	// none. With a verifier every request needs a key or token.
	Tokens TokenVerifier
	// FeedbackPerHour is how much feedback a caller may send in an hour; 0 means
	// 1000.
	FeedbackPerHour int
	// Judging says how feedback is weighed.
	Judging store.Judging
	// LocalToken, unless empty, lets tools of this machine do everything; see
	// docs/security.md.
	LocalToken string
	// Audit, unless nil, gets a line of JSON for every write and every act of
	// administration.
	Audit io.Writer
	// CORSOrigins are the origins whose pages may call the API from a browser.
	CORSOrigins []string
	// DefaultIndex is the name of the index that is meant when none is named;
	// empty means "default".
	DefaultIndex string
}

func (a Access) withDefaults() Access {
	a.DefaultIndex = cmp.Or(a.DefaultIndex, "default")
	a.FeedbackPerHour = cmp.Or(max(0, a.FeedbackPerHour), 1000)
	return a
}
