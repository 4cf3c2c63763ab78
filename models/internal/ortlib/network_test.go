package ortlib

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestRealClients fetches the library with every package client of this machine
// from an empty cache and an empty home.
func TestRealClients(t *testing.T) {
	which := os.Getenv("NEEDLE_NETWORK_TESTS")
	if which != "1" && which != "all" {
		t.Skip("NEEDLE_NETWORK_TESTS=1 runs this test, which fetches 210 MB of packages; =all fetches those of all platforms, 450 MB")
	}
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			here := false
			for _, program := range c.programs {
				_, err := exec.LookPath(program[0])
				here = here || err == nil
			}
			if !here {
				t.Skipf("%s is not on this machine", c.name)
			}
			t.Setenv("HOME", t.TempDir())
			s := testSetup(t, Options{Platform: Host()})
			s.trust, _ = trustFor(Host())
			s.clients = []client{c}
			var last, calls int64
			s.opts.Progress = func(_ string, done, total int64) {
				if total > 0 {
					calls++
					last = done
				}
			}
			start := time.Now()
			lib, err := s.run(t.Context())
			if err != nil {
				t.Fatalf("setup with %s: %v", c.name, err)
			}
			pin := s.trust.packages[c.name]
			t.Logf("%s: %v for a package of %d bytes", c.name, time.Since(start).Round(100*time.Millisecond), pin.bytes)
			if got, err := fileDigest(lib.Path); err != nil || got != pin.library {
				t.Errorf("digest of %s = %s, %v, want %s", lib.Path, got, err, pin.library)
			}
			if lib.Version != Version || lib.Origin != FromCache {
				t.Errorf("library = version %q from %q, want %q from %q", lib.Version, lib.Origin, Version, FromCache)
			}
			if calls < 2 || last != pin.bytes {
				t.Errorf("progress ended at %d of %d after %d calls", last, pin.bytes, calls)
			}
			if which == "all" {
				s.checkOtherPlatforms(t, c)
			}
			if left := names(t, s.dir); len(left) != 3 {
				t.Errorf("the cache holds %q, want library, record and lock", left)
			}
			again, err := s.run(t.Context())
			if err != nil || again.Path != lib.Path {
				t.Errorf("second setup = %q, %v, want %q from the cache", again.Path, err, lib.Path)
			}
			if r := s.diagnose(t.Context()); !r.OK() {
				t.Errorf("report = %+v, want all well", r)
			}
		})
	}
}

// checkOtherPlatforms fetches the package for the platforms that cannot be
// tested here, and checks what can be: that the client delivers it, that the
// digests are the pinned ones, and that the library says what it is. A package
// that serves several platforms is fetched once.
func (s *setup) checkOtherPlatforms(t *testing.T, c client) {
	t.Helper()
	archives := map[string]string{}
	for p, pin := range packagePins()[c.name] {
		if p == s.platform {
			continue
		}
		other := testSetup(t, Options{Platform: p})
		work := t.TempDir()
		if archives[pin.archive] == "" {
			out := filepath.Join(work, "out")
			if err := os.Mkdir(out, 0o755); err != nil {
				t.Fatal(err)
			}
			err := other.runClient(t.Context(), c, pin, work, out)
			if err == nil {
				archives[pin.archive], err = onlyFile(out)
			}
			if err != nil {
				t.Errorf("%s for %s: %v", c.name, p, err)
				continue
			}
		}
		if got, err := fileDigest(archives[pin.archive]); err != nil || got != pin.archive {
			t.Errorf("%s for %s: digest of the package = %s, %v, want %s", c.name, p, got, err, pin.archive)
		}
		lib, err := other.extract(t.Context(), archives[pin.archive], work, func(digest string) bool { return digest == pin.library })
		if err != nil || lib.digest != pin.library || lib.id != (identity{p, Version}) {
			t.Errorf("%s for %s: library = %+v, %v, want version %s with digest %s", c.name, p, lib, err, Version, pin.library)
		}
	}
}

// BenchmarkLocate is what every start of the program pays.
func BenchmarkLocate(b *testing.B) {
	dir := b.TempDir()
	library := fakeELF(b, machineX64, Version, 28<<20)
	opts := Options{CacheDir: dir, Platform: linuxX64(), SHA256: digestOf(library), From: filepath.Join(dir, "libonnxruntime.so")}
	if err := os.WriteFile(opts.From, library, 0o755); err != nil {
		b.Fatal(err)
	}
	s, err := newSetup(opts)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.run(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, thorough := range []bool{false, true} {
		b.Run(fmt.Sprintf("thorough=%v", thorough), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.locate(thorough); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
