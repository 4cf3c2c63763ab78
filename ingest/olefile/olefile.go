// Package olefile says what files of the old binary container of Office (the
// Compound File Binary format) are, for none of them can be read: protected
// files of today's formats, and the formats of before 2007. Otherwise their
// report would be that they are binary, which helps nobody.
//
// A [Processor] is immutable and safe for concurrent use.
package olefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"

	"github.com/needle-search/needle/ingest"
)

// Processor refuses files with the reason. The zero value is ready for use.
type Processor struct{}

var _ ingest.Processor = Processor{}

const signature = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"

// Name implements [ingest.Processor].
func (Processor) Name() string { return "olefile" }

// Match implements [ingest.Processor]. Anything that can read the format takes
// it instead.
func (Processor) Match(_ string, head []byte) ingest.Confidence {
	if bytes.HasPrefix(head, []byte(signature)) {
		return ingest.Fallback
	}
	return ingest.NoMatch
}

// Process implements [ingest.Processor]. It always fails.
func (Processor) Process(_ context.Context, _ ingest.File, content *io.SectionReader, _ ingest.Sink) error {
	streams := directory(content)
	switch {
	case streams["EncryptedPackage"]:
		return fmt.Errorf("%w: it is an Office file with a password", ingest.ErrProtected)
	case streams["WordDocument"]:
		return unsupported("a Word file of before 2007", ".docx")
	case streams["Workbook"], streams["Book"]:
		return unsupported("an Excel file of before 2007", ".xlsx")
	case streams["PowerPoint Document"]:
		return unsupported("a PowerPoint file of before 2007", ".pptx")
	case streams["__properties_version1.0"]:
		return unsupported("a mail of Outlook", ".eml")
	}
	return fmt.Errorf("%w: it is an Office file of the old kind", ingest.ErrUnsupported)
}

func unsupported(kind, save string) error {
	return fmt.Errorf("%w: it is %s; save it as %s, or set ingest.tika", ingest.ErrUnsupported, kind, save)
}

// maxSectors bounds how much of the directory is looked at.
const maxSectors = 64

// directory returns the names of the streams in the first sectors of the
// directory.
func directory(content *io.SectionReader) map[string]bool {
	names := map[string]bool{}
	header := make([]byte, 512)
	if n, _ := content.ReadAt(header, 0); n < len(header) {
		return names
	}
	shift := binary.LittleEndian.Uint16(header[30:])
	if shift != 9 && shift != 12 {
		return names
	}
	// Sectors are counted from behind the header. The chain of the directory is
	// followed as far as the first sector of the allocation table tells.
	size := int64(1) << shift
	table := make([]byte, size)
	known, _ := content.ReadAt(table, (int64(binary.LittleEndian.Uint32(header[76:]))+1)*size)
	sector := binary.LittleEndian.Uint32(header[48:])
	buffer := make([]byte, size)
	for range maxSectors {
		n, _ := content.ReadAt(buffer, (int64(sector)+1)*size)
		for at := 0; at+128 <= n; at += 128 {
			if name := entryName(buffer[at : at+128]); name != "" {
				names[name] = true
			}
		}
		next := int64(sector) * 4
		if next+4 > int64(known) {
			break
		}
		if sector = binary.LittleEndian.Uint32(table[next:]); sector >= 0xFFFFFFFA {
			break
		}
	}
	return names
}

func entryName(entry []byte) string {
	length := int(binary.LittleEndian.Uint16(entry[64:]))/2 - 1
	if length < 1 || length > 31 {
		return ""
	}
	units := make([]uint16, length)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(entry[2*i:])
	}
	return string(utf16.Decode(units))
}
