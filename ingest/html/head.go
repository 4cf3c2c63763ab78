package html

import (
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/needle-search/needle/ingest"
)

// readHead takes what a page says of itself.
func readHead(root *html.Node, doc *ingest.Extracted) {
	meta := map[string]string{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.DataAtom {
		case atom.Html:
			doc.Language = languageTag(first(attribute(n, "lang"), attribute(n, "xml:lang")))
		case atom.Title:
			if doc.Title == "" && n.Namespace == "" {
				doc.Title = ingest.CleanLine(textOf(n))
			}
		case atom.Meta:
			key := strings.ToLower(first(attribute(n, "name"), attribute(n, "property"), attribute(n, "itemprop")))
			if value := ingest.CleanLine(attribute(n, "content")); key != "" && value != "" && meta[key] == "" {
				meta[key] = value
			}
		case atom.Time:
			if meta["time"] == "" {
				meta["time"] = attribute(n, "datetime")
			}
		}
	}
	if doc.Title == "" {
		doc.Title = first(meta["og:title"], meta["dc.title"], meta["citation_title"])
	}
	doc.SetMeta(ingest.MetaAuthor, first(meta["author"], meta["article:author"], meta["dc.creator"], meta["citation_author"]))
	doc.SetMeta(ingest.MetaSubject, first(meta["description"], meta["og:description"], meta["dc.description"]))
	doc.SetMeta(ingest.MetaKeywords, first(meta["keywords"], meta["dc.subject"]))
	doc.SetMeta(ingest.MetaCreated, firstTime(meta["article:published_time"], meta["datepublished"], meta["dcterms.created"], meta["dc.date"], meta["date"], meta["time"]))
	doc.SetMeta(ingest.MetaModified, firstTime(meta["article:modified_time"], meta["datemodified"], meta["dcterms.modified"], meta["last-modified"], meta["og:updated_time"]))
}

func first(values ...string) string {
	for _, v := range values {
		if v = strings.TrimSpace(v); v != "" {
			return v
		}
	}
	return ""
}

// languageTag refuses what is no tag, which templates leave behind.
func languageTag(tag string) string {
	if len(tag) < 2 || len(tag) > 35 || strings.ContainsFunc(tag, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return ""
	}
	return strings.ReplaceAll(tag, "_", "-")
}

// firstTime returns the first value that is a date.
func firstTime(values ...string) time.Time {
	for _, v := range values {
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", time.DateOnly, time.RFC1123, time.RFC1123Z} {
			if t, err := time.Parse(layout, strings.TrimSpace(v)); err == nil && t.Year() > 0 {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}
