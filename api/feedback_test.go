package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/needle-search/needle/api"
	"github.com/needle-search/needle/store"
)

func TestFeedback(t *testing.T) {
	kept := newStore(t)
	h := newHarness(t, api.Config{Access: api.Access{Store: kept}})
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"correct", `{"question":"Who?","verdict":"correct","document_id":"tower.md","answer":"Ada Lane","start":0,"end":8,"comment":"yes"}`, 201},
		{"unanswerable", `{"question":"Why?","verdict":"unanswerable","document_id":"tower.md"}`, 201},
		{"wrong", `{"question":"When?","verdict":"wrong","document_id":"tower.md","answer":"1889","start":33,"end":37}`, 201},
		{"missing, without a document", `{"question":"Where?","verdict":"missing"}`, 201},
		{"another text", `{"question":"Who?","verdict":"correct","document_id":"tower.md","answer":"Ada Lang","start":0,"end":8}`, 400},
		{"outside", `{"question":"Who?","verdict":"correct","document_id":"tower.md","answer":"x","start":0,"end":999}`, 400},
		{"backwards", `{"question":"Who?","verdict":"correct","document_id":"tower.md","answer":"x","start":8,"end":0}`, 400},
		{"no document", `{"question":"Who?","verdict":"correct","answer":"Ada Lane","start":0,"end":8}`, 400},
		{"document that is not there", `{"question":"Who?","verdict":"missing","document_id":"absent"}`, 404},
		{"index that is not there", `{"question":"Who?","verdict":"missing","index":"absent"}`, 404},
		{"a bad index", `{"question":"Who?","verdict":"missing","index":"A/B"}`, 400},
		{"another verdict", `{"question":"Who?","verdict":"great"}`, 400},
		{"no question", `{"question":" ","verdict":"missing"}`, 400},
	} {
		if a := h.do("POST", "/v1/feedback", c.body); a.status != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, a.status, a.body, c.status)
		}
	}
	export := func() (questions []string, leftOut int, body string) {
		a := h.do("GET", "/v1/feedback/export?include=pending", "")
		var set struct {
			LeftOut int `json:"left_out"`
			Data    []struct {
				Paragraphs []struct {
					Context string
					QAs     []struct {
						Question string
						Answers  []struct {
							Text  string
							Start int `json:"answer_start"`
						}
					}
				}
			}
		}
		if err := json.Unmarshal(a.body, &set); err != nil || a.status != 200 {
			t.Fatalf("export: got %d %s, %v", a.status, a.body, err)
		}
		for _, d := range set.Data {
			for _, p := range d.Paragraphs {
				for _, q := range p.QAs {
					questions = append(questions, q.Question)
					for _, answer := range q.Answers {
						if !strings.HasPrefix(string([]rune(p.Context)[answer.Start:]), answer.Text) {
							t.Errorf("%q is not at %d of %q", answer.Text, answer.Start, p.Context)
						}
					}
				}
			}
		}
		return questions, set.LeftOut, string(a.body)
	}
	if q, n, body := export(); strings.Join(q, " ") != "Who? Why?" || n != 2 {
		t.Errorf("export: got %q and %d left out, want 2 and 2: %s", q, n, body)
	}
	d := h.service.indexes["default"]["tower.md"]
	d.Text = "Another text altogether."
	h.service.indexes["default"]["tower.md"] = d
	if q, n, _ := export(); strings.Join(q, " ") != "Why?" || n != 3 {
		t.Errorf("after the document changed: got %q and %d left out, want 1 and 3", q, n)
	}
}

func TestFeedbackKeepsToGroups(t *testing.T) {
	h, kept := groupsFixture(t)
	secret := newKey(t, kept, store.Key{Groups: []string{"sales"}}, "search")
	for id, want := range map[string]int{"b-public": 201, "c-sales": 201, "a-hr": 404, "absent": 404} {
		a := h.do("POST", "/v1/feedback", `{"question":"x","verdict":"missing","document_id":"`+id+`"}`, bearer(secret)...)
		if a.status != want {
			t.Errorf("%s: got %d %s, want %d", id, a.status, a.body, want)
		}
	}
}
