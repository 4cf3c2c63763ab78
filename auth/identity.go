package auth

import "slices"

// An Identity is who stands behind a request.
type Identity struct {
	// ID names the caller in logs: the id of a key, "jwt:" and the subject of a
	// token, LocalID, or AnonymousID. It is no secret.
	ID     string
	Grants Grants
	// Groups are those whose documents the caller sees, beside documents
	// without groups. AllGroups sees every document.
	Groups    []string
	AllGroups bool
	// Rate is how many requests a second the caller may send, Burst how many at
	// once; 0 means as many as it likes.
	Rate  float64
	Burst int
}

// Identities that are not stored.
const (
	// LocalID is a tool on the server's own machine that can read the data
	// directory.
	LocalID = "local"
	// AnonymousID is everybody, where no keys are asked for.
	AnonymousID = "anonymous"
)

// Everything returns an identity that may do and see everything.
func Everything(id string) Identity {
	return Identity{ID: id, Grants: Grants{{Admin, AllIndexes}}, AllGroups: true}
}

// May reports whether the caller holds a role on an index; see [Grants.May].
func (i Identity) May(role Role, index string) bool { return i.Grants.May(role, index) }

// SeesAll reports whether the caller sees every document of an index, whatever
// its groups.
func (i Identity) SeesAll(index string) bool { return i.AllGroups || i.Grants.May(Admin, index) }

// SeesGroups reports whether the caller sees a document of these groups in an
// index.
func (i Identity) SeesGroups(index string, groups []string) bool {
	return len(groups) == 0 || i.SeesAll(index) ||
		slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(i.Groups, g) })
}
