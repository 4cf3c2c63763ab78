package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

func bearer(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

// fakeTokens knows the token "good" and is away for the token "away".
type fakeTokens struct{}

func (fakeTokens) Verify(_ context.Context, token string) (auth.Identity, error) {
	switch token {
	case "good":
		return auth.Identity{ID: "jwt:ada", Grants: auth.Grants{{Role: auth.Search, Index: "*"}}, Groups: []string{"staff"}}, nil
	case "away":
		return auth.Identity{}, fmt.Errorf("%w: the provider does not answer", auth.ErrUnavailable)
	}
	return auth.Identity{}, fmt.Errorf("%w: the token: unknown", auth.ErrUnauthenticated)
}

func TestWhoNeedsAKey(t *testing.T) {
	withKey := newStore(t)
	secret := newKey(t, withKey, store.Key{}, "search")
	revoked := newStore(t)
	old := newKey(t, revoked, store.Key{}, "admin")
	keys, err := revoked.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := revoked.RevokeKey(t.Context(), keys[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		access api.Access
		header []string
		status int
	}{
		{"nothing configured", api.Access{}, nil, 200},
		{"a store without keys", api.Access{Store: newStore(t)}, nil, 200},
		{"keys demanded", api.Access{RequireKeys: true}, nil, 401},
		{"a store with a key", api.Access{Store: withKey}, nil, 401},
		{"the key", api.Access{Store: withKey}, bearer(secret), 200},
		{"the key in the other header", api.Access{Store: withKey}, []string{"X-API-Key", secret}, 200},
		{"the scheme in small letters", api.Access{Store: withKey}, []string{"Authorization", "bearer  " + secret}, 200},
		{"two keys", api.Access{Store: withKey}, []string{"X-API-Key", secret, "Authorization", "Bearer " + secret}, 401},
		{"another scheme", api.Access{Store: withKey}, []string{"Authorization", "Basic " + secret}, 401},
		{"no scheme", api.Access{Store: withKey}, []string{"Authorization", secret}, 401},
		{"a wrong key", api.Access{Store: withKey}, bearer(secret + "x"), 401},
		{"only a revoked key, without it", api.Access{Store: revoked}, nil, 401},
		{"only a revoked key, with it", api.Access{Store: revoked}, bearer(old), 401},
		{"a token", api.Access{Tokens: fakeTokens{}}, bearer("good"), 200},
		{"no token", api.Access{Tokens: fakeTokens{}}, nil, 401},
		{"a bad token", api.Access{Tokens: fakeTokens{}}, bearer("bad"), 401},
		{"a token while the provider is away", api.Access{Tokens: fakeTokens{}}, bearer("away"), 503},
		{"a key beside tokens", api.Access{Tokens: fakeTokens{}, Store: withKey}, bearer(secret), 200},
		{"a token beside keys", api.Access{Tokens: fakeTokens{}, Store: withKey}, bearer("good"), 200},
		{"the local token from elsewhere", api.Access{RequireKeys: true, LocalToken: "needle_local_x"}, bearer("needle_local_x"), 401},
	} {
		h := newHarness(t, api.Config{Access: c.access})
		a := h.do("GET", "/v1/indexes", "", c.header...)
		if a.status != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, a.status, a.body, c.status)
		}
		if a.status == 401 && (a.header.Get("WWW-Authenticate") == "" || a.problem(t).Code != "unauthenticated") {
			t.Errorf("%s: got %s without WWW-Authenticate", c.name, a.body)
		}
	}
}

func TestLocalToken(t *testing.T) {
	url, _ := serve(t, newFake(), api.Config{Access: api.Access{RequireKeys: true, LocalToken: "needle_local_x"}})
	for token, want := range map[string]int{"needle_local_x": 200, "needle_local_y": 401, "": 401} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/indexes", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%q: got %d, want %d", token, response.StatusCode, want)
		}
	}
}

