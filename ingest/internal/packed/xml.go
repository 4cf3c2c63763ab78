package packed

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/needle-search/needle/ingest"
)

// maxXMLDepth is how deep elements may nest; documents have some dozens.
const maxXMLDepth = 512

// maxToken is how many bytes one tag, comment or stretch of text may have. The
// decoder holds it as a whole, and several times that while it grows.
const maxToken = 16 << 20

// A bounded reader ends reading when a token does not.
type bounded struct {
	r   io.Reader
	run int // bytes since the last token
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.run += n; b.run > maxToken {
		return n, fmt.Errorf("%w: a tag or a stretch of text has more than %d bytes", ingest.ErrBomb, maxToken)
	}
	return n, err
}

// An XML reads elements one after the other. Entities other than the five of
// XML are an error, so nothing can be made to expand.
type XML struct {
	decoder *xml.Decoder
	input   *bounded
	depth   int
	name    string
}

// XML opens a part to be read as XML; done closes it.
func (z *Zip) XML(ctx context.Context, name string) (x *XML, done func() error, err error) {
	r, err := z.Part(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return NewXML(name, r), r.Close, nil
}

// NewXML reads XML from elsewhere; the name is for messages.
func NewXML(name string, r io.Reader) *XML {
	in := &bounded{r: r}
	d := xml.NewDecoder(in)
	d.CharsetReader = func(label string, input io.Reader) (io.Reader, error) {
		encoding, err := htmlindex.Get(label)
		if err != nil {
			return nil, fmt.Errorf("unknown encoding %q", label)
		}
		return encoding.NewDecoder().Reader(input), nil
	}
	return &XML{decoder: d, input: in, name: name}
}

// Optional returns nil for the error of a part that is not there.
func Optional(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// An Element is the start of an element. Names are local: producers agree on
// them and not on namespaces.
type Element struct {
	Name  string
	start xml.StartElement
}

// Attr returns an attribute by its local name, "" if there is none.
func (e Element) Attr(name string) string {
	for _, a := range e.start.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// AttrIn is Attr for a name that stands in several namespaces; the namespace
// ends with the given word.
func (e Element) AttrIn(space, name string) string {
	for _, a := range e.start.Attr {
		if a.Name.Local == name && strings.HasSuffix(a.Name.Space, space) {
			return a.Value
		}
	}
	return ""
}

// Space returns the namespace of the element.
func (e Element) Space() string { return e.start.Name.Space }

// Each reads what is in the current element, or in the document: element is
// called for every child and must read or Skip it; text, if it is not nil, for
// what stands between.
func (x *XML) Each(element func(Element) error, text func(string)) error {
	if x.depth++; x.depth > maxXMLDepth {
		return fmt.Errorf("%s: %w: elements lie more than %d deep in each other", x.name, ingest.ErrBomb, maxXMLDepth)
	}
	defer func() { x.depth-- }()
	for {
		token, err := x.token()
		if errors.Is(err, io.EOF) && x.depth == 1 {
			return nil
		}
		if err != nil {
			return x.describe(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			// The decoder uses the attributes again only after the next token.
			if err := element(Element{t.Name.Local, t}); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		case xml.CharData:
			if text != nil {
				text(string(t))
			}
		}
	}
}

func (x *XML) token() (xml.Token, error) {
	t, err := x.decoder.Token()
	x.input.run = 0
	return t, err
}

// Skip reads to the end of the current element.
func (x *XML) Skip() error {
	for open := 1; open > 0; {
		token, err := x.token()
		if err != nil {
			return x.describe(err)
		}
		switch token.(type) {
		case xml.StartElement:
			if open++; open+x.depth > 4*maxXMLDepth {
				return fmt.Errorf("%s: %w: elements lie too deep in each other", x.name, ingest.ErrBomb)
			}
		case xml.EndElement:
			open--
		}
	}
	return nil
}

// Text reads to the end of the current element and returns all its text.
func (x *XML) Text() (string, error) {
	var b strings.Builder
	var inner func(Element) error
	add := func(s string) { b.WriteString(s) }
	inner = func(Element) error { return x.Each(inner, add) }
	err := x.Each(inner, add)
	return b.String(), err
}

func (x *XML) describe(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &syntax) && strings.Contains(syntax.Msg, "invalid character entity"):
		return fmt.Errorf("%s: it defines entities of its own, which are not expanded: line %d: %s", x.name, syntax.Line, syntax.Msg)
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: %w: broken XML in line %d: %s", x.name, ErrBroken, syntax.Line, syntax.Msg)
	case errors.Is(err, ingest.ErrBomb) && !strings.HasPrefix(err.Error(), x.name):
		return fmt.Errorf("%s: %w", x.name, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: %w", x.name, ErrBroken)
	}
	return err
}
