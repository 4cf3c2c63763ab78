package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

// precompiled is the normalizer of SentencePiece: a map from character
// sequences to replacements, as a double array (Darts) and the replacements'
// text.
type precompiled struct {
	units        []uint32
	replacements []byte
	// ascii says which ASCII characters have a replacement or start a longer
	// key, so that most English text passes unread.
	ascii [128]bool
}

func newPrecompiled(charsmap string) (*precompiled, error) {
	blob, err := base64.StdEncoding.DecodeString(charsmap)
	if err != nil {
		return nil, unsupported("normalizer: precompiled_charsmap is not base64: %v", err)
	}
	if len(blob) < 4 {
		return nil, unsupported("normalizer: precompiled_charsmap is empty")
	}
	size := int(binary.LittleEndian.Uint32(blob))
	if size < 4 || size%4 != 0 || size > len(blob)-4 || !utf8.Valid(blob[4+size:]) {
		return nil, unsupported("normalizer: precompiled_charsmap is damaged")
	}
	p := &precompiled{units: make([]uint32, size/4), replacements: blob[4+size:]}
	for i := range p.units {
		p.units[i] = binary.LittleEndian.Uint32(blob[4+4*i:])
	}
	for b := range p.ascii {
		p.ascii[b] = b == '\r' || p.starts(byte(b))
	}
	return p, nil
}

// The fields of a unit of the double array.
func unitLabel(u uint32) uint32  { return u & (1<<31 | 0xFF) }
func unitOffset(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }
func unitHasLeaf(u uint32) bool  { return u>>8&1 == 1 }

func (p *precompiled) unit(at uint32) uint32 {
	if int(at) >= len(p.units) {
		return 0
	}
	return p.units[at]
}

func (p *precompiled) starts(b byte) bool {
	return b != 0 && unitLabel(p.unit(unitOffset(p.unit(0))^uint32(b))) == uint32(b)
}

// replacement returns what stands for the shortest key that text starts with.
func (p *precompiled) replacement(text []byte) (string, bool) {
	at := unitOffset(p.unit(0))
	for _, b := range text {
		if b == 0 {
			break
		}
		at ^= uint32(b)
		u := p.unit(at)
		if unitLabel(u) != uint32(b) {
			break
		}
		at ^= unitOffset(u)
		if !unitHasLeaf(u) {
			continue
		}
		from := int(p.unit(at) &^ (1 << 31))
		if from > len(p.replacements) {
			return "", false
		}
		to := from
		for to < len(p.replacements) && p.replacements[to] != 0 {
			to++
		}
		return string(p.replacements[from:to]), true
	}
	return "", false
}

func (p *precompiled) normalize(a *aligned) {
	if p.unchanged(a.runes) {
		return
	}
	changes := make([]change, 0, len(a.runes)+8)
	modified := false
	replace := func(old int, with string) {
		modified = true
		n := utf8.RuneCountInString(with)
		i := 0
		for _, r := range with {
			step := 0
			if i >= old {
				step = 1 // more than there was
			}
			changes = append(changes, change{r, step})
			i++
		}
		if n < old && len(changes) > 0 {
			changes[len(changes)-1].step += n - old
		}
	}
	var buffer [8]byte
	for at := 0; at < len(a.runes); {
		end := graphemeEnd(a.runes, at)
		size := 0
		for _, r := range a.runes[at:end] {
			size += utf8.RuneLen(r)
		}
		if size < 6 {
			whole := buffer[:0]
			for _, r := range a.runes[at:end] {
				whole = utf8.AppendRune(whole, r)
			}
			if with, ok := p.replacement(whole); ok {
				replace(end-at, with)
				at = end
				continue
			}
		}
		for ; at < end; at++ {
			if with, ok := p.replacement(utf8.AppendRune(buffer[:0], a.runes[at])); ok {
				replace(1, with)
			} else {
				changes = append(changes, change{a.runes[at], 0})
			}
		}
	}
	if modified {
		a.transform(changes, 0)
	}
}

func (p *precompiled) unchanged(runes []rune) bool {
	for _, r := range runes {
		if r >= utf8.RuneSelf || p.ascii[r] {
			return false
		}
	}
	return true
}

