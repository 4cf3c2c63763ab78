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
	// Encoding names the encoding if it is not Unicode, as in "windows-1252".
	Encoding string
}

// ReadText reads a whole text file: Unicode in any of its forms, or an encoding
// that the bytes give away; see [DecodeBytes]. A file that is UTF-8 but for a
// few bytes is refused rather than guessed at, because the wrong encoding is
// garbage that nobody notices. Errors wrap [ErrTooLarge], [ErrBinary], [ErrEncoding] or
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
	wide, offset, isWide := decodeWide(data)
	switch rest, order := cutMark(data); {
	case isWide:
		text = Text{Text: wide, Offset: offset}
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
		if !nearlyUTF8(text.Text) {
			if decoded, name, ok := DecodeBytes(data, ""); ok && strings.TrimSpace(decoded) != "" {
				return Text{Text: decoded, Encoding: name}, nil
			}
		}
		line := 1 + strings.Count(text.Text[:at], "\n")
		return Text{}, fmt.Errorf("%w (line %d, byte %d); convert it, for example with: iconv -f WINDOWS-1252 -t UTF-8", ErrEncoding, line, at)
	}
	if strings.TrimSpace(text.Text) == "" {
		return Text{}, ErrEmpty
	}
	// ISO-2022-JP is ASCII but for the sequences that switch alphabets.
	if strings.Contains(text.Text, "\x1b$B") || strings.Contains(text.Text, "\x1b$@") {
		if decoded, name, ok := DecodeBytes(data, "iso-2022-jp"); ok {
			return Text{Text: decoded, Encoding: name}, nil
		}
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
		return data, nil // UTF-32; see decodeWide
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

// nearlyUTF8 reports whether text is UTF-8 that was damaged rather than another
// encoding: nearly all of what is not ASCII is valid.
func nearlyUTF8(s string) bool {
	valid, broken := 0, 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			broken++
		case r >= utf8.RuneSelf:
			valid++
		}
		i += size
	}
	return valid > 4*broken
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
	if _, _, ok := decodeWide(head[:len(head)&^3]); ok {
		return false
	}
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
