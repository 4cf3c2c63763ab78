package rtf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/needle-search/needle/ingest"
)

// maxDepth is how deep groups may nest; documents have some dozens.
const maxDepth = 10_000

// A destination is what the text of a group is for.
type destination uint8

const (
	toText destination = iota
	toNothing
	toFonts
	toStyles
	toInfo // a field of the properties
	toMarker
	toNote
	toTime
)

// A state is what a group may change until it ends.
type state struct {
	to     destination
	field  string // of the properties
	font   int
	skip   int // characters that stand in for one of \u
	hidden bool
}

// A parser reads one file.
type parser struct {
	ctx   context.Context
	in    *bufio.Reader
	out   *ingest.Builder
	doc   ingest.Extracted
	limit int64

	state state
	stack []state
	page  int         // code page of the document
	fonts map[int]int // code pages
	// styles are the levels of heading styles; style is the one being defined.
	styles map[int]int
	style  int
	font   int // being defined

	text    strings.Builder // of the paragraph
	marker  strings.Builder // of its list
	other   strings.Builder // of properties and styles
	bytes   []byte          // not yet decoded
	high    rune            // the first half of a surrogate pair
	left    int             // characters to skip after \u
	starred bool

	level, outline int // of the paragraph
	inTable        bool
	cells          []string
	notes          []string
	saved          []string // texts around footnotes
	clock          [5]int   // year, month, day, hour, minute
}

func newParser(ctx context.Context, in *bufio.Reader, limit int64) *parser {
	return &parser{
		ctx: ctx, in: in, limit: limit, out: &ingest.Builder{MaxBytes: limit},
		state: state{skip: 1}, page: 1252, fonts: map[int]int{}, styles: map[int]int{},
	}
}

