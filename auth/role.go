package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The errors of access, for errors.Is.
var (
	// ErrUnauthenticated says that a request has no key or token, or one that
	// is unknown, expired or revoked. It never says which.
	ErrUnauthenticated = errors.New("the request has no valid key or token")
	// ErrForbidden says that the caller is known and may not do this.
	ErrForbidden = errors.New("the key or token does not allow this")
	// ErrRateLimited says that a key was used more often than it may be.
	ErrRateLimited = errors.New("the key is used more often than it may be")
	// ErrUnavailable says that nobody can tell now whether a token is valid.
	ErrUnavailable = errors.New("tokens cannot be checked now")
	// ErrInvalidGrant says that a grant cannot be read; the message says what is
	// allowed.
	ErrInvalidGrant = errors.New("invalid role")
)

// A Role is what a caller may do with an index.
type Role string

// The roles. Search reads: asking, searching, reading documents, giving
// feedback. Write adds, replaces and deletes documents, and does not read.
// Admin does everything with an index, which includes making and deleting it,
// and sees all its documents; on all indexes it looks after the server too:
// keys, profiles, settings. Monitor, which is about the server and not about an
// index, reads metrics and nothing else.
const (
	Search  Role = "search"
	Write   Role = "write"
	Admin   Role = "admin"
	Monitor Role = "monitor"
)

// Roles returns all roles.
func Roles() []Role { return []Role{Search, Write, Admin, Monitor} }

// AllIndexes stands for every index in a [Grant].
const AllIndexes = "*"

// A Grant gives a role on one index or on all.
type Grant struct {
	Role Role `json:"role"`
	// Index is the name of an index or AllIndexes.
	Index string `json:"index"`
}

// String returns the grant as [ParseGrants] reads it.
func (g Grant) String() string {
	if g.Index == AllIndexes {
		return string(g.Role)
	}
	return string(g.Role) + ":" + g.Index
}

// Validate reports an unknown role, an empty index, or the role monitor on one
// index. The error wraps [ErrInvalidGrant].
func (g Grant) Validate() error {
	switch {
	case !slices.Contains(Roles(), g.Role):
		return fmt.Errorf("%w: %q; allowed are search, write, admin and monitor", ErrInvalidGrant, g.Role)
	case !validIndex(g.Index):
		return fmt.Errorf("%w: %s on index %q; allowed is the name of an index, or * for all", ErrInvalidGrant, g.Role, g.Index)
	case g.Role == Monitor && g.Index != AllIndexes:
		return fmt.Errorf("%w: monitor on index %q; monitor is about the whole server", ErrInvalidGrant, g.Index)
	}
	return nil
}

// maxIndexName is that of package retriever, which this one does not import.
const maxIndexName = 64

func validIndex(name string) bool {
	if name == AllIndexes {
		return true
	}
	return name != "" && len(name) <= maxIndexName && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) < 0
}

// Grants are all that a caller may do.
type Grants []Grant

// ParseGrants reads grants from texts such as "search" (on all indexes),
// "search:hr" and "write:hr,sales".
func ParseGrants(texts []string) (Grants, error) {
	var grants Grants
	var faults []error
	for _, text := range texts {
		role, indexes, named := strings.Cut(text, ":")
		if !named {
			indexes = AllIndexes
		}
		for index := range strings.SplitSeq(indexes, ",") {
			g := Grant{Role: Role(strings.TrimSpace(role)), Index: strings.TrimSpace(index)}
			if err := g.Validate(); err != nil {
				faults = append(faults, err)
				continue
			}
			if !slices.Contains(grants, g) {
				grants = append(grants, g)
			}
		}
	}
	return grants, errors.Join(faults...)
}

// Strings returns the grants as [ParseGrants] reads them.
func (gs Grants) Strings() []string {
	texts := make([]string, len(gs))
	for i, g := range gs {
		texts[i] = g.String()
	}
	return texts
}

// May reports whether the grants hold a role on an index. Admin holds search
// and write on its indexes, and monitor if it is on all of them. AllIndexes as
// the index asks for the role on all of them.
func (gs Grants) May(role Role, index string) bool {
	for _, g := range gs {
		if g.Index != AllIndexes && g.Index != index {
			continue
		}
		if g.Role == role || g.Role == Admin {
			return true
		}
	}
	return false
}

// MayAny reports whether the grants hold a role on at least one index.
func (gs Grants) MayAny(role Role) bool {
	return slices.ContainsFunc(gs, func(g Grant) bool { return g.Role == role || g.Role == Admin && role != Monitor }) || gs.May(role, AllIndexes)
}

// Sees reports whether the grants are of any use on an index. An index that a
// caller does not see is the same to it as one that is not there.
func (gs Grants) Sees(index string) bool {
	return gs.May(Search, index) || gs.May(Write, index)
}
