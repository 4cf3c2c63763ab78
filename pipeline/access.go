package pipeline

import "slices"

// Access says what a caller may see. The zero value sees documents without
// groups only.
type Access struct {
	Groups    []string
	AllGroups bool
}

// FullAccess sees everything: the command line on its own files, an embedding
// program, an administrator.
func FullAccess() Access { return Access{AllGroups: true} }

// Narrow returns what of the access is left for a request that asks for these
// groups only. Groups that the caller does not have are dropped, so the result
// never sees more. Nil leaves the access as it is; an empty list leaves the
// documents without groups.
func (a Access) Narrow(groups []string) Access {
	switch {
	case groups == nil:
		return a
	case a.AllGroups:
		return Access{Groups: slices.Clone(groups)}
	}
	kept := []string{}
	for _, g := range groups {
		if slices.Contains(a.Groups, g) {
			kept = append(kept, g)
		}
	}
	return Access{Groups: kept}
}
