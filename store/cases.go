package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A Standing says what a feedback counts for in the case that it belongs to.
type Standing string

// The standings. Pending ones have their say; accepted and rejected ones were
// reviewed; confirmed and overruled ones agree with, or contradict, one that a
// reviewer accepted; superseded ones were followed by another word of the same
// voice; quarantined ones wait for a review, because their voice gave very many
// at once or was often wrong.
const (
	StandingPending     Standing = "pending"
	StandingAccepted    Standing = "accepted"
	StandingRejected    Standing = "rejected"
	StandingConfirmed   Standing = "confirmed"
	StandingOverruled   Standing = "overruled"
	StandingSuperseded  Standing = "superseded"
	StandingQuarantined Standing = "quarantined"
)

// Standings returns all standings.
func Standings() []Standing {
	return []Standing{
		StandingPending, StandingAccepted, StandingRejected, StandingConfirmed, StandingOverruled, StandingSuperseded, StandingQuarantined,
	}
}

// A CaseState says how far a question is from being settled.
type CaseState string

// The states of a case. Open ones need more voices or a review; in disputed
// ones voices contradict each other, or a newer one contradicts a review; agreed
// ones are settled by voices, reviewed ones by a reviewer; of quarantined ones
// nothing counts before a review.
const (
	CaseOpen        CaseState = "open"
	CaseDisputed    CaseState = "disputed"
	CaseAgreed      CaseState = "agreed"
	CaseReviewed    CaseState = "reviewed"
	CaseQuarantined CaseState = "quarantined"
)

// CaseStates returns all states of cases.
func CaseStates() []CaseState {
	return []CaseState{CaseOpen, CaseDisputed, CaseAgreed, CaseReviewed, CaseQuarantined}
}

// Judging says how feedback is weighed. The zero value stands for the defaults.
type Judging struct {
	// PerHour is how many feedbacks a voice may give within an hour; if there
	// are more, all of that hour are quarantined. 0 means 60.
	PerHour int
	// Users lets every person that a key names be a voice of its own; else all
	// feedback of a key is one voice. It is for keys whose holders are trusted
	// not to invent persons.
	Users bool
}

// The bounds of agreement: voices settle a claim when those for it weigh this
// much, and have this share of all that were heard on it. A voice that was
// never reviewed weighs a half, so it takes two of them, unopposed.
const (
	agreedWeight = 1 - 1e-9
	agreedShare  = 0.8 - 1e-9
	// A voice of which this many feedbacks were reviewed and that weighs less
	// than distrusted waits in quarantine from then on.
	distrustedAfter = 5
	distrusted      = 0.25
)

// A Judgement is a feedback within its case.
type Judgement struct {
	Feedback
	Standing Standing
	// Weight is what its voice weighs, 0 to 1: the share of the voice's reviewed
	// feedback that was right, (right+1)/(reviewed+2).
	Weight float64
	// Disputed says that a counting judgement contradicts it.
	Disputed bool

	voice string
}

// A Span is a stretch of a document, in code points, with what voices weigh
// that hold it for an answer and that do not.
type Span struct {
	DocumentID string
	Answer     string
	Start, End int
	For        float64
	Against    float64
	// Refuted says that it is settled to be no answer.
	Refuted bool
}

// A Case is all that was said of one question of an index.
type Case struct {
	// ID names the case within its index.
	ID       string
	Index    string
	Question string // as it was asked last
	State    CaseState
	// Judgements are in order of time.
	Judgements []Judgement
	// Answers are the spans that are settled to be right. Without any,
	// Unanswerable says that it is settled that the index holds no answer.
	Answers      []Span
	Unanswerable bool
	// Candidates are all spans that anybody named and that are not settled.
	Candidates []Span
	Last       time.Time // of the last feedback
}

// Settled reports whether the case says what the right answer is.
func (c Case) Settled() bool { return len(c.Answers) > 0 || c.Unanswerable }

