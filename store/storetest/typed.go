package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/store"
)

func testKeys(t *testing.T, d store.Driver) {
	s := store.New(d)
	if has, err := s.HasKeys(t.Context()); has || err != nil {
		t.Errorf("HasKeys: got %v, %v", has, err)
	}
	grants := auth.Grants{{Role: auth.Search, Index: "hr"}}
	for name, k := range map[string]store.Key{
		"no name":        {Grants: grants},
		"a line break":   {Name: "a\nb", Grants: grants},
		"no role":        {Name: "x"},
		"unknown role":   {Name: "x", Grants: auth.Grants{{Role: "king", Index: "*"}}},
		"a bad index":    {Name: "x", Grants: auth.Grants{{Role: auth.Search, Index: "a b"}}},
		"an empty group": {Name: "x", Grants: grants, Groups: []string{""}},
		"a bad rate":     {Name: "x", Grants: grants, Rate: -1},
		"the past":       {Name: "x", Grants: grants, ExpiresAt: time.Now().Add(-time.Hour)},
	} {
		if _, _, err := s.CreateKey(t.Context(), k); !errors.Is(err, store.ErrInvalidRecord) {
			t.Errorf("%s: got %v, want ErrInvalidRecord", name, err)
		}
	}
	k, secret, err := s.CreateKey(t.Context(), store.Key{Name: "web", Grants: grants, Groups: []string{"staff"}, Rate: 5, ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil || !strings.HasPrefix(secret, auth.KeyPrefix+k.ID) || k.Hash != "" {
		t.Fatalf("CreateKey: got %+v, %v", k, err)
	}
	who, err := s.Authenticate(t.Context(), secret)
	if err != nil || who.ID != k.ID || !who.May(auth.Search, "hr") || who.May(auth.Write, "hr") || who.May(auth.Search, "other") || who.Rate != 5 {
		t.Errorf("Authenticate: got %+v, %v", who, err)
	}
	last := secret[:len(secret)-1] + "0"
	for _, wrong := range []string{"", "x", "needle_", "needle_" + k.ID + "_", last, secret + "x", strings.ToUpper(secret), strings.Replace(secret, k.ID, "aaaaaaaaaaaa", 1)} {
		if _, err := s.Authenticate(t.Context(), wrong); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("Authenticate(%q): got %v, want ErrUnauthenticated", wrong, err)
		}
	}
	other := store.New(d) // as another server has it
	if _, err := other.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("another server: %v", err)
	}
	if _, err := s.RevokeKey(t.Context(), "absent"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("RevokeKey of nothing: got %v, want ErrNotFound", err)
	}
	for range 2 {
		if k, err := s.RevokeKey(t.Context(), k.ID); err != nil || k.RevokedAt.IsZero() || k.Hash != "" {
			t.Errorf("RevokeKey: got %+v, %v", k, err)
		}
	}
	if _, err := s.Authenticate(t.Context(), secret); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a revoked key: got %v, want ErrUnauthenticated", err)
	}
	if has, err := s.HasKeys(t.Context()); !has || err != nil {
		t.Errorf("HasKeys with a revoked key: got %v, %v; want true, so that nothing is opened", has, err)
	}
	keys, err := s.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != k.ID || keys[0].Hash != "" || keys[0].RevokedAt.IsZero() {
		t.Errorf("Keys: got %+v, %v", keys, err)
	}
	records, err := d.List(t.Context(), "key", "", "", 10)
	if err != nil || len(records) != 1 {
		t.Fatalf("List: got %d, %v", len(records), err)
	}
	if secretPart := secret[len(auth.KeyPrefix+k.ID)+1:]; strings.Contains(string(records[0].Data), secretPart) {
		t.Error("the secret is stored in plain text")
	}
}

