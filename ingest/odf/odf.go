// Package odf reads OpenDocument files, such as those of LibreOffice: texts
// (ODT), workbooks (ODS) and presentations (ODP), each as one document.
//
// Kept are paragraphs, headings as sections, lists, tables with one line a row,
// notes, and the pages of presentations and workbooks (slides and sheets); in
// texts pages are known where the program saved where they broke. Left out are
// headers, footers, comments and pictures. No well-kept library reads the
// formats, so this works on their XML. A [Processor] is immutable and safe for
// concurrent use.
package odf

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/ooxml"
	"github.com/needle-search/needle/ingest/internal/packed"
)

// mediaTypes are the formats, and the templates made of them.
const mediaTypes = "application/vnd.oasis.opendocument."

// Processor reads OpenDocument files. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "odf" }

// Match implements [ingest.Processor].
func (Processor) Match(name string, head []byte) ingest.Confidence {
	h, ok := packed.ReadHead(head)
	if !ok {
		return ingest.NoMatch
	}
	if kind, ok := strings.CutPrefix(h.MediaType, mediaTypes); ok {
		switch strings.TrimSuffix(kind, "-template") {
		case "text", "spreadsheet", "presentation", "text-master":
			return ingest.Certain
		}
	}
	switch ingest.Extension(name) {
	case ".odt", ".ods", ".odp", ".ott", ".ots", ".otp":
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
	if protected, err := isProtected(ctx, z); err != nil {
		return err
	} else if protected {
		return ingest.ErrProtected
	}
	kind := mediaTypes + "text"
	if data, err := z.Read(ctx, "mimetype", 1<<10); err == nil {
		kind = strings.TrimSpace(string(data))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var doc ingest.Extracted
	doc.ID = file.ID
	doc.Source = file.Source(kind)
	pages, err := properties(ctx, z, &doc)
	if err != nil {
		return err
	}
	x, done, err := z.XML(ctx, "content.xml")
	if err != nil {
		return err
	}
	defer done()
	r := &reader{ctx: ctx, xml: x, out: &ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}}
	if err := r.read(); err != nil {
		return err
	}
	if err := r.out.Err(); err != nil {
		return err
	}
	title := doc.Title
	r.out.Fill(&doc, file.Title())
	switch {
	case r.slides > 0:
		pages = int64(r.slides)
	case r.sheets > 0:
		pages = int64(r.sheets)
		if title == "" {
			doc.Title = file.Title()
		}
	case r.breaks == 0:
		doc.Pages = nil
	}
	doc.SetMeta(ingest.MetaPages, max(pages, int64(len(doc.Pages))))
	if doc.Text == "" {
		return ingest.ErrEmpty
	}
	return sink.Document(doc)
}

// isProtected reports whether the manifest says that parts are encrypted.
func isProtected(ctx context.Context, z *packed.Zip) (bool, error) {
	if z.Has("encrypted-package") {
		return true, nil
	}
	x, done, err := z.XML(ctx, "META-INF/manifest.xml")
	if err != nil {
		return false, packed.Optional(err)
	}
	defer done()
	protected := false
	var inner func(packed.Element) error
	inner = func(e packed.Element) error {
		protected = protected || e.Name == "encryption-data"
		return x.Each(inner, nil)
	}
	err = x.Each(inner, nil)
	return protected, err
}

// properties fills in what the file says about itself and returns the count of
// its pages.
func properties(ctx context.Context, z *packed.Zip, doc *ingest.Extracted) (pages int64, err error) {
	x, done, err := z.XML(ctx, "meta.xml")
	if err != nil {
		return 0, packed.Optional(err)
	}
	defer done()
	var keywords []string
	author := ""
	var inner func(packed.Element) error
	inner = func(e packed.Element) error {
		switch e.Name {
		case "document-meta", "meta":
			return x.Each(inner, nil)
		case "document-statistic":
			pages, _ = strconv.ParseInt(e.Attr("page-count"), 10, 32)
			return x.Skip()
		}
		text, err := x.Text()
		switch e.Name {
		case "title":
			doc.Title = ingest.CleanLine(text)
		case "initial-creator":
			author = text
		case "creator":
			if author == "" {
				author = text
			}
		case "subject":
			doc.SetMeta(ingest.MetaSubject, text)
		case "keyword":
			keywords = append(keywords, text)
		case "creation-date":
			doc.SetMeta(ingest.MetaCreated, ooxml.Time(text))
		case "date":
			doc.SetMeta(ingest.MetaModified, ooxml.Time(text))
		}
		return err
	}
	err = x.Each(inner, nil)
	doc.SetMeta(ingest.MetaAuthor, author)
	doc.SetMeta(ingest.MetaKeywords, strings.Join(keywords, ", "))
	return max(pages, 0), err
}
