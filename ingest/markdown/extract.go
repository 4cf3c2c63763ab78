package markdown

import (
	"bytes"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/util"
	nethtml "golang.org/x/net/html"

	"github.com/needle-search/needle/ingest"
)

// A writer turns a tree of Markdown into plain text.
type writer struct {
	source     []byte
	out        strings.Builder
	runes      int  // code points written
	needsBlank bool // the next block is set apart by an empty line
	tight      bool // the next block starts on the line that was begun
	indent     string
	depth      int

	title      string
	titleLevel int
	stack      []open
	sections   []ingest.Section
}

// open is a heading whose section has not ended.
type open struct {
	level int
	title string
}

// maxDepth bounds how deep blocks may nest before the rest is taken as flat
// text, so that a hostile file cannot exhaust the stack.
const maxDepth = 200

func (w *writer) write(s string) {
	w.out.WriteString(s)
	w.runes += utf8.RuneCountInString(s)
}

// startBlock begins a new line, after an empty one if the last block asked for
// it.
func (w *writer) startBlock() {
	if w.tight {
		w.tight = false
		return
	}
	if w.out.Len() > 0 {
		w.write("\n")
		if w.needsBlank {
			w.write("\n")
		}
	}
	w.needsBlank = false
	w.write(w.indent)
}

// endBlock ends a block that is set apart from the next one.
func (w *writer) endBlock() { w.needsBlank = true }

// paragraph writes lines as one block. Empty ones are left out.
func (w *writer) paragraph(lines string) {
	lines = strings.TrimSpace(lines)
	if lines == "" {
		return
	}
	w.startBlock()
	w.write(strings.ReplaceAll(lines, "\n", "\n"+w.indent))
	w.endBlock()
}

func (w *writer) blocks(parent ast.Node) {
	w.depth++
	defer func() { w.depth-- }()
	if w.depth > maxDepth {
		return
	}
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		w.block(n)
	}
}

func (w *writer) block(n ast.Node) {
	switch n := n.(type) {
	case *ast.Heading:
		w.heading(n)
	case *ast.Paragraph, *ast.TextBlock, *extast.DefinitionTerm:
		w.paragraph(w.inline(n))
		if n.Kind() != ast.KindParagraph {
			w.needsBlank = false
		}
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		w.code(w.lines(n))
	case *ast.HTMLBlock:
		lines := w.lines(n)
		if n.HasClosure() {
			lines += string(n.ClosureLine.Value(w.source))
		}
		w.paragraph(stripHTML(lines))
	case *ast.List:
		w.list(n)
	case *extast.DefinitionDescription:
		w.nested("  ", n)
	case *extast.Table:
		w.table(n)
	case *ast.ThematicBreak, *ast.LinkReferenceDefinition:
	case *extast.Footnote:
		w.footnote(n)
	default: // quotes, lists of footnotes and of definitions, what extensions add
		w.blocks(n)
	}
}

// nested writes the blocks of a parent further to the right.
func (w *writer) nested(indent string, parent ast.Node) {
	outer := w.indent
	w.indent += indent
	w.blocks(parent)
	w.indent = outer
}

func (w *writer) list(list *ast.List) {
	number := list.Start
	for item := list.FirstChild(); item != nil; item = item.NextSibling() {
		bullet := "- "
		if list.IsOrdered() {
			bullet = strconv.Itoa(number) + ". "
			number++
		}
		w.startBlock()
		w.write(bullet)
		w.tight = true
		before := w.out.Len()
		w.nested("  ", item)
		w.tight = false
		if w.out.Len() == before {
			w.needsBlank = false
		}
		if list.IsTight {
			w.needsBlank = false
		}
	}
	w.endBlock()
}

func (w *writer) footnote(n *extast.Footnote) {
	w.startBlock()
	w.write("[" + strconv.Itoa(n.Index) + "] ")
	w.tight = true
	w.nested("  ", n)
	w.tight = false
	w.needsBlank = false
}

// code keeps lines as they are, without the empty ones around them.
func (w *writer) code(lines string) {
	lines = strings.TrimRight(strings.Trim(lines, "\r\n"), " \t\r\n")
	if strings.TrimSpace(lines) == "" {
		return
	}
	w.startBlock()
	w.write(strings.ReplaceAll(lines, "\n", "\n"+w.indent))
	w.endBlock()
}