func TestExpiredKey(t *testing.T) {
	kept := newStore(t)
	secret := newKey(t, kept, store.Key{ExpiresAt: time.Now().Add(1500 * time.Millisecond)}, "search")
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	if a := h.do("GET", "/v1/indexes", "", bearer(secret)...); a.status != 200 {
		t.Errorf("before: got %d", a.status)
	}
	for h.do("GET", "/v1/indexes", "", bearer(secret)...).status == 200 {
		time.Sleep(20 * time.Millisecond)
	}
	if a := h.do("GET", "/v1/indexes", "", bearer(secret)...); a.status != 401 {
		t.Errorf("after: got %d, want 401", a.status)
	}
}

// groupsFixture is an index with one public document and one of each group.
func groupsFixture(t *testing.T) (*harness, *store.Store) {
	kept := newStore(t)
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	h.service.indexes["default"] = map[string]retriever.Document{
		"a-hr":     {ID: "a-hr", Text: "Secret of hr.", Groups: []string{"hr"}},
		"b-public": {ID: "b-public", Text: "Public."},
		"c-sales":  {ID: "c-sales", Text: "Secret of sales.", Groups: []string{"sales", "board"}},
		"d-hr":     {ID: "d-hr", Text: "Another secret of hr.", Groups: []string{"hr"}},
	}
	return h, kept
}

func TestGroups(t *testing.T) {
	h, kept := groupsFixture(t)
	visible := map[string][]string{
		newKey(t, kept, store.Key{}, "search", "write"):                          {"b-public"},
		newKey(t, kept, store.Key{Groups: []string{"hr"}}, "search", "write"):    {"a-hr", "b-public", "d-hr"},
		newKey(t, kept, store.Key{Groups: []string{"board"}}, "search", "write"): {"b-public", "c-sales"},
		newKey(t, kept, store.Key{AllGroups: true}, "search", "write"):           {"a-hr", "b-public", "c-sales", "d-hr"},
		newKey(t, kept, store.Key{}, "admin"):                                    {"a-hr", "b-public", "c-sales", "d-hr"},
	}
	all := []string{"a-hr", "b-public", "c-sales", "d-hr"}
	for secret, ids := range visible {
		key := bearer(secret)
		restricted := len(ids) < len(all)
		// Pages of one: what is hidden must not make a page short, or be a cursor.
		var listed []string
		for after := ""; ; {
			a := h.do("GET", "/v1/indexes/default/documents?limit=1&after="+after, "", key...)
			var page struct {
				Documents []struct{ ID string }
				Next      string
			}
			if err := json.Unmarshal(a.body, &page); err != nil {
				t.Fatalf("%v in %s", err, a.body)
			}
			for _, d := range page.Documents {
				listed = append(listed, d.ID)
			}
			if page.Next == "" {
				break
			}
			after = page.Next
		}
		if strings.Join(listed, " ") != strings.Join(ids, " ") {
			t.Errorf("list: got %q, want %q", listed, ids)
		}
		for _, id := range all {
			there := strings.Contains(strings.Join(ids, " "), id)
			a := h.do("GET", "/v1/indexes/default/documents/"+id, "", key...)
			if there != (a.status == 200) {
				t.Errorf("%s: got %d, visible are %q", id, a.status, ids)
			}
			if there {
				continue
			}
			// A document that is hidden and one that is not there look the same.
			other := h.do("GET", "/v1/indexes/default/documents/"+strings.Repeat("x", len(id)), "", key...)
			if masked(string(a.body), id) != masked(string(other.body), strings.Repeat("x", len(id))) || a.header.Get("ETag") != "" {
				t.Errorf("hidden: %s\nabsent: %s", a.body, other.body)
			}
			if d := h.do("DELETE", "/v1/indexes/default/documents/"+id, "", key...); d.status != 404 {
				t.Errorf("delete %s: got %d, want 404", id, d.status)
			}
			if d := h.do("DELETE", "/v1/indexes/default/documents/"+id, "", append(key, "If-Match", "*")...); d.status != 412 {
				t.Errorf("delete %s if it is there: got %d, want 412 as for nothing", id, d.status)
			}
			if p := h.do("PUT", "/v1/indexes/default/documents/"+id, `{"text":"mine"}`, key...); p.status != 403 {
				t.Errorf("replace %s: got %d, want 403", id, p.status)
			}
			if p := h.do("POST", "/v1/indexes/default/bulk", `{"id":"`+id+`","text":"mine"}`, append(key, "Content-Type", "application/x-ndjson")...); !strings.Contains(string(p.body), `"forbidden"`) {
				t.Errorf("replace %s in bulk: got %s, want it refused", id, p.body)
			}
		}
		if a := h.do("POST", "/v1/indexes/default/delete", `{"ids":["a-hr","c-sales","absent"]}`, bearer(secret)...); restricted && len(ids) == 1 && !strings.Contains(string(a.body), `"deleted":0`) {
			t.Errorf("delete many: got %s, want 0", a.body)
		}
		stats := string(h.do("GET", "/v1/indexes/default", "", key...).body)
		if restricted != (strings.Contains(stats, `"documents":0`) && strings.Contains(stats, `"restricted":true`)) {
			t.Errorf("stats for a key that sees %q: got %s", ids, stats)
		}
		for name, d := range groupsDocuments() {
			h.service.indexes["default"][name] = d
		}
	}
}

