// Package auth is the vocabulary of access: roles on indexes, the identity
// behind a request, and the form of API keys.
//
//	who := auth.Identity{ID: "k7...", Grants: auth.Grants{{Role: auth.Search, Index: "hr"}}, Groups: []string{"staff"}}
//	who.May(auth.Search, "hr")	// true
//
// It decides and stores nothing by itself: package store keeps keys, package
// api asks. All types are values and safe for concurrent use.
package auth
