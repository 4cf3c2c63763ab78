package pdf_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/ingest/pdf"
)

// FuzzProcess changes whole files. PDFium is fuzzed by others; what counts here
// is that whatever it gives becomes a sound document or one of the known errors.
func FuzzProcess(f *testing.F) {
	for _, name := range []string{"owner-only.pdf", "locked.pdf", "scanned.pdf", "partly-scanned.pdf", "reportlab-rows.pdf"} {
		f.Add(load(f, name))
	}
	f.Add(assemble("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/Rotate 90/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
		"<</Length 120>>stream\nBT /F 12 Tf 20 700 Td (One line and a) Tj 0 -14 Td (second, hy-) Tj 0 -14 Td (phenated one) Tj 200 0 Td (3.50) Tj ET\nendstream"))
	config := pdf.DefaultConfig()
	config.Timeout = 10 * time.Second
	config.MemoryMiB = 64
	p := pdf.New(config)
	f.Cleanup(func() { _ = p.Close() })
	known := []error{pdf.ErrEncrypted, pdf.ErrScanned, pdf.ErrMalformed, ingest.ErrEmpty, ingest.ErrTooLarge}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := process(t.Context(), p, data, 1<<20)
		if err != nil {
			for _, k := range known {
				if errors.Is(err, k) {
					return
				}
			}
			t.Fatalf("got error %v", err)
		}
		for _, doc := range s.docs {
			if err := doc.Validate(); err != nil {
				t.Error(err)
			}
			runes := len([]rune(doc.Text))
			for i, start := range doc.Pages {
				if start > runes || i > 0 && start < doc.Pages[i-1] {
					t.Errorf("pages start at %v in a text of %d", doc.Pages, runes)
				}
			}
			if strings.ContainsAny(doc.Text, "\x00\uFFFE") {
				t.Errorf("the text holds marks of PDFium: %q", doc.Text)
			}
		}
	})
}
