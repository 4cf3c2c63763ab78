// Package storetest is the conformance suite of the drivers of package store:
//
//	storetest.Run(t, func(t *testing.T) store.Driver { ... })
//
// It is for tests only.
package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/needle-search/needle/store"
)

// kind is one that the store has too, because drivers may be made for those.
const kind = "feedback"

// Run runs the suite. The function open returns a driver without records; the
// suite closes it.
func Run(t *testing.T, open func(t *testing.T) store.Driver) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Driver)
	}{
		{"records", testRecords}, {"conditions", testConditions}, {"list", testList}, {"expiry", testExpiry},
		{"ids", testIDs}, {"races", testRaces}, {"keys", testKeys}, {"idempotency", testIdempotency}, {"feedback", testFeedback},
	} {
		t.Run(test.name, func(t *testing.T) {
			driver := open(t)
			test.run(t, driver)
			for range 2 {
				if err := driver.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			if _, err := driver.Get(t.Context(), kind, "a"); err == nil || errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get after Close: got %v, want an error that is not ErrNotFound", err)
			}
		})
	}
}

func put(t *testing.T, d store.Driver, id, data string, c store.Condition) string {
	t.Helper()
	version, err := d.Put(t.Context(), kind, store.Record{ID: id, Data: []byte(data)}, c)
	if err != nil || version == "" {
		t.Fatalf("Put(%q): got version %q, %v", id, version, err)
	}
	return version
}

func testRecords(t *testing.T, d store.Driver) {
	if _, err := d.Get(t.Context(), kind, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of nothing: got %v, want ErrNotFound", err)
	}
	if there, err := d.Delete(t.Context(), kind, "a"); there || err != nil {
		t.Errorf("Delete of nothing: got %v, %v", there, err)
	}
	for _, data := range []string{"", "text", `{"json":1}`, "\x00\xff binary", strings.Repeat("long ", 50_000)} {
		version := put(t, d, "a", data, store.Condition{})
		r, err := d.Get(t.Context(), kind, "a")
		if err != nil || r.ID != "a" || string(r.Data) != data || r.Version != version || !r.Expires.IsZero() {
			t.Errorf("Get: got %d bytes, version %q, expires %v, %v; want %d bytes, version %q", len(r.Data), r.Version, r.Expires, err, len(data), version)
		}
	}
	if _, err := d.Get(t.Context(), "key", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of another kind: got %v, want ErrNotFound", err)
	}
	if there, err := d.Delete(t.Context(), kind, "a"); !there || err != nil {
		t.Errorf("Delete: got %v, %v", there, err)
	}
	if _, err := d.Get(t.Context(), kind, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what was deleted: got %v, want ErrNotFound", err)
	}
}

