// Package ooxml holds what the formats of Office Open XML (ECMA-376) have in
// common: how a file is known, how its parts refer to each other, and its
// properties.
package ooxml

import (
	"context"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/packed"
)

// Match judges a file by its first bytes: folder is where the format keeps its
// parts, such as "word/".
func Match(name string, head []byte, folder string, extensions ...string) ingest.Confidence {
	h, ok := packed.ReadHead(head)
	if !ok {
		return ingest.NoMatch
	}
	if h.Holds(folder) {
		return ingest.Certain
	}
	if !h.Holds("[Content_Types].xml") && !h.Holds("_rels/") && !h.Holds("docProps/") {
		return ingest.NoMatch
	}
	for _, e := range extensions {
		if ingest.Extension(name) == e {
			return ingest.Likely
		}
	}
	return ingest.NoMatch
}

// A Relation is what a part refers to.
type Relation struct {
	ID string
	// Type is the last word of its type, such as "slide".
	Type string
	// Target is the name of a part, or an address if External.
	Target   string
	External bool
}

// Relations returns what a part refers to; none if it says nothing. The empty
// name stands for the file as a whole.
func Relations(ctx context.Context, z *packed.Zip, part string) ([]Relation, error) {
	name := path.Join(path.Dir(part), "_rels", path.Base(part)+".rels")
	if part == "" {
		name = "_rels/.rels"
	}
	x, done, err := z.XML(ctx, name)
	if err != nil {
		return nil, packed.Optional(err)
	}
	defer done()
	var list []Relation
	err = x.Each(func(packed.Element) error {
		return x.Each(func(e packed.Element) error {
			kind, target := e.Attr("Type"), e.Attr("Target")
			r := Relation{ID: e.Attr("Id"), Type: kind[strings.LastIndexByte(kind, '/')+1:], External: e.Attr("TargetMode") == "External"}
			switch {
			case r.External:
				r.Target = target
			case strings.HasPrefix(target, "/"):
				r.Target = strings.TrimPrefix(path.Clean(target), "/")
			default:
				r.Target = path.Join(path.Dir(part), target)
			}
			list = append(list, r)
			return x.Skip()
		}, nil)
	}, nil)
	return list, err
}

// Main returns the part with the document itself, or the fallback.
func Main(ctx context.Context, z *packed.Zip, fallback string) (string, error) {
	relations, err := Relations(ctx, z, "")
	if err != nil {
		return "", err
	}
	for _, r := range relations {
		if r.Type == "officeDocument" && !r.External && z.Has(r.Target) {
			return r.Target, nil
		}
	}
	return fallback, nil
}

// Properties fills in what a file says about itself: title, author, dates,
// subject, keywords, language. It returns the count of its pages or slides, 0
// if it names none. Broken properties are left out: the text counts.
func Properties(ctx context.Context, z *packed.Zip, doc *ingest.Extracted) (count int64) {
	core, app := "docProps/core.xml", "docProps/app.xml"
	if relations, err := Relations(ctx, z, ""); err == nil {
		for _, r := range relations {
			switch r.Type {
			case "core-properties":
				core = r.Target
			case "extended-properties":
				app = r.Target
			}
		}
	}
	for name, value := range texts(ctx, z, core) {
		switch name {
		case "title":
			doc.Title = ingest.CleanLine(value)
		case "creator":
			doc.SetMeta(ingest.MetaAuthor, value)
		case "subject":
			doc.SetMeta(ingest.MetaSubject, value)
		case "keywords":
			doc.SetMeta(ingest.MetaKeywords, value)
		case "created":
			doc.SetMeta(ingest.MetaCreated, Time(value))
		case "modified":
			doc.SetMeta(ingest.MetaModified, Time(value))
		}
	}
	numbers := texts(ctx, z, app)
	for _, key := range [...]string{"Slides", "Pages"} {
		if n, err := strconv.ParseInt(strings.TrimSpace(numbers[key]), 10, 32); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

// texts returns the text of the elements of a small part by their names.
func texts(ctx context.Context, z *packed.Zip, part string) map[string]string {
	x, done, err := z.XML(ctx, part)
	if err != nil {
		return nil
	}
	defer done()
	list := map[string]string{}
	// An error leaves what was read before.
	_ = x.Each(func(packed.Element) error {
		return x.Each(func(e packed.Element) error {
			text, err := x.Text()
			if _, ok := list[e.Name]; !ok && len(text) < 64<<10 {
				list[e.Name] = text
			}
			return err
		}, nil)
	}, nil)
	return list
}

// Time reads a W3C date, zero if it is none or out of reason.
func Time(value string) time.Time {
	value = strings.TrimSpace(value)
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil && t.Year() > 1900 && t.Year() < 9999 {
			return t.UTC()
		}
	}
	return time.Time{}
}

// On reports whether a switch such as w:vanish is on.
func On(value string) bool {
	return value != "0" && value != "false" && value != "off" && value != "none"
}
