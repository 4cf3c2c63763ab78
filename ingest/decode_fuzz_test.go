package ingest_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/needle-search/needle/ingest"
)

// FuzzReadText asserts that whatever the bytes are, the text is sound or there is
// an error, and that UTF-8 stays what it is.
func FuzzReadText(f *testing.F) {
	for _, seed := range []string{
		"plain", "\xEF\xBB\xBFwith a mark", "\xFF\xFEa\x00b\x00", "\xFE\xFF\x00a\x00b", "\xFF\xFE\x00\x00a\x00\x00\x00", "Gr\xFC\xDFe aus K\xF6ln", "\x93\xFA\x96{\x8C\xEA",
		"\x1B$B$3$s\x1B(B", "\xC4\xE3\xBA\xC3", "ümläut \xFF", "\xD8\x3D\xDE\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := ingest.ReadText(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), 1<<20)
		if err != nil {
			return
		}
		if !utf8.ValidString(text.Text) || strings.ContainsRune(text.Text, 0) {
			t.Errorf("got %q", text.Text)
		}
		if utf8.Valid(data) && !bytes.Contains(data, []byte{0}) && text.Encoding == "" && !strings.HasSuffix(string(data), text.Text) {
			t.Errorf("got %q of %q", text.Text, data)
		}
	})
}
