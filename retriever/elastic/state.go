package elastic

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/retriever"
)

// state says what of the stored is valid. It is one document on the server,
// replaced as a whole.
type state struct {
	Format     int    `json:"format"`
	Generation uint64 `json:"generation"`
	// Committed is the number of the last commit that wrote something. Numbers
	// are made of the writer's epoch and a counter, see firstOf.
	Committed int64 `json:"committed"`
	// Epoch counts the writers that there were.
	Epoch int64 `json:"epoch"`
	// Holes are the numbers below Committed of commits that never were: what an
	// earlier writer may have begun or may still be writing.
	Holes []hole `json:"holes,omitempty"`
	// Dead are revisions that were replaced or deleted and are perhaps still
	// stored.
	Dead   []revision                     `json:"dead,omitempty"`
	Fields map[string]retriever.FieldType `json:"fields,omitempty"`
	// Token is that of the index, Change that of the writer's last change of
	// the state.
	Token  string `json:"token"`
	Change string `json:"change"`
}

// hole is a range of numbers, both ends included.
type hole struct {
	From  int64     `json:"from"`
	To    int64     `json:"to"`
	Since time.Time `json:"since"`
}

// epochBits is the size of the counter in a commit's number.
const epochBits = 32

// firstOf returns the number before the first commit of an epoch.
func firstOf(epoch int64) int64 { return epoch << epochBits }

// holesKept is how long a hole stays after what lay in it was removed: longer
// than any request of its writer can be under way.
const holesKept = 24 * time.Hour

// clone returns a copy that can be changed.
func (s *state) clone() state {
	c := *s
	c.Holes = slices.Clone(s.Holes)
	c.Dead = slices.Clone(s.Dead)
	c.Fields = maps.Clone(s.Fields)
	if c.Fields == nil {
		c.Fields = map[string]retriever.FieldType{}
	}
	return c
}

// nextEpoch begins an epoch for a new writer. Numbers that writers before it may
// have used without a commit become a hole.
func (s *state) nextEpoch(now time.Time) {
	s.Epoch++
	h := hole{From: s.Committed + 1, To: firstOf(s.Epoch), Since: now.UTC()}
	if n := len(s.Holes); n > 0 && s.Holes[n-1].To >= s.Committed {
		// Nothing was committed since the last hole.
		h.From = s.Holes[n-1].From
		s.Holes = s.Holes[:n-1]
	}
	s.Holes = append(s.Holes, h)
}

// view is a state as readers use it, with its version on the server.
type view struct {
	state
	sequence, primaryTerm int64
	// readers counts the calls that use the view; guarded by Index.viewLock.
	readers int
}

// valid returns the filters that let pass what the view holds valid, and what
// must not match.
func (v *view) valid() (filter, mustNot []any) {
	filter = []any{object{"range": object{fieldBorn: object{"lte": v.Committed}}}}
	for _, h := range v.Holes {
		mustNot = append(mustNot, object{"range": object{fieldBorn: object{"gte": h.From, "lte": h.To}}})
	}
	if len(v.Dead) > 0 {
		names := make([]string, len(v.Dead))
		for i, d := range v.Dead {
			names[i] = d.Name
		}
		mustNot = append(mustNot, anyOf(fieldRevision, names))
	}
	return filter, mustNot
}

// query matches the valid documents of the server that pass the filters.
func (v *view) query(filters ...object) object {
	filter, mustNot := v.valid()
	for _, f := range filters {
		filter = append(filter, f)
	}
	return object{"bool": object{"filter": filter, "must_not": mustNot}}
}

// storedState is the state as the server returns it, or why it does not.
type storedState struct {
	Index       string          `json:"_index"`
	Found       bool            `json:"found"`
	SeqNo       int64           `json:"_seq_no"`
	PrimaryTerm int64           `json:"_primary_term"`
	Error       *esclient.Fault `json:"error"`
	Source      struct {
		Record state `json:"record"`
	} `json:"_source"`
}

// starting returns a fault that says that a shard cannot answer yet, nil for others.
func starting(fault *esclient.Fault) *esclient.Fault {
	if fault == nil {
		return nil
	}
	switch fault.Type {
	case "no_shard_available_action_exception", "unavailable_shards_exception", "illegal_index_shard_state_exception", "node_not_connected_exception":
		return fault
	}
	return nil
}

