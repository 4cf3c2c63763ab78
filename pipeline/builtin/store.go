package builtin

import (
	"context"
	"path/filepath"

	"github.com/needle-search/needle/store"
	"github.com/needle-search/needle/store/bolt"
)

// openStore keeps keys, feedback and the like in a file of the data directory.
func openStore(ctx context.Context, dataDir string) (store.Driver, error) {
	return bolt.Open(ctx, filepath.Join(dataDir, "store.db"))
}
