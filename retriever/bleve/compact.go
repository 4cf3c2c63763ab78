package bleve

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch/mergeplan"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/needle-search/needle/retriever"
)

var _ retriever.Compacter = (*Index)(nil)

// compactRounds bounds how often segments are merged: every round makes at most
// one of ten.
const compactRounds = 12

// Compact implements [retriever.Compacter]. It merges all segments into one,
// which leaves out what was deleted. With a full disk it waits for room until
// the context ends.
func (x *Index) Compact(ctx context.Context) error {
	if err := x.compact(ctx); err != nil {
		return x.fail("compact", storageError(err))
	}
	return nil
}

func (x *Index) compact(ctx context.Context) error {
	end, err := x.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	for range compactRounds {
		segments, garbage, err := x.shape(ctx)
		if err != nil {
			return err
		}
		if segments == 0 || segments == 1 && !garbage {
			break
		}
		if segments == 1 {
			// The engine merges two segments or more.
			if err := x.splitOff(ctx); err != nil {
				return err
			}
		}
		e, err := x.writable()
		if err != nil {
			return err
		}
		options := mergeplan.SingleSegmentMergePlanOptions
		if err := e.merge(ctx, &options); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return x.settle(ctx)
}

// shape tells how many segments there are, and whether one holds anything
// deleted.
func (x *Index) shape(ctx context.Context) (segments int, garbage bool, err error) {
	s, err := x.pin(ctx)
	if err != nil {
		return 0, false, err
	}
	defer s.Close()
	for _, segment := range s.view.Segments() {
		segments++
		garbage = garbage || segment.Deleted() != nil && !segment.Deleted().IsEmpty()
	}
	return segments, garbage, nil
}

// splitOff writes the first document anew, as it is, into a segment of its own.
func (x *Index) splitOff(ctx context.Context) error {
	infos, err := x.List(ctx, "", 1)
	if err != nil || len(infos) == 0 {
		return err
	}
	r, err := x.submit(ctx, &request{rewrite: infos[0].ID})
	if err != nil {
		return err
	}
	return r.wait(ctx, nil)
}

// rewrite makes a document of the change that is the same as the stored one. The
// document may have been deleted meanwhile.
func (c *change) rewrite(x *Index, id string) error {
	o, there, err := c.outcome(id)
	if err != nil || !there || o.after != nil {
		return err
	}
	segment, n, ok, err := c.view.locate(documentKey(id))
	if err != nil || !ok {
		return err
	}
	_, data, err := stored(segment, n)
	if err != nil {
		return err
	}
	r, err := decodeDocument(data)
	if err != nil {
		return err
	}
	entry, err := entryOf(context.Background(), segment, id, r)
	if err != nil {
		return err
	}
	p, err := prepare(&entry, x.analyzer)
	if err != nil {
		return err
	}
	p.indexedAt = r.IndexedAt
	o.after = p
	return nil
}

// settlePause is how often settle looks, settleLimit how long it goes on: the
// engine removes files when it is idle.
const (
	settlePause = 20 * time.Millisecond
	settleLimit = 10 * time.Second
)

// settle waits until the files that are needed no more are gone, or gives up
// without an error: readers may still need them.
func (x *Index) settle(ctx context.Context) error {
	deadline := time.Now().Add(settleLimit)
	for time.Now().Before(deadline) {
		tidy, err := x.tidy(ctx)
		if err != nil || tidy {
			return err
		}
		// A commit that changes nothing makes the engine clean up.
		if err := x.touch(ctx); err != nil {
			return err
		}
		timer := time.NewTimer(settlePause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// tidy reports whether the store has no other segment files than the current
// ones.
func (x *Index) tidy(ctx context.Context) (bool, error) {
	s, err := x.pin(ctx)
	if err != nil {
		return false, err
	}
	defer s.Close()
	live := map[string]bool{}
	for _, segment := range s.view.Segments() {
		file, ok := segment.Segment().(interface{ Path() string })
		if !ok {
			return false, nil // not on disk yet
		}
		live[filepath.Base(file.Path())] = true
	}
	entries, err := os.ReadDir(storePath(x.path))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, err
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == ".zap" && !live[entry.Name()] {
			return false, nil
		}
	}
	return true, nil
}

// touch commits the state as it is.
func (x *Index) touch(ctx context.Context) error {
	r, err := x.submit(ctx, &request{touch: true})
	if err != nil {
		return err
	}
	return r.wait(ctx, nil)
}

// stateBatch returns a batch that holds nothing but the state.
func stateBatch(s *state) (*index.Batch, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	b := index.NewBatch()
	b.SetInternal([]byte(stateKey), data)
	return b, nil
}
