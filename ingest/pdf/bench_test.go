package pdf_test

import (
	"path/filepath"
	"testing"
)

// BenchmarkProcess reads the files of the corpus one after the other.
func BenchmarkProcess(b *testing.B) {
	files, err := filepath.Glob("testdata/[ort]*.pdf")
	if err != nil {
		b.Fatal(err)
	}
	chromium, err := filepath.Glob("testdata/chromium-*.pdf")
	if err != nil {
		b.Fatal(err)
	}
	for _, file := range append(files, chromium...) {
		data := load(b, filepath.Base(file))
		b.Run(filepath.Base(file), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := process(b.Context(), shared, data, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