// table writes one line a row, the cells between bars.
func (w *writer) table(table *extast.Table) {
	for row := table.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, strings.Join(strings.Fields(w.inline(cell)), " "))
		}
		line := strings.Join(cells, " | ")
		if strings.Trim(line, " |") == "" {
			continue
		}
		w.startBlock()
		w.write(line)
	}
	w.endBlock()
}

func (w *writer) lines(n ast.Node) string {
	var b strings.Builder
	lines := n.Lines()
	for i := range lines.Len() {
		line := lines.At(i)
		b.Write(line.Value(w.source))
	}
	return b.String()
}

// inline returns the text of a block without its markup.
func (w *writer) inline(parent ast.Node) string {
	var b strings.Builder
	w.appendInline(&b, parent, 0)
	return b.String()
}

func (w *writer) appendInline(b *strings.Builder, parent ast.Node, depth int) {
	if depth > maxDepth {
		return
	}
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			value := n.Segment.Value(w.source)
			if !n.IsRaw() && parent.Kind() != ast.KindCodeSpan {
				value = unescape(value)
			}
			b.Write(value)
			switch {
			case n.HardLineBreak():
				b.WriteByte('\n')
			case n.SoftLineBreak():
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.AutoLink:
			b.Write(n.Label(w.source))
		case *ast.RawHTML:
			// A line break is the one tag that reads as something.
			var tag strings.Builder
			for i := range n.Segments.Len() {
				segment := n.Segments.At(i)
				tag.Write(segment.Value(w.source))
			}
			if strings.HasPrefix(strings.ToLower(tag.String()), "<br") {
				b.WriteByte('\n')
			}
		case *extast.FootnoteLink:
			b.WriteString("[" + strconv.Itoa(n.Index) + "]")
		case *extast.FootnoteBacklink:
		case *extast.TaskCheckBox:
			if n.IsChecked {
				b.WriteString("[x] ")
			} else {
				b.WriteString("[ ] ")
			}
		default: // emphasis, links, pictures (their description), code
			w.appendInline(b, n, depth+1)
		}
	}
}

// unescape resolves backslashes and character references; an escaped "&" starts
// no reference.
func unescape(value []byte) []byte {
	if bytes.IndexByte(value, '\\') < 0 && bytes.IndexByte(value, '&') < 0 {
		return value
	}
	var out []byte
	for len(value) > 0 {
		at := 0
		for at < len(value) && (value[at] != '\\' || at+1 == len(value) || !util.IsPunct(value[at+1])) {
			at++
		}
		out = append(out, util.ResolveEntityNames(util.ResolveNumericReferences(value[:at]))...)
		if at == len(value) {
			break
		}
		out = append(out, value[at+1])
		value = value[at+2:]
	}
	// No text may hold a NUL, which "&#0;" may have become.
	return bytes.ReplaceAll(out, []byte{0}, nil)
}

// stripHTML returns the text of a block of HTML.
func stripHTML(block string) string {
	tokens := nethtml.NewTokenizer(strings.NewReader(block))
	var b strings.Builder
	hidden := false
	for {
		switch tokens.Next() {
		case nethtml.ErrorToken:
			lines := strings.Split(b.String(), "\n")
			kept := lines[:0]
			for _, line := range lines {
				if line = strings.Join(strings.Fields(line), " "); line != "" {
					kept = append(kept, line)
				}
			}
			return strings.Join(kept, "\n")
		case nethtml.TextToken:
			if !hidden {
				b.WriteString(strings.ReplaceAll(html.UnescapeString(string(tokens.Raw())), "\x00", ""))
			}
		case nethtml.StartTagToken:
			name, _ := tokens.TagName()
			hidden = string(name) == "script" || string(name) == "style"
			b.WriteString(separator(string(name)))
		case nethtml.EndTagToken, nethtml.SelfClosingTagToken:
			name, _ := tokens.TagName()
			hidden = false
			b.WriteString(separator(string(name)))
		}
	}
}

// separator is what a tag reads as: cells are apart, blocks on lines of their
// own, the rest is part of the text.
func separator(tag string) string {
	switch tag {
	case "td", "th":
		return " "
	case "p", "div", "br", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "details", "summary", "section", "article", "blockquote", "pre", "hr", "dt", "dd", "figure", "figcaption":
		return "\n"
	}
	return ""
}
