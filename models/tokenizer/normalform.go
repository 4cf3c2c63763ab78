package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// A normalForm decomposes and composes text by the library's tables (Unicode
// Standard Annex 15; the library's are of Unicode 9).
type normalForm struct {
	// table holds the combining class in the upper 8 bits, and one more than an
	// index of parts in the lower ones.
	table *runeTable
	parts []string
	// composed is empty unless the form composes.
	composed map[[2]rune]rune
}

func newNormalForm(compatible, compose bool) *normalForm {
	f := &normalForm{table: newRuneTable()}
	eachRecord(combiningClasses, func(class rune, members string) {
		for _, r := range members {
			f.table.set(r, uint32(class)<<24)
		}
	})
	decomposition := func(r rune, parts string) {
		f.parts = append(f.parts, parts)
		f.table.set(r, f.table.get(r)&0xFF000000|uint32(len(f.parts)))
	}
	eachRecord(canonicalDecompositions, decomposition)
	if compatible {
		eachRecord(compatibilityDecompositions, decomposition)
	}
	if compose {
		f.composed = map[[2]rune]rune{}
		eachRecord(compositions, func(r rune, pair string) {
			first, size := utf8.DecodeRuneInString(pair)
			second, _ := utf8.DecodeRuneInString(pair[size:])
			f.composed[[2]rune{first, second}] = r
		})
	}
	return f
}

func (f *normalForm) class(r rune) uint32 {
	if r < utf8.RuneSelf {
		return 0
	}
	return f.table.get(r) >> 24
}

// apply brings a text into the form.
func (f *normalForm) apply(a *aligned) {
	if f.unchanged(a.runes) {
		return
	}
	changes := f.decompose(a.runes)
	if f.composed != nil {
		changes = f.compose(changes)
	}
	a.transform(changes, 0)
}

// unchanged reports whether the text is surely in the form already.
func (f *normalForm) unchanged(runes []rune) bool {
	limit := rune(utf8.RuneSelf)
	if f.composed != nil && len(f.parts) < maxCanonical {
		limit = 0x300 // all before the first combining mark are composed
	}
	for _, r := range runes {
		if r >= limit {
			return false
		}
	}
	return true
}

// maxCanonical is more than there are canonical decompositions, and less than
// those together with the compatible ones.
const maxCanonical = 3000

func (f *normalForm) decompose(runes []rune) []change {
	out := make([]change, 0, len(runes)+len(runes)/4)
	settled := 0 // what comes before has found its place
	push := func(r rune, step int) {
		if f.class(r) == 0 {
			f.order(out[settled:])
			out = append(out, change{r, step})
			settled = len(out)
			return
		}
		out = append(out, change{r, step})
	}
	for _, r := range runes {
		if r >= hangulBase && r < hangulEnd {
			letters, n := decomposeHangul(r)
			for i, letter := range letters[:n] {
				push(letter, min(i, 1))
			}
			continue
		}
		index := uint32(0)
		if r >= utf8.RuneSelf {
			index = f.table.get(r) & 0xFFFFFF
		}
		if index == 0 {
			push(r, 0)
			continue
		}
		for i, part := range f.parts[index-1] {
			push(part, min(i, 1))
		}
	}
	f.order(out[settled:])
	return out
}

// order puts combining marks into canonical order.
func (f *normalForm) order(marks []change) {
	if len(marks) > 1 {
		slices.SortStableFunc(marks, func(a, b change) int { return int(f.class(a.r)) - int(f.class(b.r)) })
	}
}

// compose joins decomposed text again. A composed character takes the places of
// its parts, even where other marks stood between them.
func (f *normalForm) compose(in []change) []change {
	out := make([]change, 0, len(in))
	starter := -1        // index in out of the character that others may join
	blocked := uint32(0) // class of the last mark after it, 0 if there is none
	for _, c := range in {
		class := f.class(c.r)
		if starter < 0 {
			if class == 0 {
				starter = len(out)
			}
			out = append(out, c)
			continue
		}
		if blocked == 0 || blocked < class {
			if r, ok := f.pair(out[starter].r, c.r); ok {
				out[starter] = change{r, out[starter].step + c.step - 1}
				continue
			}
		}
		if class == 0 {
			starter, blocked = len(out), 0
		} else {
			blocked = class
		}
		out = append(out, c)
	}
	return out
}

func (f *normalForm) pair(a, b rune) (rune, bool) {
	if lead, vowel := a-leadBase, b-vowelBase; lead >= 0 && lead < leadCount && vowel >= 0 && vowel < vowelCount {
		return hangulBase + (lead*vowelCount+vowel)*tailCount, true
	}
	if tail := b - tailBase; a >= hangulBase && a < hangulEnd && (a-hangulBase)%tailCount == 0 && tail > 0 && tail < tailCount {
		return a + tail, true
	}
	r, ok := f.composed[[2]rune{a, b}]
	return r, ok
}