// readState gets the state from the server. An index without commits has none.
// The same request asks what the name of the index stands for.
func (x *Index) readState(ctx context.Context) (*view, error) {
	alias := x.config.IndexPrefix + x.name()
	var answer struct {
		Docs []storedState `json:"docs"`
	}
	body := object{"docs": []any{
		object{"_index": alias, "_id": stateID, "_source": false}, object{"_index": x.concrete, "_id": stateID},
	}}
	var named, own storedState
	for attempt := 0; ; attempt++ {
		answer.Docs = nil
		if err := x.client.do(ctx, request{method: http.MethodPost, path: "/_mget", body: body}, &answer); err != nil {
			return nil, err
		}
		if len(answer.Docs) != 2 {
			return nil, fmt.Errorf("the server answered %d of 2 questions for the state", len(answer.Docs))
		}
		named, own = answer.Docs[0], answer.Docs[1]
		fault := cmp.Or(starting(own.Error), starting(named.Error))
		if fault == nil {
			break
		}
		// A server that has just started says 200, and that the shards are not
		// there yet in the items; that is no answer about the index.
		if attempt >= x.client.Retries() {
			return nil, x.client.itemFault(http.StatusServiceUnavailable, *fault)
		}
		if err := x.client.Pause(ctx, attempt, 0); err != nil {
			return nil, err
		}
	}
	if own.Error != nil {
		return nil, x.client.itemFault(http.StatusNotFound, *own.Error)
	}
	x.viewLock.Lock()
	x.moved = named.Error != nil || named.Index != x.concrete
	x.viewLock.Unlock()
	if !own.Found {
		return &view{state: state{Format: formatVersion, Token: x.meta.Token}, sequence: -1}, nil
	}
	s := own.Source.Record
	switch {
	case s.Format > formatVersion:
		return nil, fmt.Errorf("%w: its state has format %d, this program reads up to %d; update Needle", retriever.ErrVersion, s.Format, formatVersion)
	case s.Token != x.meta.Token:
		return nil, fmt.Errorf("%w: it was replaced by another index of the same name; open it again", retriever.ErrIndexNotFound)
	}
	return &view{state: s, sequence: own.SeqNo, primaryTerm: own.PrimaryTerm}, nil
}

// writeState replaces the state that a view was read from. If somebody else
// replaced it meanwhile, the error satisfies esclient.Conflict. The call does not end
// with the caller's context: its outcome must be known.
func (x *Index) writeState(ctx context.Context, from *view, next state) (*view, error) {
	next.Format, next.Token, next.Change = formatVersion, x.meta.Token, newToken()
	path := "/" + x.writeAlias() + "/_doc/" + stateID + "?require_alias=true"
	if from.sequence < 0 {
		path += "&op_type=create"
	} else {
		path += fmt.Sprintf("&if_seq_no=%d&if_primary_term=%d", from.sequence, from.primaryTerm)
	}
	var answer struct {
		SeqNo       int64 `json:"_seq_no"`
		PrimaryTerm int64 `json:"_primary_term"`
	}
	ctx = context.WithoutCancel(ctx)
	body := source{Kind: kindState, Record: &next}
	err := x.client.do(ctx, request{method: http.MethodPut, path: path, body: body}, &answer)
	if esclient.Conflict(err) {
		// It may be our own change, whose answer was lost before a retry.
		if now, readErr := x.readState(ctx); readErr == nil && now.Change == next.Change {
			return now, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return &view{state: next, sequence: answer.SeqNo, primaryTerm: answer.PrimaryTerm}, nil
}

// viewAge is how long a reader relies on a view before it asks the server
// whether another process committed something.
const viewAge = time.Second

// acquire returns the view to read with; release gives it back.
func (x *Index) acquire(ctx context.Context) (*view, error) {
	x.viewLock.Lock()
	old := time.Since(x.checked) > viewAge
	if old {
		x.checked = time.Now() // others need not ask too
	}
	x.viewLock.Unlock()
	if old {
		if err := x.refreshView(ctx); err != nil {
			x.viewLock.Lock()
			x.checked = time.Time{}
			x.viewLock.Unlock()
			return nil, err
		}
	}
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	x.current.readers++
	return x.current, nil
}

func (x *Index) release(v *view) {
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	v.readers--
	if v != x.current {
		x.staleReaders--
	}
}

// refreshView installs the state that is on the server.
func (x *Index) refreshView(ctx context.Context) error {
	v, err := x.readState(ctx)
	if err != nil {
		return err
	}
	return x.install(v)
}

// install makes a view the current one, unless a newer one is.
func (x *Index) install(v *view) error {
	x.viewLock.Lock()
	defer x.viewLock.Unlock()
	if x.current != nil {
		if v.sequence < 0 && x.current.sequence >= 0 {
			return fmt.Errorf("%w: its state is gone", retriever.ErrCorrupt)
		}
		if v.sequence <= x.current.sequence {
			return nil
		}
		x.staleReaders += x.current.readers
	}
	x.current = v
	x.checked = time.Now()
	return nil
}