func groupsDocuments() map[string]retriever.Document {
	return map[string]retriever.Document{
		"a-hr":     {ID: "a-hr", Text: "Secret of hr.", Groups: []string{"hr"}},
		"b-public": {ID: "b-public", Text: "Public."},
		"c-sales":  {ID: "c-sales", Text: "Secret of sales.", Groups: []string{"sales", "board"}},
		"d-hr":     {ID: "d-hr", Text: "Another secret of hr.", Groups: []string{"hr"}},
	}
}

// TestAccessOfQuestions looks at what the pipeline is told.
func TestAccessOfQuestions(t *testing.T) {
	kept := newStore(t)
	some := newKey(t, kept, store.Key{Groups: []string{"hr", "staff"}}, "search")
	everything := newKey(t, kept, store.Key{AllGroups: true}, "search")
	admin := newKey(t, kept, store.Key{}, "admin:default")
	for _, c := range []struct {
		name, secret, groups string
		want                 string
	}{
		{"a key with groups", some, ``, `[hr staff] false`},
		{"narrowed", some, `,"groups":["staff"]`, `[staff] false`},
		{"narrowed to nothing", some, `,"groups":[]`, `[] false`},
		{"not widened", some, `,"groups":["staff","board"]`, `[staff] false`},
		{"all groups", everything, ``, `[] true`},
		{"all groups on behalf of somebody", everything, `,"groups":["staff"]`, `[staff] false`},
		{"all groups on behalf of nobody", everything, `,"groups":[]`, `[] false`},
		{"an admin of the index", admin, ``, `[] true`},
	} {
		h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
		ask := h.do("POST", "/v1/ask", `{"question":"x"`+c.groups+`}`, bearer(c.secret)...)
		search := h.do("POST", "/v1/search", `{"query":"x"`+c.groups+`}`, bearer(c.secret)...)
		if ask.status != 200 || search.status != 200 {
			t.Errorf("%s: got %s, %s", c.name, ask.body, search.body)
			continue
		}
		for _, got := range []string{
			fmt.Sprint(h.service.requests[0].Access.Groups, h.service.requests[0].Access.AllGroups),
			fmt.Sprint(h.service.searches[0].Access.Groups, h.service.searches[0].Access.AllGroups),
		} {
			if got != c.want {
				t.Errorf("%s: the pipeline was told %s, want %s", c.name, got, c.want)
			}
		}
	}
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	a := h.do("POST", "/v1/search", `{"query":"x","explain":true}`, bearer(some)...)
	if strings.Contains(string(a.body), "document_frequency") || !strings.Contains(string(a.body), "the terms are left out") {
		t.Errorf("explain counts hidden documents: %s", a.body)
	}
	if a := h.do("POST", "/v1/search", `{"query":"x","explain":true}`, bearer(everything)...); !strings.Contains(string(a.body), "document_frequency") {
		t.Errorf("explain for a key that sees all: %s", a.body)
	}
}

