package retriever

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Validate reports why an entry cannot be stored: what [Document.Validate]
// finds, or passages that are missing, unordered, numbered wrongly, of another
// document or not the stretch of the text that they claim to be. The error
// wraps [ErrInvalidDocument].
func (e *Entry) Validate() error {
	if err := e.Document.Validate(); err != nil {
		return err
	}
	fault := func(i int, format string, args ...any) error {
		return fmt.Errorf("%w: document %q: passage %d %s", ErrInvalidDocument, e.Document.ID, i, fmt.Sprintf(format, args...))
	}
	if len(e.Passages) == 0 {
		return fmt.Errorf("%w: document %q has no passages", ErrInvalidDocument, e.Document.ID)
	}
	text := e.Document.Text
	runes, bytes := 0, 0 // where the passage before this one starts
	for i, p := range e.Passages {
		switch {
		case p.DocumentID != e.Document.ID:
			return fault(i, "belongs to document %q", p.DocumentID)
		case p.Ordinal != i:
			return fault(i, "has ordinal %d", p.Ordinal)
		case p.Start < runes:
			return fault(i, "starts before the one in front of it")
		case p.Page < 0:
			return fault(i, "has page %d", p.Page)
		}
		for ; runes < p.Start && bytes < len(text); runes++ {
			_, size := utf8.DecodeRuneInString(text[bytes:])
			bytes += size
		}
		if runes != p.Start || p.End-p.Start != utf8.RuneCountInString(p.Text) || !strings.HasPrefix(text[bytes:], p.Text) {
			return fault(i, "is not the document's text from %d to %d", p.Start, p.End)
		}
		for _, heading := range p.Headings {
			if err := validText(heading); err != nil {
				return fault(i, "has a heading that %v", err)
			}
		}
	}
	return nil
}
