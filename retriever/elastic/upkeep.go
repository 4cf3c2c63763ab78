package elastic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/needle-search/needle/retriever"
)

var (
	_ retriever.Compacter     = (*Index)(nil)
	_ retriever.FieldDeclarer = (*Index)(nil)
)

// compactTimeout bounds a merge of the whole index.
const compactTimeout = 6 * time.Hour

// Compact implements [retriever.Compacter]: the server merges the segments that
// hold much of what was deleted. It keeps what was deleted lately, for copies of
// shards that may have missed it, so that the space may come back later.
func (x *Index) Compact(ctx context.Context) error {
	unlock, err := x.lock(ctx)
	if err != nil {
		return x.fail("compact", err)
	}
	if v := x.view(); x.epoch != 0 && v.Epoch == x.epoch {
		x.purge(ctx, v)
	}
	unlock()
	end, err := x.begin(ctx)
	if err != nil {
		return x.fail("compact", err)
	}
	defer end()
	path := "/" + x.concrete + "/_forcemerge?only_expunge_deletes=true"
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, timeout: compactTimeout}, nil); err != nil {
		return x.fail("compact", err)
	}
	return nil
}

// DeclareFields implements [retriever.FieldDeclarer].
func (x *Index) DeclareFields(ctx context.Context, fields map[string]retriever.FieldType) error {
	unlock, err := x.lock(ctx)
	if err != nil {
		return x.fail("declare fields of", err)
	}
	defer unlock()
	for name, typ := range fields {
		if _, err := retriever.ParseFieldType(string(typ)); err != nil || name == "" {
			return x.fail("declare fields of", errors.Join(fmt.Errorf("field %q cannot be declared", name), err))
		}
	}
	err = x.retryConflicts(ctx, func() error {
		from := x.view()
		next := from.clone()
		fresh := 0
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			known, there := next.Fields[name]
			if there && known != fields[name] {
				return fmt.Errorf("%w: %q is a %s in this index, not a %s", retriever.ErrFieldConflict, name, known, fields[name])
			}
			if !there {
				next.Fields[name] = fields[name]
				fresh++
			}
		}
		if fresh == 0 {
			return nil
		}
		return x.commit(ctx, from, next, false)
	})
	if err != nil {
		return x.fail("declare fields of", err)
	}
	return nil
}
