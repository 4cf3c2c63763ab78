package tokenizer

// What BertNormalizer and BertPreTokenizer together make of one code point.
const (
	foldWord    = iota // part of a word
	foldSpace          // separates words
	foldDrop           // vanishes; does not separate
	foldAlone          // a word by itself
	foldSeveral        // stands for several code points, see bertFold.several
	foldReorder        // a letter that canonical ordering may move
)

// A bertFold is the normalizer and pre-tokenizer of BERT as one table: the
// action in the upper 8 bits, and in the lower 24 bits what is to be added to
// the code point. It is right because every character that canonical ordering
// moves is then removed, except those with the action foldReorder.
type bertFold struct {
	table   *runeTable
	ascii   [128]uint32
	several map[rune][]foldedRune
	// stripAccents says that Hangul syllables come apart.
	stripAccents bool
}

type foldedRune struct {
	r      rune
	action uint32
}

func packFold(action uint32, from, to rune) uint32 {
	return action<<24 | uint32(to-from)&0xFFFFFF
}

func unpackFold(value uint32, from rune) (action uint32, to rune) {
	return value >> 24, from + rune(int32(value<<8)>>8)
}

type bertOptions struct {
	CleanText          bool  `json:"clean_text"`
	HandleChineseChars bool  `json:"handle_chinese_chars"`
	StripAccents       *bool `json:"strip_accents"`
	Lowercase          bool  `json:"lowercase"`
}

func defaultBertOptions() bertOptions {
	return bertOptions{CleanText: true, HandleChineseChars: true, Lowercase: true}
}

func (o bertOptions) strips() bool {
	if o.StripAccents == nil {
		return o.Lowercase
	}
	return *o.StripAccents
}

func newBertFold(o bertOptions) *bertFold {
	f := &bertFold{table: newRuneTable(), several: map[rune][]foldedRune{}, stripAccents: o.strips()}
	f.table.setRanges(punctuation[:], packFold(foldAlone, 0, 0))
	f.table.setRanges(whitespace[:], packFold(foldSpace, 0, 0))
	if o.HandleChineseChars {
		f.table.setRanges(chinese[:], packFold(foldAlone, 0, 0))
	}
	if f.stripAccents {
		f.table.setRanges(nonspacingMarks[:], packFold(foldDrop, 0, 0))
		// A mark that is kept may change places with others.
		eachRecord(combiningClasses, func(_ rune, members string) {
			for _, r := range members {
				if f.table.get(r)>>24 != foldDrop {
					f.table.set(r, packFold(foldReorder, 0, 0))
				}
			}
		})
	}
	if o.CleanText {
		f.table.setRanges(cleanDrops[:], packFold(foldDrop, 0, 0))
		// Cleaning knows some more white space than Rust, and runs earlier.
		for _, r := range "\t\n\r" {
			f.table.set(r, packFold(foldSpace, 0, 0))
		}
	}
	lower := map[rune]string{}
	if o.Lowercase {
		eachRecord(lowercase, func(r rune, to string) {
			lower[r] = to
			f.setSeveral(r, []rune(to))
		})
	}
	if f.stripAccents {
		eachRecord(canonicalDecompositions, func(r rune, parts string) {
			var kept []rune
			for _, part := range parts {
				if f.table.get(part)>>24 == foldDrop && inRanges(nonspacingMarks[:], part) {
					continue
				}
				if to, ok := lower[part]; ok {
					kept = append(kept, []rune(to)...)
				} else {
					kept = append(kept, part)
				}
			}
			f.setSeveral(r, kept)
		})
	}
	for r := range f.ascii {
		f.ascii[r] = f.table.get(rune(r))
	}
	return f
}

// setSeveral makes a code point stand for others, whose own actions are final.
func (f *bertFold) setSeveral(r rune, to []rune) {
	before := f.table.get(r) >> 24
	if before == foldDrop || before == foldSpace || before == foldReorder && len(to) > 0 {
		return // removed, replaced or moved before it could be folded
	}
	if len(to) == 0 {
		f.table.set(r, packFold(foldDrop, 0, 0))
		return
	}
	parts := make([]foldedRune, len(to))
	for i, part := range to {
		parts[i] = foldedRune{part, f.table.get(part) >> 24}
		if parts[i].action == foldReorder {
			f.table.set(r, packFold(foldReorder, 0, 0))
			return
		}
	}
	if len(to) > 1 {
		f.several[r] = parts
		f.table.set(r, packFold(foldSeveral, 0, 0))
		return
	}
	action := parts[0].action
	if before == foldAlone && inRanges(chinese[:], r) {
		action = foldAlone // it has got its spaces already
	}
	f.table.set(r, packFold(action, r, to[0]))
}
