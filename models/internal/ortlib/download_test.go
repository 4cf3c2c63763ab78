package ortlib

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

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
