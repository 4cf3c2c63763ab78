package pipeline

import (
	"context"
	"unicode/utf8"

	"github.com/needle-search/needle/retriever"
)

// offsetConverter turns code points into the unit that a request named. Byte
// and UTF-16 offsets depend on all text before them, so the documents are
// fetched, each once.
type offsetConverter struct {
	index retriever.Index
	unit  string
	texts map[string]string
}

func (c *offsetConverter) identity() bool { return c.unit == "" || c.unit == CodePoints }

// convert changes ascending offsets in a document's text.
func (c *offsetConverter) convert(ctx context.Context, documentID string, offsets ...*int) error {
	if c.identity() {
		return nil
	}
	text, ok := c.texts[documentID]
	if !ok {
		document, err := c.index.Document(ctx, documentID)
		if err != nil {
			return err
		}
		text = document.Text
		if c.texts == nil {
			c.texts = make(map[string]string)
		}
		c.texts[documentID] = text
	}
	c.within(text, offsets...)
	return nil
}

// within changes ascending offsets in a given text.
func (c *offsetConverter) within(text string, offsets ...*int) {
	if c.identity() {
		return
	}
	position, units := 0, 0 // code points and units passed so far
	for _, offset := range offsets {
		for position < *offset && len(text) > 0 {
			r, size := utf8.DecodeRuneInString(text)
			text = text[size:]
			position++
			switch {
			case c.unit == Bytes:
				units += size
			case r >= 0x10000:
				units += 2 // a surrogate pair
			default:
				units++
			}
		}
		*offset = units
	}
}

// place changes the offsets of a stretch of a document, those in its page too.
func (c *offsetConverter) place(ctx context.Context, documentID string, start, end *int, source *SourceRef) error {
	if c.identity() || source.StartInPage == nil {
		return c.convert(ctx, documentID, start, end)
	}
	page := *start - *source.StartInPage
	if err := c.convert(ctx, documentID, &page, start, end); err != nil {
		return err
	}
	inPage, endInPage := *start-page, *end-page
	source.StartInPage, source.EndInPage = &inPage, &endInPage
	return nil
}

func (c *offsetConverter) answers(ctx context.Context, lists ...[]Answer) error {
	for _, list := range lists {
		for i := range list {
			a := &list[i]
			if err := c.place(ctx, a.DocumentID, &a.Start, &a.End, &a.Source); err != nil {
				return err
			}
			c.within(a.Context, &a.ContextStart, &a.ContextEnd)
		}
	}
	return nil
}

func (c *offsetConverter) candidates(ctx context.Context, list []Candidate) error {
	for i := range list {
		if err := c.place(ctx, list[i].DocumentID, &list[i].Start, &list[i].End, &list[i].Source); err != nil {
			return err
		}
	}
	return nil
}
