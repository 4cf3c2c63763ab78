package retriever

import "context"

// Remote is a [Backend] that asks a server, which may be away. It is safe for
// concurrent use.
type Remote interface {
	// Reach asks the server for a sign of life, once and briefly. It fails with
	// [ErrUnavailable] if none came.
	Reach(ctx context.Context) error
}
