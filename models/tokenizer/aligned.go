package tokenizer

import "unicode/utf8"

// aligned is text on its way through normalizers and pre-tokenizers. Each rune
// knows the code point of the original text that it stands for: runes[i] for
// at[i]. That one code point is enough, because the library gives what it
// inserts the place of a neighbour, and what it composes the place of the first
// part.
type aligned struct {
	runes []rune
	at    []int32
}

// set makes a the code points of text, which are numbered from start.
func (a *aligned) set(text string, start int32) {
	a.runes, a.at = a.runes[:0], a.at[:0]
	for _, r := range text {
		a.runes, a.at = append(a.runes, r), append(a.at, start)
		start++
	}
}

func (a aligned) slice(from, to int) aligned {
	return aligned{a.runes[from:to:to], a.at[from:to:to]}
}

// A change replaces code points: the rune takes the place of the next one and
// of -step more, or, where step is positive, stands beside the one before.
type change struct {
	r    rune
	step int
}

// transform replaces the text. The first skipped code points are left out.
func (a *aligned) transform(changes []change, skipped int) {
	before := a.at
	at := make([]int32, len(changes))
	runes := make([]rune, len(changes))
	next := skipped
	for i, c := range changes {
		from := next
		if c.step > 0 {
			from--
		} else {
			next += 1 - c.step
		}
		runes[i], at[i] = c.r, before[min(max(from, 0), len(before)-1)]
	}
	a.runes, a.at = runes, at
}

// filter removes the runes that keep refuses.
func (a *aligned) filter(keep func(rune) bool) {
	n := 0
	for i, r := range a.runes {
		if keep(r) {
			a.runes[n], a.at[n] = r, a.at[i]
			n++
		}
	}
	a.runes, a.at = a.runes[:n], a.at[:n]
}

// expand replaces every rune by what parts appends for it.
func (a *aligned) expand(parts func(out []rune, r rune) []rune) {
	var out []rune
	at := make([]int32, 0, len(a.at))
	for i, r := range a.runes {
		out = parts(out, r)
		for len(at) < len(out) {
			at = append(at, a.at[i])
		}
	}
	a.runes, a.at = out, at
}

// trim removes runes from the ends while out says so.
func (a *aligned) trim(left, right bool, out func(rune) bool) {
	from, to := 0, len(a.runes)
	for left && from < to && out(a.runes[from]) {
		from++
	}
	for right && to > from && out(a.runes[to-1]) {
		to--
	}
	*a = a.slice(from, to)
}

// prepend puts text before a text that is not empty.
func (a *aligned) prepend(text string) {
	if len(a.runes) == 0 {
		return
	}
	n := utf8.RuneCountInString(text)
	runes, at := make([]rune, 0, n+len(a.runes)), make([]int32, n, n+len(a.runes))
	for i := range at {
		at[i] = a.at[0]
	}
	a.runes, a.at = append(append(runes, []rune(text)...), a.runes...), append(at, a.at...)
}

// replace puts content in place of the matches, given as pairs of indexes.
func (a *aligned) replace(matches [][2]int, content []rune) {
	if len(matches) == 0 {
		return
	}
	runes, at := make([]rune, 0, len(a.runes)), make([]int32, 0, len(a.at))
	done := 0
	for _, m := range matches {
		runes, at = append(runes, a.runes[done:m[0]]...), append(at, a.at[done:m[0]]...)
		for _, r := range content {
			// What is inserted stands beside the last code point it replaces.
			runes, at = append(runes, r), append(at, a.at[m[1]-1])
		}
		done = m[1]
	}
	a.runes, a.at = append(runes, a.runes[done:]...), append(at, a.at[done:]...)
}
