package elastic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

var _ retriever.Swapper = (*Backend)(nil)

// renameGrace is how long an Elasticsearch index that lost its name is kept for
// other processes, which learn of it when they look at their state next. It is
// three times viewAge.
const renameGrace = 3 * viewAge

// Swap implements [retriever.Swapper]: the server changes all aliases in one
// step. Other processes follow within a second.
func (b *Backend) Swap(ctx context.Context, name, with string) error {
	err := errors.Join(b.check(ctx, name), retriever.ValidStoredName(with))
	if err == nil {
		err = b.swap(ctx, name, with)
	}
	if err != nil {
		return b.fail("swap", name, err)
	}
	return nil
}

func (b *Backend) swap(ctx context.Context, name, with string) error {
	if name == with {
		return errors.New("it is the index itself")
	}
	for _, each := range [...]string{name, with} {
		if _, ok := b.config.Existing[each]; ok {
			return fmt.Errorf("%q: %w", each, retriever.ErrReadOnly)
		}
	}
	new, _, err := b.describe(ctx, with)
	if err != nil {
		return fmt.Errorf("%q: %w", with, err)
	}
	old, _, err := b.describe(ctx, name)
	if err != nil && !errors.Is(err, retriever.ErrIndexNotFound) {
		return err
	}
	actions := []any{
		object{"remove": object{"index": new, "alias": b.alias(with), "must_exist": true}},
		object{"add": object{"index": new, "alias": b.alias(name)}},
	}
	if old != "" {
		actions = append(actions,
			object{"remove": object{"index": old, "alias": b.alias(name), "must_exist": true}},
			object{"add": object{"index": old, "alias": b.alias(with)}})
	}
	err = b.client.do(ctx, request{method: http.MethodPost, path: "/_aliases", body: object{"actions": actions}}, nil)
	if esclient.Status(err) == http.StatusNotFound {
		// It is done if the answer to a first attempt was lost.
		if now, _, findErr := b.describe(ctx, name); findErr == nil && now == new {
			err = nil
		} else {
			err = fmt.Errorf("%w, which changes the same names: %w", retriever.ErrLocked, err)
		}
	}
	if err != nil {
		return err
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	b.renamed[new] = time.Now()
	if old != "" {
		b.renamed[old] = time.Now()
	}
	for x := range b.open {
		switch x.concrete {
		case new:
			x.rename(name)
		case old:
			x.rename(with)
		}
	}
	return nil
}

// name is what the index is called now.
func (x *Index) name() string {
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	return x.named
}

func (x *Index) rename(name string) {
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	x.named, x.moved = name, false
}

// Moved implements [retriever.Mover].
func (x *Index) Moved(ctx context.Context) (bool, error) {
	end, err := x.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	v, err := x.acquire(ctx)
	switch {
	case errors.Is(err, retriever.ErrIndexNotFound):
		return true, nil
	case err != nil:
		return false, x.fail("look after", err)
	}
	x.release(v)
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	return x.moved, nil
}
