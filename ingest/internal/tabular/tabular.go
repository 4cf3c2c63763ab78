// Package tabular makes rows of tables readable on their own: each cell with
// the label of its column, because an answer is read from a row, not from a
// table.
package tabular

import (
	"strings"
	"unicode"

	"github.com/needle-search/needle/ingest"
)

// Peek is how many rows [HasHeader] wants to see.
const Peek = 20

// HasHeader reports whether the first of some rows holds the labels of the
// columns: different short texts in every column, over rows of another kind or
// of three columns at least.
func HasHeader(rows [][]string) bool {
	if len(rows) < 2 {
		return false
	}
	header := trim(rows[0])
	if len(header) < 2 {
		return false
	}
	seen := map[string]bool{}
	for _, cell := range header {
		label := strings.ToLower(ingest.CleanLine(cell))
		if label == "" || len(label) > 120 || seen[label] || isNumber(label) {
			return false
		}
		seen[label] = true
	}
	width, numbers := 0, false
	for _, row := range rows[1:] {
		row = trim(row)
		width = max(width, len(row))
		for _, cell := range row {
			numbers = numbers || isNumber(ingest.CleanLine(cell))
		}
	}
	if width > len(header) || width < 2 {
		return false
	}
	return len(header) >= 3 || numbers
}

func trim(row []string) []string {
	for len(row) > 0 && strings.TrimSpace(row[len(row)-1]) == "" {
		row = row[:len(row)-1]
	}
	return row
}

// isNumber reports whether a cell holds a number, an amount or a date.
func isNumber(cell string) bool {
	digits := 0
	for _, r := range cell {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r):
			return false
		}
	}
	return digits > 0
}

// Label writes a row as cells that name their column. Empty cells are left
// out.
func Label(header, row []string) []string {
	var out []string
	for i, cell := range row {
		cell = ingest.CleanLine(cell)
		switch {
		case cell == "":
		case i < len(header) && ingest.CleanLine(header[i]) != "":
			out = append(out, ingest.CleanLine(header[i])+": "+cell)
		default:
			out = append(out, cell)
		}
	}
	return out
}

// A Writer adds the rows of one table to a text, labelled if the first of them
// is a header.
type Writer struct {
	Out    *ingest.Builder
	header []string
	waits  [][]string
	ready  bool
}

// Row takes the next row; it keeps the slice.
func (w *Writer) Row(cells []string) {
	if len(trim(cells)) == 0 {
		return
	}
	if !w.ready {
		if w.waits = append(w.waits, cells); len(w.waits) < Peek {
			return
		}
		w.release()
		return
	}
	w.write(cells)
}

func (w *Writer) release() {
	w.ready = true
	rows := w.waits
	w.waits = nil
	if HasHeader(rows) {
		w.header = rows[0]
		w.Out.Row(rows[0]...)
		rows = rows[1:]
	}
	for _, row := range rows {
		w.write(row)
	}
}

func (w *Writer) write(row []string) {
	if w.header != nil {
		row = Label(w.header, row)
	}
	w.Out.Row(row...)
}

// End ends the table; the next row starts another.
func (w *Writer) End() {
	w.release()
	w.Out.EndTable()
	w.header, w.ready = nil, false
}
