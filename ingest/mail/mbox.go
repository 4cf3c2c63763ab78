package mail

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
)

// separator is the line in front of each message of a mailbox. The year at its
// end tells it from a line of text that starts with "From".
var separator = regexp.MustCompile(`^From \S.{0,300} \d{4}(\s+\S+){0,2}\s*$|^From \S+\s*$`)

func isSeparator(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) && separator.Match(line)
}

// A box cuts a mailbox into messages without holding any of them.
type box struct {
	in      *bufio.Reader
	line    int    // of what comes next, from 1
	rest    []byte // of the line that is being read
	begins  bool   // the line is not read by the last message: it begins the next
	blank   bool   // the line before was empty
	partial bool   // the rest of a line longer than the buffer follows
	ended   error
}

func newBox(r io.Reader) *box {
	return &box{in: bufio.NewReaderSize(r, 64<<10), blank: true}
}

// next returns where the next message starts, and its content.
func (b *box) next() (line int, body io.Reader, err error) {
	for !b.begins {
		if _, err := b.fill(); err != nil {
			return 0, nil, err
		}
	}
	b.begins, b.rest = false, nil
	return b.line, &boxMessage{b}, nil
}

// fill reads a line, or a piece of it, and reports whether it belongs to the
// message that is being read.
func (b *box) fill() (bool, error) {
	if b.ended != nil {
		return false, b.ended
	}
	line, err := b.in.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		b.ended = err
		if len(line) == 0 {
			return false, err
		}
	}
	whole := !b.partial
	b.partial = errors.Is(err, bufio.ErrBufferFull)
	if whole {
		b.line++
		trimmed := bytes.TrimRight(line, "\r\n")
		if b.blank && isSeparator(trimmed) {
			b.begins, b.blank = true, false
			return false, nil
		}
		b.blank = len(trimmed) == 0
		// Lines of the text that start so were given a mark.
		if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, []byte("From ")) {
			line = line[1:]
		}
	}
	b.rest = line
	return true, nil
}

// A boxMessage reads one message to its end.
type boxMessage struct{ *box }

func (m *boxMessage) Read(p []byte) (int, error) {
	for len(m.rest) == 0 {
		if m.begins {
			return 0, io.EOF
		}
		if ok, err := m.fill(); err != nil {
			return 0, err
		} else if !ok {
			return 0, io.EOF
		}
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}
