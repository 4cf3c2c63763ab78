// Package pptx reads presentations of PowerPoint (Office Open XML), each as one
// document with a page a slide.
//
// Kept are titles as sections, texts, lists, tables, diagrams and the notes of
// the speaker. Left out are comments, pictures and what slides take over from
// their master. No well-kept library reads the format, so this works on its
// XML. A [Processor] is immutable and safe for concurrent use.
package pptx

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/ooxml"
	"github.com/needle-search/needle/ingest/internal/packed"
)

// MediaType is the media type of documents from PPTX files.
const MediaType = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

// Processor reads PPTX files. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "pptx" }

// Match implements [ingest.Processor].
func (Processor) Match(name string, head []byte) ingest.Confidence {
	return ooxml.Match(name, head, "ppt/", ".pptx", ".pptm", ".ppsx", ".potx")
}

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	z, err := packed.OpenZip(content)
	if err != nil {
		return err
	}
	main, err := ooxml.Main(ctx, z, "ppt/presentation.xml")
	if err != nil {
		return err
	}
	slides, err := slideParts(ctx, z, main)
	if err != nil {
		return err
	}
	var doc ingest.Extracted
	doc.ID = file.ID
	doc.Source = file.Source(MediaType)
	ooxml.Properties(ctx, z, &doc)
	out := &ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}
	for i, part := range slides {
		out.Page()
		s := slide{ctx: ctx, zip: z, out: out}
		if err := s.read(part); err != nil {
			// The other slides still count.
			if ctx.Err() != nil {
				return ctx.Err()
			}
			sink.Fault(i+1, err)
		}
	}
	if err := out.Err(); err != nil {
		return err
	}
	out.Fill(&doc, file.Title())
	doc.SetMeta(ingest.MetaPages, int64(len(slides)))
	if doc.Text == "" {
		return ingest.ErrEmpty
	}
	return sink.Document(doc)
}

// slideParts returns the parts of the slides in the order in which they are
// shown.
func slideParts(ctx context.Context, z *packed.Zip, main string) ([]string, error) {
	relations, err := ooxml.Relations(ctx, z, main)
	if err != nil {
		return nil, err
	}
	targets := map[string]string{}
	for _, r := range relations {
		if r.Type == "slide" && !r.External {
			targets[r.ID] = r.Target
		}
	}
	x, done, err := z.XML(ctx, main)
	if err != nil {
		return nil, err
	}
	defer done()
	var parts []string
	err = x.Each(func(packed.Element) error {
		return x.Each(func(e packed.Element) error {
			if e.Name != "sldIdLst" {
				return x.Skip()
			}
			return x.Each(func(e packed.Element) error {
				if part, ok := targets[e.AttrIn("relationships", "id")]; ok {
					parts = append(parts, part)
				}
				return x.Skip()
			}, nil)
		}, nil)
	}, nil)
	return parts, err
}

// A slide is one that is being read.
type slide struct {
	ctx context.Context
	zip *packed.Zip
	out *ingest.Builder
}

