package ortlib

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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

// A server gives content by a script: each request takes the next step, the
// last one is repeated.
type server struct {
	content []byte
	etag    string
	steps   []func(w http.ResponseWriter, r *http.Request)
	// ranges are the Range headers of the requests.
	ranges []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	step := s.serve
	if len(s.steps) > 0 {
		step = s.steps[min(len(s.ranges), len(s.steps)-1)]
	}
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	step(w, r)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.content))
}

// cut sends n bytes from where the request wants to start and then breaks the
// connection.
func (s *server) cut(n int) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		start := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(s.content)-1, len(s.content)))
			w.Header().Set("Content-Length", strconv.Itoa(len(s.content)-start))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(s.content)))
		}
		_, _ = w.Write(s.content[start : start+n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func status(code int, header ...string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func TestSetupFromURL(t *testing.T) {
	library := fakeELF(t, machineX64, "1.29.0", 200_000)
	archive := tgzOf(t, file{"x/lib/libonnxruntime.so.1.29.0", library})
	for name, test := range map[string]struct {
		etag       string
		sha256     string
		stall      time.Duration
		steps      func(s *server) []func(w http.ResponseWriter, r *http.Request)
		wantRanges []string
		wantErr    error
		message    []string // of the failure; nil for success
	}{
		"whole": {wantRanges: []string{""}},
		"cut twice, then resumed": {
			etag: `"v1"`,
			steps: func(s *server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){s.cut(1000), s.cut(500), s.serve}
			},
			wantRanges: []string{"", "bytes=1000-", "bytes=1500-"},
		},
		"cut without a validator starts again": {
			steps: func(s *server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){s.cut(1000), s.serve}
			},
			wantRanges: []string{"", ""},
		},
		"weak validator starts again": {
			etag: `W/"v1"`,
			steps: func(s *server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){s.cut(1000), s.serve}
			},
			wantRanges: []string{"", ""},
		},
		"changed meanwhile": {
			etag: `"v1"`,
			steps: func(s *server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){s.cut(1000), func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("ETag", `"v2"`)
					s.serve(w, r)
				}}
			},
			wantRanges: []string{"", "bytes=1000-"},
		},
		"range out of place": {
			etag: `"v1"`,
			steps: func(s *server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){
					s.cut(1000), status(http.StatusPartialContent, "Content-Range", "bytes 5-9/10"), s.serve,
				}
			},
			wantRanges: []string{"", "bytes=1000-", ""},
		},
		"range refused": {
			etag: `"v1"`,
			steps: func(s *server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){s.cut(1000), status(http.StatusRequestedRangeNotSatisfiable), s.serve}
			},
			wantRanges: []string{"", "bytes=1000-", ""},
		},
		"busy at first": {
			steps: func(s *server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){
					status(http.StatusServiceUnavailable), status(http.StatusTooManyRequests, "Retry-After", "0"), s.serve,
				}
			},
			wantRanges: []string{"", "", ""},
		},
		"always busy": {
			steps: func(*server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){status(http.StatusBadGateway)}
			},
			wantRanges: make([]string, 6),
			message:    []string{"the server says 502"},
		},
		"not found": {
			steps: func(*server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){status(http.StatusNotFound)}
			},
			wantRanges: []string{""},
			message:    []string{"it says 404"},
		},
		"too large": {
			steps: func(*server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){status(http.StatusOK, "Content-Length", "99999999999")}
			},
			wantRanges: []string{""},
			message:    []string{"99999999999 bytes, more than"},
		},
		"endless": {
			steps: func(*server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){func(w http.ResponseWriter, _ *http.Request) {
					for {
						if _, err := w.Write(make([]byte, 1<<16)); err != nil {
							return
						}
					}
				}}
			},
			wantRanges: []string{""},
			message:    []string{"the file has more than 4194304 bytes"},
		},
		"stalled": {
			etag: `"v1"`, stall: time.Second,
			steps: func(s *server) []func(w http.ResponseWriter, r *http.Request) {
				return []func(w http.ResponseWriter, r *http.Request){func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Length", strconv.Itoa(len(s.content)))
					_, _ = w.Write(s.content[:1000])
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				}, s.serve}
			},
			wantRanges: []string{"", "bytes=1000-"},
		},
		"wrong digest": {
			sha256: strings.Repeat("0", 64), etag: `"v1"`,
			wantRanges: []string{""},
			wantErr:    ErrDigest,
			message:    []string{digestOf(archive), "want " + strings.Repeat("0", 64)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler := &server{content: archive, etag: test.etag}
			if test.steps != nil {
				handler.steps = test.steps(handler)
			}
			web := httptest.NewServer(handler)
			s := testSetup(t, Options{
				From: strings.Replace(web.URL, "http://", "http://user:secret@", 1) + "/onnxruntime.tgz", SHA256: test.sha256,
				Timeouts: Timeouts{Stall: test.stall},
			})
			s.limits.archive = 4 << 20
			s.trust.libraries[digestOf(library)] = "the test's"
			var most int64
			s.opts.Progress = func(_ string, done, _ int64) { most = max(most, done) }
			lib, err := s.run(t.Context())
			web.Close() // waits for the handlers, so that ranges can be read
			var want []byte
			if test.message == nil {
				want = library
				if most != int64(len(archive)) {
					t.Errorf("progress ended at %d, want %d", most, len(archive))
				}
			}
			checkFrom(t, s, lib, err, want, test.wantErr, test.message)
			if fmt.Sprintf("%q", handler.ranges) != fmt.Sprintf("%q", test.wantRanges) {
				t.Errorf("requests had the ranges %q, want %q", handler.ranges, test.wantRanges)
			}
			if err != nil && strings.Contains(err.Error(), "secret") || strings.Contains(lib.Source, "secret") {
				t.Errorf("the password is in %v, %+v", err, lib)
			}
			if errors.Is(err, ErrDigest) && len(names(t, s.dir)) != 1 {
				t.Errorf("the cache holds %q, want no wrong download to resume", names(t, s.dir))
			}
		})
	}
}

