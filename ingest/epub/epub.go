// Package epub reads electronic books (EPUB 2 and 3), each as one document.
//
// Kept is the text of the chapters in the order in which they are read, with
// headings as sections, lists and tables, and what the book says about itself:
// title, authors, date, language, subjects. Pictures, the table of contents and
// scripts are left out, and so are the page numbers of a printed edition. Books
// with copy protection are refused. A [Processor] is immutable and safe for
// concurrent use.
package epub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/markup"
	"github.com/needle-search/needle/ingest/internal/ooxml"
	"github.com/needle-search/needle/ingest/internal/packed"
)

// MediaType is the media type of documents from EPUB files.
const MediaType = "application/epub+zip"

// maxChapterBytes bounds one chapter, which is held in memory as a tree.
const maxChapterBytes = 16 << 20

// Processor reads EPUB files. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "epub" }

// Match implements [ingest.Processor].
func (Processor) Match(name string, head []byte) ingest.Confidence {
	h, ok := packed.ReadHead(head)
	switch {
	case !ok:
		return ingest.NoMatch
	case h.MediaType == MediaType, h.Holds("META-INF/container.xml"):
		return ingest.Certain
	case ingest.Extension(name) == ".epub":
		return ingest.Likely
	}
	return ingest.NoMatch
}

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	z, err := packed.OpenZip(content)
	if err != nil {
		return err
	}
	b := &book{ctx: ctx, zip: z, protected: map[string]bool{}}
	if err := b.open(); err != nil {
		return err
	}
	doc := &b.doc
	doc.ID = file.ID
	doc.Source = file.Source(MediaType)
	out := &ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}
	for _, chapter := range b.chapters {
		if err := b.read(chapter, out); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, ingest.ErrProtected) || errors.Is(err, ingest.ErrBomb) {
				return err
			}
			sink.Fault(0, fmt.Errorf("chapter %s: %w", chapter, err))
		}
	}
	if err := out.Err(); err != nil {
		return err
	}
	out.Fill(doc, file.Title())
	if doc.Text == "" {
		return ingest.ErrEmpty
	}
	return sink.Document(*doc)
}

// A book is one that is being read.
type book struct {
	ctx       context.Context
	zip       *packed.Zip
	doc       ingest.Extracted
	chapters  []string
	protected map[string]bool // parts
}

// open reads where the book says what it is made of.
func (b *book) open() error {
	root, err := b.rootFile()
	if err != nil {
		return err
	}
	if err := b.protection(); err != nil {
		return err
	}
	x, done, err := b.zip.XML(b.ctx, root)
	if err != nil {
		return err
	}
	defer done()
	type item struct{ name, kind, properties string }
	items := map[string]item{}
	var authors, subjects []string
	err = x.Each(func(packed.Element) error {
		return x.Each(func(e packed.Element) error {
			switch e.Name {
			case "metadata":
				return x.Each(func(e packed.Element) error {
					property := e.Attr("property")
					text, err := x.Text()
					switch text = ingest.CleanLine(text); {
					case e.Name == "title" && b.doc.Title == "":
						b.doc.Title = text
					case e.Name == "creator":
						authors = append(authors, text)
					case e.Name == "language" && b.doc.Language == "" && len(text) < 40:
						b.doc.Language = text
					case e.Name == "date":
						b.doc.SetMeta(ingest.MetaCreated, ooxml.Time(text))
					case e.Name == "meta" && property == "dcterms:modified":
						b.doc.SetMeta(ingest.MetaModified, ooxml.Time(text))
					case e.Name == "subject":
						subjects = append(subjects, text)
					}
					return err
				}, nil)
			case "manifest":
				return x.Each(func(e packed.Element) error {
					if target, err := url.PathUnescape(e.Attr("href")); err == nil {
						items[e.Attr("id")] = item{path.Join(path.Dir(root), target), e.Attr("media-type"), e.Attr("properties")}
					}
					return x.Skip()
				}, nil)
			case "spine":
				return x.Each(func(e packed.Element) error {
					i, ok := items[e.Attr("idref")]
					isText := i.kind == "application/xhtml+xml" || i.kind == "text/html" || i.kind == ""
					if ok && isText && !strings.Contains(i.properties, "nav") {
						b.chapters = append(b.chapters, i.name)
					}
					return x.Skip()
				}, nil)
			}
			return x.Skip()
		}, nil)
	}, nil)
	if len(authors) == 1 {
		b.doc.SetMeta(ingest.MetaAuthor, authors[0])
	} else {
		b.doc.SetMeta(ingest.MetaAuthor, authors)
	}
	b.doc.SetMeta(ingest.MetaSubject, strings.Join(subjects, ", "))
	return err
}

func (b *book) rootFile() (string, error) {
	x, done, err := b.zip.XML(b.ctx, "META-INF/container.xml")
	if err != nil {
		return "", err
	}
	defer done()
	root := ""
	var inner func(packed.Element) error
	inner = func(e packed.Element) error {
		if e.Name == "rootfile" && root == "" {
			root = path.Clean(strings.TrimPrefix(e.Attr("full-path"), "/"))
		}
		return x.Each(inner, nil)
	}
	if err := x.Each(inner, nil); err != nil {
		return "", err
	}
	if root == "" {
		return "", fmt.Errorf("%w: it names no contents", packed.ErrBroken)
	}
	return root, nil
}

// protection notes which parts are encrypted. Fonts may be without harm.
func (b *book) protection() error {
	x, done, err := b.zip.XML(b.ctx, "META-INF/encryption.xml")
	if err != nil {
		return packed.Optional(err)
	}
	defer done()
	var inner func(packed.Element) error
	inner = func(e packed.Element) error {
		if e.Name == "CipherReference" {
			if target, err := url.PathUnescape(e.Attr("URI")); err == nil {
				b.protected[path.Clean(target)] = true
			}
		}
		return x.Each(inner, nil)
	}
	return x.Each(inner, nil)
}

func (b *book) read(chapter string, out *ingest.Builder) error {
	if b.protected[chapter] {
		return fmt.Errorf("%w: the book has copy protection", ingest.ErrProtected)
	}
	data, err := b.zip.Read(b.ctx, chapter, maxChapterBytes)
	if err != nil {
		return err
	}
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	data = selfClosed.ReplaceAll(data, []byte("<$1$2></$1>"))
	_, err = markup.Render(bytes.NewReader(data), out)
	return err
}

// selfClosed finds elements that end at once in XHTML and would go on in HTML,
// for which a parser forgives more.
var selfClosed = regexp.MustCompile(`<(title|script|style|iframe|textarea|a|p|div|span|td|th|li|h[1-6]|em|b|i)((?:\s[^<>]*?)?)/>`)
