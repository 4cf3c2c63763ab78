package elastic

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

var _ retriever.Snapshotter = (*Index)(nil)

// pitKept is how long the server keeps a point in time after it was used last.
const pitKept = "5m"

// moment is what is valid of the index at one moment. The server keeps it,
// whatever is written, removed or merged by whomever.
type moment struct {
	index *Index
	state state
	pit   string
}

// pin holds on to the index as it is now; the caller calls release.
func (x *Index) pin(ctx context.Context) (*moment, error) {
	for range commitTries {
		before, err := x.readState(ctx)
		if err != nil {
			return nil, err
		}
		var answer struct {
			ID string `json:"id"`
		}
		path := "/" + x.concrete + "/_pit?keep_alive=" + pitKept
		if err := x.client.do(ctx, request{method: http.MethodPost, path: path}, &answer); err != nil {
			return nil, err
		}
		m := &moment{index: x, state: before.state, pit: answer.ID}
		// A commit in between may have removed what it replaced.
		after, err := x.readState(ctx)
		if err == nil && after.sequence == before.sequence {
			return m, nil
		}
		m.release(ctx)
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w, which commits all the time", retriever.ErrLocked)
}

// release lets go. What cannot be released now ends by itself.
func (m *moment) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = m.index.client.do(ctx, request{method: http.MethodDelete, path: "/_pit", body: object{"id": m.pit}}, nil)
}

// scan returns what is valid of a kind, in order.
func (m *moment) scan(ctx context.Context, kind string) iter.Seq2[*found, error] {
	v := view{state: m.state}
	scan := m.index.scan(ctx, v.query(term(fieldKind, kind)), m.pit)
	return func(yield func(*found, error) bool) {
		for f, err := range scan {
			if esclient.Status(err) == http.StatusNotFound {
				err = fmt.Errorf("%w: the server forgot the point in time that was read; it was restarted, or nothing was read for %s: %w", ErrUnavailable, pitKept, err)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// snapshot is a moment as callers see it.
type snapshot struct {
	*moment
	stats retriever.Statistics
	end   func() // nil once it is closed
}

// Snapshot implements [retriever.Snapshotter]. The server keeps the moment for
// five minutes after it was read from last.
func (x *Index) Snapshot(ctx context.Context) (retriever.Snapshot, error) {
	s, err := x.snapshot(ctx)
	if err != nil {
		return nil, x.fail("read from", err)
	}
	return s, nil
}

func (x *Index) snapshot(ctx context.Context) (*snapshot, error) {
	end, err := x.begin(ctx)
	if err != nil {
		return nil, err
	}
	m, err := x.pin(ctx)
	if err != nil {
		end()
		return nil, err
	}
	s := &snapshot{moment: m, end: func() { m.release(ctx); end() }}
	v := view{state: m.state}
	counts, err := x.countKinds(ctx, &v, m.pit)
	if err != nil {
		s.end()
		return nil, err
	}
	s.stats = retriever.Statistics{
		Name: x.name(), Documents: counts[kindDocument], Passages: counts[kindPassage], Generation: m.state.Generation,
		Analyzer: x.meta.Analyzer, K1: x.meta.K1, B: x.meta.B, Fields: m.state.clone().Fields,
	}
	return s, nil
}

// Stats implements [retriever.Snapshot].
func (s *snapshot) Stats() retriever.Statistics { return s.stats }

// Entries implements [retriever.Snapshot].
func (s *snapshot) Entries(ctx context.Context) iter.Seq2[retriever.Entry, error] {
	return func(yield func(retriever.Entry, error) bool) {
		if s.end == nil {
			yield(retriever.Entry{}, s.index.fail("read from", retriever.ErrClosed))
			return
		}
		stopped := false
		err := s.entries(ctx, func(e retriever.Entry) bool {
			stopped = !yield(e, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(retriever.Entry{}, s.index.fail("read from", err))
		}
	}
}

// entries goes through documents and passages side by side: both scans are in
// the same order.
func (s *snapshot) entries(ctx context.Context, each func(retriever.Entry) bool) error {
	passages, stop := iter.Pull2(s.scan(ctx, kindPassage))
	defer stop()
	next, err, more := passages()
	for f, scanErr := range s.scan(ctx, kindDocument) {
		if scanErr != nil {
			return scanErr
		}
		record, decodeErr := decode[documentRecord](f)
		if decodeErr != nil {
			return decodeErr
		}
		b := newEntryBuilder(f.Source.Document, &record)
		for ; more && err == nil && next.Source.Document == f.Source.Document; next, err, more = passages() {
			if err := b.add(next); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		e, buildErr := b.finish()
		if buildErr != nil {
			return buildErr
		}
		if !each(e) {
			return nil
		}
	}
	return err
}

// Close implements [retriever.Snapshot].
func (s *snapshot) Close() error {
	if s.end != nil {
		s.end()
		s.end = nil
	}
	return nil
}