// TestDownloadGoesOnInTheNextProcess cuts the connection for good and starts
// again with a new set-up.
func TestDownloadGoesOnInTheNextProcess(t *testing.T) {
	library := fakeELF(t, machineX64, "1.29.0", 200_000)
	handler := &server{content: library, etag: `"v1"`}
	cut := handler.cut(1000)
	handler.steps = []func(w http.ResponseWriter, r *http.Request){cut, cut, cut, cut, cut, cut, handler.serve}
	web := httptest.NewServer(handler)
	defer web.Close()
	opts := Options{From: web.URL, CacheDir: t.TempDir()}
	s := testSetup(t, opts)
	s.trust.libraries[digestOf(library)] = "the test's"
	if _, err := s.run(t.Context()); err == nil {
		t.Fatal("setup succeeded, want an error")
	}
	next := testSetup(t, opts)
	next.trust = s.trust
	if _, err := next.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := handler.ranges[len(handler.ranges)-1], "bytes=6000-"; got != want {
		t.Errorf("the last request had the range %q, want %q", got, want)
	}
}

func TestRedirectMustStayEncrypted(t *testing.T) {
	request := func(url string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	secure, plain := request("https://a.example/x"), request("http://b.example/x")
	if err := checkRedirect(plain, []*http.Request{secure}); err == nil {
		t.Error("a redirect from https to http was followed")
	}
	if err := checkRedirect(secure, []*http.Request{plain}); err != nil {
		t.Errorf("a redirect from http to https was refused: %v", err)
	}
	if err := checkRedirect(secure, slices.Repeat([]*http.Request{secure}, 10)); err == nil {
		t.Error("the eleventh redirect was followed")
	}
}

func TestParseContentRange(t *testing.T) {
	for header, want := range map[string][3]int64{
		"bytes 0-0/1": {0, 1, 1}, "bytes 100-199/200": {100, 200, 1}, "bytes 5-9/*": {5, -1, 1},
		"": {}, "bytes */200": {}, "bytes 9-5/10": {}, "bytes 0-10/10": {}, "bytes -1-5/10": {}, "chars 0-0/1": {},
		"bytes 0-/1": {}, "bytes 0-0/x": {}, "bytes 99999999999999999999-0/1": {},
	} {
		start, total, ok := parseContentRange(header)
		if ok != (want[2] == 1) || ok && (start != want[0] || total != want[1]) {
			t.Errorf("parseContentRange(%q) = %d, %d, %v, want %v", header, start, total, ok, want)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	f.Add("bytes 100-199/200")
	f.Add("bytes 5-9/*")
	f.Fuzz(func(t *testing.T, header string) {
		start, total, ok := parseContentRange(header)
		if ok && (start < 0 || total != -1 && total <= start) {
			t.Errorf("parseContentRange(%q) = %d, %d, want a start in the file", header, start, total)
		}
	})
}
