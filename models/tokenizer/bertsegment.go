package tokenizer

import "unicode/utf8"

// bertSegmenter is BertNormalizer, BertPreTokenizer and WordPiece in one pass.
type bertSegmenter struct {
	fold  *bertFold
	model *wordPiece
}

func (b *bertSegmenter) segment(text string, start int32, s *scratch) {
	w := &s.word
	w.reset()
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
			w.appendRune(to, at)
		default:
			add(action, to, at)
		}
	}
	flush()
}
