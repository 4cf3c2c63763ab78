package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

// The verbs of bulk actions.
const (
	verbIndex  = "index"
	verbUpdate = "update"
	verbDelete = "delete"
)

// action is one line of a bulk request and, unless it deletes, the next one.
type action struct {
	verb   string
	id     string
	source []byte
	owner  int // the caller's number of what the action belongs to
}

func (a *action) append(body *bytes.Buffer) {
	// Ids are made of digits, letters, "-" and "#".
	fmt.Fprintf(body, "{%q:{\"_id\":%q}}\n", a.verb, a.id)
	if a.verb != verbDelete {
		body.Write(a.source)
		body.WriteByte('\n')
	}
}

// store writes documents under a commit's number. It returns for each document
// why the server refused it, or nil; and an error if the outcome is unknown.
func (x *Index) store(ctx context.Context, documents []*prepared, number int64) ([]error, error) {
	faults := make([]error, len(documents))
	b := bulk{index: x, fault: func(owner int, err error) {
		if faults[owner] == nil {
			faults[owner] = fmt.Errorf("%w: document %q: %w", retriever.ErrInvalidDocument, documents[owner].id, err)
		}
	}}
	for i, p := range documents {
		name := revisionOf(p.id, number)
		for n := range len(p.passages) + 1 {
			s, id := p.record, name
			if n < len(p.passages) {
				s, id = p.passages[n], passageID(name, n)
			}
			s.Revision, s.Born = name, number
			data, err := json.Marshal(&s)
			if err != nil {
				return nil, err
			}
			if err := b.add(ctx, action{verb: verbIndex, id: id, source: data, owner: i}); err != nil {
				return nil, err
			}
		}
	}
	return faults, b.flush(ctx)
}

// bulk collects actions and sends them in requests of bounded size, one after
// the other: the server sets the pace.
type bulk struct {
	index   *Index
	actions []action
	bytes   int
	// fault is told of actions that the server refuses.
	fault func(owner int, err error)
}

func (b *bulk) add(ctx context.Context, a action) error {
	c := b.index.config
	if len(b.actions) > 0 && (len(b.actions) >= c.BulkDocuments || b.bytes+len(a.source) > c.BulkBytes) {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.actions = append(b.actions, a)
	b.bytes += len(a.source)
	return nil
}

// flush sends what was collected. Actions that an overloaded server put off are
// sent again, up to the configured number of retries.
func (b *bulk) flush(ctx context.Context) error {
	x := b.index
	for attempt := 0; len(b.actions) > 0; attempt++ {
		if attempt > 0 {
			if err := x.client.Pause(ctx, attempt, 0); err != nil {
				return err
			}
		}
		later, err := b.send(ctx)
		if err == nil && len(later) > 0 && attempt >= x.client.Retries() {
			err = fmt.Errorf("%w: it puts off bulk requests", ErrUnavailable)
		}
		if err != nil {
			return err
		}
		b.actions = append(b.actions[:0], later...)
	}
	b.bytes = 0
	return nil
}

// send sends the actions once and returns those to send again.
func (b *bulk) send(ctx context.Context) (later []action, err error) {
	x := b.index
	var body bytes.Buffer
	for i := range b.actions {
		b.actions[i].append(&body)
	}
	type item struct {
		Status int             `json:"status"`
		Error  *esclient.Fault `json:"error"`
	}
	var answer struct {
		Errors bool              `json:"errors"`
		Items  []map[string]item `json:"items"`
	}
	path := "/" + x.writeAlias() + "/_bulk?require_alias=true"
	if err := x.client.do(ctx, request{method: http.MethodPost, path: path, body: body.Bytes()}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Items) != len(b.actions) {
		return nil, fmt.Errorf("the server answered %d of %d bulk actions", len(answer.Items), len(b.actions))
	}
	if !answer.Errors {
		return nil, nil
	}
	for i, verbs := range answer.Items {
		for _, it := range verbs {
			if it.Error == nil {
				continue
			}
			fault := x.client.itemFault(it.Status, *it.Error)
			switch {
			case b.actions[i].verb == verbUpdate && it.Status == http.StatusNotFound && it.Error.Type == "document_missing_exception":
				// What was to be changed is gone; its owner need not know.
			case errors.Is(fault, ErrUnavailable), esclient.Conflict(fault):
				// Two processes may give a passage the same vector at once.
				later = append(later, b.actions[i])
			case it.Status == http.StatusBadRequest || it.Status == http.StatusRequestEntityTooLarge:
				b.fault(b.actions[i].owner, fault)
			default:
				// The index is gone, full or forbidden: that is no fault of the
				// document.
				return nil, fault
			}
		}
	}
	return later, nil
}

// purge removes the dead revisions of a view from the server, if no reader needs
// them any more. What cannot be removed now stays dead and is tried again with
// the next commit.
func (x *Index) purge(ctx context.Context, v *view) {
	if len(v.Dead) == 0 {
		return
	}
	for x.needed() {
		if len(v.Dead) < maxDead {
			return
		}
		timer := time.NewTimer(10 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
	var ids []string
	for _, r := range v.Dead {
		if !x.purged[r.Name] {
			ids = append(ids, r.serverIDs()...)
		}
	}
	if x.remove(ctx, ids) != nil {
		return
	}
	for _, r := range v.Dead {
		x.purged[r.Name] = true
	}
}

// needed reports whether a reader uses a view from before the last commit.
func (x *Index) needed() bool {
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	return x.staleReaders > 0
}

// remove deletes documents of the server; missing ones are no error.
func (x *Index) remove(ctx context.Context, ids []string) error {
	var fault error
	b := bulk{index: x, fault: func(_ int, err error) { fault = err }}
	for _, id := range ids {
		if err := b.add(ctx, action{verb: verbDelete, id: id}); err != nil {
			return err
		}
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	return fault
}

// removeAbandoned removes what earlier writers left behind without a commit, and
// forgets the holes in which nothing can appear any more.
func (x *Index) removeAbandoned(ctx context.Context, v *view) error {
	if v.Generation == 0 && len(v.Holes) == 1 && v.Epoch == 1 {
		return nil // nobody wrote before
	}
	if err := x.refresh(ctx); err != nil {
		return err
	}
	var ids []string
	old, kept := time.Now().Add(-holesKept), 0
	for _, h := range v.Holes {
		if h.Since.After(old) {
			kept++
		}
		query := object{"bool": object{"filter": []any{object{"range": object{fieldBorn: object{"gte": h.From, "lte": h.To}}}}}}
		for f, err := range x.scan(ctx, query, "") {
			if err != nil {
				return err
			}
			ids = append(ids, f.ID)
		}
	}
	if err := x.remove(ctx, ids); err != nil {
		return err
	}
	if kept == len(v.Holes) {
		return nil
	}
	if err := x.refresh(ctx); err != nil {
		return err
	}
	next := v.clone()
	next.Holes = next.Holes[len(next.Holes)-kept:]
	installed, err := x.writeState(ctx, v, next)
	if err != nil {
		return err
	}
	return x.install(installed)
}
