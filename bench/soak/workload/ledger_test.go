package workload

import (
	"strings"
	"testing"
	"time"
)

// TestLedger: what was current at some moment of a request may be shown, and
// nothing else.
func TestLedger(t *testing.T) {
	begin := time.Now()
	at := func(second int) time.Time { return begin.Add(time.Duration(second) * time.Second) }
	// Version 1 was written from 0 to 1, 2 from 10 to 12, then deleted from 20 to
	// 22, and 4 from 30 on without an acknowledgement.
	l := newLedger(2)
	l.facts[0].states = []state{
		{version: 1, begun: at(0), acked: at(1), generation: 5},
		{version: 2, begun: at(10), acked: at(12), generation: 9},
		{version: 3, absent: true, begun: at(20), acked: at(22)},
		{version: 4, begun: at(30)},
	}
	f := newFact(0)
	piece := func(version int) shown {
		text := f.text(version)
		start := strings.Index(text, f.value(version))
		return shown{f.id(), f.value(version), start, start + len(f.value(version))}
	}
	moved := piece(2)
	moved.start++
	moved.end++
	tests := []struct {
		name       string
		from, to   int
		generation uint64
		piece      shown
		want       string // of the error, empty for none
	}{
		{"the only version", 5, 6, 5, piece(1), ""},
		{"before it was acknowledged", 0, 1, 1, piece(1), ""},
		{"before it was written", -2, -1, 1, piece(1), "none (never written)"},
		{"the old one while the new one is written", 11, 11, 8, piece(1), ""},
		{"the new one while it is written", 11, 11, 8, piece(2), ""},
		{"the old one in a request that began before the acknowledgement", 11, 15, 8, piece(1), ""},
		{"the old one with the generation of the new one", 11, 15, 9, piece(1), "it is stale, from version 1; allowed are version 2"},
		{"the old one after the acknowledgement", 13, 15, 8, piece(1), "it is stale, from version 1; allowed are version 2"},
		{"the new one after the acknowledgement", 13, 15, 9, piece(2), ""},
		{"at another place", 13, 15, 9, moved, "it is in no version"},
		{"while it is deleted", 19, 21, 9, piece(2), ""},
		{"after it was deleted", 23, 24, 12, piece(2), "it is stale, from version 2; allowed are none (deleted)"},
		{"not acknowledged", 40, 41, 12, piece(4), ""},
		{"a version that never was", 40, 41, 12, piece(5), "it is in no version"},
		{"a document that never was", 5, 6, 5, shown{document: "facts/077"}, "was never written"},
		{"a foreign document", 5, 6, 5, shown{document: "readme"}, "was never written"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := l.check(seen{from: at(tt.from), to: at(tt.to), generation: tt.generation}, tt.piece)
			if got := errText(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		from, to int
		want     bool
	}{{-2, -1, false}, {0, 1, false}, {2, 5, true}, {11, 15, true}, {15, 21, false}, {23, 24, false}, {40, 41, false}} {
		if got := l.lives(0, at(tt.from), at(tt.to)); got != tt.want {
			t.Errorf("from %d to %d the fact lives: %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestHistoryForgets: old states go, and the numbers of the others stay.
func TestHistoryForgets(t *testing.T) {
	var h history
	for n := range 10 * remembered {
		number := h.begin(state{version: n})
		if number != n {
			t.Fatalf("write %d has number %d", n, number)
		}
		h.acknowledge(number, time.Now(), uint64(n))
	}
	if last, sure := h.last(); last.version != 10*remembered-1 || !sure || last.generation != 10*remembered-1 {
		t.Errorf("the last state is %+v, %v", last, sure)
	}
	if len(h.states) > 3*remembered {
		t.Errorf("%d states are kept", len(h.states))
	}
}

// TestVersionsDiffer: the texts of two versions never hold the same context, or a
// stale answer could pass.
func TestVersionsDiffer(t *testing.T) {
	for n := range maxFacts() {
		f := newFact(n)
		for version := range 50 {
			if f.value(version) == f.value(version+1) {
				t.Errorf("versions %d and %d of %s have the same keeper", version, version+1, f.id())
			}
		}
		if other, ok := factNumber(f.id()); !ok || other != n {
			t.Errorf("%s is number %d", f.id(), other)
		}
		if text := f.text(n); strings.IndexFunc(text, func(r rune) bool { return r > 127 }) >= 0 {
			t.Errorf("%q is not plain ASCII, which all offset units rely on", text)
		}
	}
}
