package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/retriever"
)

// writer changes the facts that are its own, so that it knows what it wrote
// last.
func (r *run) writer(ctx context.Context, random *rand.Rand, which int) {
	var own []int
	for n := which; n < len(r.facts); n += r.Writers {
		own = append(own, n)
	}
	for r.rest(100*time.Millisecond + time.Duration(random.Int64N(int64(time.Second)))) {
		r.writing.RLock()
		r.change(ctx, random, own)
		r.writing.RUnlock()
	}
}

// change makes one request that writes. Every other one is between two
// questions about the same fact: the first leaves its answer in the caches, and
// the second must not get it.
func (r *run) change(ctx context.Context, random *rand.Rand, own []int) {
	n := own[random.IntN(len(own))]
	last, _ := r.ledger.last(n)
	probe := random.IntN(2) == 0
	q := question{fact: r.facts[n], keeper: true}
	q.request.Question = r.facts[n].questions()[0]
	ask := func() {
		r.traffic.RLock()
		defer r.traffic.RUnlock()
		r.ask(ctx, "ask around a write", q)
	}
	if probe {
		ask()
	}
	switch k := random.IntN(10); {
	case last.absent:
		r.put(ctx, n)
	case k < 5:
		r.put(ctx, n)
	case k < 7:
		r.remove(ctx, n)
	default:
		several := map[int]bool{n: true}
		for range random.IntN(6) {
			several[own[random.IntN(len(own))]] = true
		}
		if k == 9 {
			r.removeSeveral(ctx, several)
		} else {
			r.bulk(ctx, several)
		}
	}
	if probe {
		ask()
	}
}

// next begins a write of the next version of a fact.
func (r *run) next(n int, absent bool) (version, write int) {
	last, _ := r.ledger.last(n)
	version = last.version + 1
	return version, r.ledger.begin(n, state{version: version, absent: absent})
}

func (r *run) put(ctx context.Context, n int) {
	version, write := r.next(n, false)
	result, _, err := r.server.client.PutDocument(ctx, "", r.facts[n].document(version), client.Condition{})
	if r.count("put", err, false) {
		r.ledger.acknowledge(n, write, result.Generation)
	}
}

func (r *run) remove(ctx context.Context, n int) {
	_, write := r.next(n, true)
	if r.count("delete", r.server.client.DeleteDocument(ctx, "", r.facts[n].id(), client.Condition{}), false) {
		r.ledger.acknowledge(n, write, 0)
	}
}

// bulk puts several facts in one request.
func (r *run) bulk(ctx context.Context, several map[int]bool) {
	writes := make(map[string][2]int, len(several)) // by id: the fact and its write
	var documents []retriever.Document
	for n := range several {
		version, write := r.next(n, false)
		d := r.facts[n].document(version)
		writes[d.ID] = [2]int{n, write}
		documents = append(documents, d)
	}
	results, err := r.server.client.Put(ctx, "", documents)
	if err == nil && len(results) != len(documents) {
		err = fmt.Errorf("%d results for %d documents", len(results), len(documents))
	}
	if !r.count("bulk", err, false) {
		return
	}
	for _, result := range results {
		r.ledger.acknowledge(writes[result.ID][0], writes[result.ID][1], result.Generation)
	}
}

func (r *run) removeSeveral(ctx context.Context, several map[int]bool) {
	writes := make(map[int]int, len(several))
	var ids []string
	there := 0
	for n := range several {
		if last, sure := r.ledger.last(n); sure && !last.absent {
			there++
		}
		_, writes[n] = r.next(n, true)
		ids = append(ids, r.facts[n].id())
	}
	removed, err := r.server.client.Delete(ctx, "", ids)
	if err == nil && removed != there {
		err = fmt.Errorf("%d documents were removed of %d that were there", removed, there)
	}
	if r.count("delete several", err, false) {
		for n, write := range writes {
			r.ledger.acknowledge(n, write, 0)
		}
	}
}
