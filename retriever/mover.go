package retriever

import "context"

// A Mover is an index whose name another process may have given to another
// index, or dropped.
type Mover interface {
	// Moved reports whether the name stands for something else by now, so that
	// the index has to be opened again. It may rely on what it learned within
	// the last second. The index itself goes on working for who has it open, as
	// long as nobody drops it.
	Moved(ctx context.Context) (bool, error)
}
