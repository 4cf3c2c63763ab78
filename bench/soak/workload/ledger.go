package workload

import (
	"fmt"
	"sync"
	"time"
)

// A state is something that was written: a version of a document, its absence,
// or the model that reads.
type state struct {
	version int
	absent  bool
	// begun is when the write was sent, acked when its acknowledgement was
	// there; zero if it never came, and then nobody knows whether it was done.
	begun, acked time.Time
	// generation is one of the index that surely holds it, 0 if none is known.
	generation uint64
}

// A history is what one thing was, one state after the other.
type history struct {
	states  []state
	dropped int // how many states were forgotten, the oldest first
}

// remembered is how many states are kept. A request spans a few at most.
const remembered = 64

// begin notes a write before it is sent and returns its number.
func (h *history) begin(s state) int {
	if len(h.states) > 2*remembered {
		h.dropped += len(h.states) - remembered
		h.states = append([]state(nil), h.states[len(h.states)-remembered:]...)
	}
	h.states = append(h.states, s)
	return h.dropped + len(h.states) - 1
}

func (h *history) acknowledge(number int, at time.Time, generation uint64) {
	s := &h.states[number-h.dropped]
	s.acked, s.generation = at, generation
}

// between returns the states that were current at some moment of a time: begun
// before its end, and not replaced by a write that was acknowledged before its
// start.
func (h *history) between(from, to time.Time) []state {
	var found []state
	for i := len(h.states) - 1; i >= 0; i-- {
		s := h.states[i]
		if !s.begun.After(to) {
			found = append(found, s)
		}
		if !s.acked.IsZero() && s.acked.Before(from) {
			break // whatever came before it is older
		}
	}
	return found
}

// last is the state that was written last, and whether it is known to be there.
func (h *history) last() (s state, sure bool) {
	if len(h.states) == 0 {
		return state{absent: true}, true
	}
	s = h.states[len(h.states)-1]
	return s, !s.acked.IsZero()
}

// A ledger knows what was written and what may therefore be seen. It is safe for
// concurrent use.
type ledger struct {
	mu    sync.Mutex
	facts []history
	model history
	// generation is the greatest that was acknowledged.
	generation uint64
}

func newLedger(facts int) *ledger { return &ledger{facts: make([]history, facts)} }

func (l *ledger) begin(number int, s state) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.begun = time.Now()
	return l.facts[number].begin(s)
}

func (l *ledger) acknowledge(number, write int, generation uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.facts[number].acknowledge(write, time.Now(), generation)
	l.generation = max(l.generation, generation)
}

func (l *ledger) last(number int) (state, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.facts[number].last()
}

// acknowledged is the least generation that a request which begins now may see.
func (l *ledger) acknowledged() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generation
}

// beginModel and acknowledgeModel are the same for the model that reads; a
// version is a place in a list of models.
func (l *ledger) beginModel(version int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.model.begin(state{version: version, begun: time.Now()})
}

func (l *ledger) acknowledgeModel(write int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.model.acknowledge(write, time.Now(), 0)
}

// A seen is when and at which generation something was seen.
type seen struct {
	from, to time.Time
	// least is the generation that was acknowledged before the request, and
	// generation what the result says.
	least, generation uint64
}

// A shown is a stretch of a document that a result holds, in code points.
type shown struct {
	document   string
	text       string
	start, end int
}

// check says what is wrong with a stretch, nil if nothing is.
func (l *ledger) check(s seen, piece shown) error {
	number, ok := factNumber(piece.document)
	if !ok || number >= len(l.facts) {
		return fmt.Errorf("document %q was never written", piece.document)
	}
	f := newFact(number)
	l.mu.Lock()
	allowed := l.facts[number].between(s.from, s.to)
	l.mu.Unlock()
	// newest is what the generation of the result surely holds: nothing older may
	// be shown with it, whatever the clock says.
	newest := 0
	for _, a := range allowed {
		if a.generation != 0 && a.generation <= s.generation {
			newest = max(newest, a.version)
		}
	}
	for _, a := range allowed {
		if !a.absent && a.version >= newest && holds(f.text(a.version), piece) {
			return nil
		}
	}
	return fmt.Errorf("%s, %d to %d %q: %s; allowed are %s", piece.document, piece.start, piece.end, clip(piece.text), l.origin(f, piece), versions(allowed, newest))
}

// origin says where a stretch comes from that should not be shown.
func (l *ledger) origin(f fact, piece shown) string {
	l.mu.Lock()
	states := append([]state(nil), l.facts[f.number].states...)
	l.mu.Unlock()
	for i := len(states) - 1; i >= 0; i-- {
		if !states[i].absent && holds(f.text(states[i].version), piece) {
			return fmt.Sprintf("it is stale, from version %d", states[i].version)
		}
	}
	return "it is in no version that is remembered"
}

func holds(text string, piece shown) bool {
	runes := []rune(text)
	return piece.start >= 0 && piece.start < piece.end && piece.end <= len(runes) && string(runes[piece.start:piece.end]) == piece.text
}

func versions(allowed []state, newest int) string {
	text := ""
	for _, a := range allowed {
		switch {
		case a.version < newest:
		case a.absent:
			text += "none (deleted) "
		default:
			text += fmt.Sprintf("version %d ", a.version)
		}
	}
	if text == "" {
		return "none (never written)"
	}
	return text[:len(text)-1]
}

func clip(text string) string {
	if runes := []rune(text); len(runes) > 80 {
		return string(runes[:80]) + "..."
	}
	return text
}

// lives reports whether a document was there all the time between two moments.
func (l *ledger) lives(number int, from, to time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := l.facts[number].between(from, to)
	for _, s := range states {
		if s.absent {
			return false
		}
	}
	if len(states) == 0 {
		return false
	}
	oldest := states[len(states)-1]
	return !oldest.acked.IsZero() && oldest.acked.Before(from)
}

// names are the keepers that a fact may have named.
func (l *ledger) names(f fact, s seen) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, a := range l.facts[f.number].between(s.from, s.to) {
		if !a.absent {
			names = append(names, f.value(a.version))
		}
	}
	return names
}

// mayRead reports whether a model of the list may have read between two moments.
func (l *ledger) mayRead(version int, from, to time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.model.between(from, to) {
		if s.version == version {
			return true
		}
	}
	return false
}