// graphemeEnd returns the end of the grapheme that starts at a rune. It knows
// the rules of Unicode Standard Annex 29 that matter for graphemes of up to
// five bytes, the only ones that are looked up as a whole: those of longer
// ones need only be found to be longer.
func graphemeEnd(runes []rune, at int) int {
	r := runes[at]
	end := at + 1
	if r == '\r' && end < len(runes) && runes[end] == '\n' {
		return end + 1
	}
	if isGraphemeControl(r) {
		return end
	}
	for inRanges(graphemePrepend[:], runes[end-1]) && end < len(runes) && !isGraphemeControl(runes[end]) &&
		!inRanges(graphemeExtenders[:], runes[end]) {
		end++
	}
	for end < len(runes) {
		next := runes[end]
		if next < 0x300 || !inRanges(graphemeExtenders[:], next) && !hangulJoins(runes[end-1], next) &&
			!conjunctJoins(runes[at:end], next) {
			break
		}
		end++
	}
	return end
}

var graphemePrepend = [...]runeRange{
	{0x600, 0x605}, {0x6DD, 0x6DD}, {0x70F, 0x70F}, {0x890, 0x891}, {0x8E2, 0x8E2}, {0xD4E, 0xD4E},
	{0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x111C2, 0x111C3}, {0x113D1, 0x113D1}, {0x1193F, 0x1193F},
	{0x11941, 0x11941}, {0x11A3A, 0x11A3A}, {0x11A84, 0x11A89}, {0x11D46, 0x11D46}, {0x11F02, 0x11F02},
}

func isGraphemeControl(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7F && r < 0xA0, r == 0xAD, r == 0x61C, r == 0x180E, r == 0x200B, r == 0x200E, r == 0x200F,
		r >= 0x2028 && r <= 0x202E, r >= 0x2060 && r <= 0x206F, r == 0xFEFF, r >= 0xFFF0 && r <= 0xFFFB,
		r >= 0xE0000 && r <= 0xE0FFF && !inRanges(graphemeExtenders[:], r), r >= 0x13430 && r <= 0x1343F && r != 0x13440,
		r >= 0x1BCA0 && r <= 0x1BCA3, r >= 0x1D173 && r <= 0x1D17A:
		return true
	}
	return false
}

// hangulJoins reports whether two letters are of one syllable.
func hangulJoins(before, next rune) bool {
	lead := func(r rune) bool { return r >= 0x1100 && r <= 0x115F || r >= 0xA960 && r <= 0xA97C }
	vowel := func(r rune) bool { return r >= 0x1160 && r <= 0x11A7 || r >= 0xD7B0 && r <= 0xD7C6 }
	tail := func(r rune) bool { return r >= 0x11A8 && r <= 0x11FF || r >= 0xD7CB && r <= 0xD7FB }
	syllable := func(r rune) bool { return r >= hangulBase && r < hangulEnd }
	switch {
	case lead(before):
		return lead(next) || vowel(next) || syllable(next)
	case vowel(before), syllable(before) && (before-hangulBase)%tailCount == 0:
		return vowel(next) || tail(next)
	case tail(before), syllable(before):
		return tail(next)
	}
	return false
}

// conjunctJoins reports whether a consonant follows a consonant with a virama.
func conjunctJoins(before []rune, next rune) bool {
	if !isConjunctConsonant(next) {
		return false
	}
	linked := false
	for i := len(before) - 1; i >= 0; i-- {
		switch r := before[i]; {
		case isConjunctConsonant(r):
			return linked
		case r == 0x94D || r == 0x9CD || r == 0xACD || r == 0xB4D || r == 0xC4D || r == 0xD4D:
			linked = true
		case !inRanges(graphemeExtenders[:], r):
			return false
		}
	}
	return false
}

func isConjunctConsonant(r rune) bool {
	if r < 0x915 || r > 0xD3A {
		return false
	}
	switch low := r &^ 0x7F; {
	case low == 0x900:
		return r >= 0x915 && r <= 0x939 || r >= 0x958 && r <= 0x95F || r >= 0x978 && r <= 0x97F
	case low == 0x980:
		return r >= 0x995 && r <= 0x9B9 || r >= 0x9DC && r <= 0x9DF || r == 0x9F0 || r == 0x9F1
	case low == 0xA80:
		return r >= 0xA95 && r <= 0xAB9 || r == 0xAF9
	case low == 0xB00:
		return r >= 0xB15 && r <= 0xB39 || r >= 0xB5C && r <= 0xB5F || r == 0xB71
	case low == 0xC00:
		return r >= 0xC15 && r <= 0xC39 || r >= 0xC58 && r <= 0xC5A
	case low == 0xD00:
		return r >= 0xD15 && r <= 0xD3A
	}
	return false
}
