package tokenizer

import (
	"sync"
	"unicode/utf8"
)

// bertSegmenter is BertNormalizer, BertPreTokenizer and WordPiece in one pass.
type bertSegmenter struct {
	fold  *bertFold
	model *wordPiece
	// stepwise is for the rare text that must be put in order.
	stepwise func() normalizer
}

func newBertSegmenter(options bertOptions, model *wordPiece) *bertSegmenter {
	return &bertSegmenter{
		fold: newBertFold(options), model: model,
		stepwise: sync.OnceValue(func() normalizer { return newBertNormalizer(options) }),
	}
}

func (b *bertSegmenter) segment(text string, start int32, s *scratch) {
	w := &s.flat
	w.reset()
	before := len(s.out.IDs)
	flush := func() {
		if len(w.bytes) > 0 {
			b.model.cut(w.bytes, w.origin, s)
			w.reset()
		}
	}
	add := func(action uint32, r rune, at int32) {
		switch action {
		case foldWord:
			w.appendRune(r, at)
		case foldSpace:
			flush()
		case foldAlone:
			flush()
			w.appendRune(r, at)
			flush()
		}
	}
	at := start
	for i := 0; i < len(text); at++ {
		if c := text[i]; c < utf8.RuneSelf {
			i++
			action, r := unpackFold(b.fold.ascii[c], rune(c))
			if action == foldWord {
				w.bytes, w.origin = append(w.bytes, byte(r)), append(w.origin, at)
				continue
			}
			add(action, r, at)
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		i += size
		if b.fold.stripAccents && r >= hangulBase && r < hangulEnd {
			letters, n := decomposeHangul(r)
			for _, letter := range letters[:n] {
				w.appendRune(letter, at)
			}
			continue
		}
		action, to := unpackFold(b.fold.table.get(r), r)
		switch action {
		case foldSeveral:
			for _, part := range b.fold.several[r] {
				add(part.action, part.r, at)
			}
		case foldReorder:
			s.out.IDs, s.out.Offsets = s.out.IDs[:before], s.out.Offsets[:before]
			b.segmentInOrder(text, start, s)
			return
		default:
			add(action, to, at)
		}
	}
	flush()
}

// segmentInOrder does the same step by step. In canonical ordering a character
// takes over the place in the text of another, which no table can show.
func (b *bertSegmenter) segmentInOrder(text string, start int32, s *scratch) {
	t := &s.aligned
	t.set(text, start)
	b.stepwise().normalize(t)
	w := &s.flat
	w.reset()
	flush := func() {
		b.model.cut(w.bytes, w.origin, s)
		w.reset()
	}
	for i, r := range t.runes {
		switch action, _ := unpackFold(b.fold.table.get(r), r); action {
		case foldSpace:
			flush()
		case foldAlone:
			flush()
			w.appendRune(r, t.at[i])
			flush()
		default:
			w.appendRune(r, t.at[i])
		}
	}
	flush()
}
