package html

import (
	"bytes"
	"io"
	"regexp"

	"github.com/needle-search/needle/ingest"
)

// declaration finds what a page says of its encoding, in a meta element or in
// the declaration of XML. The value is checked by those who use it.
var declaration = regexp.MustCompile(`(?i)(?:<meta[^>]{0,200}?charset\s*=\s*["']?|<\?xml[^>]{0,100}?encoding\s*=\s*["'])\s*([a-z0-9_:.-]{2,40})`)

// declarationBytes is how far from the start a page may say it.
const declarationBytes = 4096

// decode returns the text of a page and the name of its encoding, unless that
// is Unicode. Valid UTF-8 is UTF-8 whatever the page says, for many say wrong.
func decode(data []byte) (text, encoding string, err error) {
	read, err := ingest.ReadText(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), int64(len(data)))
	declared := declaration.FindSubmatch(data[:min(len(data), declarationBytes)])
	if declared == nil || err == nil && read.Encoding == "" {
		return read.Text, read.Encoding, err
	}
	// A guess was needed, or failed: then what the page says goes first.
	if text, name, ok := ingest.DecodeBytes(data, string(declared[1])); ok {
		return text, name, nil
	}
	return read.Text, read.Encoding, err
}
