package elastic_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/needle-search/needle/internal/esclient"
	"github.com/needle-search/needle/internal/testenv"
	"github.com/needle-search/needle/store"
	"github.com/needle-search/needle/store/elastic"
	"github.com/needle-search/needle/store/storetest"
)

// config returns the settings for an index of the test's own, which is removed
// when the test ends.
func config(t *testing.T) elastic.Config {
	t.Helper()
	address := os.Getenv("NEEDLE_ES_URL")
	if address == "" {
		testenv.Missing(t, false, "NEEDLE_ES_URL is not set; start a server with: export NEEDLE_ES_URL=$(deploy/elasticsearch/test-server.sh start)")
	}
	c := elastic.DefaultConfig()
	c.Connection.Addresses, c.Connection.RetryWait = []string{address}, 5*time.Millisecond
	c.Index, c.Replicas = "test-"+strings.ToLower(rand.Text())+".records", 0
	t.Cleanup(func() { drop(t, c) })
	return c
}

func drop(t *testing.T, c elastic.Config) {
	t.Helper()
	client, err := esclient.New(c.Connection)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.Do(context.Background(), esclient.Request{Method: http.MethodDelete, Path: "/" + c.Index}, nil)
	if err != nil && !esclient.Missing(err) {
		t.Error(err)
	}
}

func open(t *testing.T, c elastic.Config) *elastic.Driver {
	t.Helper()
	d, err := elastic.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestConformance(t *testing.T) {
	config(t)
	storetest.Run(t, func(t *testing.T) store.Driver { return open(t, config(t)) })
}

// TestTwoDrivers: what one process writes, another one reads at once, also in a
// list.
func TestTwoDrivers(t *testing.T) {
	c := config(t)
	a, b := open(t, c), open(t, c)
	for i, id := range []string{"one", "two", "three"} {
		version, err := a.Put(t.Context(), "key", store.Record{ID: id, Data: []byte(id)}, store.Condition{Absent: true})
		if err != nil {
			t.Fatal(err)
		}
		if list, err := b.List(t.Context(), "key", "", "", 10); err != nil || len(list) != i+1 {
			t.Errorf("List: %d records, %v; want %d", len(list), err, i+1)
		}
		if r, err := b.Get(t.Context(), "key", id); err != nil || r.Version != version {
			t.Errorf("Get: version %q, %v; want %q", r.Version, err, version)
		}
	}
	if there, err := b.Delete(t.Context(), "key", "two"); !there || err != nil {
		t.Errorf("Delete: %v, %v", there, err)
	}
	if list, err := a.List(t.Context(), "key", "", "", 10); err != nil || len(list) != 2 {
		t.Errorf("List after Delete: %d records, %v; want 2", len(list), err)
	}
}

// TestPages lists more than one answer of the server holds.
func TestPages(t *testing.T) {
	c := config(t)
	d := open(t, c)
	client, err := esclient.New(c.Connection)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const records = 1203
	var lines strings.Builder
	for i := range records {
		id := fmt.Sprintf("r%04d", i)
		lines.WriteString(`{"index":{}}` + "\n" + `{"kind":"feedback","id":"` + id + `","data":"eA==","expires":1}` + "\n")
		if i%3 == 0 {
			lines.WriteString(`{"index":{}}` + "\n" + `{"kind":"feedback","id":"live-` + id + `","data":"eA==","expires":0}` + "\n")
		}
	}
	err = client.Do(t.Context(), esclient.Request{Method: http.MethodPost, Path: "/" + c.Index + "/_bulk", Body: []byte(lines.String())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := d.List(t.Context(), "feedback", "", "", 5000); err != nil || len(list) != 401 {
		t.Errorf("List: %d records, %v; want 401", len(list), err)
	}
	if n, err := d.Sweep(t.Context(), "feedback", time.Now()); n != records || err != nil {
		t.Errorf("Sweep: %d, %v; want %d", n, err, records)
	}
	if list, err := d.List(t.Context(), "feedback", "", "", 5000); err != nil || len(list) != 401 {
		t.Errorf("List after Sweep: %d records, %v; want 401", len(list), err)
	}
}

// TestLostAnswers cuts the connection after the server has done what it was
// asked for.
func TestLostAnswers(t *testing.T) {
	c := config(t)
	open(t, c) // makes the index
	target, err := url.Parse(c.Connection.Addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	var lose atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (r.Method == http.MethodPut || r.Method == http.MethodDelete) && lose.Swap(false) {
			forward.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	c.Connection.Addresses = []string{proxy.URL}
	d := open(t, c)
	put := func(data string, condition store.Condition) string {
		t.Helper()
		lose.Store(true)
		version, err := d.Put(t.Context(), "key", store.Record{ID: "a", Data: []byte(data)}, condition)
		if err != nil {
			t.Fatalf("Put: %v", err)
		}
		if r, err := d.Get(t.Context(), "key", "a"); err != nil || string(r.Data) != data || r.Version != version {
			t.Errorf("Get: %q, version %q, %v; want %q, %q", r.Data, r.Version, err, data, version)
		}
		return version
	}
	first := put("made", store.Condition{Absent: true})
	put("changed", store.Condition{Version: first})
	put("written over", store.Condition{})
	lose.Store(true)
	if there, err := d.Delete(t.Context(), "key", "a"); !there || err != nil {
		t.Errorf("Delete: %v, %v; want true", there, err)
	}
}

// TestGone: an index of keys that vanishes must not look like one without keys.
func TestGone(t *testing.T) {
	c := config(t)
	s := store.New(open(t, c))
	if has, err := s.HasKeys(t.Context()); has || err != nil {
		t.Fatalf("HasKeys: %v, %v", has, err)
	}
	drop(t, c)
	other := store.New(open(t, c)) // which makes it again
	drop(t, c)
	if has, err := other.HasKeys(t.Context()); err == nil || !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("HasKeys without the index: %v, %v; want ErrCorrupt", has, err)
	}
	if err := other.PutSources(t.Context(), "hr", []byte("{}")); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a write without the index: %v; want ErrCorrupt", err)
	}
	foreign := c
	client, err := esclient.New(c.Connection)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Do(t.Context(), esclient.Request{Method: http.MethodPut, Path: "/" + foreign.Index}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := elastic.Open(t.Context(), foreign); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), foreign.Index) {
		t.Errorf("Open of somebody else's index: %v; want ErrCorrupt that names it", err)
	}
}

// TestAway needs no server.
func TestAway(t *testing.T) {
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer away.Close()
	c := elastic.DefaultConfig()
	c.Connection.Addresses, c.Connection.Retries, c.Connection.RetryWait = []string{away.URL}, 1, time.Millisecond
	if _, err := elastic.Open(t.Context(), c); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), away.URL) {
		t.Errorf("Open: %v; want ErrUnavailable that names %s", err, away.URL)
	}
}
