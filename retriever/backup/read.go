package backup

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/needle-search/needle/retriever"
)

// maxLine bounds one line, so that a file made to do so cannot fill the memory.
const maxLine = 1 << 30

// A Reader reads a backup.
type Reader struct {
	header  Header
	lines   *bufio.Reader
	packed  *gzip.Reader
	file    *bufio.Reader
	sum     hash.Hash
	summary Summary
	last    string // the last id
	done    bool
	err     error
}

// NewReader reads the first line of a backup. The error wraps
// [retriever.ErrCorrupt] if the file is no backup, and [retriever.ErrVersion] if
// a newer program wrote it.
func NewReader(r io.Reader) (*Reader, error) {
	file := bufio.NewReaderSize(r, 1<<16)
	packed, err := gzip.NewReader(file)
	if err != nil {
		return nil, fail(fmt.Errorf("it is no backup of Needle: %w", err))
	}
	packed.Multistream(false)
	b := &Reader{lines: bufio.NewReaderSize(packed, 1<<16), packed: packed, file: file, sum: sha256.New()}
	data, err := b.line()
	if err != nil {
		return nil, fail(err)
	}
	var h Header
	err = json.Unmarshal(data, &h)
	switch {
	case h.Magic != magic:
		return nil, fail(errors.New("it is no backup of Needle"))
	case h.Format > Format:
		return nil, fmt.Errorf("backup: %w: it has format %d, this program reads up to %d; update Needle", retriever.ErrVersion, h.Format, Format)
	case err != nil || h.Format < 1:
		return nil, fail(errors.Join(errors.New("its first line cannot be read"), err))
	}
	b.sum.Write(data)
	b.header = h
	return b, nil
}

// fail makes an error say that the backup is damaged. Errors of reading the file
// itself stay what they are.
func fail(err error) error {
	if errors.Is(err, retriever.ErrCorrupt) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("backup: %w", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it is cut short")
	}
	return fmt.Errorf("backup: %w: %w", retriever.ErrCorrupt, err)
}

// line reads one line with its end.
func (r *Reader) line() ([]byte, error) {
	var data []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		data = append(data, part...)
		if err == nil {
			return data, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if len(data) > maxLine {
			return nil, fmt.Errorf("a line is longer than %d bytes", maxLine)
		}
	}
}

// Header returns the first line.
func (r *Reader) Header() Header { return r.header }

// Summary returns what the last line says; it is zero before Entries has come to
// its end.
func (r *Reader) Summary() Summary { return r.summary }

// Entries returns all documents. The sequence ends after an error; if there was
// none, the backup is whole: documents, counts and checksum are as they were
// written. It can be gone through once.
func (r *Reader) Entries(ctx context.Context) iter.Seq2[retriever.Entry, error] {
	return func(yield func(retriever.Entry, error) bool) {
		for !r.done && r.err == nil {
			if r.err = ctx.Err(); r.err == nil {
				var e *retriever.Entry
				if e, r.err = r.next(); r.err == nil {
					if e == nil {
						r.done = true
						return
					}
					if !yield(*e, nil) {
						return
					}
				}
			}
		}
		if r.err != nil {
			yield(retriever.Entry{}, fail(r.err))
		}
	}
}

// next returns the next document, or nil after the last line.
func (r *Reader) next() (*retriever.Entry, error) {
	data, err := r.line()
	if err != nil {
		return nil, err
	}
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, err
	}
	switch {
	case l.Document != nil:
		r.sum.Write(data)
		e, err := l.Document.entry()
		if err != nil {
			return nil, err
		}
		if r.summary.Documents > 0 && e.Document.ID <= r.last {
			return nil, fmt.Errorf("document %q is out of order", e.Document.ID)
		}
		r.last = e.Document.ID
		r.summary.Documents++
		r.summary.Passages += uint64(len(e.Passages))
		return &e, nil
	case l.End != nil:
		return nil, r.end(*l.End)
	}
	return nil, errors.New("a line holds neither a document nor the end")
}

// end compares what was read with what the last line says.
func (r *Reader) end(said Summary) error {
	if r.summary.Documents != said.Documents || r.summary.Passages != said.Passages {
		return fmt.Errorf("it holds %d documents with %d passages, not %d with %d", r.summary.Documents, r.summary.Passages, said.Documents, said.Passages)
	}
	sum, err := hex.DecodeString(said.SHA256)
	if err != nil || !bytes.Equal(sum, r.sum.Sum(nil)) {
		return errors.New("it does not match its checksum")
	}
	// The end of the packed stream compares gzip's own checksum.
	if _, err := r.lines.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("something follows its last line"), err)
	}
	if _, err := r.file.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("something follows its end"), err)
	}
	r.summary.SHA256 = said.SHA256
	return nil
}

// Verify reads a backup to its end and reports whether it is whole.
func Verify(ctx context.Context, file io.Reader) (Header, Summary, error) {
	r, err := NewReader(file)
	if err != nil {
		return Header{}, Summary{}, err
	}
	for _, err := range r.Entries(ctx) {
		if err != nil {
			return r.Header(), Summary{}, err
		}
	}
	return r.Header(), r.Summary(), nil
}
