package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/needle-search/needle/models"
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

// A word is a piece of normalized text on its way into the model, with the
// code point of the text that each byte came from.
type word struct {
	bytes  []byte
	origin []int32
	runes  int
	hashes []uint64
}

func (w *word) reset() { w.bytes, w.origin, w.runes = w.bytes[:0], w.origin[:0], 0 }

func (w *word) appendRune(r rune, origin int32) {
	w.bytes = utf8.AppendRune(w.bytes, r)
	for len(w.origin) < len(w.bytes) {
		w.origin = append(w.origin, origin)
	}
	w.runes++
}

func (m *wordPiece) cut(w *word, out *models.Tokens) {
	n := len(w.bytes)
	if n == 0 {
		return
	}
	if w.runes > m.maxChars {
		m.emit(m.unknown, w, 0, n, out)
		return
	}
	w.hashes = append(w.hashes[:0], 0)
	hash := uint64(0)
	for _, b := range w.bytes {
		hash = hashNext(hash, b)
		w.hashes = append(w.hashes, hash)
	}
	if id, ok := m.first.find(w.bytes, hash); ok {
		m.emit(id, w, 0, n, out)
		return
	}
	before := len(out.IDs)
	table := m.first
	for start := 0; start < n; table = m.rest {
		end := min(n, start+table.longest)
		for ; end > start; end-- {
			part := w.hashes[end] - w.hashes[start]*m.powers[end-start]
			if id, ok := table.find(w.bytes[start:end], part); ok {
				m.emit(id, w, start, end, out)
				break
			}
		}
		if end == start {
			out.IDs, out.Offsets = out.IDs[:before], out.Offsets[:before]
			m.emit(m.unknown, w, 0, n, out)
			return
		}
		start = end
	}
}

func (m *wordPiece) emit(id int32, w *word, start, end int, out *models.Tokens) {
	out.IDs = append(out.IDs, id)
	out.Offsets = append(out.Offsets, models.Offset{Start: w.origin[start], End: w.origin[end-1] + 1})
}