func TestIndexesOfAKey(t *testing.T) {
	kept := newStore(t)
	secret := newKey(t, kept, store.Key{AllGroups: true}, "search:hr")
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	h.service.indexes["hr"] = map[string]retriever.Document{}
	a := h.do("GET", "/v1/indexes", "", bearer(secret)...)
	if !strings.Contains(string(a.body), `"name":"hr"`) || strings.Contains(string(a.body), "default") {
		t.Errorf("got %s, want hr only", a.body)
	}
	// The default index is meant when none is named; the key is not for it.
	if a := h.do("POST", "/v1/ask", `{"question":"x"}`, bearer(secret)...); a.status != 404 {
		t.Errorf("ask: got %d %s, want 404", a.status, a.body)
	}
	named := newHarness(t, api.Config{Access: api.Access{Store: kept, DefaultIndex: "hr"}})
	if a := named.do("POST", "/v1/ask", `{"question":"x"}`, bearer(secret)...); a.status != 200 {
		t.Errorf("ask where hr is the default: got %d %s", a.status, a.body)
	}
}

func TestRateLimit(t *testing.T) {
	kept := newStore(t)
	slow := newKey(t, kept, store.Key{Rate: 0.01, Burst: 3}, "search")
	other := newKey(t, kept, store.Key{Rate: 0.01, Burst: 3}, "search")
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	for i := range 5 {
		a := h.do("GET", "/v1/indexes", "", bearer(slow)...)
		if i < 3 && a.status != 200 {
			t.Errorf("request %d: got %d", i, a.status)
		}
		if i >= 3 {
			seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
			if a.status != 429 || err != nil || seconds < 1 || seconds > 100 || a.problem(t).Code != "rate_limited" {
				t.Errorf("request %d: got %d, Retry-After %q; want 429", i, a.status, a.header.Get("Retry-After"))
			}
		}
	}
	if a := h.do("GET", "/v1/indexes", "", bearer(other)...); a.status != 200 {
		t.Errorf("another key: got %d", a.status)
	}
	if a := h.do("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("healthz: got %d", a.status)
	}
}

