package elastic

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/store"
)

// Config says where the records are. Start from [DefaultConfig].
type Config struct {
	// Connection says where the cluster is and how to sign in.
	Connection esclient.Config
	// Index is the name of the Elasticsearch index.
	Index string
	// Replicas is the number of copies of a new index.
	Replicas int
}

// DefaultConfig returns the settings for a local server.
func DefaultConfig() Config {
	return Config{Connection: esclient.DefaultConfig(), Index: "needle-store.records", Replicas: 1}
}

// A Driver keeps records in an index. See [Open].
type Driver struct {
	client *esclient.Client
	index  string
	closed atomic.Bool
}

var _ store.Driver = (*Driver)(nil)

// formatVersion is the version of the layout. It grows with every change that an
// older program could not read.
const formatVersion = 1

// aliasSuffix ends the alias through which records are written. The server makes
// an index that is written to and missing, but no alias.
const aliasSuffix = ".write"

type object = map[string]any

// document is a record on the server.
type document struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Data []byte `json:"data"`
	// Expires is in milliseconds since 1970, 0 for never.
	Expires int64 `json:"expires"`
	// Write tells this write from every other, so that one whose answer was lost
	// is known again.
	Write string `json:"write"`
}

// Open makes the index if there is none. Errors wrap [store.ErrUnavailable] or
// [store.ErrCorrupt].
func Open(ctx context.Context, config Config) (*Driver, error) {
	client, err := esclient.New(config.Connection)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	d := &Driver{client: client, index: config.Index}
	if err := d.prepare(ctx, config); err != nil {
		client.Close()
		return nil, d.fault(err)
	}
	return d, nil
}

func (d *Driver) prepare(ctx context.Context, config Config) error {
	err := d.check(ctx)
	if !esclient.Missing(err) {
		return err
	}
	keyword := object{"type": "keyword"}
	body := object{
		"aliases": object{d.index + aliasSuffix: object{}},
		"settings": object{
			// Versions of one record are comparable within one shard only.
			"number_of_shards":          1,
			"number_of_replicas":        config.Replicas,
			"index.translog.durability": "request",
			// Lists refresh themselves.
			"index.refresh_interval": "-1",
		},
		"mappings": object{
			"_meta":   object{"needle_store": object{"format": formatVersion}},
			"dynamic": "strict",
			"properties": object{
				"kind": keyword, "id": keyword, "expires": object{"type": "long"}, "data": object{"type": "binary"},
				"write": object{"type": "keyword", "index": false, "doc_values": false},
			},
		},
	}
	err = d.do(ctx, http.MethodPut, "/"+d.index, body, nil)
	if esclient.Exists(err) {
		// Another server was faster, or the answer to a first attempt was lost.
		return d.check(ctx)
	}
	return err
}

// check reports whether the index is one that this program can use.
func (d *Driver) check(ctx context.Context) error {
	var found map[string]struct {
		Aliases  object `json:"aliases"`
		Mappings struct {
			Meta struct {
				Store *struct {
					Format int `json:"format"`
				} `json:"needle_store"`
			} `json:"_meta"`
		} `json:"mappings"`
	}
	if err := d.do(ctx, http.MethodGet, "/"+d.index+"?features=aliases,mappings", nil, &found); err != nil {
		return err
	}
	its, ok := found[d.index]
	_, writable := its.Aliases[d.index+aliasSuffix]
	switch made := its.Mappings.Meta.Store; {
	case !ok || made == nil || made.Format < 1 || !writable:
		return fmt.Errorf("%w: the Elasticsearch index %s is not one that Needle made for its records", store.ErrCorrupt, d.index)
	case made.Format > formatVersion:
		return fmt.Errorf("%w: the Elasticsearch index %s has format %d, this program reads up to %d; update Needle", store.ErrCorrupt, d.index, made.Format, formatVersion)
	}
	return nil
}

func (d *Driver) do(ctx context.Context, method, path string, body, out any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.closed.Load() {
		return store.ErrClosed
	}
	return d.client.Do(ctx, esclient.Request{Method: method, Path: path, Body: body}, out)
}

