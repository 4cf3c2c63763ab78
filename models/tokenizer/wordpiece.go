package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// wordPiece is the WordPiece model: the longest entry of the vocabulary that
// starts a word, then the longest that continues it, and so on. A word that
// cannot be cut to the end is unknown as a whole.
type wordPiece struct {
	first    *wordTable // entries that start a word
	rest     *wordTable // entries that continue one, without their prefix
	powers   []uint64
	unknown  int32
	maxChars int
}

type wordPieceOptions struct {
	UnknownToken string `json:"unk_token"`
	Prefix       string `json:"continuing_subword_prefix"`
	MaxChars     int    `json:"max_input_chars_per_word"`
}

func newWordPiece(o wordPieceOptions, vocabulary []vocabularyEntry) (*wordPiece, error) {
	m := &wordPiece{maxChars: o.MaxChars, unknown: -1}
	restCount, restBytes, bytes := 0, 0, 0
	for _, e := range vocabulary {
		bytes += len(e.token)
		if strings.HasPrefix(e.token, o.Prefix) {
			restCount++
			restBytes += len(e.token) - len(o.Prefix)
		}
	}
	m.first = newWordTable(len(vocabulary), bytes)
	m.rest = newWordTable(restCount, restBytes)
	for _, e := range vocabulary {
		m.first.add(e.token, e.id)
		if rest, ok := strings.CutPrefix(e.token, o.Prefix); ok {
			m.rest.add(rest, e.id)
		}
		if e.token == o.UnknownToken {
			m.unknown = e.id
		}
	}
	if m.unknown < 0 {
		return nil, fmt.Errorf("model.unk_token %q is not in the vocabulary", o.UnknownToken)
	}
	m.powers = prefixPowers(max(m.first.longest, m.rest.longest))
	return m, nil
}

func (m *wordPiece) cut(text []byte, origin []int32, s *scratch) {
	n := len(text)
	if n == 0 {
		return
	}
	if n > m.maxChars && utf8.RuneCount(text) > m.maxChars {
		s.emit(m.unknown, origin)
		return
	}
	hashes := append(s.hashes[:0], 0)
	hash := uint64(0)
	for _, b := range text {
		hash = hashNext(hash, b)
		hashes = append(hashes, hash)
	}
	s.hashes = hashes
	if id, ok := m.first.find(text, hash); ok {
		s.emit(id, origin)
		return
	}
	before := len(s.out.IDs)
	table := m.first
	for start := 0; start < n; table = m.rest {
		end := min(n, start+table.longest)
		for ; end > start; end-- {
			part := hashes[end] - hashes[start]*m.powers[end-start]
			if id, ok := table.find(text[start:end], part); ok {
				s.emit(id, origin[start:end])
				break
			}
		}
		if end == start {
			s.out.IDs, s.out.Offsets = s.out.IDs[:before], s.out.Offsets[:before]
			s.emit(m.unknown, origin)
			return
		}
		start = end
	}
}
