package ingest

import "math"

// A border is how natural it is to cut after a unit.
type border uint8

const (
	borderWord border = iota
	borderLine
	borderSentence
	borderParagraph
	borderSection
)

// penalties are what cutting at a border costs, beside the cost of a passage
// that is half empty (0.25).
var penalties = [...]float64{borderWord: 1, borderLine: 0.35, borderSentence: 0.2, borderParagraph: 0.05, borderSection: 0}

// passageCost is what every further passage costs, so that there are few.
const passageCost = 0.3

// A unit is a stretch of text that is not cut any further: a sentence, or a
// line or some words of one that is too long.
type unit struct {
	start, end int // code points of the document, white space at the ends left out
	from, to   int // the same in bytes
	tokens     int // at least 1
	after      border
	leads      bool // it means little without what follows: a heading, "These are:"
}

// leadPenalty is what cutting behind a unit that leads costs beside.
const leadPenalty = 1

// A span is a passage in units: [first, last).
type span struct{ first, last int }

// pack chooses the cuts that cost least, by dynamic programming over the
// units. The work is proportional to the number of units times the units that
// fit into one passage.
func (s *Splitter) pack(units []unit) []span {
	n := len(units)
	maximum := s.config.MaxTokens
	sum := make([]int, n+1) // tokens before unit i
	for i, u := range units {
		sum[i+1] = sum[i] + u.tokens
	}
	best := make([]float64, n+1)
	for i := range best[1:] {
		best[i+1] = math.Inf(1)
	}
	from := make([]int, n+1)  // the cut before, on the cheapest way
	begin := make([]int, n+1) // where that passage begins, overlap included
	for i := range n {
		first := s.overlap(units, sum, i)
		for j := i + 1; j <= n && (j == i+1 || sum[j]-sum[i] <= maximum); j++ {
			for first < i && sum[j]-sum[first] > maximum {
				first++
			}
			slack := max(0, float64(maximum-(sum[j]-sum[first]))/float64(maximum))
			cost := best[i] + passageCost + slack*slack
			if j < n {
				cost += penalties[units[j-1].after]
				if units[j-1].leads {
					cost += leadPenalty
				}
			}
			if cost < best[j] {
				best[j], from[j], begin[j] = cost, i, first
			}
		}
	}
	var spans []span
	for j := n; j > 0; j = from[j] {
		spans = append(spans, span{begin[j], j})
	}
	for i, j := 0, len(spans)-1; i < j; i, j = i+1, j-1 {
		spans[i], spans[j] = spans[j], spans[i]
	}
	return spans
}

// overlap returns the first unit that a passage repeats when its own text
// begins with unit i.
func (s *Splitter) overlap(units []unit, sum []int, i int) int {
	first := i
	for first > 0 && units[first-1].after != borderSection && sum[i]-sum[first-1] <= s.config.OverlapTokens {
		first--
	}
	// One sentence that is a little too long is better than no overlap.
	if first == i && i > 0 && units[i-1].after != borderSection && units[i-1].tokens <= 2*s.config.OverlapTokens {
		first--
	}
	return first
}
