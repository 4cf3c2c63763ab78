// Package heads groups the prediction heads, one package each, and their common
// tests:
//
//	span            where an answer starts and ends
//	relevance       whether a passage answers a question
//	embedding       a place in a vector space
//	classification  a label for a text
//	tokens          a label for every token
//
// Each has a constructor of the same form, which the registry of a program
// knows by the head's kind:
//
//	New(spec models.HeadSpec, readFile func(name string) ([]byte, error), width int) (models.Head, error)
//
// A head of one's own is one more such package and one more line in the
// registry.
package heads