func (p *parser) parse() error {
	for n := 0; ; n++ {
		if n%4096 == 0 && p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		c, err := p.in.ReadByte()
		if errors.Is(err, io.EOF) {
			if len(p.stack) > 0 {
				return errors.New("it is damaged or cut off: a group does not end")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch c {
		case '{':
			p.flush()
			if len(p.stack) >= maxDepth {
				return fmt.Errorf("%w: groups lie more than %d deep in each other", ingest.ErrBomb, maxDepth)
			}
			p.stack = append(p.stack, p.state)
			p.left = 0
		case '}':
			p.end()
			if len(p.stack) == 0 {
				p.finish()
				return nil // what follows the last brace is no text
			}
		case '\\':
			if err := p.control(); err != nil {
				return err
			}
		case '\r', '\n', 0:
		default:
			p.character(c)
		}
		if int64(p.text.Len()+p.other.Len()+len(p.bytes)) > p.limit {
			return fmt.Errorf("%w: a paragraph has more than %d bytes", ingest.ErrTooLarge, p.limit)
		}
	}
}

// finish emits what no \par has ended.
func (p *parser) finish() {
	p.flush()
	if len(p.cells) > 0 {
		p.endRow()
	}
	p.endParagraph()
	for i, note := range p.notes {
		p.out.Paragraph("[" + strconv.Itoa(i+1) + "] " + note)
	}
}

// end closes a group.
func (p *parser) end() {
	p.flush()
	if len(p.stack) == 0 {
		return
	}
	inner := p.state
	p.state = p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	p.left, p.starred = 0, false
	if inner.to == p.state.to && inner.field == p.state.field {
		return
	}
	switch inner.to {
	case toInfo:
		p.property(inner.field, p.other.String())
		p.other.Reset()
	case toStyles:
		p.other.Reset()
	case toTime:
		at := time.Date(p.clock[0], time.Month(p.clock[1]), p.clock[2], p.clock[3], p.clock[4], 0, 0, time.UTC)
		if p.clock[0] > 1900 && p.clock[0] < 9999 {
			p.doc.SetMeta(map[string]string{"creatim": ingest.MetaCreated, "revtim": ingest.MetaModified}[inner.field], at)
		}
	case toNote:
		note := ingest.CleanLine(p.text.String())
		p.text.Reset()
		if n := len(p.saved); n > 0 {
			p.text.WriteString(p.saved[n-1])
			p.saved = p.saved[:n-1]
		}
		if note != "" {
			p.notes = append(p.notes, note)
			p.text.WriteString("[" + strconv.Itoa(len(p.notes)) + "]")
		}
	}
}

func (p *parser) property(field, value string) {
	switch field {
	case "title":
		p.doc.Title = ingest.CleanLine(value)
	case "author":
		p.doc.SetMeta(ingest.MetaAuthor, value)
	case "subject":
		p.doc.SetMeta(ingest.MetaSubject, value)
	case "keywords":
		p.doc.SetMeta(ingest.MetaKeywords, value)
	}
}

// control reads what follows a backslash.
func (p *parser) control() error {
	c, err := p.in.ReadByte()
	if err != nil {
		return nil // the end is told of by the caller
	}
	if c < 'a' || c > 'z' {
		if c >= 'A' && c <= 'Z' {
			p.word(c)
			return nil
		}
		p.symbol(c)
		return nil
	}
	word, value, set := p.word(c)
	if word == "bin" {
		_, err := p.in.Discard(max(0, value))
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	if word == "u" && set {
		p.unicode(value)
		return nil
	}
	p.flush()
	starred := p.starred
	p.starred = false
	p.command(word, value, set, starred)
	return nil
}

// word reads a control word with its number.
func (p *parser) word(c byte) (word string, value int, set bool) {
	name, digits := []byte{c}, []byte(nil)
	for {
		c, err := p.in.ReadByte()
		switch {
		case err != nil:
		case len(digits) == 0 && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') && len(name) < 64:
			name = append(name, c)
			continue
		case c == '-' && len(digits) == 0, c >= '0' && c <= '9' && len(digits) < 11:
			digits = append(digits, c)
			continue
		case c != ' ':
			_ = p.in.UnreadByte() // after a ReadByte this cannot fail
		}
		break
	}
	n, err := strconv.ParseInt(string(digits), 10, 32)
	return string(name), int(n), err == nil
}

func (p *parser) symbol(c byte) {
	switch c {
	case '\'':
		var hex [2]byte
		if _, err := io.ReadFull(p.in, hex[:]); err != nil {
			return
		}
		if n, err := strconv.ParseUint(string(hex[:]), 16, 8); err == nil {
			p.character(byte(n))
		}
	case '*':
		p.starred = true
	case '~':
		p.write("\u00A0")
	case '_':
		p.write("\u2011")
	case '\\', '{', '}':
		p.character(c)
	case '\r', '\n':
		p.endParagraphOrLine()
	}
}

// character takes one byte of text.
func (p *parser) character(c byte) {
	if p.left > 0 {
		p.left--
		return
	}
	p.bytes = append(p.bytes, c)
	if len(p.bytes) >= 4096 && c < 0x80 {
		p.flush()
	}
}

// unicode takes a UTF-16 unit; the characters after it are for programs that
// know none.
func (p *parser) unicode(value int) {
	p.flushBytes()
	p.left = p.state.skip
	unit := rune(uint16(value))
	switch {
	case p.high != 0:
		r := utf16.DecodeRune(p.high, unit)
		p.high = 0
		p.write(string(r))
	case unit >= 0xD800 && unit < 0xDC00:
		p.high = unit
	default:
		p.write(string(unit))
	}
}

// flush decodes the bytes at hand and ends what a \u began.
func (p *parser) flush() {
	p.flushBytes()
	p.left, p.high = 0, 0
}

func (p *parser) flushBytes() {
	if len(p.bytes) == 0 {
		return
	}
	page := p.page
	switch p.state.to {
	case toFonts, toInfo, toStyles:
	default:
		if known := p.fonts[p.state.font]; known != 0 {
			page = known
		}
	}
	text := ""
	if page != symbolPage {
		decoded, err := pageEncoding(page).NewDecoder().Bytes(p.bytes)
		if err != nil {
			decoded = []byte(strings.ToValidUTF8(string(p.bytes), "\uFFFD"))
		}
		text = string(decoded)
	}
	p.bytes = p.bytes[:0]
	p.write(text)
}

// write adds text to where it belongs.
func (p *parser) write(text string) {
	p.flushBytes()
	if p.state.hidden {
		return
	}
	switch p.state.to {
	case toText, toNote:
		p.text.WriteString(text)
	case toMarker:
		p.marker.WriteString(text)
	case toInfo:
		if p.state.field != "" {
			p.other.WriteString(text)
		}
	case toStyles:
		p.other.WriteString(text)
		if name, ok := strings.CutSuffix(p.other.String(), ";"); ok {
			p.styles[p.style] = headingLevel(name)
			p.other.Reset()
		}
	}
}

func headingLevel(name string) int {
	name = strings.ToLower(ingest.CleanLine(name))
	if name == "title" {
		return -1
	}
	if rest, ok := strings.CutPrefix(name, "heading "); ok {
		if n, err := strconv.Atoi(rest); err == nil && n >= 1 && n <= 9 {
			return n
		}
	}
	return 0
}
