package html

import (
	"context"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/needle-search/needle/ingest"
)

// A writer turns elements into blocks of text.
type writer struct {
	builder ingest.Builder
	weights map[*html.Node]weight
	inline  strings.Builder // the text of the block that is being collected
	lists   []list          // those around the current place
	marker  string          // of the item whose text comes next
	within  bool            // in what the page marks as its content
}

type list struct {
	ordered bool
	number  int
}

// page writes the content of a page. If nothing of it counts as content, all of
// it does.
func (w *writer) page(root *html.Node) {
	w.weights = map[*html.Node]weight{}
	total := weigh(root, w.weights, false)
	start := content(root, w.weights)
	w.within = start.DataAtom != atom.Body && start.Type == html.ElementNode
	w.children(start)
	w.flush()
	if 10*w.builder.Len() < total.text {
		w.builder = ingest.Builder{MaxBytes: w.builder.MaxBytes}
		w.weights, w.within = nil, true
		w.children(root)
		w.flush()
	}
}

func (w *writer) children(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c)
	}
}

func (w *writer) node(n *html.Node) {
	switch n.Type {
	case html.TextNode:
		w.inline.WriteString(n.Data)
		return
	case html.ElementNode:
	default:
		return
	}
	if isHidden(n) || w.weights != nil && isBoilerplate(n, w.weights[n], w.within) {
		return
	}
	switch n.DataAtom {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.flush()
		w.builder.Heading(int(n.Data[1]-'0'), visible(n))
	case atom.Br:
		w.inline.WriteByte('\n')
	case atom.Pre:
		w.flush()
		w.builder.Lines(textOf(n))
	case atom.Table:
		w.flush()
		w.table(n)
	case atom.Ul, atom.Ol, atom.Menu:
		w.flush()
		start, err := strconv.Atoi(attribute(n, "start"))
		if err != nil {
			start = 1
		}
		w.lists = append(w.lists, list{n.DataAtom == atom.Ol, start})
		w.children(n)
		w.flush()
		w.lists = w.lists[:len(w.lists)-1]
	case atom.Li:
		w.flush()
		w.marker = "-"
		if k := len(w.lists) - 1; k >= 0 && w.lists[k].ordered {
			w.marker = strconv.Itoa(w.lists[k].number) + "."
			w.lists[k].number++
		}
		w.children(n)
		w.flush()
		w.marker = ""
	case atom.Img:
		// What stands for a picture is text if it says more than a word.
		if alt := ingest.CleanLine(attribute(n, "alt")); strings.Contains(alt, " ") {
			w.inline.WriteString(" " + alt + " ")
		}
	case atom.Q:
		w.inline.WriteString("“")
		w.children(n)
		w.inline.WriteString("”")
	default:
		if isBlock(n.DataAtom) {
			w.flush()
			w.children(n)
			w.flush()
			return
		}
		w.children(n)
	}
}

// flush writes the collected text as a block: an item, or a paragraph whose
// breaks stay.
func (w *writer) flush() {
	text := w.inline.String()
	w.inline.Reset()
	if strings.TrimSpace(text) == "" {
		return
	}
	if len(w.lists) > 0 {
		w.builder.Item(len(w.lists)-1, w.marker, text)
		if w.marker != "" {
			w.marker = " "
		}
		return
	}
	w.builder.Paragraph(text)
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Div, atom.Section, atom.Article, atom.Main, atom.Aside, atom.Header, atom.Footer, atom.Nav, atom.Address, atom.Blockquote,
		atom.Dl, atom.Dt, atom.Dd, atom.Figure, atom.Figcaption, atom.Details, atom.Summary, atom.Fieldset, atom.Legend, atom.Form, atom.Hr,
		atom.Body, atom.Html, atom.Center, atom.Caption, atom.Hgroup, atom.Search:
		return true
	}
	return false
}

