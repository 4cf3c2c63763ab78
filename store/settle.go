package store

import (
	"slices"
	"time"
)

// A claim is what a feedback says of one stretch of a document.
type claim struct {
	documentID string
	start, end int
}

// supports returns the stretch that a feedback holds for an answer.
func (f Feedback) supports() (claim, bool) {
	named := f.Verdict == Correct || f.Verdict == Better || f.Verdict == Missing
	return claim{f.DocumentID, f.Start, f.End}, named && f.Answer != ""
}

// opposes returns the stretch that a feedback holds for no answer.
func (f Feedback) opposes() (claim, bool) {
	if f.Verdict == Wrong {
		return claim{f.DocumentID, f.Start, f.End}, true
	}
	return claim{f.DocumentID, f.ReplacesStart, f.ReplacesEnd}, f.Verdict == Better && f.ReplacesEnd > 0
}

// answerable reports whether a feedback says that the index holds an answer.
func (f Feedback) answerable() bool {
	return f.Verdict == Correct || f.Verdict == Better || f.Verdict == Missing
}

// contradict reports whether two feedbacks about one question cannot both be
// right. That they name different answers is no contradiction: there may be
// several.
func contradict(a, b Feedback) bool {
	crossed := func(a, b Feedback) bool {
		yes, says := a.supports()
		no, denies := b.opposes()
		return says && denies && yes == no || a.Verdict == Unanswerable && b.answerable()
	}
	return crossed(a, b) || crossed(b, a)
}

// sameClaim reports whether two feedbacks say the same.
func sameClaim(a, b Feedback) bool {
	yesA, saysA := a.supports()
	yesB, saysB := b.supports()
	switch {
	case saysA && saysB:
		return yesA == yesB
	case saysA != saysB:
		return false
	}
	return a.Verdict == b.Verdict && (a.Verdict != Wrong || a.DocumentID == b.DocumentID && a.Start == b.Start && a.End == b.End)
}

// counts reports whether a judgement has a say.
func (j Judgement) counts() bool {
	return j.Standing == StandingPending || j.Standing == StandingConfirmed || j.Standing == StandingAccepted
}

// settle decides what is right, and how sure that is.
func (c *Case) settle() {
	c.dispute()
	if c.settleByReview() {
		return
	}
	spans, none, some := c.votes()
	counting, quarantined, disputed := 0, 0, false
	for _, j := range c.Judgements {
		switch {
		case j.counts():
			counting++
			disputed = disputed || j.Disputed
		case j.Standing == StandingQuarantined:
			quarantined++
		}
	}
	agreed := agree(none, some)
	c.Unanswerable = agreed
	for _, s := range spans {
		switch {
		case agree(s.For, s.Against):
			c.Answers, agreed = append(c.Answers, s), true
		default:
			s.Refuted = agree(s.Against, s.For)
			agreed = agreed || s.Refuted
			c.Candidates = append(c.Candidates, s)
		}
	}
	switch {
	case agreed:
		c.State = CaseAgreed
	case disputed:
		c.State = CaseDisputed
	case counting > 0:
		c.State = CaseOpen
	case quarantined > 0:
		c.State = CaseQuarantined
	default: // all were rejected
		c.State = CaseReviewed
	}
}

func agree(yes, no float64) bool { return yes >= agreedWeight && yes/(yes+no) >= agreedShare }

// dispute marks the judgements that contradict each other.
func (c *Case) dispute() {
	for i := range c.Judgements {
		for k := range i {
			a, b := &c.Judgements[i], &c.Judgements[k]
			if a.counts() && b.counts() && contradict(a.Feedback, b.Feedback) {
				a.Disputed, b.Disputed = true, true
			}
		}
	}
}

// settleByReview takes what a reviewer accepted, the last word where two
// contradict each other. What came after the review may dispute it.
func (c *Case) settleByReview() bool {
	var accepted []Feedback
	for _, j := range c.Judgements {
		if j.Standing == StandingAccepted {
			accepted = append(accepted, j.Feedback)
		}
	}
	if len(accepted) == 0 {
		return false
	}
	slices.SortStableFunc(accepted, func(a, b Feedback) int { return b.ReviewedAt.Compare(a.ReviewedAt) })
	var kept []Feedback
	for _, f := range accepted {
		if !slices.ContainsFunc(kept, func(k Feedback) bool { return contradict(k, f) }) {
			kept = append(kept, f)
		}
	}
	for _, f := range kept {
		c.Unanswerable = c.Unanswerable || f.Verdict == Unanswerable
	}
	spans, _, _ := c.votes()
	for _, s := range spans {
		right := slices.ContainsFunc(kept, func(f Feedback) bool {
			named, ok := f.supports()
			return ok && named == claim{s.DocumentID, s.Start, s.End}
		})
		if right {
			c.Answers = append(c.Answers, s)
		} else {
			s.Refuted = c.Unanswerable || slices.ContainsFunc(kept, func(f Feedback) bool {
				denied, ok := f.opposes()
				return ok && denied == claim{s.DocumentID, s.Start, s.End}
			})
			c.Candidates = append(c.Candidates, s)
		}
	}
	c.refuteOverruled()
	c.State = CaseReviewed
	if slices.ContainsFunc(c.Judgements, func(j Judgement) bool {
		return j.Standing == StandingPending && j.Disputed && j.At.After(lastReview(kept))
	}) {
		c.State = CaseDisputed
	}
	return true
}

// refuteOverruled names what was taken for an answer where a review says that
// there is none. It has no votes any more.
func (c *Case) refuteOverruled() {
	for _, j := range c.Judgements {
		k, ok := j.supports()
		if !ok || !c.Unanswerable || j.Standing != StandingOverruled {
			continue
		}
		if !slices.ContainsFunc(c.Candidates, func(s Span) bool { return k == claim{s.DocumentID, s.Start, s.End} }) {
			c.Candidates = append(c.Candidates, Span{DocumentID: k.documentID, Answer: j.Answer, Start: k.start, End: k.end, Refuted: true})
		}
	}
}

func lastReview(list []Feedback) time.Time {
	var last time.Time
	for _, f := range list {
		if f.ReviewedAt.After(last) {
			last = f.ReviewedAt
		}
	}
	return last
}

// votes adds up what voices weigh for and against every stretch, and for and
// against there being no answer at all.
func (c *Case) votes() (spans []Span, none, some float64) {
	at := make(map[claim]int)
	span := func(k claim, f Feedback) *Span {
		i, ok := at[k]
		if !ok {
			i = len(spans)
			at[k] = i
			spans = append(spans, Span{DocumentID: k.documentID, Start: k.start, End: k.end})
		}
		if k == (claim{f.DocumentID, f.Start, f.End}) {
			spans[i].Answer = f.Answer
		}
		return &spans[i]
	}
	heard := make(map[string]bool) // who said that there is an answer
	for _, j := range c.Judgements {
		if !j.counts() {
			continue
		}
		if k, ok := j.supports(); ok {
			span(k, j.Feedback).For += j.Weight
		}
		if k, ok := j.opposes(); ok {
			span(k, j.Feedback).Against += j.Weight
		}
		switch {
		case j.Verdict == Unanswerable:
			none += j.Weight
		case j.answerable() && !heard[j.voice]:
			heard[j.voice] = true
			some += j.Weight
		}
	}
	for i := range spans {
		spans[i].Against += none
	}
	return spans, none, some
}
