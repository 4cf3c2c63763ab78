package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// voiced makes feedback about "Who?" from a short notation: the voice, the
// verdict, and for answers the start of a stretch of ten code points.
func voiced(minute int, by string, verdict Verdict, start int) Feedback {
	f := Feedback{
		ID: fmt.Sprintf("hr/-/t%06d-%08d", minute, minute), Index: "hr", Question: "Who?", Verdict: verdict, By: by,
		At: time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC),
	}
	if start >= 0 {
		f.DocumentID, f.Answer, f.Start, f.End = "d", fmt.Sprintf("text at %d", start), start, start+10
	}
	return f
}

func reviewed(f Feedback, decision Decision, minute int) Feedback {
	f.Decision, f.ReviewedAt = decision, time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC)
	return f
}

func standings(c Case) string {
	list := make([]string, len(c.Judgements))
	for i, j := range c.Judgements {
		list[i] = string(j.Standing)
	}
	return strings.Join(list, " ")
}

func TestJudge(t *testing.T) {
	better := voiced(2, "b", Better, 20)
	better.ReplacesStart, better.ReplacesEnd = 0, 10
	for _, c := range []struct {
		name      string
		given     []Feedback
		state     CaseState
		answers   []int // starts
		none      bool
		standings string
	}{
		{"one voice is not enough", []Feedback{voiced(1, "a", Correct, 0)}, CaseOpen, nil, false, "pending"},
		{"two agree", []Feedback{voiced(1, "a", Correct, 0), voiced(2, "b", Correct, 0)}, CaseAgreed, []int{0}, false, "pending pending"},
		{"one voice twice", []Feedback{voiced(1, "a", Correct, 0), voiced(2, "a", Correct, 0)}, CaseOpen, nil, false, "superseded pending"},
		{"two contradict", []Feedback{voiced(1, "a", Correct, 0), voiced(2, "b", Wrong, 0)}, CaseDisputed, nil, false, "pending pending"},
		{"one against three", []Feedback{voiced(1, "a", Correct, 0), voiced(2, "b", Correct, 0), voiced(3, "c", Correct, 0), voiced(4, "d", Wrong, 0)}, CaseDisputed, nil, false, "pending pending pending pending"},
		{"one against four", []Feedback{voiced(1, "a", Correct, 0), voiced(2, "b", Correct, 0), voiced(3, "c", Correct, 0), voiced(4, "d", Correct, 0), voiced(5, "e", Wrong, 0)}, CaseAgreed, []int{0}, false, "pending pending pending pending pending"},
		{"a voice changes its mind", []Feedback{voiced(1, "a", Wrong, 0), voiced(2, "a", Correct, 0), voiced(3, "b", Correct, 0)}, CaseAgreed, []int{0}, false, "superseded pending pending"},
		{"better opposes what it replaces", []Feedback{voiced(1, "a", Correct, 0), better}, CaseDisputed, nil, false, "pending pending"},
		{"missing and better agree", []Feedback{voiced(1, "a", Missing, 20), better}, CaseAgreed, []int{20}, false, "pending pending"},
		{"two answers are no dispute", []Feedback{voiced(1, "a", Correct, 0), voiced(2, "b", Correct, 20)}, CaseOpen, nil, false, "pending pending"},
		{"no answer", []Feedback{voiced(1, "a", Unanswerable, -1), voiced(2, "b", Unanswerable, -1)}, CaseAgreed, nil, true, "pending pending"},
		{"no answer against one", []Feedback{voiced(1, "a", Unanswerable, -1), voiced(2, "b", Correct, 0)}, CaseDisputed, nil, false, "pending pending"},
		{"no answer against a missing one", []Feedback{voiced(1, "a", Unanswerable, -1), voiced(2, "b", Missing, -1)}, CaseDisputed, nil, false, "pending pending"},
		{"agreed to be wrong", []Feedback{voiced(1, "a", Wrong, 0), voiced(2, "b", Wrong, 0)}, CaseAgreed, nil, false, "pending pending"},
		{"a review settles a dispute", []Feedback{reviewed(voiced(1, "a", Correct, 0), Accepted, 9), voiced(2, "b", Wrong, 0), voiced(3, "c", Correct, 0)}, CaseReviewed, []int{0}, false, "accepted overruled confirmed"},
		{"a review settles one voice", []Feedback{reviewed(voiced(1, "a", Unanswerable, -1), Accepted, 9)}, CaseReviewed, nil, true, "accepted"},
		{"all rejected", []Feedback{reviewed(voiced(1, "a", Correct, 0), Rejected, 9)}, CaseReviewed, nil, false, "rejected"},
		{"a rejected one has no say", []Feedback{reviewed(voiced(1, "a", Wrong, 0), Rejected, 9), voiced(2, "b", Correct, 0), voiced(3, "c", Correct, 0)}, CaseAgreed, []int{0}, false, "rejected pending pending"},
		{"what came after the review disputes it", []Feedback{reviewed(voiced(1, "a", Correct, 0), Accepted, 5), voiced(7, "b", Wrong, 0)}, CaseDisputed, []int{0}, false, "accepted pending"},
		{"a second review overrules the first", []Feedback{reviewed(voiced(1, "a", Correct, 0), Accepted, 5), reviewed(voiced(2, "b", Unanswerable, -1), Accepted, 8)}, CaseReviewed, nil, true, "accepted accepted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(c.given, Judging{})
			if len(got) != 1 {
				t.Fatalf("got %d cases, want 1", len(got))
			}
			var starts []int
			for _, s := range got[0].Answers {
				starts = append(starts, s.Start)
				if s.Answer == "" {
					t.Errorf("the answer at %d has no text", s.Start)
				}
			}
			if got[0].State != c.state || !slices.Equal(starts, c.answers) || got[0].Unanswerable != c.none || standings(got[0]) != c.standings {
				t.Errorf("got %s, answers at %v, none %t, %s; want %s, %v, %t, %s",
					got[0].State, starts, got[0].Unanswerable, standings(got[0]), c.state, c.answers, c.none, c.standings)
			}
		})
	}
}