func TestKeysRoutes(t *testing.T) {
	kept := newStore(t)
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	a := h.do("POST", "/v1/keys", `{"name":"first","roles":["admin"]}`)
	var first struct{ ID, Key string }
	if err := json.Unmarshal(a.body, &first); err != nil || a.status != 201 || first.Key == "" || a.header.Get("Location") != "/v1/keys/"+first.ID {
		t.Fatalf("got %d %s, %v", a.status, a.body, err)
	}
	if a := h.do("GET", "/v1/keys", ""); a.status != 401 {
		t.Errorf("after the first key: got %d without a key, want 401", a.status)
	}
	for body, part := range map[string]string{
		`{"roles":["search"]}`:                                                "name:",
		`{"name":"x","roles":[]}`:                                             "roles: there are 0",
		`{"name":"x","roles":["king"]}`:                                       `\"king\"; allowed are search, write, admin`,
		`{"name":"x","roles":["search:A B"]}`:                                 `index \"A B\"`,
		`{"name":"x","roles":["search"],"rate":-1}`:                           "rate: -1",
		`{"name":"x","roles":["search"],"expires_at":"tomorrow"}`:             "no RFC 3339 time",
		`{"name":"x","roles":["search"],"expires_at":"2020-01-01T00:00:00Z"}`: "has passed",
	} {
		if a := h.do("POST", "/v1/keys", body, bearer(first.Key)...); a.status != 400 || !strings.Contains(string(a.body), part) {
			t.Errorf("%s: got %d %s, want 400 that says %q", body, a.status, a.body, part)
		}
	}
	a = h.do("POST", "/v1/keys", `{"name":"second","roles":["search:hr","write:hr"],"groups":["staff"],"rate":2.5,"burst":4,"expires_at":"2099-01-01T00:00:00Z"}`, bearer(first.Key)...)
	if !strings.Contains(string(a.body), `"created_by":"`+first.ID+`"`) {
		t.Errorf("got %s, want it to say who made the key", a.body)
	}
	list := h.do("GET", "/v1/keys", "", bearer(first.Key)...)
	if strings.Contains(string(list.body), first.Key) || strings.Contains(string(list.body), "hash") || !strings.Contains(string(list.body), `"second"`) {
		t.Errorf("list: got %s", list.body)
	}
	if a := h.do("DELETE", "/v1/keys/"+first.ID, "", bearer(first.Key)...); a.status != 200 || !strings.Contains(string(a.body), `"revoked"`) {
		t.Errorf("revoke: got %d %s", a.status, a.body)
	}
	if a := h.do("GET", "/v1/keys", "", bearer(first.Key)...); a.status != 401 {
		t.Errorf("with the revoked key: got %d, want 401", a.status)
	}
	without := newHarness(t, api.Config{})
	if a := without.do("GET", "/v1/keys", ""); a.status != 503 || a.problem(t).Code != "no_store" {
		t.Errorf("without a store: got %d %s", a.status, a.body)
	}
}

