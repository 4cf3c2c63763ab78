package tokenizer

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// unigram cuts a piece of text into the entries with the greatest sum of scores
// (Viterbi); a code point that no entry covers is unknown, and unknown
// neighbours are one token.
type unigram struct {
	trie         byteTrie
	scores       []float64
	unknown      int32 // -1 if there is none
	unknownScore float64
	// bytes are the ids of the tokens <0x00> to <0xFF>, which stand for unknown
	// text if byteFallback is set; -1 where the vocabulary has none.
	bytes        [256]int32
	byteFallback bool
}

// unknownPenalty is how much worse than the worst entry an unknown one is.
const unknownPenalty = 10

func newUnigram(spec modelSpec) (*unigram, error) {
	m := &unigram{unknown: -1, scores: make([]float64, len(spec.vocabulary))}
	var unknown *int32
	if err := spec.option("unk_id", &unknown); err != nil {
		return nil, err
	}
	if err := spec.option("byte_fallback", &m.byteFallback); err != nil {
		return nil, err
	}
	switch {
	case unknown == nil:
		return nil, unsupported("model.unk_id is missing")
	case *unknown < 0 || int(*unknown) >= len(spec.vocabulary):
		return nil, fmt.Errorf("model.unk_id is %d; the vocabulary has %d entries", *unknown, len(spec.vocabulary))
	}
	m.unknown = *unknown
	lowest := math.Inf(1)
	m.trie = newByteTrie()
	for i := range m.bytes {
		m.bytes[i] = -1
	}
	for i, e := range spec.vocabulary {
		m.scores[i] = e.score
		lowest = min(lowest, e.score)
		if !m.trie.add(e.token, int32(i)) {
			return nil, unsupported("model.vocab is too large")
		}
		var b byte
		if n, _ := fmt.Sscanf(e.token, "<0x%02X>", &b); n == 1 && len(e.token) == 6 {
			m.bytes[b] = int32(i)
		}
	}
	m.unknownScore = lowest - unknownPenalty
	return m, nil
}

// A bestNode is the best way to cut the text up to a byte.
type bestNode struct {
	score float64
	from  int32 // where its last token starts; -1 if there is no way yet
	id    int32
}

func (m *unigram) cut(text []byte, origin []int32, s *scratch) {
	if len(text) == 0 {
		return
	}
	best := append(s.best[:0], bestNode{})
	for range text {
		best = append(best, bestNode{from: -1})
	}
	s.best = best
	for from := 0; from < len(text); {
		here := best[from].score
		_, size := utf8.DecodeRune(text[from:])
		single := false
		node := int32(0)
		for to := from; to < len(text); {
			if node = m.trie.child(node, text[to]); node == 0 {
				break
			}
			to++
			id := m.trie.values[node]
			if id < 0 {
				continue
			}
			if score := m.scores[id] + here; best[to].from < 0 || score > best[to].score {
				best[to] = bestNode{score, int32(from), id}
			}
			single = single || to-from == size
		}
		if to := from + size; !single {
			if score := m.unknownScore + here; best[to].from < 0 || score > best[to].score {
				best[to] = bestNode{score, int32(from), m.unknown}
			}
		}
		from += size
	}
	m.emit(text, origin, s)
}

// emit follows the best way back from the end and then puts out its tokens.
func (m *unigram) emit(text []byte, origin []int32, s *scratch) {
	cuts := s.cuts[:0]
	for to := len(text); to > 0; {
		node := s.best[to]
		from := int(node.from)
		for node.id == m.unknown && from > 0 && s.best[from].id == m.unknown {
			from = int(s.best[from].from)
		}
		cuts = append(cuts, [3]int32{int32(from), int32(to), node.id})
		to = from
	}
	s.cuts = cuts
	for i := len(cuts) - 1; i >= 0; i-- {
		from, to, id := int(cuts[i][0]), int(cuts[i][1]), cuts[i][2]
		if id == m.unknown {
			m.emitUnknown(text[from:to], origin[from:to], s)
			continue
		}
		s.emit(id, origin[from:to])
	}
}

func (m *unigram) emitUnknown(text []byte, origin []int32, s *scratch) {
	// Unknown neighbours together may be an entry, if a very unlikely one.
	if id, ok := m.trie.get(text); ok {
		s.emit(id, origin)
		return
	}
	if !m.byteFallback {
		s.emit(m.unknown, origin)
		return
	}
	for _, b := range text {
		if m.bytes[b] < 0 {
			s.emit(m.unknown, origin)
			return
		}
	}
	for _, b := range text {
		s.emit(m.bytes[b], origin)
	}
}