// TestRefuted says which stretches are settled to be no answer.
func TestRefuted(t *testing.T) {
	better := voiced(2, "b", Better, 20)
	better.ReplacesStart, better.ReplacesEnd = 0, 10
	for _, c := range []struct {
		name  string
		given []Feedback
		want  []int // starts
	}{
		{"one voice is not enough", []Feedback{voiced(1, "a", Wrong, 0)}, nil},
		{"two agree", []Feedback{voiced(1, "a", Wrong, 0), voiced(2, "b", Wrong, 0)}, []int{0}},
		{"two contradict", []Feedback{voiced(1, "a", Wrong, 0), voiced(2, "b", Correct, 0)}, nil},
		{"a review", []Feedback{reviewed(voiced(1, "a", Wrong, 0), Accepted, 9)}, []int{0}},
		{"a review of a better one", []Feedback{voiced(1, "a", Correct, 0), reviewed(better, Accepted, 9)}, []int{0}},
		{"a review that there is none", []Feedback{voiced(1, "a", Correct, 0), reviewed(voiced(2, "b", Unanswerable, -1), Accepted, 9)}, []int{0}},
		{"another right answer refutes nothing", []Feedback{reviewed(voiced(1, "a", Correct, 0), Accepted, 9), voiced(2, "b", Correct, 20)}, nil},
		{"a rejected one", []Feedback{reviewed(voiced(1, "a", Wrong, 0), Rejected, 9)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []int
			for _, s := range judge(c.given, Judging{})[0].Candidates {
				if s.Refuted {
					got = append(got, s.Start)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("refuted at %v, want %v", got, c.want)
			}
		})
	}
}

func TestSpellingsOfAQuestionAreOneCase(t *testing.T) {
	first, second, other := voiced(1, "a", Correct, 0), voiced(2, "b", Correct, 0), voiced(3, "c", Correct, 0)
	first.Question, second.Question, other.Question = "Who built it?", "who built  it", "Who built them?"
	got := judge([]Feedback{first, second, other}, Judging{})
	if len(got) != 2 || got[0].Question != "Who built them?" || len(got[1].Judgements) != 2 {
		t.Errorf("got %+v, want two cases, the last question first", got)
	}
}

// TestFloodIsQuarantined says that one key that says the same of hundreds of
// questions settles nothing, and that those it agrees with are not lost.
func TestFloodIsQuarantined(t *testing.T) {
	var all []Feedback
	for i := range 300 {
		f := voiced(0, "flood", Correct, 0)
		f.ID, f.At = fmt.Sprintf("hr/-/t-%08d", i), f.At.Add(time.Duration(i)*10*time.Second)
		f.Question = fmt.Sprintf("Question %d?", i)
		all = append(all, f)
	}
	calm := voiced(3, "calm", Wrong, 0)
	calm.Question, calm.ID = "Question 5?", "hr/-/t-calmcalm"
	late := voiced(0, "flood", Correct, 0)
	late.ID, late.At, late.Question = "hr/-/t-latelate", late.At.Add(20*time.Hour), "Much later?"
	cases := judge(append(all, calm, late), Judging{})
	count := map[CaseState]int{}
	for _, c := range cases {
		count[c.State]++
		if len(c.Answers) > 0 {
			t.Errorf("%s: a flood settled it", c.Question)
		}
	}
	// The calm voice's question and the one after the flood count.
	if count[CaseQuarantined] != 299 || count[CaseOpen] != 2 {
		t.Errorf("got %v, want 299 quarantined and 2 open", count)
	}
	if cases = judge(all[:60], Judging{}); cases[0].State != CaseOpen {
		t.Errorf("60 in an hour: got %s, want open", cases[0].State)
	}
	if cases = judge(all[:20], Judging{PerHour: 10}); cases[0].State != CaseQuarantined {
		t.Errorf("20 where 10 are allowed: got %s, want quarantined", cases[0].State)
	}
}

func TestWeights(t *testing.T) {
	var all []Feedback
	add := func(minute int, by string, decision Decision) {
		f := reviewed(voiced(minute, by, Correct, 0), decision, 500)
		f.Question = fmt.Sprintf("Old %d?", minute)
		all = append(all, f)
	}
	for i := range 8 {
		add(i*10, "good", Accepted)
		add(i*10+1, "bad", Rejected)
	}
	all = append(all, voiced(200, "good", Correct, 0), voiced(201, "bad", Wrong, 0))
	found := judge(all, Judging{})[0]
	if found.Question != "Who?" || found.Judgements[0].Weight != 0.9 || found.Judgements[1].Weight != 0.1 {
		t.Fatalf("got %+v, want the weights 9/10 and 1/10", found)
	}
	if got := standings(found); got != "pending quarantined" || found.State != CaseOpen {
		t.Errorf("got %s, %s; want the voice that was always wrong in quarantine", got, found.State)
	}
}

func TestUsersAreVoices(t *testing.T) {
	first, second := voiced(1, "website", Correct, 0), voiced(2, "website", Correct, 0)
	first.User, second.User = "ada", "bob"
	if got := judge([]Feedback{first, second}, Judging{})[0].State; got != CaseOpen {
		t.Errorf("persons of one key: got %s, want open", got)
	}
	if got := judge([]Feedback{first, second}, Judging{Users: true})[0].State; got != CaseAgreed {
		t.Errorf("persons that have voices: got %s, want agreed", got)
	}
}