// Cases returns all questions of an index that there is feedback about, the
// last one first. Feedback about deleted documents is left out.
func (s *Store) Cases(ctx context.Context, index string, judging Judging) ([]Case, error) {
	var all []Feedback
	err := s.EachFeedback(ctx, index, func(f Feedback) error {
		if !f.Erased {
			all = append(all, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: cases of %q: %w", index, err)
	}
	return judge(all, judging), nil
}

// caseID is the same for questions that differ in case, punctuation and blanks
// only.
func caseID(question string) string {
	words := strings.FieldsFunc(strings.ToLower(question), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) })
	key := strings.Join(words, " ")
	if key == "" {
		key = question
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// judge makes cases of the feedback about one index.
func judge(all []Feedback, judging Judging) []Case {
	if judging.PerHour <= 0 {
		judging.PerHour = 60
	}
	slices.SortStableFunc(all, func(a, b Feedback) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) })
	var cases []*Case
	byID := make(map[string]*Case)
	for _, f := range all {
		id := caseID(f.Question)
		c := byID[id]
		if c == nil {
			c = &Case{ID: id, Index: f.Index}
			byID[id] = c
			cases = append(cases, c)
		}
		c.Question, c.Last = f.Question, f.At
		c.Judgements = append(c.Judgements, Judgement{Feedback: f, Standing: StandingPending, voice: judging.voice(f)})
	}
	for _, c := range cases {
		c.supersede()
		c.review()
	}
	voices := weigh(cases)
	flooded := floods(all, judging)
	for _, c := range cases {
		for i := range c.Judgements {
			j := &c.Judgements[i]
			v := voices[j.voice]
			j.Weight = v.weight()
			if j.Standing == StandingPending && (flooded[j.ID] || v.reviewed() >= distrustedAfter && j.Weight < distrusted) {
				j.Standing = StandingQuarantined
			}
		}
		c.settle()
	}
	list := make([]Case, len(cases))
	for i, c := range cases {
		list[i] = *c
	}
	slices.SortFunc(list, func(a, b Case) int { return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.ID, b.ID)) })
	return list
}

// voice names whom a feedback is counted for.
func (g Judging) voice(f Feedback) string {
	if g.Users {
		return f.By + "\x00" + f.User
	}
	return f.By
}

// supersede finds what a voice took back by a later word on the same claim.
func (c *Case) supersede() {
	for i := range c.Judgements {
		older := &c.Judgements[i]
		if older.Decision != Undecided {
			continue
		}
		for _, newer := range c.Judgements[i+1:] {
			if newer.voice == older.voice && (contradict(newer.Feedback, older.Feedback) || sameClaim(newer.Feedback, older.Feedback)) {
				older.Standing = StandingSuperseded
			}
		}
	}
}

// review applies the decisions to the feedback itself and to what it confirms
// or contradicts.
func (c *Case) review() {
	for i := range c.Judgements {
		j := &c.Judgements[i]
		switch j.Decision {
		case Accepted:
			j.Standing = StandingAccepted
		case Rejected:
			j.Standing = StandingRejected
		}
	}
	for i := range c.Judgements {
		j := &c.Judgements[i]
		if j.Standing != StandingPending {
			continue
		}
		for _, other := range c.Judgements {
			switch {
			case other.Standing != StandingAccepted || j.Standing != StandingPending:
			case sameClaim(j.Feedback, other.Feedback):
				j.Standing = StandingConfirmed
			case contradict(j.Feedback, other.Feedback) && j.At.Before(other.ReviewedAt):
				j.Standing = StandingOverruled
			}
		}
	}
}

// A record is what reviews say of a voice.
type record struct{ right, wrong int }

func (r record) reviewed() int { return r.right + r.wrong }

// weight is the rule of succession: a half for an unknown voice.
func (r record) weight() float64 { return float64(r.right+1) / float64(r.right+r.wrong+2) }

func weigh(cases []*Case) map[string]record {
	voices := make(map[string]record)
	for _, c := range cases {
		for _, j := range c.Judgements {
			r := voices[j.voice]
			switch j.Standing {
			case StandingAccepted, StandingConfirmed:
				r.right++
			case StandingRejected, StandingOverruled:
				r.wrong++
			}
			voices[j.voice] = r
		}
	}
	return voices
}

// floods finds the feedback of voices that gave more within an hour than they
// may. It is in order of time.
func floods(all []Feedback, judging Judging) map[string]bool {
	byVoice := make(map[string][]Feedback)
	for _, f := range all {
		byVoice[judging.voice(f)] = append(byVoice[judging.voice(f)], f)
	}
	flooded := make(map[string]bool)
	for _, list := range byVoice {
		from, marked := 0, 0
		for to, f := range list {
			for f.At.Sub(list[from].At) >= time.Hour {
				from++
			}
			if to-from+1 <= judging.PerHour {
				continue
			}
			for marked = max(marked, from); marked <= to; marked++ {
				flooded[list[marked].ID] = true
			}
		}
	}
	return flooded
}
