package ortlib

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestRealClients fetches the library with every package client of this machine
// from an empty cache and an empty home.
func TestRealClients(t *testing.T) {
	if os.Getenv("NEEDLE_NETWORK_TESTS") != "1" {
		t.Skip("NEEDLE_NETWORK_TESTS=1 runs this test, which fetches 190 MB of packages")
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
