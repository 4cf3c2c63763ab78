package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A vocabulary is most of a tokenizer.json and the reason why reading one with
// encoding/json takes longer than everything else at start-up. The scanner
// walks over the file once and hands out the values of objects and arrays as
// they stand; small ones then go through encoding/json.
type scanner struct {
	data string
	at   int
	// depth guards the stack against a file of brackets.
	depth int
}

const maxDepth = 1000

var errJSON = errors.New("malformed JSON")

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w at byte %d: %s", errJSON, s.at, what)
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next skips space and returns the next byte without consuming it, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.at == len(s.data) {
		return 0
	}
	return s.data[s.at]
}

func (s *scanner) expect(b byte) error {
	if s.next() != b {
		return s.fail("expected " + strconv.QuoteRune(rune(b)))
	}
	s.at++
	return nil
}

// object calls visit for every key, with the scanner before the value; visit
// must consume it.
func (s *scanner) object(visit func(key string) error) error {
	return s.list('{', '}', func() error {
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return visit(key)
	})
}

// array calls visit before every element; visit must consume it.
func (s *scanner) array(visit func() error) error { return s.list('[', ']', visit) }

func (s *scanner) list(open, end byte, element func() error) error {
	if err := s.expect(open); err != nil {
		return err
	}
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested too deeply")
	}
	defer func() { s.depth-- }()
	if s.next() == end {
		s.at++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.at++
		case end:
			s.at++
			return nil
		default:
			return s.fail("expected a comma or the end of the list")
		}
	}
}

// str returns a string. Mostly it shares its memory with the file.
func (s *scanner) str() (string, error) {
	if err := s.expect('"'); err != nil {
		return "", err
	}
	start, escaped := s.at, false
	for s.at < len(s.data) {
		switch b := s.data[s.at]; {
		case b == '"':
			raw := s.data[start:s.at]
			s.at++
			if escaped {
				return unescape(raw)
			}
			if !utf8.ValidString(raw) {
				return "", s.fail("a string is not UTF-8")
			}
			return raw, nil
		case b == '\\':
			escaped = true
			s.at += 2
		case b < ' ':
			return "", s.fail("control character in a string")
		default:
			s.at++
		}
	}
	return "", s.fail("a string does not end")
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func unescape(raw string) (string, error) {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		i := strings.IndexByte(raw, '\\')
		if i < 0 {
			out = append(out, raw...)
			break
		}
		out = append(out, raw[:i]...)
		raw = raw[i+1:]
		if len(raw) == 0 {
			return "", fmt.Errorf("%w: a string ends in a backslash", errJSON)
		}
		if b, ok := escapes[raw[0]]; ok {
			out, raw = append(out, b), raw[1:]
			continue
		}
		unit, ok := hexUnit(raw)
		if !ok {
			return "", fmt.Errorf("%w: bad escape in a string", errJSON)
		}
		r, size := rune(unit), 5
		if utf16.IsSurrogate(r) {
			low, ok := uint16(0), false
			if len(raw) > 6 && raw[5] == '\\' {
				low, ok = hexUnit(raw[6:])
			}
			if r = utf16.DecodeRune(r, rune(low)); !ok || r == utf8.RuneError {
				return "", fmt.Errorf("%w: half a surrogate pair in a string", errJSON)
			}
			size = 11
		}
		out, raw = utf8.AppendRune(out, r), raw[size:]
	}
	if !utf8.Valid(out) {
		return "", fmt.Errorf("%w: a string is not UTF-8", errJSON)
	}
	return string(out), nil
}

// hexUnit reads the rest of an escape like u00e9.
func hexUnit(raw string) (uint16, bool) {
	if len(raw) < 5 || raw[0] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(raw[1:5], 16, 16)
	return uint16(unit), err == nil
}

// integer reads a whole number.
func (s *scanner) integer() (int, error) {
	s.space()
	start, n := s.at, 0
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' {
		if n = n*10 + int(s.data[s.at]-'0'); n > 1<<31-1 {
			return 0, s.fail("a number is too great")
		}
		s.at++
	}
	if s.at == start {
		return 0, s.fail("expected a number")
	}
	return n, nil
}

// value consumes any value and returns it as it stands.
func (s *scanner) value() (json.RawMessage, error) {
	s.space()
	start := s.at
	if err := s.skip(); err != nil {
		return nil, err
	}
	return json.RawMessage(s.data[start:s.at]), nil
}

// skip consumes any value.
func (s *scanner) skip() error {
	first := s.next()
	start := s.at
	switch first {
	case '{':
		return s.object(func(string) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"':
		_, err := s.str()
		return err
	default:
		for s.at < len(s.data) && strings.IndexByte(",]} \t\r\n", s.data[s.at]) < 0 {
			s.at++
		}
		if !json.Valid([]byte(s.data[start:s.at])) {
			return s.fail("expected a value")
		}
		return nil
	}
}