func testConditions(t *testing.T, d store.Driver) {
	write := func(id string, c store.Condition) (string, error) {
		return d.Put(t.Context(), kind, store.Record{ID: id, Data: []byte("x")}, c)
	}
	if _, err := write("a", store.Condition{Version: "1"}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a version of nothing: got %v, want ErrConflict", err)
	}
	first, err := write("a", store.Condition{Absent: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write("a", store.Condition{Absent: true}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("absent, but there: got %v, want ErrConflict", err)
	}
	second, err := write("a", store.Condition{Version: first})
	if err != nil || second == first {
		t.Fatalf("the right version: got %q, %v", second, err)
	}
	if _, err := write("a", store.Condition{Version: first}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an old version: got %v, want ErrConflict", err)
	}
	if _, err := d.Delete(t.Context(), kind, "a"); err != nil {
		t.Fatal(err)
	}
	third, err := write("a", store.Condition{Absent: true})
	if err != nil || third == first || third == second {
		t.Errorf("back again: got version %q, %v; want one that is not %q or %q", third, err, first, second)
	}
	if _, err := write("a", store.Condition{Version: second}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a version of before the deletion: got %v, want ErrConflict", err)
	}
}

func testList(t *testing.T, d store.Driver) {
	ids := []string{"a", "a/1", "a/2", "a/\u00e9", "a/\U0001F600", "b", "b*", "b?x", `b\`, "c c"}
	for i := range ids {
		put(t, d, ids[len(ids)-1-i], "data of "+ids[len(ids)-1-i], store.Condition{})
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 100, ids},
		{"", "", 3, ids[:3]},
		{"", "a/2", 3, ids[3:6]},
		{"a/", "", 100, ids[1:5]},
		{"a/", "a/1", 100, ids[2:5]},
		{"a/", "a", 100, ids[1:5]},
		{"a/", "b", 100, nil},
		{"b*", "", 100, ids[6:7]},
		{`b\`, "", 100, ids[8:9]},
		{"x", "", 100, nil},
		{"", "c c", 100, nil},
	} {
		list, err := d.List(t.Context(), kind, c.prefix, c.after, c.limit)
		var got []string
		for _, r := range list {
			got = append(got, r.ID)
			if string(r.Data) != "data of "+r.ID || r.Version == "" {
				t.Errorf("List: %q has data %q and version %q", r.ID, r.Data, r.Version)
			}
		}
		if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("List(prefix %q, after %q, limit %d): got %q, %v; want %q", c.prefix, c.after, c.limit, got, err, c.want)
		}
	}
}

func testExpiry(t *testing.T, d store.Driver) {
	past, future := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	for id, expires := range map[string]time.Time{"old": past, "new": future, "ever": {}} {
		if _, err := d.Put(t.Context(), kind, store.Record{ID: id, Expires: expires}, store.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Get(t.Context(), kind, "old"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what has expired: got %v, want ErrNotFound", err)
	}
	if r, err := d.Get(t.Context(), kind, "new"); err != nil || r.Expires.UnixMilli() != future.UnixMilli() {
		t.Errorf("Get: got %v, %v; want it to expire at %v", r.Expires, err, future)
	}
	if list, err := d.List(t.Context(), kind, "", "", 10); err != nil || len(list) != 2 {
		t.Errorf("List: got %d records, %v; want the 2 that have not expired", len(list), err)
	}
	if n, err := d.Sweep(t.Context(), "key", time.Now()); n != 0 || err != nil {
		t.Errorf("Sweep of another kind: got %d, %v", n, err)
	}
	if n, err := d.Sweep(t.Context(), kind, time.Now()); n != 1 || err != nil {
		t.Errorf("Sweep: got %d, %v; want 1", n, err)
	}
	if n, err := d.Sweep(t.Context(), kind, future.Add(time.Second)); n != 1 || err != nil {
		t.Errorf("Sweep later: got %d, %v; want 1", n, err)
	}
	if _, err := d.Put(t.Context(), kind, store.Record{ID: "x", Expires: past}, store.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), kind, store.Record{ID: "x"}, store.Condition{Absent: true}); err != nil {
		t.Errorf("Put in place of what has expired: %v", err)
	}
}

func testIDs(t *testing.T, d store.Driver) {
	for _, id := range []string{"", "a\x00b", "\xff", strings.Repeat("x", store.MaxRecordID+1)} {
		if _, err := d.Put(t.Context(), kind, store.Record{ID: id}, store.Condition{}); !errors.Is(err, store.ErrInvalidRecord) {
			t.Errorf("Put(%.20q): got %v, want ErrInvalidRecord", id, err)
		}
		if _, err := d.Get(t.Context(), kind, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(%.20q): got %v, want ErrNotFound", id, err)
		}
		if there, err := d.Delete(t.Context(), kind, id); there || err != nil {
			t.Errorf("Delete(%.20q): got %v, %v", id, there, err)
		}
	}
	put(t, d, strings.Repeat("\u00e9", store.MaxRecordID/2), "x", store.Condition{})
}

// testRaces lets many write one record; each condition holds for one only.
func testRaces(t *testing.T, d store.Driver) {
	var group sync.WaitGroup
	var made atomic.Int64
	for range 8 {
		group.Go(func() {
			switch _, err := d.Put(t.Context(), kind, store.Record{ID: "race"}, store.Condition{Absent: true}); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("got %v", err)
			}
		})
	}
	group.Wait()
	if made.Load() != 1 {
		t.Errorf("%d of 8 made the record, want 1", made.Load())
	}
	var added atomic.Int64
	for range 4 {
		group.Go(func() {
			for range 5 {
				for {
					r, err := d.Get(t.Context(), kind, "race")
					if err == nil {
						_, err = d.Put(t.Context(), kind, store.Record{ID: "race", Data: append(r.Data, 'x')}, store.Condition{Version: r.Version})
					}
					if err == nil {
						added.Add(1)
						break
					}
					if !errors.Is(err, store.ErrConflict) {
						t.Errorf("got %v", err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	if r, err := d.Get(t.Context(), kind, "race"); err != nil || len(r.Data) != 20 || added.Load() != 20 {
		t.Errorf("got %d bytes of %d writes, %v; want 20", len(r.Data), added.Load(), err)
	}
}
