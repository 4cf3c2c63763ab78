package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is the decoded content of a text file.
type Text struct {
	// Text is everything after the byte order mark, unchanged.
	Text string
	// Offset is the code point of the file at which Text starts: 1 after a
	// byte order mark, else 0.
	Offset int
}

// ReadText reads a whole text file: UTF-8, or UTF-16 with a byte order mark.
// It does not guess other encodings, because a wrong guess is garbage that
// nobody notices. Errors wrap [ErrTooLarge], [ErrBinary], [ErrEncoding] or
// [ErrEmpty] and say what to do.
func ReadText(content *io.SectionReader, maxBytes int64) (Text, error) {
	if content.Size() > maxBytes {
		// Looking at the head first gives a disk image its true name.
		head := make([]byte, HeadBytes)
		n, _ := content.ReadAt(head, 0)
		if IsBinary(head[:n]) {
			return Text{}, ErrBinary
		}
		return Text{}, fmt.Errorf("%w: %d bytes, at most %d are allowed; split it, or raise limits.max_document_bytes", ErrTooLarge, content.Size(), maxBytes)
	}
	data := make([]byte, content.Size())
	if n, err := content.ReadAt(data, 0); err != nil && err != io.EOF {
		return Text{}, err
	} else if n < len(data) {
		return Text{}, ErrChanged
	}
	return decodeText(data)
}

func decodeText(data []byte) (Text, error) {
	text := Text{}
	switch rest, order := cutMark(data); {
	case order != nil:
		s, err := decodeUTF16(rest, order)
		if err != nil {
			return Text{}, err
		}
		text = Text{Text: s, Offset: 1}
	case len(rest) < len(data):
		text = Text{Text: string(rest), Offset: 1}
	default:
		text = Text{Text: string(data)}
	}
	if strings.IndexByte(text.Text, 0) >= 0 {
		return Text{}, ErrBinary
	}
	if at := invalidAt(text.Text); at >= 0 {
		if IsBinary(data) {
			return Text{}, ErrBinary
		}
		line := 1 + strings.Count(text.Text[:at], "\n")
		return Text{}, fmt.Errorf("%w (line %d, byte %d); convert it, for example with: iconv -f WINDOWS-1252 -t UTF-8", ErrEncoding, line, at)
	}
	if strings.TrimSpace(text.Text) == "" {
		return Text{}, ErrEmpty
	}
	return text, nil
}

// cutMark removes a byte order mark. The order is nil unless the mark is one
// of UTF-16.
func cutMark(data []byte) (rest []byte, order binary.ByteOrder) {
	switch {
	case bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")):
		return data[3:], nil
	case bytes.HasPrefix(data, []byte("\xFF\xFE\x00\x00")):
		return data, nil // UTF-32, which is refused as binary for its NUL bytes
	case bytes.HasPrefix(data, []byte("\xFF\xFE")):
		return data[2:], binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xFE\xFF")):
		return data[2:], binary.BigEndian
	}
	return data, nil
}

func decodeUTF16(data []byte, order binary.ByteOrder) (string, error) {
	if len(data)%2 != 0 {
		return "", fmt.Errorf("%w: it is marked as UTF-16 but has an odd number of bytes", ErrEncoding)
	}
	var b strings.Builder
	b.Grow(len(data) / 2)
	for i := 0; i < len(data); i += 2 {
		r := rune(order.Uint16(data[i:]))
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if i+4 <= len(data) {
				low = rune(order.Uint16(data[i+2:]))
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return "", fmt.Errorf("%w: it is marked as UTF-16 but byte %d starts no character", ErrEncoding, i+2)
			}
			i += 2
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

// invalidAt returns the index of the first byte that is not UTF-8, or -1.
func invalidAt(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

// IsBinary reports whether the first bytes of a file cannot be text: a NUL
// byte outside UTF-16, or more than one control character in thirty bytes.
func IsBinary(head []byte) bool {
	if rest, order := cutMark(head); order != nil {
		text, err := decodeUTF16(rest[:len(rest)/2*2], order)
		return err == nil && strings.IndexByte(text, 0) >= 0
	}
	controls := 0
	for _, c := range head {
		switch {
		case c == 0:
			return true
		case c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b, c == 0x7f:
			controls++
		}
	}
	return controls*30 > len(head)
}
