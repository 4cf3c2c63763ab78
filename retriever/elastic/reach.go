package elastic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/needle-search/needle/retriever"
)

var _ retriever.Remote = (*Backend)(nil)

// reachTimeout is how long a server may take to say something: those who look
// after the process ask every few seconds.
const reachTimeout = 2 * time.Second

// Reach implements [retriever.Remote]. It asks for an index that there never is,
// because any user may do so; the answer does not matter, so long as one comes.
func (b *Backend) Reach(ctx context.Context) error {
	if err := b.alive(); err != nil {
		return fmt.Errorf("elastic: reach: %w", err)
	}
	err := b.client.do(ctx, request{method: http.MethodGet, path: "/" + b.alias("") + ".reach?features=aliases", timeout: reachTimeout, once: true}, nil)
	if errors.Is(err, retriever.ErrUnavailable) || ctx.Err() != nil {
		return fmt.Errorf("elastic: reach: %w", err)
	}
	return nil
}
