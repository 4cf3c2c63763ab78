package api_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/store"
)

type caseAnswer struct {
	ID, State    string
	Settled      bool
	Unanswerable bool
	Answers      []struct{ Answer string }
	Judgements   []struct{ ID, Standing, By, User string }
}

type casesAnswer struct {
	Cases  []caseAnswer
	Next   string
	Counts map[string]int
}

func decode[T any](t *testing.T, a answer, status int) (v T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &v); err != nil || a.status != status {
		t.Fatalf("got %d %s, %v; want %d", a.status, a.body, err, status)
	}
	return v
}

// reviewFixture has keys of two users and of an administrator.
func reviewFixture(t *testing.T, access api.Access) (h *harness, ada, bob, admin []string) {
	t.Helper()
	access.Store = newStore(t)
	h = newHarness(t, api.Config{Access: access})
	return h, bearer(newKey(t, access.Store, store.Key{}, "search")), bearer(newKey(t, access.Store, store.Key{}, "search")), bearer(newKey(t, access.Store, store.Key{}, "admin"))
}

const (
	saysCorrect = `{"question":"Who?","verdict":"correct","document_id":"tower.md","answer":"Ada Lane","start":0,"end":8,"user":"ada@example.org"}`
	saysWrong   = `{"question":"who","verdict":"wrong","document_id":"tower.md","answer":"Ada Lane","start":0,"end":8}`
	saysBetter  = `{"question":"Who?","verdict":"better","document_id":"tower.md","answer":"Lane","start":4,"end":8,"replaces_start":0,"replaces_end":8}`
)

func TestReview(t *testing.T) {
	h, ada, bob, admin := reviewFixture(t, api.Access{})
	stored := decode[struct{ ID string }](t, h.do("POST", "/v1/feedback", saysCorrect, ada...), 201)
	handle := stored.ID[len(stored.ID)-8:]
	h.do("POST", "/v1/feedback", saysWrong, bob...)

	page := decode[casesAnswer](t, h.do("GET", "/v1/feedback?state=disputed", "", admin...), 200)
	if len(page.Cases) != 1 || page.Counts["disputed"] != 1 || page.Counts["open"] != 0 {
		t.Fatalf("got %+v, want one disputed case", page)
	}
	if j := page.Cases[0].Judgements[0]; j.User == "" || strings.Contains(j.User, "ada") {
		t.Errorf("the user is %q, want a hash", j.User)
	}
	if a := h.do("GET", "/v1/feedback/export?include=pending", "", admin...); !strings.Contains(string(a.body), `"left_out":1`) {
		t.Errorf("a disputed question is exported: %s", a.body)
	}
	reviewed := decode[struct {
		Reviewed int
		Cases    []caseAnswer
	}](t, h.do("POST", "/v1/feedback/review", fmt.Sprintf(`{"ids":[%q],"decision":"accept","note":"seen in the document"}`, handle), admin...), 200)
	if c := reviewed.Cases[0]; reviewed.Reviewed != 1 || c.State != "reviewed" || len(c.Answers) != 1 || c.Judgements[1].Standing != "overruled" {
		t.Errorf("got %+v, want the case reviewed and the other voice overruled", reviewed)
	}
	for _, id := range []string{handle, page.Cases[0].ID} {
		if c := decode[caseAnswer](t, h.do("GET", "/v1/feedback/"+id, "", admin...), 200); !c.Settled {
			t.Errorf("%s: got %+v, want it settled", id, c)
		}
	}
	if a := h.do("GET", "/v1/feedback/export", "", admin...); !strings.Contains(string(a.body), `"text":"Ada Lane"`) {
		t.Errorf("the settled answer is not exported: %s", a.body)
	}
	a := h.do("GET", "/v1/feedback/export?format=beir", "", admin...)
	archive, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body)))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := archive.Open("qrels/test.tsv"); err != nil {
		t.Error(err)
	} else {
		var text bytes.Buffer
		_, _ = text.ReadFrom(f)
		if lines := strings.Split(strings.TrimSpace(text.String()), "\n"); len(lines) != 2 || !strings.HasSuffix(lines[1], "\ttower.md\t1") {
			t.Errorf("qrels: got %q", text.String())
		}
	}
	h.do("POST", "/v1/feedback/review", fmt.Sprintf(`{"ids":[%q],"decision":"reopen"}`, stored.ID), admin...)
	if page := decode[casesAnswer](t, h.do("GET", "/v1/feedback", "", admin...), 200); page.Cases[0].State != "disputed" {
		t.Errorf("after it was reopened: got %s, want disputed", page.Cases[0].State)
	}
}

