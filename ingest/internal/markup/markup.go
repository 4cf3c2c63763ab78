// Package markup turns HTML that is a text and nothing else, such as a chapter
// of a book or the body of a mail, into blocks. For pages of the web, with
// navigation and advertisements around the text, there is ingest/html.
package markup

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/needle-search/needle/ingest"
)

// maxDepth is how deep elements are followed.
const maxDepth = 400

// Render parses HTML in UTF-8 and adds its text to the builder. It returns the
// text of the element title.
func Render(r io.Reader, out *ingest.Builder) (title string, err error) {
	root, err := html.Parse(r)
	if err != nil {
		return "", fmt.Errorf("broken HTML: %w", err)
	}
	w := &writer{out: out}
	w.node(root, 0)
	w.flush()
	return ingest.CleanLine(w.title), nil
}

// A writer walks a tree.
type writer struct {
	out     *ingest.Builder
	title   string
	text    strings.Builder // of the paragraph that has not ended
	lists   []list
	marker  string // of the item that begins
	heading int    // level of the heading that the text is in
	pre     int
}

type list struct {
	ordered bool
	next    int
}

// flush ends the paragraph.
func (w *writer) flush() {
	text := w.text.String()
	w.text.Reset()
	if ingest.CleanLine(text) == "" {
		return
	}
	switch {
	case w.heading > 0:
		w.out.Heading(w.heading, text)
	case w.pre > 0:
		w.out.Lines(text)
	case len(w.lists) > 0:
		w.out.Item(len(w.lists)-1, w.marker, strings.ReplaceAll(text, "\n", " "))
		w.marker = ""
	case strings.Contains(strings.TrimSpace(text), "\n"):
		w.out.Lines(text)
	default:
		w.out.Paragraph(text)
	}
}

func (w *writer) children(n *html.Node, depth int) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c, depth+1)
	}
}

// block walks what starts and ends a paragraph.
func (w *writer) block(n *html.Node, depth int) {
	w.flush()
	w.children(n, depth)
	w.flush()
}

func (w *writer) node(n *html.Node, depth int) {
	if depth > maxDepth {
		return
	}
	switch n.Type {
	case html.TextNode:
		if w.pre > 0 {
			w.text.WriteString(n.Data)
		} else {
			// Line breaks of the source are white space; those of <br> are not.
			w.text.WriteString(strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(n.Data))
		}
		return
	case html.ElementNode:
		if hidden(n) {
			return
		}
		w.element(n, depth)
		return
	}
	w.children(n, depth)
}

func (w *writer) element(n *html.Node, depth int) {
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Svg, atom.Iframe, atom.Object, atom.Select, atom.Button:
	case atom.Title:
		if w.title == "" && n.FirstChild != nil {
			w.title = n.FirstChild.Data
		}
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.flush()
		w.heading = int(n.Data[1] - '0')
		w.children(n, depth)
		w.flush()
		w.heading = 0
	case atom.Br:
		w.text.WriteByte('\n')
	case atom.Pre:
		w.flush()
		w.pre++
		w.children(n, depth)
		w.flush()
		w.pre--
	case atom.Ul, atom.Ol, atom.Menu:
		w.flush()
		w.lists = append(w.lists, list{ordered: n.DataAtom == atom.Ol, next: 1})
		w.children(n, depth)
		w.flush()
		w.lists = w.lists[:len(w.lists)-1]
	case atom.Li:
		w.flush()
		w.marker = "-"
		if l := len(w.lists); l > 0 && w.lists[l-1].ordered {
			w.marker = strconv.Itoa(w.lists[l-1].next) + "."
			w.lists[l-1].next++
		}
		w.children(n, depth)
		w.flush()
	case atom.Table:
		w.flush()
		if isLayout(n) {
			w.block(n, depth)
			return
		}
		w.rows(n, depth)
		w.out.EndTable()
	case atom.Td, atom.Th:
		w.block(n, depth)
	case atom.Img:
		if alt := attribute(n, "alt"); alt != "" {
			w.text.WriteString(" " + alt + " ")
		}
	case atom.P, atom.Div, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Aside, atom.Nav, atom.Blockquote,
		atom.Dl, atom.Dt, atom.Dd, atom.Figure, atom.Figcaption, atom.Address, atom.Hr, atom.Tr, atom.Form, atom.Fieldset, atom.Body:
		w.block(n, depth)
	default:
		w.children(n, depth)
	}
}

// rows adds the rows of a table of data.
func (w *writer) rows(n *html.Node, depth int) {
	if depth > maxDepth {
		return
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		switch {
		case c.Type != html.ElementNode:
		case c.DataAtom == atom.Tr:
			var cells []string
			for cell := c.FirstChild; cell != nil; cell = cell.NextSibling {
				if cell.DataAtom == atom.Td || cell.DataAtom == atom.Th {
					cells = append(cells, flat(cell))
				}
			}
			w.out.Row(cells...)
		case c.DataAtom == atom.Caption:
			w.out.Paragraph(flat(c))
		default:
			w.rows(c, depth+1)
		}
	}
}

// isLayout reports whether a table arranges blocks rather than data, as in most
// mails: it has tables, headings or lists in it, or a single column.
func isLayout(table *html.Node) bool {
	nested, columns := false, 0
	var look func(n *html.Node, depth int)
	look = func(n *html.Node, depth int) {
		if depth > maxDepth {
			return
		}
		cells := 0
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			switch c.DataAtom {
			case atom.Table, atom.H1, atom.H2, atom.H3, atom.Ul, atom.Ol:
				nested = true
				return
			case atom.Td, atom.Th:
				cells++
			}
			look(c, depth+1)
		}
		columns = max(columns, cells)
	}
	look(table, 0)
	return nested || columns < 2
}

// flat returns the text of an element as one line.
func flat(n *html.Node) string {
	var b strings.Builder
	var add func(n *html.Node, depth int)
	add = func(n *html.Node, depth int) {
		if depth > maxDepth || n.Type == html.ElementNode && hidden(n) {
			return
		}
		switch n.DataAtom {
		case atom.Script, atom.Style:
			return
		case atom.Br, atom.P, atom.Div, atom.Li:
			b.WriteByte(' ')
		}
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			add(c, depth+1)
		}
	}
	add(n, 0)
	return b.String()
}

// hidden reports whether an element is not shown.
func hidden(n *html.Node) bool {
	for _, a := range n.Attr {
		switch a.Key {
		case "hidden":
			return true
		case "style":
			style := strings.ReplaceAll(strings.ToLower(a.Val), " ", "")
			if strings.Contains(style, "display:none") || strings.Contains(style, "mso-hide:all") {
				return true
			}
		}
	}
	return false
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
