package ortlib

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSetupFrom(t *testing.T) {
	library := fakeELF(t, machineX64, "1.29.0", 1000)
	other := fakeELF(t, machineX64, "1.31.0", 1000)
	arm := fakeELF(t, machineARM64, "1.29.0", 1000)
	old := fakeELF(t, machineX64, "1.20.0", 1000)
	text := []byte("libonnxruntime.so is not here")
	full := []file{
		{"x/README.md", text},
		{"x/lib/libonnxruntime.so.1", nil}, // a link out of the archive
		{"ai/onnxruntime/native/linux-aarch64/libonnxruntime.so", arm},
		{"x/lib/libonnxruntime_providers_shared.so", other},
		{"../../../libonnxruntime.so.1.29.0", library},
	}
	withoutLinks := append(full[:1:1], full[2:]...)
	unpinned := "add --sha256 " + digestOf(other)

	for name, test := range map[string]struct {
		content []byte
		name    string
		dir     bool // From names the folder
		sha256  string
		want    []byte   // the installed library, nil for a failure
		wantErr error    // for errors.Is
		message []string // parts of the message
	}{
		"library":                     {content: library, name: "libonnxruntime.so.1.29.0", want: library},
		"library of any name":         {content: library, name: "download", want: library},
		"library, digest given":       {content: library, name: "a.so", sha256: digestOf(library), want: library},
		"tgz":                         {content: tgzOf(t, full...), name: "ort.tgz", want: library},
		"zip":                         {content: zipOf(t, withoutLinks...), name: "ort.zip", want: library},
		"jar":                         {content: zipOf(t, withoutLinks...), name: "onnxruntime-1.29.0.jar", want: library},
		"wheel without a name":        {content: zipOf(t, withoutLinks...), name: "f", want: library},
		"folder with library":         {content: library, name: "deep/lib/libonnxruntime.so", dir: true, want: library},
		"folder with archive":         {content: zipOf(t, withoutLinks...), name: "onnxruntime-1.29.0.whl", dir: true, want: library},
		"other library, its digest":   {content: other, name: "a.so", sha256: strings.ToUpper(digestOf(other)), want: other},
		"other archive, its digest":   {content: tgzOf(t, file{"libonnxruntime.so", other}), name: "a", sha256: digestOf(tgzOf(t, file{"libonnxruntime.so", other})), want: other},
		"other archive, lib's digest": {content: tgzOf(t, file{"libonnxruntime.so", other}), name: "a", sha256: digestOf(other), want: other},
		"pinned one of two":           {content: zipOf(t, file{"a/libonnxruntime.so", other}, file{"b/libonnxruntime.so", library}), name: "a", want: library},

		"other library":         {content: other, name: "a.so", wantErr: ErrUnpinned, message: []string{unpinned, "version 1.31.0"}},
		"other archive":         {content: zipOf(t, file{"libonnxruntime.so", other}), name: "a", wantErr: ErrUnpinned, message: []string{unpinned}},
		"wrong digest":          {content: library, name: "a.so", sha256: digestOf(other), wantErr: ErrDigest, message: []string{digestOf(library), "want " + digestOf(other)}},
		"wrong archive digest":  {content: zipOf(t, withoutLinks...), name: "a.zip", sha256: digestOf(other), wantErr: ErrDigest},
		"too old":               {content: old, name: "a.so", sha256: digestOf(old), message: []string{"it is version 1.20.0"}},
		"other platform":        {content: arm, name: "a.so", sha256: digestOf(arm), message: []string{"it is for linux-arm64"}},
		"archive of another":    {content: zipOf(t, file{"x/libonnxruntime.so", arm}), name: "a.zip", message: []string{"no library for linux-amd64", "it is for linux-arm64"}},
		"archive with nothing":  {content: zipOf(t, file{"x/README", text}), name: "a.zip", message: []string{"no library for linux-amd64"}},
		"archive with text":     {content: zipOf(t, file{"x/libonnxruntime.so", text}), name: "a.zip", message: []string{"no shared library"}},
		"only links":            {content: tgzOf(t, file{"libonnxruntime.so", nil}), name: "a.tgz", message: []string{"no library for linux-amd64"}},
		"debug symbols":         {content: zipOf(t, file{"x.dSYM/libonnxruntime.so", library}), name: "a.zip", message: []string{"no library"}},
		"cut zip":               {content: zipOf(t, withoutLinks...)[:900], name: "a.zip", message: []string{"the archive cannot be read"}},
		"cut tgz":               {content: tgzOf(t, full...)[:900], name: "a.tgz", message: []string{"unexpected EOF"}},
		"text":                  {content: text, name: "a.tgz", message: []string{"neither a shared library for linux-amd64 nor an archive"}},
		"empty":                 {content: nil, name: "a.tgz", message: []string{"neither a shared library"}},
		"folder with nothing":   {content: text, name: "README", dir: true, message: []string{"the folder holds neither libonnxruntime.so nor an archive"}},
		"folder with wrong one": {content: old, name: "libonnxruntime.so", dir: true, message: []string{"libonnxruntime.so: it is version 1.20.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from := write(t, dir, test.name, test.content)
			if test.dir {
				from = dir
			}
			s := testSetup(t, Options{From: from, SHA256: test.sha256})
			s.trust.libraries[digestOf(library)] = "the test's"
			lib, err := s.run(t.Context())
			checkFrom(t, s, lib, err, test.want, test.wantErr, test.message)
			if left := names(t, filepath.Dir(s.opts.CacheDir)); len(left) > 3 {
				t.Errorf("beside the cache lie %q", left)
			}
		})
	}
}