// TestAuditAndSecrets looks through everything that is written down.
func TestAuditAndSecrets(t *testing.T) {
	kept := newStore(t)
	var audit bytes.Buffer
	h := newHarness(t, api.Config{Access: api.Access{Store: kept, Audit: &audit, Tokens: fakeTokens{}}})
	admin, reader := newKey(t, kept, store.Key{Name: "adm"}, "admin"), newKey(t, kept, store.Key{}, "search")
	forged := "needle_aaaaaaaaaaaa_cccccccccccccccccccccccccc"
	created := h.do("POST", "/v1/keys", `{"name":"n","roles":["search"]}`, bearer(admin)...)
	var key struct{ ID, Key string }
	if err := json.Unmarshal(created.body, &key); err != nil {
		t.Fatal(err)
	}
	const text = "a very private sentence"
	h.do("PUT", "/v1/indexes/default/documents/a/b", `{"text":"`+text+`"}`, bearer(admin)...)
	h.do("PUT", "/v1/indexes/default/documents/a/b", `{"text":"`+text+`"}`, bearer(reader)...)
	h.do("PUT", "/v1/indexes/default/documents/a/b", `{"text":"`+text+`"}`, bearer(forged)...)
	h.do("PUT", "/v1/indexes/default/documents/a/b", `{"text":"`+text+`"}`, bearer("eyJ.secret.token")...)
	h.do("PUT", "/v1/indexes/default/documents/a/b", `{"text":"`+text+`"}`, "X-API-Key", forged)
	h.do("POST", "/v1/indexes/default/bulk", "{\"id\":\"1\",\"text\":\"x\"}\n{\"id\":\"2\",\"text\":\"x\"}\n", append(bearer(admin), "Content-Type", "application/x-ndjson")...)
	h.do("POST", "/v1/indexes/default/delete", `{"ids":["1","2","3"]}`, bearer(admin)...)
	h.do("DELETE", "/v1/indexes/absent", "", bearer(admin)...)
	h.do("DELETE", "/v1/keys/"+key.ID, "", bearer(admin)...)
	h.do("POST", "/v1/ask", `{"question":"`+text+`"}`, bearer(reader)...)
	h.service.err = errors.New("disk on fire")
	h.do("PUT", "/v1/indexes/default/documents/a/b", `{"text":"`+text+`"}`, bearer(admin)...)

	var got []string
	for line := range strings.Lines(audit.String()) {
		var r struct {
			Time                                               time.Time
			RequestID                                          string `json:"request_id"`
			Caller, Remote, Act, Index, Subject, Outcome, Code string
			Status                                             int
			Count                                              *int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.RequestID == "" || r.Time.IsZero() || r.Remote == "" {
			t.Fatalf("line %q: %v", line, err)
		}
		count := ""
		if r.Count != nil {
			count = strconv.Itoa(*r.Count)
		}
		known := r.Caller != ""
		got = append(got, strings.Join(strings.Fields(fmt.Sprint(r.Act, " ", r.Index, " ", r.Subject, " ", r.Outcome, " ", r.Status, " ", known, " ", count)), " "))
	}
	want := []string{
		"POST /v1/keys " + key.ID + " done 201 true",
		"PUT /v1/indexes/:index/documents/*id default a/b done 201 true 1",
		"PUT /v1/indexes/:index/documents/*id default a/b denied 403 true",
		"PUT /v1/indexes/:index/documents/*id default a/b denied 401 false",
		"PUT /v1/indexes/:index/documents/*id default a/b denied 401 false",
		"PUT /v1/indexes/:index/documents/*id default a/b denied 401 false",
		"POST /v1/indexes/:index/bulk default done 200 true 2",
		"POST /v1/indexes/:index/delete default done 200 true 2",
		"DELETE /v1/indexes/:index absent failed 404 true",
		"DELETE /v1/keys/:key " + key.ID + " done 200 true",
		"PUT /v1/indexes/:index/documents/*id default a/b failed 500 true",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	written := h.log.String() + audit.String()
	for _, secret := range []string{admin, reader, key.Key, forged, "eyJ.secret.token", text} {
		if strings.Contains(written, secret) {
			t.Errorf("%q stands in a log", secret)
		}
	}
	for _, secret := range []string{admin, reader, key.Key} {
		if part := secret[strings.LastIndexByte(secret, '_')+1:]; strings.Contains(written, part) {
			t.Errorf("the secret part %q stands in a log", part)
		}
	}
	if !strings.Contains(written, key.ID) {
		t.Error("the logs do not name keys by their id")
	}
}

func TestCORS(t *testing.T) {
	const origin = "https://app.example"
	preflight := func(h *harness, from string) answer {
		return h.do("OPTIONS", "/v1/ask", "", "Origin", from, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	}
	closed := newHarness(t, api.Config{})
	if a := preflight(closed, origin); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("not configured: got %v", a.header)
	}
	if a := closed.do("POST", "/v1/ask", `{"question":"x"}`, "Origin", origin, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("not configured: got %d, want 403", a.status)
	}
	h := newHarness(t, api.Config{Access: api.Access{CORSOrigins: []string{origin}}})
	if a := preflight(h, origin); a.header.Get("Access-Control-Allow-Origin") != origin || a.status > 299 || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: got %d %v", a.status, a.header)
	}
	if a := preflight(h, "https://evil.example"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of another origin: got %v", a.header)
	}
	if a := h.do("POST", "/v1/ask", `{"question":"x"}`, "Origin", origin, "Sec-Fetch-Site", "cross-site"); a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("got %d %v, want an answer for the origin", a.status, a.header)
	}
	if a := h.do("POST", "/v1/ask", `{"question":"x"}`, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("another origin: got %d, want 403", a.status)
	}
	if _, err := api.New(newFake(), api.Config{Access: api.Access{CORSOrigins: []string{"app.example"}}}, nil); err == nil {
		t.Error("an origin without scheme: got no error")
	}
}

func TestSecurityHeaders(t *testing.T) {
	h := newHarness(t, api.Config{})
	for _, target := range []string{"/v1/indexes", "/v1/nothing", "/", "/healthz"} {
		a := h.do("GET", target, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy is %q", target, csp)
		}
	}
}
