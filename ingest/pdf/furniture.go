package pdf

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// edge is how many lines at the top and at the bottom of a page may be running
// headers and footers.
const edge = 3

// repeats is on how many pages a line must stand in the same place to be one.
const repeats = 3

// furniture finds the running headers and footers of a file: lines at the edge
// of pages that stand in the same place with the same text, numbers aside, on
// most of the pages between the first and the last that have them (every other
// page will do, for left and right pages differ). The result says for every
// page which of its lines are such.
//
// Lines in the letters of headings must repeat with their numbers, or
// "Chapter 2" at the top of a page would be taken for one.
func furniture(pages []page) [][]bool {
	body, _ := bodyHeight(pages)
	type place struct {
		text string
		y    int
	}
	type use struct{ first, last, n int }
	uses := map[place]*use{}
	keys := make([]map[int]place, len(pages))
	for i, p := range pages {
		keys[i] = map[int]place{}
		seen := map[place]bool{}
		for _, at := range edges(p.lines) {
			l := p.lines[at]
			k := place{withoutNumbers(l.text), int(l.bottom / 6)}
			if isHeadingHeight(halfPoints(l.height()), body) {
				k.text = l.text
			}
			keys[i][at] = k
			// Rounding may put one line into either of two neighbouring places.
			for _, y := range [...]int{k.y - 1, k.y, k.y + 1} {
				k := place{k.text, y}
				if seen[k] {
					continue
				}
				seen[k] = true
				u := uses[k]
				if u == nil {
					u = &use{first: i}
					uses[k] = u
				}
				u.last = i
				u.n++
			}
		}
	}
	drop := make([][]bool, len(pages))
	for i, p := range pages {
		drop[i] = make([]bool, len(p.lines))
		for at, k := range keys[i] {
			u := uses[k]
			repeated := u.n >= repeats && 5*u.n >= 2*(u.last-u.first+1)
			drop[i][at] = repeated || isPageNumber(p.lines[at].text, i, len(pages))
		}
	}
	return drop
}

// edges returns the lines nearest to the top and to the bottom.
func edges(lines []line) []int {
	if len(lines) == 0 {
		return nil
	}
	byHeight := make([]int, len(lines))
	for i := range byHeight {
		byHeight[i] = i
	}
	slices.SortStableFunc(byHeight, func(a, b int) int {
		switch {
		case lines[a].bottom > lines[b].bottom:
			return -1
		case lines[a].bottom < lines[b].bottom:
			return 1
		}
		return 0
	})
	if len(byHeight) <= 2*edge {
		return byHeight
	}
	return append(byHeight[:edge:edge], byHeight[len(byHeight)-edge:]...)
}

// withoutNumbers replaces every run of digits.
func withoutNumbers(text string) string {
	var b strings.Builder
	digits := false
	for _, r := range text {
		if unicode.IsDigit(r) {
			if !digits {
				b.WriteByte('#')
			}
			digits = true
			continue
		}
		digits = false
		b.WriteRune(r)
	}
	return b.String()
}

// isPageNumber reports whether a line is the number of its page and nothing
// else but the number of pages: "3", "- 3 -", "3 / 12", "Page 3 of 12". It
// serves files of few pages, where nothing repeats often enough.
func isPageNumber(text string, index, pages int) bool {
	if pages < 2 || len(text) > 40 {
		return false
	}
	var numbers []int
	letters := 0
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsDigit(r) && !unicode.IsLetter(r) }) {
		n, err := strconv.Atoi(field)
		if err != nil {
			letters++
			continue
		}
		numbers = append(numbers, n)
	}
	switch len(numbers) {
	case 1:
		return numbers[0] == index+1 && letters == 0
	case 2:
		return numbers[0] == index+1 && numbers[1] == pages && letters <= 2
	}
	return false
}
