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
	// lost are the documents that were deleted or got another text after their
	// passages were found.
	lost []string
}

// errChanged says that a document's text is another one than the offsets were
// counted in.
var errChanged = errors.New("the document was changed")

func (c *offsetConverter) identity() bool { return c.unit == "" || c.unit == CodePoints }

// document returns the text of a document as it is now.
func (c *offsetConverter) document(ctx context.Context, id string) (string, error) {
	text, ok := c.texts[id]
	if !ok {
		document, err := c.index.Document(ctx, id)
		if err != nil {
			return "", err
		}
		text = document.Text
		if c.texts == nil {
			c.texts = make(map[string]string)
		}
		c.texts[id] = text
	}
	return text, nil
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
// The stretch must still be what the document has there: nothing is counted in
// another text than the one that was found.
func (c *offsetConverter) place(ctx context.Context, documentID, stretch string, start, end *int, source *SourceRef) error {
	if c.identity() {
		return nil
	}
	text, err := c.document(ctx, documentID)
	if err != nil {
		return err
	}
	if there, _ := (retriever.Document{Text: text}).Slice(*start, *end); there != stretch {
		return errChanged
	}
	if source.StartInPage == nil {
		c.within(text, start, end)
		return nil
	}
	page := *start - *source.StartInPage
	c.within(text, &page, start, end)
	inPage, endInPage := *start-page, *end-page
	source.StartInPage, source.EndInPage = &inPage, &endInPage
	return nil
}

// gone reports whether a document was deleted or changed after its passages were
// found, and notes it. It must not be shown any more.
func (c *offsetConverter) gone(err error, documentID string) bool {
	if !errors.Is(err, retriever.ErrDocumentNotFound) && !errors.Is(err, errChanged) {
		return false
	}
	if !slices.Contains(c.lost, documentID) {
		c.lost = append(c.lost, documentID)
	}
	return true
}

// warnings tells which documents were gone.
func (c *offsetConverter) warnings() []string {
	if len(c.lost) == 0 {
		return nil
	}
	return []string{"documents were deleted or changed while the request was worked on, and are left out; ask again: " + strings.Join(c.lost, ", ")}
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
		if err := c.place(ctx, a.DocumentID, a.Text, &a.Start, &a.End, &a.Source); c.gone(err, a.DocumentID) {
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
		if err := c.place(ctx, x.DocumentID, x.Text, &x.Start, &x.End, &x.Source); c.gone(err, x.DocumentID) {
			continue
		} else if err != nil {
			return nil, err
		}
		kept = append(kept, x)
	}
	return kept, nil
}