func (s slide) read(part string) error {
	x, done, err := s.zip.XML(s.ctx, part)
	if err != nil {
		return err
	}
	defer done()
	shapes := shapes{xml: x}
	if err := shapes.read(); err != nil {
		return err
	}
	// The title comes first, wherever it stands among the shapes.
	for _, title := range [...]bool{true, false} {
		for _, shape := range shapes.list {
			if shape.title == title {
				s.write(shape)
			}
		}
	}
	relations, err := ooxml.Relations(s.ctx, s.zip, part)
	if err != nil {
		return err
	}
	for _, r := range relations {
		switch {
		case r.External:
		case r.Type == "diagramData":
			if err := s.diagram(r.Target); err != nil {
				return err
			}
		case r.Type == "notesSlide":
			if err := s.notes(r.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s slide) write(shape shape) {
	if shape.title {
		var parts []string
		for _, p := range shape.paragraphs {
			parts = append(parts, p.text)
		}
		s.out.Heading(1, strings.Join(parts, " "))
		return
	}
	for _, row := range shape.rows {
		s.out.Row(row...)
	}
	s.out.EndTable()
	for _, p := range shape.paragraphs {
		switch {
		case p.depth > 0 || p.list:
			s.out.Item(p.depth, "-", p.text)
		case strings.Contains(p.text, "\n"):
			s.out.Lines(p.text)
		default:
			s.out.Paragraph(p.text)
		}
	}
}

func (s slide) diagram(part string) error {
	x, done, err := s.zip.XML(s.ctx, part)
	if err != nil {
		return packed.Optional(err)
	}
	defer done()
	shapes := shapes{xml: x}
	shapes.open(shape{list: true})
	if err := x.Each(func(packed.Element) error { return shapes.body() }, nil); err != nil {
		return err
	}
	for _, shape := range shapes.list {
		s.write(shape)
	}
	return nil
}

func (s slide) notes(part string) error {
	x, done, err := s.zip.XML(s.ctx, part)
	if err != nil {
		return packed.Optional(err)
	}
	defer done()
	shapes := shapes{xml: x}
	if err := shapes.read(); err != nil {
		return err
	}
	for _, shape := range shapes.list {
		// The other shapes are the picture of the slide and its number.
		if shape.kind == "body" {
			s.write(shape)
		}
	}
	return nil
}

// A shape is a box with text or a table.
type shape struct {
	kind       string // of the placeholder
	title      bool
	list       bool // of which every paragraph is an item
	paragraphs []paragraph
	rows       [][]string
}

type paragraph struct {
	depth int
	list  bool
	text  string
}

// shapes reads the shapes of a slide.
type shapes struct {
	xml  *packed.XML
	list []shape
}

func (s *shapes) open(sh shape) { s.list = append(s.list, sh) }

func (s *shapes) last() *shape { return &s.list[len(s.list)-1] }

func (s *shapes) read() error {
	return s.xml.Each(func(e packed.Element) error {
		switch e.Name {
		case "sp", "graphicFrame", "cxnSp":
			s.open(shape{})
			return s.body()
		case "Fallback", "extLst", "timing", "transition":
			return s.xml.Skip()
		}
		return s.read()
	}, nil)
}

// body reads what is in a shape.
func (s *shapes) body() error {
	return s.xml.Each(func(e packed.Element) error {
		switch e.Name {
		case "ph":
			sh := s.last()
			sh.kind = e.Attr("type")
			sh.title = sh.kind == "title" || sh.kind == "ctrTitle"
			switch sh.kind {
			case "", "obj", "body":
				if sh.kind == "" && e.Attr("idx") != "" {
					sh.list = true // the usual placeholder of a layout
				}
			}
			return s.xml.Skip()
		case "p":
			p, err := s.paragraph()
			if err != nil {
				return err
			}
			sh := s.last()
			switch {
			case sh.kind == "sldNum" || sh.kind == "dt" || sh.kind == "ftr":
			case strings.TrimSpace(p.text) != "":
				p.list = p.list || sh.list
				sh.paragraphs = append(sh.paragraphs, p)
			}
			return nil
		case "tr":
			var row []string
			err := s.xml.Each(func(e packed.Element) error {
				if e.Name != "tc" {
					return s.xml.Skip()
				}
				var cell []string
				err := s.cell(&cell)
				row = append(row, strings.Join(cell, " "))
				return err
			}, nil)
			s.last().rows = append(s.last().rows, row)
			return err
		case "Fallback":
			return s.xml.Skip()
		}
		return s.body()
	}, nil)
}

func (s *shapes) cell(parts *[]string) error {
	return s.xml.Each(func(e packed.Element) error {
		if e.Name == "p" {
			p, err := s.paragraph()
			*parts = append(*parts, p.text)
			return err
		}
		return s.cell(parts)
	}, nil)
}

func (s *shapes) paragraph() (paragraph, error) {
	var p paragraph
	var b strings.Builder
	var inner func(e packed.Element) error
	inner = func(e packed.Element) error {
		switch e.Name {
		case "pPr":
			if n, err := strconv.Atoi(e.Attr("lvl")); err == nil && n > 0 && n < 10 {
				p.depth = n
			}
			return s.xml.Each(func(e packed.Element) error {
				if e.Name == "buChar" || e.Name == "buAutoNum" {
					p.list = true
				}
				return s.xml.Skip()
			}, nil)
		case "t":
			text, err := s.xml.Text()
			b.WriteString(text)
			return err
		case "br":
			b.WriteByte('\n')
			return s.xml.Skip()
		case "rPr", "endParaRPr":
			return s.xml.Skip()
		}
		return s.xml.Each(inner, nil)
	}
	err := s.xml.Each(inner, nil)
	p.text = b.String()
	return p, err
}