func TestReviewRefuses(t *testing.T) {
	h, ada, _, admin := reviewFixture(t, api.Access{})
	for _, c := range []struct {
		name, method, target, body string
		status                     int
	}{
		{"better without what it is", "POST", "/v1/feedback", `{"question":"Who?","verdict":"better","document_id":"tower.md"}`, 400},
		{"better than itself", "POST", "/v1/feedback", strings.Replace(saysBetter, `"replaces_start":0`, `"replaces_start":4`, 1), 400},
		{"better than nothing", "POST", "/v1/feedback", strings.Replace(saysBetter, `"replaces_end":8`, `"replaces_end":999`, 1), 400},
		{"better", "POST", "/v1/feedback", saysBetter, 201},
		{"unanswerable with an answer", "POST", "/v1/feedback", strings.Replace(saysCorrect, "correct", "unanswerable", 1), 400},
		{"a long user", "POST", "/v1/feedback", strings.Replace(saysCorrect, "ada@", strings.Repeat("a", 300), 1), 400},
		{"a list without the role", "GET", "/v1/feedback", "", 403},
		{"a review without the role", "POST", "/v1/feedback/review", `{"ids":["aaaaaaaa"],"decision":"accept"}`, 403},
	} {
		if a := h.do(c.method, c.target, c.body, ada...); a.status != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, a.status, a.body, c.status)
		}
	}
	for _, c := range []struct {
		name, method, target, body string
		status                     int
	}{
		{"a state", "GET", "/v1/feedback?state=done", "", 400},
		{"a limit", "GET", "/v1/feedback?limit=0", "", 400},
		{"a cursor", "GET", "/v1/feedback?after=x", "", 400},
		{"an index that is not there", "GET", "/v1/feedback?index=absent", "", 404},
		{"a case that is not there", "GET", "/v1/feedback/aaaaaaaa", "", 404},
		{"a decision", "POST", "/v1/feedback/review", `{"ids":["aaaaaaaa"],"decision":"maybe"}`, 400},
		{"no ids", "POST", "/v1/feedback/review", `{"ids":[],"decision":"accept"}`, 400},
		{"a feedback that is not there", "POST", "/v1/feedback/review", `{"ids":["aaaaaaaa"],"decision":"accept"}`, 404},
		{"a short id", "POST", "/v1/feedback/review", `{"ids":["a"],"decision":"accept"}`, 404},
		{"a format", "GET", "/v1/feedback/export?format=xml", "", 400},
		{"what to include", "GET", "/v1/feedback/export?include=all", "", 400},
	} {
		if a := h.do(c.method, c.target, c.body, admin...); a.status != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, a.status, a.body, c.status)
		}
	}
}

func TestFeedbackPages(t *testing.T) {
	h, ada, _, admin := reviewFixture(t, api.Access{})
	for i := range 7 {
		h.do("POST", "/v1/feedback", fmt.Sprintf(`{"question":"Question %d?","verdict":"missing"}`, i), ada...)
	}
	seen := map[string]bool{}
	after := ""
	for pages := 1; ; pages++ {
		page := decode[casesAnswer](t, h.do("GET", "/v1/feedback?limit=3&after="+after, "", admin...), 200)
		for _, c := range page.Cases {
			if seen[c.ID] {
				t.Errorf("case %s came twice", c.ID)
			}
			seen[c.ID] = true
		}
		if after = page.Next; after == "" {
			if pages != 3 || len(seen) != 7 {
				t.Errorf("got %d cases on %d pages, want 7 on 3", len(seen), pages)
			}
			return
		}
	}
}

func TestFeedbackIsBoundedByKey(t *testing.T) {
	h, ada, bob, admin := reviewFixture(t, api.Access{FeedbackPerHour: 5, Judging: store.Judging{PerHour: 3}})
	for i := range 6 {
		a := h.do("POST", "/v1/feedback", fmt.Sprintf(`{"question":"Question %d?","verdict":"missing"}`, i), ada...)
		if want := map[bool]int{true: 201, false: 429}[i < 5]; a.status != want {
			t.Errorf("feedback %d: got %d %s, want %d", i+1, a.status, a.body, want)
		}
		if i == 5 && a.header.Get("Retry-After") == "" {
			t.Error("there is no Retry-After")
		}
	}
	if a := h.do("POST", "/v1/feedback", saysWrong, bob...); a.status != 201 {
		t.Errorf("another key: got %d %s", a.status, a.body)
	}
	if page := decode[casesAnswer](t, h.do("GET", "/v1/feedback", "", admin...), 200); page.Counts["quarantined"] != 5 || page.Counts["open"] != 1 {
		t.Errorf("got %v, want the five of one key in quarantine", page.Counts)
	}
}
