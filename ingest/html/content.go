package html

import (
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// minimalContent is how much of the text of a page must stand in what it marks
// as its main part for that to be believed.
const minimalContent = 0.3

// weight is how much text an element holds, and how much of it in links.
type weight struct{ text, links int }

// weigh counts the letters of all elements that hold blocks, hidden ones aside.
func weigh(n *html.Node, weights map[*html.Node]weight, inLink bool) weight {
	var w weight
	switch n.Type {
	case html.TextNode:
		for _, r := range n.Data {
			if !unicode.IsSpace(r) {
				w.text++
			}
		}
		if inLink {
			w.links = w.text
		}
		return w
	case html.ElementNode:
		if isHidden(n) {
			return w
		}
		inLink = inLink || n.DataAtom == atom.A && attribute(n, "href") != ""
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		cw := weigh(c, weights, inLink)
		w.text += cw.text
		w.links += cw.links
	}
	if n.Type == html.ElementNode {
		weights[n] = w
	}
	return w
}

// content returns the element that holds the content: the one main element or
// article, or else the body.
func content(root *html.Node, weights map[*html.Node]weight) *html.Node {
	var body *html.Node
	var mains, articles []*html.Node
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch {
		case n.DataAtom == atom.Body && body == nil:
			body = n
		case n.DataAtom == atom.Main, attribute(n, "role") == "main":
			mains = append(mains, n)
		case n.DataAtom == atom.Article:
			articles = append(articles, n)
		}
	}
	if body == nil {
		return root
	}
	for _, marked := range [][]*html.Node{mains, articles} {
		// Several articles are a list of them; all belong to the content.
		if len(marked) > 0 && (len(marked) == 1 || marked[0].DataAtom == atom.Main) &&
			float64(weights[marked[0]].text) >= minimalContent*float64(weights[body].text) {
			return marked[0]
		}
	}
	return body
}

// isHidden reports whether nobody sees an element, or nobody reads it as text.
func isHidden(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Head, atom.Iframe, atom.Object, atom.Embed, atom.Canvas,
		atom.Audio, atom.Video, atom.Map, atom.Svg, atom.Math, atom.Button, atom.Select, atom.Input, atom.Textarea, atom.Datalist, atom.Dialog:
		return true
	}
	for _, a := range n.Attr {
		switch {
		case a.Key == "hidden" && a.Val != "until-found", a.Key == "aria-hidden" && a.Val == "true":
			return true
		case a.Key == "style" && len(a.Val) < 2000:
			style := strings.ReplaceAll(strings.ToLower(a.Val), " ", "")
			if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") {
				return true
			}
		}
	}
	return false
}

// boilerplate are the names that sites give to what surrounds the content.
var boilerplate = map[string]bool{
	"nav": true, "navbar": true, "navigation": true, "menu": true, "sidebar": true, "breadcrumb": true, "breadcrumbs": true, "footer": true,
	"site-footer": true, "page-footer": true, "site-header": true, "page-header-nav": true, "masthead": true, "cookie": true, "cookies": true,
	"cookie-banner": true, "cookie-notice": true, "cookie-consent": true, "consent": true, "share": true, "social": true, "social-links": true,
	"related": true, "advert": true, "advertisement": true, "ads": true, "banner-ad": true, "newsletter": true, "skip-link": true, "skip-nav": true,
	"pagination": true, "pager": true, "toolbar": true, "search-form": true, "topnav": true, "sidenav": true, "main-nav": true,
	"headerlink": true, "sphinxsidebar": true, "toctree-wrapper": true, "edit-link": true, "mw-editsection": true, "noprint": true,
}

// isBoilerplate reports whether a block surrounds the content rather than being
// part of it: by its element, its role, its name, or because it is a list of
// links. A header within the content is part of it.
func isBoilerplate(n *html.Node, w weight, within bool) bool {
	switch n.DataAtom {
	case atom.Nav, atom.Footer, atom.Form, atom.Menu:
		// Some frameworks wrap the whole page into a form.
		return n.DataAtom != atom.Form || w.text < 400
	case atom.Aside, atom.Header:
		return !within
	case atom.Body, atom.Main, atom.Article, atom.Table, atom.Td, atom.Th, atom.Tr, atom.Tbody, atom.Pre, atom.Blockquote, atom.Figure:
		return false
	}
	switch attribute(n, "role") {
	case "navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar", "toolbar", "dialog", "alertdialog":
		return true
	}
	for _, key := range []string{"id", "class"} {
		for name := range strings.FieldsSeq(strings.ToLower(attribute(n, key))) {
			if boilerplate[name] {
				return true
			}
		}
	}
	switch n.DataAtom {
	case atom.Div, atom.Section, atom.Ul, atom.Ol:
		// Within a text, a list of links may be what the page is about.
		return !within && w.links > 0 && 10*w.links >= 8*w.text && countLinks(n) >= 3
	}
	return false
}

func countLinks(n *html.Node) int {
	links := 0
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.DataAtom == atom.A {
			links++
		}
	}
	return links
}
