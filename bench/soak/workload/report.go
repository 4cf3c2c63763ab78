package workload

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/models"
)

// A Count says how requests of one kind ended.
type Count struct {
	OK      int `json:"ok"`
	Refused int `json:"refused,omitempty"`
	// Late are those that limits.timeout ended, which a busy machine does to bulk
	// requests.
	Late int `json:"late,omitempty"`
	// Left are those whose client went away on purpose.
	Left   int `json:"left,omitempty"`
	Failed int `json:"failed,omitempty"`
}

// A Report is what a soak found.
type Report struct {
	Seconds  float64           `json:"seconds"`
	Requests map[string]*Count `json:"requests"`
	// Checked counts stretches of text and models that were held against the
	// ledger, Right the questions for the keeper of a place whose first answer
	// was the name in a version that was current, of Asked.
	Checked int `json:"checked"`
	Asked   int `json:"asked"`
	Right   int `json:"right"`
	// Compared counts answers that were compared with the oracle, Documents the
	// stored ones that were read at checkpoints.
	Checkpoints int `json:"checkpoints"`
	Compared    int `json:"compared"`
	Documents   int `json:"documents"`
	// P50 and P99 are of questions, in milliseconds, from the cache or not.
	P50 float64 `json:"ask_p50_ms"`
	P99 float64 `json:"ask_p99_ms"`
	// Wrong is how many answers were wrong or requests failed; Faults says of
	// the first ones what was wrong.
	Wrong   int      `json:"wrong"`
	Faults  []string `json:"faults"`
	Growth  []Growth `json:"growth"`
	Samples []Sample `json:"samples"`

	latencies []float64
}

// Errors of a report, for errors.Is.
var (
	// ErrWrong says that an answer was wrong or stale, or that a request failed.
	ErrWrong = errors.New("wrong answers")
	// ErrLeak says that the server holds more and more.
	ErrLeak = errors.New("leak")
	// ErrIdle says that too little was checked to conclude anything.
	ErrIdle = errors.New("too little was checked")
)

// Err says whether all was well.
func (r *Report) Err() error {
	var faults []error
	if r.Wrong > 0 {
		faults = append(faults, fmt.Errorf("%w: %d, the first ones:\n%s", ErrWrong, r.Wrong, strings.Join(r.Faults, "\n")))
	}
	for _, g := range r.Growth {
		if g.Leak {
			faults = append(faults, fmt.Errorf("%w: %s", ErrLeak, g))
		}
	}
	if r.Checked == 0 || r.Compared == 0 || len(r.Growth) == 0 {
		faults = append(faults, fmt.Errorf("%w: %d stretches, %d answers compared, %d checkpoints", ErrIdle, r.Checked, r.Compared, r.Checkpoints))
	}
	return errors.Join(faults...)
}

// maxFaults is how many faults a report describes.
const maxFaults = 20

// wrong notes a fault.
func (r *run) wrong(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Wrong++
	if len(r.report.Faults) < maxFaults {
		r.report.Faults = append(r.report.Faults, what+": "+err.Error())
		fmt.Fprintf(r.Log, "WRONG %s: %v\n", what, err)
	}
}

func (r *run) wrongs() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.Wrong
}

// count notes how a request ended and returns whether it has a result.
func (r *run) count(kind string, err error, mayLeave bool) bool {
	r.mu.Lock()
	c := r.report.Requests[kind]
	if c == nil {
		c = &Count{}
		r.report.Requests[kind] = c
	}
	failed := false
	var problem *client.Error
	switch {
	case err == nil:
		c.OK++
	case errors.Is(err, models.ErrOverloaded):
		c.Refused++
		r.refused.Add(1)
	case errors.As(err, &problem) && problem.Code == "deadline_exceeded":
		c.Late++
	case mayLeave && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		c.Left++
	default:
		c.Failed++
		failed = true
	}
	r.mu.Unlock()
	if failed {
		r.wrong(kind, err)
	}
	return err == nil
}

// checked holds a stretch against the ledger.
func (r *run) checked(what string, s seen, pieces ...shown) {
	r.mu.Lock()
	r.report.Checked += len(pieces)
	r.mu.Unlock()
	for _, piece := range pieces {
		if err := r.ledger.check(s, piece); err != nil {
			r.wrong(what, err)
		}
	}
}