// fault makes the store's errors of those of the server.
func (d *Driver) fault(err error) error {
	switch {
	case err == nil:
		return nil
	case esclient.Missing(err):
		return fmt.Errorf("%w: the Elasticsearch index %s is gone; restore it from a snapshot, or start the server again to begin without records: %w", store.ErrCorrupt, d.index, err)
	case errors.Is(err, esclient.ErrUnavailable), esclient.Status(err) != 0:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

func validID(id string) error {
	if id == "" || len(id) > store.MaxRecordID || !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0 {
		return fmt.Errorf("%w: the id has %d bytes, or is not UTF-8 without NUL; allowed are 1 to %d", store.ErrInvalidRecord, len(id), store.MaxRecordID)
	}
	return nil
}

// name is the id of a record's document: ids of records may be too long for the
// server, and hold what is inconvenient in paths.
func name(kind, id string) string {
	sum := sha256.Sum256([]byte(id))
	return kind + "-" + hex.EncodeToString(sum[:])
}

func version(sequence, term int64) string {
	return strconv.FormatInt(sequence, 10) + "." + strconv.FormatInt(term, 10)
}

// stored is a document as the server returns it.
type stored struct {
	Name     string   `json:"_id"`
	Found    bool     `json:"found"`
	Sequence int64    `json:"_seq_no"`
	Term     int64    `json:"_primary_term"`
	Source   document `json:"_source"`
}

func (s *stored) record() store.Record {
	r := store.Record{ID: s.Source.ID, Data: s.Source.Data, Version: version(s.Sequence, s.Term)}
	if s.Source.Expires != 0 {
		r.Expires = time.UnixMilli(s.Source.Expires)
	}
	return r
}

func (s *stored) expired(now time.Time) bool {
	return s.Source.Expires != 0 && s.Source.Expires <= now.UnixMilli()
}

// read returns the document of a record, nil if there is none.
func (d *Driver) read(ctx context.Context, kind, id string) (*stored, error) {
	var s stored
	err := d.do(ctx, http.MethodGet, "/"+d.index+"/_doc/"+name(kind, id), nil, &s)
	if esclient.Status(err) == http.StatusNotFound && !esclient.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.Source.Kind != kind || s.Source.ID != id {
		return nil, fmt.Errorf("%w: the document %s holds %s %q", store.ErrCorrupt, s.Name, s.Source.Kind, s.Source.ID)
	}
	return &s, nil
}

// Get implements [store.Driver].
func (d *Driver) Get(ctx context.Context, kind, id string) (store.Record, error) {
	if err := validID(id); err != nil {
		return store.Record{}, fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	s, err := d.read(ctx, kind, id)
	if err != nil {
		return store.Record{}, d.fault(err)
	}
	if s == nil || s.expired(time.Now()) {
		return store.Record{}, fmt.Errorf("%w: %s %q", store.ErrNotFound, kind, id)
	}
	return s.record(), nil
}

// Put implements [store.Driver].
func (d *Driver) Put(ctx context.Context, kind string, r store.Record, condition store.Condition) (string, error) {
	if err := validID(r.ID); err != nil {
		return "", err
	}
	next := document{Kind: kind, ID: r.ID, Data: r.Data, Write: rand.Text()}
	if next.Data == nil {
		next.Data = []byte{}
	}
	if !r.Expires.IsZero() {
		next.Expires = r.Expires.UnixMilli()
	}
	conflict := fmt.Errorf("%w: %s %q", store.ErrConflict, kind, r.ID)
	query := "&op_type=create"
	if condition == (store.Condition{}) {
		query = ""
	}
	if condition.Version != "" {
		// An expired record is as good as absent, so it has to be looked at.
		known, err := d.read(ctx, kind, r.ID)
		if err != nil {
			return "", d.fault(err)
		}
		if condition.Absent || known == nil || known.expired(time.Now()) || version(known.Sequence, known.Term) != condition.Version {
			return "", conflict
		}
		query = replacing(known)
	}
	// More than once only in place of an expired record.
	for {
		v, err := d.write(ctx, next, query)
		if !esclient.Conflict(err) {
			return v, d.fault(err)
		}
		known, err := d.read(ctx, kind, r.ID)
		switch {
		case err != nil:
			return "", d.fault(err)
		case known != nil && known.Source.Write == next.Write:
			// It was this very write; the answer to a first attempt was lost.
			return version(known.Sequence, known.Term), nil
		case !condition.Absent:
			return "", conflict
		case known == nil:
			query = "&op_type=create"
		case known.expired(time.Now()):
			query = replacing(known)
		default:
			return "", conflict
		}
	}
}

// replacing lets a write succeed only on top of a document.
func replacing(s *stored) string {
	return fmt.Sprintf("&if_seq_no=%d&if_primary_term=%d", s.Sequence, s.Term)
}

func (d *Driver) write(ctx context.Context, next document, query string) (string, error) {
	var answer struct {
		Sequence int64 `json:"_seq_no"`
		Term     int64 `json:"_primary_term"`
	}
	path := "/" + d.index + aliasSuffix + "/_doc/" + name(next.Kind, next.ID) + "?require_alias=true" + query
	if err := d.do(ctx, http.MethodPut, path, next, &answer); err != nil {
		return "", err
	}
	return version(answer.Sequence, answer.Term), nil
}

// Delete implements [store.Driver].
func (d *Driver) Delete(ctx context.Context, kind, id string) (bool, error) {
	if validID(id) != nil {
		return false, nil
	}
	s, err := d.read(ctx, kind, id)
	if err != nil || s == nil {
		return false, d.fault(err)
	}
	there := !s.expired(time.Now())
	err = d.do(ctx, http.MethodDelete, "/"+d.index+"/_doc/"+name(kind, id), nil, nil)
	if esclient.Status(err) == http.StatusNotFound && !esclient.Missing(err) {
		err = nil // by the first of two attempts, or by somebody else
	}
	if err != nil {
		return false, d.fault(err)
	}
	return there, nil
}

// Close implements [store.Driver].
func (d *Driver) Close() error {
	if !d.closed.Swap(true) {
		d.client.Close()
	}
	return nil
}
