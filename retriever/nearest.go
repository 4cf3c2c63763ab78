package retriever

import "context"

// A VectorSearcher is an index that finds passages by their vectors alone, also
// those that share no word with the query: an ability that not every
// [VectorStore] has. It is safe for concurrent use.
type VectorSearcher interface {
	// Nearest returns the passages whose vectors of the model point most into
	// the direction of a vector, with Scores.Vector set, by falling score. The
	// filter and the groups of the query hold; its text, which may be empty, only
	// gives the hits their BM25 score too. The search may be approximate: it may pass over some of the nearest. Passages without a
	// vector are not found, and an index without any gives an empty result.
	Nearest(ctx context.Context, model string, vector []int8, query Query) (Results, error)
}
