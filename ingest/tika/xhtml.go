package tika

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/needle-search/needle/ingest"
)

// write turns the XHTML of Tika into blocks. It is flat, so that tags are
// followed one by one and no tree is needed.
func write(b *ingest.Builder, content string) {
	tokens := html.NewTokenizer(strings.NewReader(content))
	var text strings.Builder
	var cells []string
	heading, head, item, rows := 0, false, false, false
	end := func() {
		s := text.String()
		text.Reset()
		switch {
		case heading > 0:
			b.Heading(heading, s)
		case item:
			b.Item(0, "-", s)
		default:
			b.Paragraph(s)
		}
		heading, item = 0, false
	}
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			end()
			return
		case html.TextToken:
			if !head {
				text.Write(tokens.Text())
			}
		case html.SelfClosingTagToken, html.StartTagToken:
			name, attributes := tokens.TagName()
			switch a := atom.Lookup(name); a {
			case atom.Head:
				head = true
			case atom.Body:
				head = false
			case atom.Div:
				end()
				for attributes {
					var key, value []byte
					if key, value, attributes = tokens.TagAttr(); string(key) == "class" && (string(value) == "page" || string(value) == "slide-content") {
						b.Page()
					}
				}
			case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
				end()
				heading = int(name[1] - '0')
			case atom.P:
				if !rows {
					end()
				}
			case atom.Li:
				end()
				item = true
			case atom.Br:
				text.WriteByte('\n')
			case atom.Tr:
				end()
				cells, rows = nil, true
			}
		case html.EndTagToken:
			name, _ := tokens.TagName()
			switch atom.Lookup(name) {
			case atom.Head:
				head = false
				text.Reset()
			case atom.Td, atom.Th:
				cells = append(cells, text.String())
				text.Reset()
			case atom.Tr:
				b.Row(cells...)
				cells, rows = nil, false
			case atom.Table:
				b.EndTable()
			case atom.P:
				if rows {
					text.WriteByte(' ')
				} else {
					end()
				}
			case atom.Div, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Li, atom.Body:
				end()
			}
		}
	}
}
