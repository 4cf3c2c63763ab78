package elastic

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/store"
)

// maxPage is how many records one answer of the server holds.
const maxPage = 500

// List implements [store.Driver].
func (d *Driver) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := d.refresh(ctx); err != nil {
		return nil, d.fault(err)
	}
	filter := []any{object{"term": object{"kind": kind}}}
	if prefix != "" {
		filter = append(filter, object{"prefix": object{"id": prefix}})
	}
	live := object{"bool": object{
		"filter": filter,
		"must_not": []any{
			object{"range": object{"expires": object{"gt": 0, "lte": time.Now().UnixMilli()}}},
		},
	}}
	var list []store.Record
	for len(list) < limit {
		size := min(limit-len(list), maxPage)
		page, err := d.page(ctx, live, after, size)
		if err != nil {
			return nil, d.fault(err)
		}
		for i := range page {
			list = append(list, page[i].record())
		}
		if len(page) < size {
			break
		}
		after = list[len(list)-1].ID
	}
	return list, nil
}

// refresh makes searches see every write.
func (d *Driver) refresh(ctx context.Context) error {
	return d.do(ctx, http.MethodPost, "/"+d.index+"/_refresh", nil, nil)
}

// page returns documents in order of their records' ids, which the server
// compares byte by byte.
func (d *Driver) page(ctx context.Context, query object, after string, size int) ([]stored, error) {
	body := object{
		"query": query, "size": size, "sort": []any{object{"id": "asc"}},
		"seq_no_primary_term": true, "track_total_hits": false,
	}
	if after != "" {
		body["search_after"] = []any{after}
	}
	var answer struct {
		TimedOut bool `json:"timed_out"`
		Hits     struct {
			Hits []stored `json:"hits"`
		} `json:"hits"`
	}
	// A part of the shards is no answer.
	if err := d.do(ctx, http.MethodPost, "/"+d.index+"/_search?allow_partial_search_results=false", body, &answer); err != nil {
		return nil, err
	}
	if answer.TimedOut {
		return nil, fmt.Errorf("%w: the search timed out on the server", store.ErrUnavailable)
	}
	return answer.Hits.Hits, nil
}

// Sweep implements [store.Driver]. A record that is written again meanwhile
// stays.
func (d *Driver) Sweep(ctx context.Context, kind string, now time.Time) (int, error) {
	if err := d.refresh(ctx); err != nil {
		return 0, d.fault(err)
	}
	old := object{"bool": object{"filter": []any{
		object{"term": object{"kind": kind}},
		object{"range": object{"expires": object{"gt": 0, "lte": now.UnixMilli()}}},
	}}}
	total := 0
	for after := ""; ; {
		page, err := d.page(ctx, old, after, maxPage)
		if err != nil {
			return total, d.fault(err)
		}
		n, err := d.remove(ctx, page)
		total += n
		if err != nil || len(page) < maxPage {
			return total, d.fault(err)
		}
		after = page[len(page)-1].Source.ID
	}
}

// remove deletes documents as they were read, and returns how many it found
// unchanged. What is put off is left for the next sweep.
func (d *Driver) remove(ctx context.Context, list []stored) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	var body bytes.Buffer
	for _, s := range list {
		fmt.Fprintf(&body, "{\"delete\":{\"_id\":%q,\"if_seq_no\":%d,\"if_primary_term\":%d}}\n", s.Name, s.Sequence, s.Term)
	}
	var answer struct {
		Items []map[string]struct {
			Status int             `json:"status"`
			Error  *esclient.Fault `json:"error"`
		} `json:"items"`
	}
	if err := d.do(ctx, http.MethodPost, "/"+d.index+"/_bulk", body.Bytes(), &answer); err != nil {
		return 0, err
	}
	removed := 0
	for _, verbs := range answer.Items {
		for _, item := range verbs {
			if item.Error == nil && item.Status == http.StatusOK {
				removed++
			}
		}
	}
	return removed, nil
}
