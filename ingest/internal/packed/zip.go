// Package packed opens what formats are packed in: ZIP files and the XML in
// them, both made by strangers.
//
// Nothing here trusts a size that a file states about itself, and everything
// that is read is bounded. A [Zip] is used by one goroutine.
package packed

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/needle-search/needle/ingest"
)

const (
	// MaxPartBytes is the longest part of a document, such as the body of a
	// DOCX file, and MaxTotalBytes what all parts that are read have together.
	MaxPartBytes  = 256 << 20
	MaxTotalBytes = 1 << 30
	// maxDirectoryBytes bounds the directory of a ZIP file, which is held in
	// memory: it is enough for some 600,000 files.
	maxDirectoryBytes = 64 << 20
)

// ErrBroken says that a file is damaged or cut off.
var ErrBroken = errors.New("it is damaged or cut off")

// A Zip is an open ZIP file.
type Zip struct {
	// Files are its members in the order of its directory.
	Files []*zip.File
	names map[string]*zip.File
	left  int64
}

// OpenZip reads the directory of a ZIP file.
func OpenZip(content *io.SectionReader) (*Zip, error) {
	if size := directoryBytes(content); size > maxDirectoryBytes {
		return nil, fmt.Errorf("%w: its directory has %d bytes", ingest.ErrBomb, size)
	}
	r, err := zip.NewReader(content, content.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, describe(err)
	}
	z := &Zip{Files: r.File, names: make(map[string]*zip.File, len(r.File)), left: MaxTotalBytes}
	for _, f := range r.File {
		// Some producers write names with backslashes or a leading slash.
		name := strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/")
		if _, ok := z.names[name]; !ok {
			z.names[name] = f
		}
	}
	return z, nil
}

// directoryBytes returns the size of the directory as the end of the file
// states it, 0 if that cannot be found.
func directoryBytes(content *io.SectionReader) uint64 {
	tail := make([]byte, min(content.Size(), 66<<10))
	n, _ := content.ReadAt(tail, content.Size()-int64(len(tail)))
	tail = tail[:n]
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || at+16 > len(tail) {
		return 0
	}
	if size := binary.LittleEndian.Uint32(tail[at+12:]); size != 1<<32-1 {
		return uint64(size)
	}
	// The record of the 64-bit form is in front of its locator, as a rule.
	if at = bytes.LastIndex(tail[:at], []byte("PK\x06\x06")); at < 0 || at+48 > len(tail) {
		return maxDirectoryBytes + 1
	}
	return binary.LittleEndian.Uint64(tail[at+40:])
}

// Has reports whether there is a part of that name.
func (z *Zip) Has(name string) bool { return z.names[name] != nil }

// Part opens a part. Reading fails with [ingest.ErrBomb] where too much comes
// out of it, and fs.ErrNotExist says that there is none.
func (z *Zip) Part(ctx context.Context, name string) (io.ReadCloser, error) {
	f := z.names[name]
	if f == nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	r, err := Open(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &part{Closer: r, ctx: ctx, r: r, left: MaxPartBytes, total: &z.left, name: name}, nil
}

// Open opens a member of a ZIP file, whatever its size.
func Open(f *zip.File) (io.ReadCloser, error) {
	if f.Flags&1 != 0 {
		return nil, ingest.ErrProtected
	}
	r, err := f.Open()
	if err != nil {
		return nil, describe(err)
	}
	return r, nil
}

// Read reads a whole part of at most the given size.
func (z *Zip) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	r, err := z.Part(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s: %w: more than %d bytes", name, ingest.ErrBomb, limit)
	}
	return data, nil
}

// A part bounds what is read.
type part struct {
	io.Closer
	ctx   context.Context
	r     io.Reader
	left  int64
	total *int64
	name  string
}

func (p *part) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.left -= int64(n)
	*p.total -= int64(n)
	if p.left < 0 || *p.total < 0 {
		return n, fmt.Errorf("%s: %w: a part may have %d bytes, all together %d", p.name, ingest.ErrBomb, int64(MaxPartBytes), int64(MaxTotalBytes))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", p.name, describe(err))
	}
	return n, err
}

// describe makes words of what the library says about a damaged file.
func describe(err error) error {
	switch {
	case errors.Is(err, zip.ErrAlgorithm):
		return fmt.Errorf("it is packed by a method that is not supported: %w", err)
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}

// A Head is what the first bytes of a ZIP file tell.
type Head struct {
	// Names are the first members.
	Names []string
	// MediaType is the content of a first member "mimetype", which some formats
	// put there to be known by.
	MediaType string
}

// ReadHead looks at the first bytes of a file; ok is false if it is no ZIP
// file.
func ReadHead(head []byte) (h Head, ok bool) {
	const local = 30 // bytes of a local header in front of the name
	if !bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return h, bytes.HasPrefix(head, []byte("PK\x05\x06"))
	}
	for at := 0; at >= 0 && at+local <= len(head); {
		method := binary.LittleEndian.Uint16(head[at+8:])
		size := int(binary.LittleEndian.Uint32(head[at+18:]))
		length, extra := int(binary.LittleEndian.Uint16(head[at+26:])), int(binary.LittleEndian.Uint16(head[at+28:]))
		end := at + local + length
		if end > len(head) {
			break
		}
		name := string(head[at+local : end])
		h.Names = append(h.Names, strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "/"))
		if data := end + extra; len(h.Names) == 1 && name == "mimetype" && method == 0 && size < 200 && data+size <= len(head) {
			h.MediaType = strings.TrimSpace(string(head[data : data+size]))
		}
		next := bytes.Index(head[end:], []byte("PK\x03\x04"))
		if next < 0 {
			break
		}
		at = end + next
	}
	return h, true
}

// Holds reports whether a member seen has the given prefix.
func (h Head) Holds(prefix string) bool {
	for _, name := range h.Names {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
