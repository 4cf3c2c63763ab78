// Package archive reads ZIP and TAR files, packed with gzip, bzip2 or Zstandard
// or not, and single files packed so: each member is processed as if it were a
// file, with the id archive!/member. Archives in archives are read too.
//
// Members whose names lead out of the archive, links and devices are not taken.
// How much comes out is bounded; see [ingest.MemberLimits]. Nothing is written
// to disk but temporary files. A [Processor] is immutable and safe for
// concurrent use.
package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/internal/packed"
)

// Processor reads archives. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

// Name implements [ingest.Processor].
func (Processor) Name() string { return "archive" }

// Match implements [ingest.Processor]. Formats that are packed as ZIP are more
// certain of themselves.
func (Processor) Match(_ string, head []byte) ingest.Confidence {
	if _, ok := packed.ReadHead(head); ok || compression(head) != "" || isTar(head) {
		return ingest.Fallback
	}
	return ingest.NoMatch
}

// compression names how a file is packed, "" if it is not.
func compression(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x1F\x8B\x08")):
		return "gzip"
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) > 10 && string(head[4:10]) == "1AY&SY":
		return "bzip2"
	case bytes.HasPrefix(head, []byte("\x28\xB5\x2F\xFD")):
		return "zstd"
	}
	return ""
}

func isTar(head []byte) bool {
	return len(head) >= 512 && string(head[257:262]) == "ustar"
}

// Process implements [ingest.Processor].
func (Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	container, ok := sink.(ingest.Container)
	if !ok {
		return fmt.Errorf("%w: archives cannot be read here", ingest.ErrUnsupported)
	}
	a := archive{ctx: ctx, container: container}
	head := make([]byte, 512)
	n, _ := content.ReadAt(head, 0)
	head = head[:n]
	kind := compression(head)
	var err error
	switch {
	case kind != "":
		err = a.unpack(kind, file, content)
	case isTar(head):
		err = a.tar(content)
	default:
		err = a.zip(content)
	}
	if err == nil && a.members == 0 {
		return fmt.Errorf("%w: the archive is empty", ingest.ErrEmpty)
	}
	return err
}

// An archive is one that is being read.
type archive struct {
	ctx       context.Context
	container ingest.Container
	members   int
}

func (a *archive) zip(content *io.SectionReader) error {
	z, err := packed.OpenZip(content)
	if err != nil {
		return err
	}
	for part, kind := range map[string]string{"word/document.xml": "a Word file", "xl/workbook.xml": "an Excel file", "ppt/presentation.xml": "a PowerPoint file"} {
		if z.Has("[Content_Types].xml") && z.Has(part) {
			return fmt.Errorf("it is %s under the name of something else; give it the usual extension", kind)
		}
	}
	for _, f := range z.Files {
		if f.FileInfo().IsDir() {
			continue
		}
		a.members++
		if !f.Mode().IsRegular() {
			a.container.SkipMember(f.Name, "it is not a regular file")
			continue
		}
		r, err := packed.Open(f)
		if err != nil {
			r = io.NopCloser(failing{err})
		}
		err = a.container.Member(a.ctx, f.Name, modified(f.Modified), r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}

// failing is content that cannot be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// unpack reads what is packed: a TAR file, or a file of its own.
func (a *archive) unpack(kind string, file ingest.File, content io.Reader) error {
	var r io.Reader
	name := ""
	switch kind {
	case "gzip":
		g, err := gzip.NewReader(content)
		if err != nil {
			return fmt.Errorf("%w: %w", packed.ErrBroken, err)
		}
		name, r = g.Name, g
	case "bzip2":
		r = bzip2.NewReader(content)
	default:
		// One goroutine and a bounded window, whatever the file asks for.
		d, err := zstd.NewReader(content, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return fmt.Errorf("%w: %w", packed.ErrBroken, err)
		}
		defer d.Close()
		r = d
	}
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", packed.ErrBroken, err)
	}
	if isTar(head) {
		return a.tar(in)
	}
	a.members++
	return a.container.Member(a.ctx, unpackedName(file.ID, name), file.ModTime, in)
}

// unpackedName returns what the content of a packed file is called.
func unpackedName(id, stated string) string {
	name := path.Base(id)
	switch strings.ToLower(path.Ext(name)) {
	case ".gz", ".bz2", ".zst", ".zstd":
		name = strings.TrimSuffix(name, path.Ext(name))
	default:
		if stated != "" {
			name = path.Base(stated)
		}
	}
	return name
}

func (a *archive) tar(r io.Reader) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, tar.ErrInsecurePath):
			// The name is looked at by the container.
		case a.ctx.Err() != nil:
			return a.ctx.Err()
		case err != nil:
			return fmt.Errorf("%w: %w", packed.ErrBroken, err)
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg, tar.TypeGNUSparse:
		default:
			a.members++
			a.container.SkipMember(h.Name, "it is not a regular file")
			continue
		}
		a.members++
		if err := a.container.Member(a.ctx, h.Name, modified(h.ModTime), t); err != nil {
			return err
		}
	}
}

// modified drops times that stand for none.
func modified(t time.Time) time.Time {
	if t.Year() < 1981 || t.Year() > 9998 {
		return time.Time{}
	}
	return t.UTC()
}