func testIdempotency(t *testing.T, d store.Driver) {
	s := store.New(d)
	attempt, answer, err := s.Begin(t.Context(), "caller", "k1", "request")
	if err != nil || attempt == nil || answer != nil {
		t.Fatalf("Begin: got %v, %v, %v", attempt, answer, err)
	}
	if _, _, err := s.Begin(t.Context(), "caller", "k1", "request"); !errors.Is(err, store.ErrInFlight) {
		t.Errorf("while it runs: got %v, want ErrInFlight", err)
	}
	if _, _, err := s.Begin(t.Context(), "caller", "k1", "other"); !errors.Is(err, store.ErrKeyReused) {
		t.Errorf("another request: got %v, want ErrKeyReused", err)
	}
	want := store.Response{Status: 201, Header: map[string]string{"ETag": `"x"`}, Body: []byte(`{"id":"a"}`)}
	if err := attempt.Finish(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	attempt, answer, err = s.Begin(t.Context(), "caller", "k1", "request")
	if err != nil || attempt != nil || answer == nil || answer.Status != 201 || string(answer.Body) != string(want.Body) || answer.Header["ETag"] != `"x"` {
		t.Errorf("again: got %v, %+v, %v; want the answer", attempt, answer, err)
	}
	if _, _, err := s.Begin(t.Context(), "caller", "k1", "other"); !errors.Is(err, store.ErrKeyReused) {
		t.Errorf("another request later: got %v, want ErrKeyReused", err)
	}
	attempt, _, err = s.Begin(t.Context(), "someone else", "k1", "request")
	if err != nil || attempt == nil {
		t.Fatalf("another caller: got %v, %v; want an attempt of its own", attempt, err)
	}
	if err := attempt.Abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if attempt, _, err = s.Begin(t.Context(), "someone else", "k1", "changed"); err != nil || attempt == nil {
		t.Errorf("after it was abandoned: got %v, %v; want an attempt", attempt, err)
	}
}

func testFeedback(t *testing.T, d store.Driver) {
	s := store.New(d)
	for name, f := range map[string]store.Feedback{
		"no index":    {Question: "q", Verdict: store.Missing},
		"no question": {Index: "hr", Verdict: store.Missing},
		"no verdict":  {Index: "hr", Question: "q"},
		"no document": {Index: "hr", Question: "q", Verdict: store.Correct, Answer: "a"},
		"no answer":   {Index: "hr", Question: "q", Verdict: store.Wrong, DocumentID: "d"},
	} {
		if _, err := s.AddFeedback(t.Context(), f); !errors.Is(err, store.ErrInvalidRecord) {
			t.Errorf("%s: got %v, want ErrInvalidRecord", name, err)
		}
	}
	long := strings.Repeat("d", 512)
	for _, f := range []store.Feedback{
		{Index: "hr", Question: "q1", Verdict: store.Correct, DocumentID: "a", Answer: "secret text", Start: 1, End: 12, Comment: "secret text too"},
		{Index: "hr", Question: "q2", Verdict: store.Wrong, DocumentID: "a", Answer: "secret text"},
		{Index: "hr", Question: "q3", Verdict: store.Correct, DocumentID: long, Answer: "other"},
		{Index: "hr", Question: "q4", Verdict: store.Unanswerable},
		{Index: "hr2", Question: "q5", Verdict: store.Correct, DocumentID: "a", Answer: "elsewhere"},
	} {
		if got, err := s.AddFeedback(t.Context(), f); err != nil || got.ID == "" || got.At.IsZero() {
			t.Fatalf("AddFeedback: got %+v, %v", got, err)
		}
	}
	each := func(index string) map[string]store.Feedback {
		all := map[string]store.Feedback{}
		if err := s.EachFeedback(t.Context(), index, func(f store.Feedback) error { all[f.Question] = f; return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := each("hr"); len(got) != 4 || got["q3"].DocumentID != long || got["q1"].End != 12 {
		t.Errorf("EachFeedback: got %+v", got)
	}
	if err := s.EraseDocuments(t.Context(), "hr", []string{"a", "absent"}); err != nil {
		t.Fatal(err)
	}
	got := each("hr")
	if f := got["q1"]; !f.Erased || f.Answer != "" || f.Comment != "" || f.End != 0 || f.Verdict != store.Correct {
		t.Errorf("after the document was deleted: got %+v", f)
	}
	if got["q3"].Answer != "other" || each("hr2")["q5"].Answer != "elsewhere" {
		t.Error("another document's feedback was erased")
	}
	records, err := d.List(t.Context(), "feedback", "hr/", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if strings.Contains(string(r.Data), "secret text") {
			t.Errorf("the text is still stored: %s", r.Data)
		}
	}
	if err := errors.Join(s.PutSources(t.Context(), "hr", []byte(`[1]`)), s.PutSources(t.Context(), "hr", []byte(`[2]`))); err != nil {
		t.Fatal(err)
	}
	if data, err := s.Sources(t.Context(), "hr"); err != nil || string(data) != "[2]" {
		t.Errorf("Sources: got %s, %v", data, err)
	}
	if err := s.EraseIndex(t.Context(), "hr"); err != nil {
		t.Fatal(err)
	}
	if data, err := s.Sources(t.Context(), "hr"); err != nil || data != nil {
		t.Errorf("Sources of an index that was dropped: got %s, %v", data, err)
	}
	if len(each("hr")) != 0 || len(each("hr2")) != 1 {
		t.Errorf("after the index was dropped: got %d and %d, want 0 and 1", len(each("hr")), len(each("hr2")))
	}
}
