package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/store"
)

// FuzzETags reads any list of entity tags. What is accepted means the same when
// it is written down again.
func FuzzETags(f *testing.F) {
	for _, list := range []string{`*`, `"a"`, `W/"a"`, `"a", W/"b" ,"c"`, `""`, `"a`, `a`, `"a""b"`, `,"a",,`, "\"a\x00\"", `W/`, `W/*`, "\"\xff\"", " \t\"a\"\t "} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		matchAny, strong, weak, ok := api.ParseETags(list)
		if !ok {
			return
		}
		var again []string
		for tag := range strong {
			again = append(again, tag)
		}
		for tag := range weak {
			again = append(again, "W/"+tag)
		}
		if matchAny != (len(again) == 0) {
			t.Fatalf("%q: any is %v and there are the tags %q", list, matchAny, again)
		}
		if matchAny {
			return
		}
		_, strong2, weak2, ok := api.ParseETags(strings.Join(again, ", "))
		if !ok || len(strong2) != len(strong) || len(weak2) != len(weak) {
			t.Errorf("%q: written down again it is %v, %v, %v; want %v, %v", list, strong2, weak2, ok, strong, weak)
		}
	})
}

// FuzzHeaders sends any value of every header that the server reads, with a
// write and a read. No value makes it fail, and every answer fits the contract.
func FuzzHeaders(f *testing.F) {
	names := []string{"If-Match", "If-None-Match", "Idempotency-Key", "Accept-Encoding", "Content-Encoding", "Content-Type", "X-Request-Id", "Accept", "Origin", "Host", "Sec-Fetch-Site"}
	for i := range uint8(11) {
		for _, value := range []string{`"a"`, "*", "gzip", "gzip;q=0.5, *;q=0", "application/json; charset=utf-8", "text/event-stream", "\x00", "a\r\nb: c", strings.Repeat("x", 5000), "multipart/form-data; boundary=x", "https://evil.example"} {
			f.Add(i, value)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, value string) {
		name := names[int(which)%len(names)]
		h := newHarness(t, api.Config{Access: api.Access{Store: newStore(t)}})
		for _, r := range []struct{ method, target, body string }{
			{"PUT", "/v1/indexes/default/documents/a", `{"text":"x"}`},
			{"GET", "/v1/indexes/default/documents/a", ""},
			{"POST", "/v1/ask", `{"question":"x"}`},
		} {
			request, a := h.exchange(r.method, r.target, r.body, name, value)
			if a.status >= http.StatusInternalServerError {
				t.Errorf("%s %s with %s: %q: got %d %s", r.method, r.target, name, value, a.status, a.body)
			}
			if strings.ContainsAny(a.header.Get("X-Request-Id"), "\r\n\x00") {
				t.Errorf("the request id of the answer is %q", a.header.Get("X-Request-Id"))
			}
			if a.status >= 400 {
				h.check(request, r.body, a)
			}
		}
	})
}

// FuzzAuthorization tries any credential on a server with a key. Nothing but the
// key itself gets in.
func FuzzAuthorization(f *testing.F) {
	s := newStore(f)
	secret := newKey(f, s, store.Key{}, "admin")
	for _, header := range []string{"Bearer " + secret, "bearer  " + secret + " ", "Basic " + secret, secret, "Bearer", "Bearer needle_", "Bearer needle_a_b", "Bearer " + secret + "x", "Bearer " + secret[:20], "Bearer a.b.c", "", "Bearer \x00", "Bearer " + strings.ToUpper(secret)} {
		f.Add(header, "")
		f.Add("", strings.TrimPrefix(header, "Bearer "))
	}
	f.Fuzz(func(t *testing.T, authorization, key string) {
		h := newHarness(t, api.Config{Access: api.Access{Store: s}})
		a := h.do("GET", "/v1/indexes", "", "Authorization", authorization, "X-Api-Key", key)
		scheme, token, _ := strings.Cut(strings.TrimSpace(authorization), " ")
		right := key == "" && strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(token) == secret || authorization == "" && strings.TrimSpace(key) == secret
		want := http.StatusUnauthorized
		if right {
			want = http.StatusOK
		}
		if a.status != want {
			t.Errorf("Authorization %q, X-API-Key %q: got %d %s, want %d", authorization, key, a.status, a.body, want)
		}
		if !right && a.header.Get("WWW-Authenticate") == "" {
			t.Error("the refusal does not say how to authenticate")
		}
	})
}