// checkFrom checks the outcome of a set-up and that nothing half is left.
func checkFrom(t *testing.T, s *setup, lib Library, err error, want []byte, wantErr error, message []string) {
	t.Helper()
	if want == nil {
		if err == nil {
			t.Fatalf("setup = %+v, want an error", lib)
		}
		if wantErr != nil && !errors.Is(err, wantErr) {
			t.Errorf("error = %v, want one that wraps %v", err, wantErr)
		}
		for _, part := range message {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error = %v\nwant in it: %s", err, part)
			}
		}
		for _, name := range names(t, s.dir) {
			if name != lockName && !strings.HasPrefix(name, "download-") {
				t.Errorf("the cache holds %q, want nothing of a failed set-up", name)
			}
		}
		return
	}
	if err != nil {
		t.Fatalf("setup: %v", err)
	}
	if got, err := os.ReadFile(lib.Path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the library has %d bytes, %v, want the %d expected ones", len(got), err, len(want))
	}
	if left := names(t, s.dir); len(left) != 3 {
		t.Errorf("the cache holds %q, want library, record and lock", left)
	}
}

func TestSetupFromKeepsTheOldLibraryOnFailure(t *testing.T) {
	s := testSetup(t, Options{})
	lib := put(t, s, fakeELF(t, machineX64, "1.29.0", 10))
	s.opts.From = write(t, t.TempDir(), "x", []byte("no library"))
	if _, err := s.run(t.Context()); err == nil {
		t.Fatal("setup succeeded, want an error")
	}
	if got, err := s.locate(true); err != nil || got.Path != lib.Path {
		t.Errorf("locate = %+v, %v, want the old library %s", got, err, lib.Path)
	}
	// A new one replaces it.
	next := put(t, s, fakeELF(t, machineX64, "1.30.0", 10))
	if got, err := s.locate(true); err != nil || got.Path != next.Path || got.Version != "1.30.0" {
		t.Errorf("locate = %+v, %v, want the new library %s", got, err, next.Path)
	}
	if left := names(t, s.dir); len(left) != 3 {
		t.Errorf("the cache holds %q, want one library, record and lock", left)
	}
}

func TestArchiveBombs(t *testing.T) {
	zeros := make([]byte, 3<<20)
	elf := append(fakeELF(t, machineX64, "1.29.0", 10), zeros...)
	var nested bytes.Buffer
	z := gzip.NewWriter(&nested)
	for range 4 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	many := make([]file, 20)
	for i := range many {
		many[i] = file{fmt.Sprintf("f%d", i), []byte("x")}
	}
	pair := []file{{"a/libonnxruntime.so", zeros[:900_000]}, {"b/libonnxruntime.so", zeros[:900_000]}, {"c/libonnxruntime.so", zeros[:900_000]}}
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"library in a zip":      {zipOf(t, file{"libonnxruntime.so", elf}), "more than 1000000 bytes"},
		"library in a tgz":      {tgzOf(t, file{"libonnxruntime.so", elf}), "more than"},
		"other file in a tgz":   {tgzOf(t, file{"big", zeros}), "the archive unpacks to more than 2000000 bytes"},
		"gzip of zeros":         {nested.Bytes(), "the archive"},
		"many files in a zip":   {zipOf(t, many...), "the archive has 20 files, more than 10"},
		"many files in a tgz":   {tgzOf(t, many...), "the archive has more than 10 files"},
		"many libraries, a zip": {zipOf(t, pair...), "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSetup(t, Options{From: write(t, t.TempDir(), "a", test.content)})
			s.limits = limits{archive: 1 << 20, library: 1_000_000, stream: 2_000_000, entries: 10}
			lib, err := s.run(t.Context())
			checkFrom(t, s, lib, err, nil, nil, []string{test.want})
		})
	}
	t.Run("archive too large", func(t *testing.T) {
		s := testSetup(t, Options{From: write(t, t.TempDir(), "a", zeros)})
		s.limits.archive = 1 << 20
		lib, err := s.run(t.Context())
		checkFrom(t, s, lib, err, nil, nil, []string{"it has more than 1048576 bytes"})
	})
}
