package bleve

import (
	"context"
	"math/bits"
)

// pruned adds the best passages of a segment with a flat file. It never leaves
// out a passage that the exhaustive scorer would return (MaxScore, Turtle and
// Flood 1995): the terms of least weight, which together cannot lift a passage
// over the worst of the best so far, are only looked up for passages that other
// terms have brought in.
//
// Every sum is made term by term in the order of terms, as the exhaustive
// scorer makes it, so both give the same bits.
type pruned struct {
	cursors []flatCursor
	// rest[i] bounds the sum of the shares of the cursors from i on.
	rest []float64
	best *topK
	// excluded has a bit for each record that must not be found; nil excludes
	// nothing.
	excluded []uint64
	segment  int
	window   *window
}

// scoreFlat adds the best passages of a segment with a flat file.
func scoreFlat(ctx context.Context, s *searched, number int, terms []queryTerm, model bm25, best *topK, w *window) error {
	p := &pruned{best: best, segment: number, window: w}
	norms := s.flat.normsOf(model)
	for _, term := range terms {
		if t, ok := s.flat.term(term.text); ok {
			p.cursors = append(p.cursors, flatCursor{flat: s.flat, term: t, norms: norms, model: model, weight: term.weight()})
		}
	}
	p.rest = make([]float64, len(p.cursors)+1)
	for i := len(p.cursors) - 1; i >= 0; i-- {
		c := &p.cursors[i]
		p.rest[i] = p.rest[i+1] + c.weight*c.term.bound(norms, model)
	}
	if s.excluded != nil && !s.excluded.IsEmpty() {
		p.excluded = make([]uint64, (uint64(s.flat.Records)+63)/64+1)
		s.excluded.WriteDenseTo(p.excluded)
	}
	for chunk := uint32(0); ; chunk++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		var ok bool
		if chunk, ok = p.nextChunk(chunk); !ok {
			return nil
		}
		if err := p.chunk(chunk); err != nil {
			return err
		}
		if chunk == noRecord>>chunkBits {
			return nil
		}
	}
}

// limit is the score below which a passage cannot be among the best. The slack
// is far above what rounding can add up to.
func (p *pruned) limit() float64 { return p.best.worst() * (1 - 1e-12) }

// essential returns how many cursors, from the first, can bring a passage in.
func (p *pruned) essential() int {
	limit := p.limit()
	n := len(p.cursors)
	for n > 0 && p.rest[n-1] < limit {
		n--
	}
	return n
}

// nextChunk returns the next chunk in which an essential term occurs.
func (p *pruned) nextChunk(from uint32) (next uint32, found bool) {
	for i := range p.cursors[:p.essential()] {
		if chunk, ok := p.cursors[i].nextChunk(from); ok && (!found || chunk < next) {
			next, found = chunk, true
		}
	}
	return next, found
}

func (p *pruned) chunk(chunk uint32) error {
	for i := range p.cursors {
		p.cursors[i].load(chunk)
	}
	for first := uint32(0); first < chunkRecords; first += windowRecords {
		essential := p.essential()
		if essential == 0 {
			return nil
		}
		for i := range p.cursors[:essential] {
			if err := p.cursors[i].accumulate(p.window, first); err != nil {
				*p.window = window{}
				return err
			}
		}
		if err := p.collect(chunk, first, essential); err != nil {
			*p.window = window{}
			return err
		}
	}
	return nil
}

// collect offers the passages of a window and leaves it all zero.
func (p *pruned) collect(chunk, first uint32, essential int) error {
	w, limit := p.window, p.limit()
	base := chunk<<chunkBits | first
	for n, word := range w.touched {
		if word == 0 {
			continue
		}
		w.touched[n] = 0
		var hidden uint64
		if p.excluded != nil {
			hidden = p.excluded[base/64+uint32(n)]
		}
		for ; word != 0; word &= word - 1 {
			bit := bits.TrailingZeros64(word)
			i := uint32(64*n + bit)
			sum := w.sums[i]
			w.sums[i] = 0
			if sum+p.rest[essential] < limit || hidden>>bit&1 == 1 {
				continue
			}
			sum, ok, err := p.complete(sum, first+i, essential, limit)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := p.best.offer(candidate{score: sum, segment: p.segment, record: uint64(base + i)}); err != nil {
				return err
			}
			limit = p.limit()
		}
	}
	return nil
}

// complete adds the shares of the terms that are not essential, unless the sum
// turns out to be too low.
func (p *pruned) complete(sum float64, low uint32, essential int, limit float64) (float64, bool, error) {
	for i := essential; i < len(p.cursors); i++ {
		if sum+p.rest[i] < limit {
			return 0, false, nil
		}
		share, err := p.cursors[i].seek(low)
		if err != nil {
			return 0, false, err
		}
		sum += share
	}
	return sum, true, nil
}