// table writes a table that holds data a line a row, and one that lays out a
// page as the blocks that it holds.
func (w *writer) table(n *html.Node) {
	if isLayout(n) {
		for d := range n.Descendants() {
			if d.Type == html.ElementNode && (d.DataAtom == atom.Td || d.DataAtom == atom.Th) && outer(d, n) {
				w.children(d)
				w.flush()
			}
		}
		return
	}
	w.builder.EndTable()
	for d := range n.Descendants() {
		if d.Type != html.ElementNode {
			continue
		}
		switch d.DataAtom {
		case atom.Caption:
			w.builder.Paragraph(visible(d))
		case atom.Tr:
			var cells []string
			for c := d.FirstChild; c != nil; c = c.NextSibling {
				if c.Type == html.ElementNode && (c.DataAtom == atom.Td || c.DataAtom == atom.Th) {
					cells = append(cells, visible(c))
					// A cell over several columns leaves their places empty.
					span, _ := strconv.Atoi(attribute(c, "colspan"))
					for range min(span, 50) - 1 {
						cells = append(cells, "")
					}
				}
			}
			w.builder.Row(cells...)
		}
	}
	w.builder.EndTable()
}

// isLayout reports whether a table lays out blocks: it holds headings, other
// tables or paragraphs, or has one column.
func isLayout(n *html.Node) bool {
	if attribute(n, "role") == "presentation" {
		return true
	}
	cells, rows, blocks := 0, 0, 0
	for d := range n.Descendants() {
		switch d.DataAtom {
		case atom.Th:
			return false
		case atom.Td:
			cells++
		case atom.Tr:
			rows++
		case atom.Table, atom.H1, atom.H2, atom.H3, atom.Main, atom.Article:
			return true
		case atom.P, atom.Div, atom.Ul:
			blocks++
		}
	}
	return cells <= rows || blocks > 2*cells
}

// outer reports whether a cell belongs to this table and no inner one.
func outer(cell, table *html.Node) bool {
	for p := cell.Parent; p != nil; p = p.Parent {
		if p.DataAtom == atom.Table {
			return p == table
		}
	}
	return false
}

// visible returns the text of an element on one line, hidden parts aside.
func visible(n *html.Node) string {
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			b.WriteString(n.Data)
		case n.Type == html.ElementNode && (isHidden(n) || attribute(n, "class") == "headerlink"):
			return
		case n.DataAtom == atom.Br || isBlock(n.DataAtom) || n.DataAtom == atom.Li || n.DataAtom == atom.Td:
			b.WriteByte(' ')
			defer b.WriteByte(' ')
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(n)
	return ingest.CleanLine(b.String())
}

// flow writes a page tag by tag, in constant memory.
func (w *writer) flow(ctx context.Context, text string) {
	tokens := html.NewTokenizer(strings.NewReader(text))
	tokens.SetMaxBuf(treeBytes)
	hidden := 0
	heading := 0
	for ctx.Err() == nil {
		switch tokens.Next() {
		case html.ErrorToken:
			w.endFlow(heading)
			return
		case html.TextToken:
			if hidden == 0 {
				w.inline.Write(tokens.Text())
				if w.inline.Len() > treeBytes {
					w.endFlow(heading)
				}
			}
		case html.StartTagToken:
			name, _ := tokens.TagName()
			a := atom.Lookup(name)
			switch {
			case a == atom.Script || a == atom.Style || a == atom.Head:
				hidden++
			case a == atom.Body:
				hidden = 0
			case a == atom.Br || a == atom.Td || a == atom.Th:
				w.inline.WriteByte(' ')
			case isBlock(a) || isHeading(a) || a == atom.Li || a == atom.Tr || a == atom.Pre:
				w.endFlow(heading)
				heading = 0
				if isHeading(a) {
					heading = int(name[1] - '0')
				}
			}
		case html.EndTagToken:
			name, _ := tokens.TagName()
			a := atom.Lookup(name)
			switch {
			case a == atom.Script || a == atom.Style || a == atom.Head:
				hidden = max(0, hidden-1)
			case isBlock(a) || isHeading(a) || a == atom.Li || a == atom.Tr || a == atom.Pre:
				w.endFlow(heading)
				heading = 0
			}
		}
	}
}

func isHeading(a atom.Atom) bool {
	return a == atom.H1 || a == atom.H2 || a == atom.H3 || a == atom.H4 || a == atom.H5 || a == atom.H6
}

func (w *writer) endFlow(heading int) {
	text := w.inline.String()
	w.inline.Reset()
	if heading > 0 && len(text) < 500 {
		w.builder.Heading(heading, text)
		return
	}
	w.builder.Paragraph(text)
}
