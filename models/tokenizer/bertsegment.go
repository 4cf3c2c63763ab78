package tokenizer

import (
	"sync"
	"unicode/utf8"
)

// bertSegmenter is BertNormalizer, BertPreTokenizer and WordPiece in one pass.
type bertSegmenter struct {
	fold    *bertFold
	model   *wordPiece
	options bertOptions
	// decomposed is needed for the rare text that must be put in order.
	decomposed func() *normalForm
}

func newBertSegmenter(options bertOptions, model *wordPiece) *bertSegmenter {
	return &bertSegmenter{
		fold: newBertFold(options), model: model, options: options,
		decomposed: sync.OnceValue(func() *normalForm { return newNormalForm(false, false) }),
	}
}

func (b *bertSegmenter) segment(text string, start int32, s *scratch) {
	w := &s.word
	w.reset()
	before := len(s.out.IDs)
	flush := func() {
		if len(w.bytes) > 0 {
			b.model.cut(w, &s.out)
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
				w.runes++
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
	var t aligned
	t.set(text, start)
	if b.options.CleanText {
		t.filter(func(r rune) bool { return !inRanges(cleanDrops[:], r) })
	}
	if b.options.HandleChineseChars {
		t.expand(func(out []rune, r rune) []rune {
			if inRanges(chinese[:], r) {
				return append(out, ' ', r, ' ')
			}
			return append(out, r)
		})
	}
	if b.fold.stripAccents {
		b.decomposed().apply(&t)
		t.filter(func(r rune) bool { return !inRanges(nonspacingMarks[:], r) })
	}
	// What is left needs no more than the table: a lower case, white space and
	// punctuation.
	w := &s.word
	w.reset()
	flush := func() {
		b.model.cut(w, &s.out)
		w.reset()
	}
	for i, r := range t.runes {
		action, to := unpackFold(b.fold.table.get(r), r)
		switch action {
		case foldSpace:
			flush()
		case foldAlone:
			flush()
			w.appendRune(to, t.at[i])
			flush()
		default:
			w.appendRune(to, t.at[i])
		}
	}
	flush()
}
