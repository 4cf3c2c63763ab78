package retriever

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// A Section is a stretch of a document's text under a heading; it ends where
// the next one starts.
type Section struct {
	// Start is the code point at which the heading starts.
	Start int `json:"start"`
	// Headings are the titles from the outermost section to this one.
	Headings []string `json:"headings"`
}

// validStructure checks sections and pages. Where they lie beyond the end of
// the text they do no harm, so the text is not counted for it.
func (d *Document) validStructure() error {
	last := 0
	for i, s := range d.Sections {
		if s.Start < last {
			return fmt.Errorf("sections[%d] starts at %d; it must not be negative or before the one in front of it", i, s.Start)
		}
		last = s.Start
		for _, h := range s.Headings {
			if err := validText(h); err != nil {
				return fmt.Errorf("a heading of sections[%d] %w", i, err)
			}
			if h == "" {
				return fmt.Errorf("a heading of sections[%d] is empty", i)
			}
		}
	}
	last = 0
	for i, start := range d.Pages {
		if start < last {
			return fmt.Errorf("pages[%d] is %d; it must not be negative or less than the one in front of it", i, start)
		}
		last = start
	}
	if len(d.Pages) > 0 && d.Pages[0] != 0 {
		return errors.New("pages[0] must be 0, where the first page starts")
	}
	return nil
}

// PageBreaks returns the starts of pages inside (start, end), for a passage.
func PageBreaks(pages []int, start, end int) []int {
	from := sort.SearchInts(pages, start+1)
	to := sort.SearchInts(pages, end)
	if from >= to {
		return nil
	}
	return slices.Clone(pages[from:to])
}

// PageStart returns where the page of a code point starts, 0 where there are no
// pages, for a passage.
func PageStart(pages []int, at int) int {
	if n := sort.SearchInts(pages, at+1); n > 0 {
		return pages[n-1]
	}
	return 0
}

// PageStartAt returns where the page of a code point of the passage starts in
// Document.Text, -1 where that is not known.
func (p Passage) PageStartAt(at int) int {
	switch n := sort.SearchInts(p.PageBreaks, at+1); {
	case p.Page == 0:
		return -1
	case n > 0:
		return p.PageBreaks[n-1]
	}
	return p.PageStart
}

// PageAt returns the 1-based page of a code point of the passage, 0 where the
// format has no pages.
func (p Passage) PageAt(at int) int {
	if p.Page == 0 {
		return 0
	}
	return p.Page + sort.SearchInts(p.PageBreaks, at+1)
}