// FuzzBulk sends any lines. There is a result for every line that is not blank,
// in order, and what is stored is what the lines say.
func FuzzBulk(f *testing.F) {
	for _, body := range []string{
		"{\"id\":\"a\",\"text\":\"x\"}\n{broken\n\n{\"id\":\"a\",\"text\":\"y\"}", "\n\n\n", "\r\n{\"id\":\"b\",\"text\":\"z\"}\r\n", "null\n1\n[]\n\"x\"\n",
		"{\"id\":\"\xff\",\"text\":\"x\"}", strings.Repeat("[", 100) + "\n", "{\"id\":\"a\",\"text\":\"" + strings.Repeat("x", 70000) + "\"}\n{\"id\":\"c\",\"text\":\"y\"}", "{\"id\":\"a\",\"id\":\"b\",\"text\":\"x\"}",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		h := newHarness(t, api.Config{MaxBodyBytes: 1 << 16})
		a := h.do("POST", "/v1/indexes/new/bulk", body, "Content-Type", "application/x-ndjson")
		if a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		var want []int
		for i, line := range strings.Split(body, "\n") {
			if len(bytes.TrimSpace([]byte(line))) > 0 {
				want = append(want, i+1)
			}
		}
		var got []int
		stored := map[string]bool{}
		for line := range bytes.Lines(a.body) {
			var r wire.BulkResult
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Line)
			if (r.Problem != nil) != (r.Status == wire.Refused) {
				t.Errorf("line %d: status %s with the problem %v", r.Line, r.Status, r.Problem)
			}
			if r.Problem == nil {
				stored[r.ID] = true
			} else if r.Problem.Status >= http.StatusInternalServerError {
				t.Errorf("line %d: got %+v", r.Line, r.Problem)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("results for the lines %v, want %v", got, want)
		}
		if n := len(h.service.indexes["new"]); n != len(stored) {
			t.Errorf("%d documents are stored, the results name %d", n, len(stored))
		}
	})
}

// FuzzUpload sends a form with a file of any name and content. What is stored is
// named by the last part of the name, and nothing else can be said by it.
func FuzzUpload(f *testing.F) {
	for _, name := range []string{"a.txt", "../../etc/passwd.txt", `..\..\a.txt`, "a\x00.txt", "\xff.txt", "", ".", "/", "a.html", "a.csv", "a.jsonl", "a.zip", "CON", "a\r\nb.txt", strings.Repeat("x", 600) + ".txt", "ü.md", "a.txt!/b"} {
		f.Add(name, "groups", []byte("id,text\n1,hello\n"))
	}
	f.Add("a.txt", "other", []byte("text"))
	files := fileIngester(f)
	f.Fuzz(func(t *testing.T, name, field string, content []byte) {
		h := newHarness(t, api.Config{Files: files, MaxFileBytes: 1 << 16})
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		if part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + strings.NewReplacer("\r", "", "\n", "", `"`, "").Replace(field) + `"`}}); err == nil {
			_, _ = part.Write([]byte("staff"))
		}
		part, err := w.CreateFormFile("file", name)
		if err != nil {
			return
		}
		_, _ = part.Write(content)
		_ = w.Close()
		request, a := h.exchange("POST", "/v1/indexes/new/files", form.String(), "Content-Type", w.FormDataContentType())
		if a.status >= http.StatusInternalServerError {
			t.Fatalf("file %q: got %d %s", name, a.status, a.body)
		}
		if a.status >= 400 {
			h.check(request, form.String(), a)
		}
		base := path.Base(strings.ReplaceAll(name, `\`, "/"))
		for id := range h.service.indexes["new"] {
			if !utf8.ValidString(id) || strings.Contains(id, "\x00") {
				t.Errorf("file %q is stored as %q", name, id)
			}
			// Records of a file name themselves.
			if strings.HasSuffix(base, ".txt") && !strings.HasPrefix(id, strings.TrimSuffix(base, ".txt")) && utf8.ValidString(base) && !strings.ContainsAny(name, "\"\r\n\\") {
				t.Errorf("file %q is stored as %q", name, id)
			}
		}
	})
}

// FuzzCursor lists from any place on.
func FuzzCursor(f *testing.F) {
	for _, after := range []string{"", "a", "\xff", "\x00", "z", "%", "ü", strings.Repeat("x", 2000)} {
		f.Add(after, "10")
	}
	for _, limit := range []string{"0", "-1", "1001", "1e3", "", "９", "0x10", "99999999999999999999", " 1"} {
		f.Add("", limit)
	}
	s := newStore(f)
	if _, err := s.AddFeedback(f.Context(), store.Feedback{Index: "default", Question: "Who?", Verdict: store.Unanswerable}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, after, limit string) {
		h := newHarness(t, api.Config{Access: api.Access{Store: s}})
		query := "?after=" + url.QueryEscape(after) + "&limit=" + url.QueryEscape(limit)
		for _, target := range []string{"/v1/indexes/default/documents", "/v1/feedback"} {
			if a := h.do("GET", target+query, ""); a.status != http.StatusOK && a.status != http.StatusBadRequest {
				t.Errorf("%s: got %d %s, want 200 or 400", target+query, a.status, a.body)
			}
		}
	})
}
