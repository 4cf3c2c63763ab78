package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
	"github.com/needle-search/needle/store/bolt"
)

func newStore(t testing.TB) *store.Store {
	t.Helper()
	driver, err := bolt.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(driver)
	t.Cleanup(func() { s.Close() })
	return s
}

func newKey(t testing.TB, s *store.Store, k store.Key, roles ...string) (secret string) {
	t.Helper()
	var err error
	if k.Grants, err = auth.ParseGrants(roles); err != nil {
		t.Fatal(err)
	}
	if k.Name == "" {
		k.Name = strings.Join(roles, " ")
	}
	_, secret, err = s.CreateKey(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// A routeCase says how a route is called, and who may use it.
type routeCase struct {
	path, body string
	open       bool
	// own are the roles on the index that do; elsewhere are those on another
	// index that do, for routes that are about no index.
	own, elsewhere []auth.Role
	server         bool // only roles on all indexes do
	ok             int  // the status when it is allowed
}

var (
	readers = []auth.Role{auth.Search, auth.Admin}
	writers = []auth.Role{auth.Write, auth.Admin}
	both    = []auth.Role{auth.Search, auth.Write, auth.Admin}
	admins  = []auth.Role{auth.Admin}
)

// routeCases must have every route of the server; the pattern INDEX stands for
// the index.
func routeCases() map[string]routeCase {
	cases := map[string]routeCase{
		"GET /healthz":      {path: "/healthz", open: true},
		"HEAD /healthz":     {path: "/healthz", open: true},
		"GET /readyz":       {path: "/readyz", open: true},
		"HEAD /readyz":      {path: "/readyz", open: true},
		"GET /openapi.json": {path: "/openapi.json", open: true},

		"POST /v1/ask":    {path: "/v1/ask", body: `{"question":"x","index":"INDEX"}`, own: readers},
		"POST /v1/search": {path: "/v1/search", body: `{"query":"x","index":"INDEX"}`, own: readers},
		"POST /v1/read":   {path: "/v1/read", body: `{"question":"x","documents":[{"text":"x"}]}`, own: readers, elsewhere: readers},
		"POST /v1/rerank": {path: "/v1/rerank", body: `{"query":"x","documents":["x"]}`, own: readers, elsewhere: readers},

		"POST /v2/rerank":       {path: "/v2/rerank", body: `{"query":"x","documents":["x"]}`, own: readers, elsewhere: readers},
		"POST /rerank":          {path: "/rerank", body: `{"query":"x","documents":["x"]}`, own: readers, elsewhere: readers},
		"GET /metrics":          {path: "/metrics", server: true, own: []auth.Role{auth.Monitor, auth.Admin}, ok: 404}, // switched off
		"POST /v1/predict":      {path: "/v1/predict", body: `{"head":"embedding","texts":["x"]}`, own: readers, elsewhere: readers},
		"GET /v1/models":        {path: "/v1/models", own: readers, elsewhere: readers},
		"GET /v1/shadow":        {path: "/v1/shadow", server: true, own: []auth.Role{auth.Monitor, auth.Admin}},
		"PUT /v1/shadow":        {path: "/v1/shadow", body: `{"config":"reader: {top_k: 5}","share":0.5}`, server: true, own: admins},
		"DELETE /v1/shadow":     {path: "/v1/shadow", server: true, own: admins},
		"PUT /v1/models/reader": {path: "/v1/models/reader", body: `{"bundle":"builtin"}`, server: true, own: admins},

		"GET /v1/indexes":           {path: "/v1/indexes", own: both, elsewhere: both},
		"GET /v1/indexes/:index":    {path: "/v1/indexes/INDEX", own: both},
		"PUT /v1/indexes/:index":    {path: "/v1/indexes/INDEX", own: admins, ok: 409},
		"DELETE /v1/indexes/:index": {path: "/v1/indexes/INDEX", own: admins, ok: 204},

		"POST /v1/indexes/:index/files":           {path: "/v1/indexes/INDEX/files", body: "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"new.txt\"\r\n\r\nx\r\n--b--\r\n", own: writers},
		"POST /v1/indexes/:index/bulk":            {path: "/v1/indexes/INDEX/bulk", body: "{\"id\":\"new\",\"text\":\"x\"}\n", own: writers},
		"POST /v1/indexes/:index/delete":          {path: "/v1/indexes/INDEX/delete", body: `{"ids":["d"]}`, own: writers},
		"GET /v1/indexes/:index/documents":        {path: "/v1/indexes/INDEX/documents", own: readers},
		"POST /v1/indexes/:index/documents":       {path: "/v1/indexes/INDEX/documents", body: `{"id":"new","text":"x"}`, own: writers, ok: 201},
		"GET /v1/indexes/:index/documents/*id":    {path: "/v1/indexes/INDEX/documents/d", own: readers},
		"PUT /v1/indexes/:index/documents/*id":    {path: "/v1/indexes/INDEX/documents/new", body: `{"text":"x"}`, own: writers, ok: 201},
		"DELETE /v1/indexes/:index/documents/*id": {path: "/v1/indexes/INDEX/documents/d", own: writers, ok: 204},

		"POST /v1/feedback":               {path: "/v1/feedback", body: `{"question":"x","index":"INDEX","verdict":"missing"}`, own: readers, ok: 201},
		"GET /v1/feedback":                {path: "/v1/feedback?index=INDEX", own: admins},
		"GET /v1/feedback/:case":          {path: "/v1/feedback/gone0000?index=INDEX", own: admins, ok: 404},
		"POST /v1/feedback/review":        {path: "/v1/feedback/review", body: `{"ids":["gone0000"],"decision":"accept","index":"INDEX"}`, own: admins, ok: 404},
		"GET /v1/feedback/export":         {path: "/v1/feedback/export?index=INDEX", own: admins},
		"POST /v1/indexes/:index/compact": {path: "/v1/indexes/INDEX/compact", own: admins},
		"POST /v1/indexes/:index/verify":  {path: "/v1/indexes/INDEX/verify", own: admins},
		"POST /v1/indexes/:index/swap":    {path: "/v1/indexes/INDEX/swap", body: `{"with":"INDEX"}`, own: admins, ok: 204},
		"POST /v1/indexes/:index/fields":  {path: "/v1/indexes/INDEX/fields", body: `{"fields":{"a":"number"}}`, own: admins, ok: 204},
		"GET /v1/indexes/:index/rebuild":  {path: "/v1/indexes/INDEX/rebuild", own: admins},
		"POST /v1/indexes/:index/rebuild": {path: "/v1/indexes/INDEX/rebuild", own: admins, ok: 202},
		"GET /v1/indexes/:index/backup":   {path: "/v1/indexes/INDEX/backup", own: admins},
		"POST /v1/indexes/:index/restore": {path: "/v1/indexes/INDEX/restore", body: "x", own: admins},

		"GET /v1/keys":         {path: "/v1/keys", server: true, own: admins},
		"POST /v1/keys":        {path: "/v1/keys", body: `{"name":"n","roles":["search"]}`, server: true, own: admins, ok: 201},
		"DELETE /v1/keys/:key": {path: "/v1/keys/absent", server: true, own: admins, ok: 404},
	}
	for _, path := range api.PagePaths() {
		cases["GET "+path] = routeCase{path: path, open: true}
		cases["HEAD "+path] = routeCase{path: path, open: true}
	}
	return cases
}

// TestMatrix calls every route with every role, on the role's own index, on
// another that is there, and on one that is not, and without a valid key.
func TestMatrix(t *testing.T) {
	cases := routeCases()
	files := fileIngester(t)
	probe, err := api.New(newFake(), api.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	routes := api.Routes(probe)
	for _, route := range routes {
		if _, ok := cases[route]; !ok {
			t.Errorf("%s: the matrix does not say who may use it", route)
		}
	}
	for route := range cases {
		if !slices.Contains(routes, route) {
			t.Errorf("%s: there is no such route", route)
		}
	}
	kept := newStore(t)
	// Holders of each role on index hr only, and on all indexes.
	own, all := map[auth.Role]string{}, map[auth.Role]string{}
	for _, role := range auth.Roles() {
		all[role] = newKey(t, kept, store.Key{AllGroups: true}, string(role))
		if role != auth.Monitor {
			own[role] = newKey(t, kept, store.Key{AllGroups: true}, string(role)+":hr")
		}
	}
	call := func(route string, c routeCase, index, secret string) (int, string) {
		fake := newFake()
		for _, name := range []string{"hr", "other"} {
			fake.indexes[name] = map[string]retriever.Document{"d": {ID: "d", Text: "Some text."}}
		}
		server, err := api.New(fake, api.Config{Files: files, Access: api.Access{Store: kept}}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		method, _, _ := strings.Cut(route, " ")
		body := strings.ReplaceAll(c.body, "INDEX", index)
		request := httptest.NewRequestWithContext(t.Context(), method, strings.ReplaceAll(c.path, "INDEX", index), strings.NewReader(body))
		if c.body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		if strings.HasSuffix(route, "/bulk") {
			request.Header.Set("Content-Type", "application/x-ndjson")
		}
		if strings.HasSuffix(route, "/files") {
			request.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		}
		if strings.HasSuffix(route, "/restore") {
			request.Header.Set("Content-Type", "application/gzip")
		}
		if secret != "" {
			request.Header.Set("Authorization", "Bearer "+secret)
		}
		recorder := httptest.NewRecorder()
		server.Handler().ServeHTTP(recorder, request)
		return recorder.Code, recorder.Body.String()
	}
	var calls int
	expect := func(route string, c routeCase, who, index, secret string, allowed bool, refusals ...int) {
		t.Helper()
		calls++
		status, body := call(route, c, index, secret)
		ok := c.ok
		if ok == 0 {
			ok = http.StatusOK
		}
		if allowed && status != ok {
			t.Errorf("%s on %s with %s: got %d %.200s, want %d", route, index, who, status, body, ok)
		}
		if !allowed && !slices.Contains(refusals, status) {
			t.Errorf("%s on %s with %s: got %d %.200s, want it to be refused with %v", route, index, who, status, body, refusals)
		}
	}
	for _, route := range slices.Sorted(slices.Values(routes)) {
		c := cases[route]
		aboutIndex := strings.Contains(c.path+c.body, "INDEX")
		for who, secret := range map[string]string{
			"no key": "", "a wrong key": "needle_aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbb", "no key's form": "secret",
		} {
			expect(route, c, who, "hr", secret, c.open, http.StatusUnauthorized)
		}
		for role, secret := range all {
			allowed := c.open || slices.Contains(c.own, role)
			expect(route, c, string(role), "hr", secret, allowed, http.StatusForbidden, http.StatusNotFound)
		}
		for role, secret := range own {
			who := string(role) + ":hr"
			if c.server {
				expect(route, c, who, "hr", secret, false, http.StatusForbidden)
				continue
			}
			expect(route, c, who, "hr", secret, c.open || slices.Contains(c.own, role), http.StatusForbidden)
			if !aboutIndex {
				continue
			}
			// Another index must look the same, whether it is there or not. Routes
			// that only some roles may use at all may say so first.
			for _, index := range []string{"other", "absent", "_default"} {
				expect(route, c, who, index, secret, false, http.StatusNotFound, http.StatusForbidden)
			}
			thereStatus, there := call(route, c, "other", secret)
			absentStatus, absent := call(route, c, "absent", secret)
			if thereStatus != absentStatus || masked(there, "other") != masked(absent, "absent") {
				t.Errorf("%s with %s: an index that is there answers %d %s, one that is not %d %s", route, who, thereStatus, there, absentStatus, absent)
			}
		}
	}
	if calls < 500 {
		t.Errorf("only %d calls were made", calls)
	}
	t.Logf("%d calls of %d routes", calls, len(routes))
}

// masked takes out of an answer what differs by request.
func masked(body, index string) string {
	body = strings.ReplaceAll(body, index, "INDEX")
	if at := strings.Index(body, `"request_id"`); at >= 0 {
		body = body[:at]
	}
	return body
}

// TestUnknownRouteIsClosed says that a path without a route tells nothing.
func TestUnknownRouteIsClosed(t *testing.T) {
	kept := newStore(t)
	newKey(t, kept, store.Key{}, "search")
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	for target, want := range map[string]int{"/v1/nothing": 404, "/v1/ask": 405} {
		if a := h.do("GET", target, ""); a.status != want {
			t.Errorf("%s: got %d, want %d", target, a.status, want)
		}
	}
}
