package elastic

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

// Index is one open index.
type Index struct {
	concrete string // the Elasticsearch index
	meta     meta
	outdated []string
	config   Config
	client   *client
	// onClose tells the backend that the index is no longer open.
	onClose func()

	// life is held shared by every call and exclusively by Close.
	life   sync.RWMutex
	closed bool

	viewLock sync.Mutex
	named    string // what the index is called
	moved    bool   // the name stood for something else when the state was read
	current  *view
	// staleReaders counts the calls that use a view that is not current.
	staleReaders int
	checked      time.Time // when the view was last compared with the server

	vectorLock sync.Mutex
	// models are the dimensions of the vectors by model, as far as known.
	models map[string]int

	// writer holds a value while a call changes the index; the fields below
	// belong to that call.
	writer chan struct{}
	epoch  int64 // that of this writer, 0 before it claimed one
	number int64 // of the last commit that was begun
	// purged are dead revisions that are removed from the server, but not yet
	// from what a search sees.
	purged map[string]bool
}

var (
	_ retriever.Index    = (*Index)(nil)
	_ retriever.Verifier = (*Index)(nil)
	_ retriever.Mover    = (*Index)(nil)
)

func (x *Index) fail(operation string, err error) error {
	return fmt.Errorf("elastic: %s index %q: %w", operation, x.name(), err)
}

func (x *Index) writeAlias() string { return x.concrete + writeSuffix }

// begin starts a call; the returned function ends it.
func (x *Index) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x.life.RLock()
	if x.closed {
		x.life.RUnlock()
		return nil, retriever.ErrClosed
	}
	return x.life.RUnlock, nil
}

// withView runs a reading call on what is valid now.
func (x *Index) withView(ctx context.Context, read func(*view) error) error {
	end, err := x.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	v, err := x.acquire(ctx)
	if err != nil {
		return err
	}
	defer x.release(v)
	return read(v)
}

// Generation implements [retriever.Index]. It is that of the last call that
// asked the server, or that this process committed.
func (x *Index) Generation() uint64 {
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	return x.current.Generation
}

// Stats implements [retriever.Index]. The average length is the one that scores
// are computed with: it counts what was deleted until Lucene merges it away.
func (x *Index) Stats(ctx context.Context) (retriever.Statistics, error) {
	var stats retriever.Statistics
	err := x.withView(ctx, func(v *view) error {
		counts, err := x.countKinds(ctx, v, "")
		if err != nil {
			return err
		}
		bytes, err := x.storedBytes(ctx)
		if err != nil {
			return err
		}
		// The word does not matter: the statistics are those of the field.
		a, err := x.analyze(ctx, "statistics")
		if err != nil {
			return err
		}
		vectors, err := x.vectorStatistics(ctx, v)
		if err != nil {
			return err
		}
		stats = retriever.Statistics{
			Name: x.name(), Documents: counts[kindDocument], Passages: counts[kindPassage], Generation: v.Generation, Bytes: bytes,
			Analyzer: x.meta.Analyzer, K1: x.meta.K1, B: x.meta.B, AverageLength: a.averageLength, Fields: v.clone().Fields, Outdated: x.outdated, Vectors: vectors,
		}
		return nil
	})
	if err != nil {
		return retriever.Statistics{}, x.fail("describe", err)
	}
	return stats, nil
}

// countKinds counts the valid documents of the server by kind.
func (x *Index) countKinds(ctx context.Context, v *view, pit string) (map[string]uint64, error) {
	var answer struct {
		Aggregations struct {
			Kinds struct {
				Buckets []struct {
					Key   string `json:"key"`
					Count uint64 `json:"doc_count"`
				} `json:"buckets"`
			} `json:"kinds"`
		} `json:"aggregations"`
	}
	body := object{
		"size": 0, "query": v.query(), "track_total_hits": false,
		"aggs": object{"kinds": object{"terms": object{"field": fieldKind}}},
	}
	path := "/" + x.concrete + "/_search?allow_partial_search_results=false"
	if pit != "" {
		path = "/_search?allow_partial_search_results=false"
		body["pit"] = object{"id": pit, "keep_alive": pitKept}
	}
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: body}, &answer); err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	for _, bucket := range answer.Aggregations.Kinds.Buckets {
		counts[bucket.Key] = bucket.Count
	}
	return counts, nil
}

// storedBytes returns the size of the primary shards, or 0 if the user may not
// know it.
func (x *Index) storedBytes(ctx context.Context) (int64, error) {
	var answer struct {
		All struct {
			Primaries struct {
				Store struct {
					Bytes int64 `json:"size_in_bytes"`
				} `json:"store"`
			} `json:"primaries"`
		} `json:"_all"`
	}
	err := x.client.do(ctx, request{method: http.MethodGet, path: "/" + x.concrete + "/_stats/store"}, &answer)
	if esclient.Status(err) == http.StatusForbidden {
		return 0, nil
	}
	return answer.All.Primaries.Store.Bytes, err
}

// Close implements [retriever.Index].
func (x *Index) Close() error {
	x.life.Lock()
	defer x.life.Unlock()
	if !x.closed {
		x.closed = true
		x.onClose()
	}
	return nil
}
