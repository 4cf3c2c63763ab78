// Package store keeps what a server must remember beside its indexes: API
// keys, answers to writes with an Idempotency-Key, feedback, and how fresh the
// sources of an index are.
//
//	s := store.New(driver)	// from store/bolt, or store/elastic
//	defer s.Close()
//	key, err := s.CreateKey(ctx, store.Key{Name: "web", Grants: grants})
//
// A [Store] is safe for concurrent use and owns its [Driver]. Drivers hold
// records and know nothing of their meaning; store/storetest is the conformance
// suite of all of them. Secrets of keys are never stored, only their hashes.
package store
