package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	// deleted are the documents that were not there any more.
	deleted []string
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

// gone reports whether a document was deleted after its passages were found, and
// notes it. It must not be shown any more.
func (c *offsetConverter) gone(err error, documentID string) bool {
	if !errors.Is(err, retriever.ErrDocumentNotFound) {
		return false
	}
	if !slices.Contains(c.deleted, documentID) {
		c.deleted = append(c.deleted, documentID)
	}
	return true
}

// warnings tells which documents were gone.
func (c *offsetConverter) warnings() []string {
	if len(c.deleted) == 0 {
		return nil
	}
	return []string{"documents were deleted while the request was worked on, and are left out; ask again: " + strings.Join(c.deleted, ", ")}
}

// result changes the offsets of all that a result has.
func (c *offsetConverter) result(ctx context.Context, result *Result) (err error) {
	if result.Answers, err = c.answers(ctx, result.Answers); err != nil {
		return err
	}
	if result.Rejected, err = c.answers(ctx, result.Rejected); err != nil {
		return err
	}
	if result.Candidates, err = c.candidates(ctx, result.Candidates); err != nil {
		return err
	}
	result.Answerable = result.Answerable && len(result.Answers) > 0
	result.Warnings = append(result.Warnings, c.warnings()...)
	return nil
}

func (c *offsetConverter) answers(ctx context.Context, list []Answer) ([]Answer, error) {
	kept := list[:0]
	for _, a := range list {
		if err := c.place(ctx, a.DocumentID, &a.Start, &a.End, &a.Source); c.gone(err, a.DocumentID) {
			continue
		} else if err != nil {
			return nil, err
		}
		c.within(a.Context, &a.ContextStart, &a.ContextEnd)
		kept = append(kept, a)
	}
	return kept, nil
}

func (c *offsetConverter) candidates(ctx context.Context, list []Candidate) ([]Candidate, error) {
	kept := list[:0]
	for _, x := range list {
		if err := c.place(ctx, x.DocumentID, &x.Start, &x.End, &x.Source); c.gone(err, x.DocumentID) {
			continue
		} else if err != nil {
			return nil, err
		}
		kept = append(kept, x)
	}
	return kept, nil
}
