package ortlib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
)

func TestSetupWithClients(t *testing.T) {
	library := fakeELF(t, machineX64, "1.29.0", 40_000)
	other := fakeELF(t, machineX64, "1.29.0", 40_001)
	dir := t.TempDir()
	good := zipOf(t, file{"onnxruntime/capi/libonnxruntime.so.1.29.0", library})
	goodPath := write(t, dir, "good.whl", good)
	badPath := write(t, dir, "bad.whl", zipOf(t, file{"onnxruntime/capi/libonnxruntime.so.1.29.0", other}))
	pinned := pin{archive: digestOf(good), bytes: int64(len(good)), library: digestOf(library)}
	deliver := func(path string) string { return "cp '" + path + "' \"$1/\"" }

	// Clients that hang are given up soon; the others may be as slow as a busy
	// machine makes them.
	soon := Timeouts{Start: 1500 * time.Millisecond, Stall: 1500 * time.Millisecond}
	for name, test := range map[string]struct {
		scripts    []file
		timeouts   Timeouts
		wantSource string   // "" when all must fail
		wantError  []string // parts of the message
	}{
		"the first delivers": {
			scripts:    []file{script("one", deliver(goodPath)), script("two", "exit 1")},
			wantSource: "one package 1.29.0",
		},
		"the first is missing": {
			scripts:    []file{{"one", nil}, script("two", deliver(goodPath))},
			wantSource: "two package 1.29.0",
		},
		"the first fails": {
			scripts:    []file{script("one", "echo 'ERROR: no network' >&2; exit 3"), script("two", deliver(goodPath))},
			wantSource: "two package 1.29.0",
		},
		"the first hangs with a child": {
			scripts:    []file{script("one", "sleep 600 & sleep 600"), script("two", deliver(goodPath))},
			timeouts:   soon,
			wantSource: "two package 1.29.0",
		},
		"the first stalls in the middle": {
			scripts:    []file{script("one", "echo half > \"$2/part\"; sleep 600"), script("two", deliver(goodPath))},
			timeouts:   soon,
			wantSource: "two package 1.29.0",
		},
		"the first gives wrong content": {
			scripts:    []file{script("one", deliver(badPath)), script("two", deliver(goodPath))},
			wantSource: "two package 1.29.0",
		},
		"the first gives nothing": {
			scripts:    []file{script("one", "exit 0"), script("two", deliver(goodPath))},
			wantSource: "two package 1.29.0",
		},
		"all fail": {
			scripts: []file{
				{"none", nil}, script("broken", "echo 'ERROR: no network' >&2; echo 'note: update me' >&2; exit 3"),
				script("hanging", "sleep 600"), script("stalled", "echo half > \"$2/part\"; sleep 600"),
				script("wrong", deliver(badPath)), script("empty", "exit 0"),
			},
			timeouts: soon,
			wantError: []string{
				"none: it is not on this machine",
				"broken: it failed (exit status 3): ERROR: no network",
				"hanging: nothing arrived within",
				"stalled: nothing arrived for",
				"wrong: wrong content: the SHA-256 of bad.whl is",
				"empty: it left 0 files instead of one package",
				"install one of the package clients", "needle setup --from https://", "--from FILE|DIR|URL",
				"set NEEDLE_ORT_LIB or the config key runtime.library",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSetup(t, Options{Timeouts: test.timeouts})
			fakeClients(t, s, pinned, test.scripts...)
			lib, err := s.run(t.Context())
			if test.wantSource == "" {
				if !errors.Is(err, models.ErrRuntimeMissing) {
					t.Fatalf("error = %v, want one that wraps ErrRuntimeMissing", err)
				}
				for _, want := range test.wantError {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error = %v\nwant in it: %s", err, want)
					}
				}
				if left := names(t, s.dir); len(left) != 1 || left[0] != lockName {
					t.Errorf("the cache holds %q, want only the lock", left)
				}
				return
			}
			if err != nil {
				t.Fatalf("setup: %v", err)
			}
			if lib.Source != test.wantSource || lib.Version != "1.29.0" || lib.Origin != FromCache {
				t.Errorf("library = %+v, want version 1.29.0 from the cache by %q", lib, test.wantSource)
			}
			if got, err := fileDigest(lib.Path); err != nil || got != pinned.library {
				t.Errorf("digest = %s, %v, want %s", got, err, pinned.library)
			}
			if left := names(t, s.dir); len(left) != 3 {
				t.Errorf("the cache holds %q, want library, record and lock", left)
			}
		})
	}
}

func TestSetupEndsTheClientsChildren(t *testing.T) {
	s := testSetup(t, Options{Timeouts: Timeouts{Start: 1500 * time.Millisecond}})
	beat := filepath.Join(t.TempDir(), "beat")
	fakeClients(t, s, pin{}, script("one", "(while :; do date +%s%N > '"+beat+"'; sleep 0.05; done) & sleep 600"))
	if _, err := s.run(t.Context()); err == nil {
		t.Fatal("setup succeeded, want a failure")
	}
	before, err := os.ReadFile(beat)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	after, err := os.ReadFile(beat)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the client's child still runs: beat %s, then %s (%v)", before, after, err)
	}
}

func TestSetupInterrupted(t *testing.T) {
	s := testSetup(t, Options{})
	fakeClients(t, s, pin{bytes: 100}, script("one", "echo half > \"$2/part\"; sleep 600"))
	ctx, cancel := context.WithCancel(t.Context())
	s.opts.Progress = func(_ string, done, _ int64) {
		if done > 0 {
			cancel()
		}
	}
	if _, err := s.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	if left := names(t, s.dir); len(left) != 1 {
		t.Errorf("the cache holds %q, want only the lock", left)
	}
}

func TestSetupClearsWhatKilledProcessesLeft(t *testing.T) {
	library := fakeELF(t, machineX64, "1.29.0", 100)
	archive := zipOf(t, file{"libonnxruntime.so", library})
	path := write(t, t.TempDir(), "good.jar", archive)
	s := testSetup(t, Options{})
	write(t, filepath.Join(s.dir, fetchStem+"123"), "half", []byte("half"))
	fakeClients(t, s, pin{digestOf(archive), 1, digestOf(library)}, script("one", "cp '"+path+"' \"$1/\""))
	if _, err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := names(t, s.dir); len(left) != 3 {
		t.Errorf("the cache holds %q, want library, record and lock", left)
	}
}

func TestSetupAtOnce(t *testing.T) {
	library := fakeELF(t, machineX64, "1.29.0", 100)
	archive := zipOf(t, file{"libonnxruntime.so", library})
	dir := t.TempDir()
	path, log := write(t, dir, "good.jar", archive), filepath.Join(dir, "log")
	s := testSetup(t, Options{})
	fakeClients(t, s, pin{digestOf(archive), 1, digestOf(library)},
		script("one", "echo run >> '"+log+"'; sleep 0.2; cp '"+path+"' \"$1/\""))
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			each := *s
			if lib, err := each.run(t.Context()); err != nil || lib.Version != "1.29.0" {
				t.Errorf("setup = %+v, %v, want version 1.29.0", lib, err)
			}
		})
	}
	group.Wait()
	if got, err := os.ReadFile(log); err != nil || string(got) != "run\n" {
		t.Errorf("the client ran as %q, %v, want one run", got, err)
	}
}

func TestSetupReplacesDamagedLibrary(t *testing.T) {
	library := fakeELF(t, machineX64, "1.29.0", 100)
	archive := zipOf(t, file{"libonnxruntime.so", library})
	path := write(t, t.TempDir(), "good.jar", archive)
	for name, damage := range map[string]func(t *testing.T, s *setup, lib Library){
		"another byte, same size and time": func(t *testing.T, _ *setup, lib Library) {
			info, err := os.Stat(lib.Path)
			if err != nil {
				t.Fatal(err)
			}
			data := bytes.Clone(library)
			data[len(data)/2] ^= 1
			if err := errors.Join(os.WriteFile(lib.Path, data, 0o755), os.Chtimes(lib.Path, info.ModTime(), info.ModTime())); err != nil {
				t.Fatal(err)
			}
		},
		"cut":         func(t *testing.T, _ *setup, lib Library) { truncate(t, lib.Path, 10) },
		"removed":     func(t *testing.T, _ *setup, lib Library) { remove(t, lib.Path) },
		"record cut":  func(t *testing.T, s *setup, _ Library) { truncate(t, filepath.Join(s.dir, recordName), 10) },
		"record gone": func(t *testing.T, s *setup, _ Library) { remove(t, filepath.Join(s.dir, recordName)) },
		"record names another path": func(t *testing.T, s *setup, _ Library) {
			record := fmt.Sprintf(`{"file": "../../x.so", "sha256": %q}`, digestOf(library))
			write(t, s.dir, recordName, []byte(record))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSetup(t, Options{})
			fakeClients(t, s, pin{digestOf(archive), 1, digestOf(library)}, script("one", "cp '"+path+"' \"$1/\""))
			lib, err := s.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			damage(t, s, lib)
			if r := s.diagnose(t.Context()); r.OK() {
				t.Errorf("report = %+v, want a fault", r)
			}
			lib, err = s.run(t.Context())
			if err != nil {
				t.Fatalf("second setup: %v", err)
			}
			if got, err := fileDigest(lib.Path); err != nil || got != digestOf(library) {
				t.Errorf("digest = %s, %v, want %s", got, err, digestOf(library))
			}
			if lib, err := s.locate(false); err != nil || lib.Origin != FromCache {
				t.Errorf("locate = %+v, %v, want the cached library", lib, err)
			}
		})
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestSetupOnUnknownPlatform(t *testing.T) {
	s := testSetup(t, Options{Platform: Platform{"plan9", "mips"}})
	_, err := s.run(t.Context())
	if !errors.Is(err, models.ErrRuntimeMissing) || !strings.Contains(err.Error(), "no package of version 1.29.0 is known for plan9-mips") {
		t.Errorf("error = %v, want one that names the platform", err)
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	blocked := write(t, t.TempDir(), "file", nil)
	s := testSetup(t, Options{CacheDir: filepath.Join(blocked, "cache")})
	s.trust.packages["pip"] = pin{}
	if _, err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "set NEEDLE_CACHE") {
		t.Errorf("error = %v, want one that names NEEDLE_CACHE", err)
	}
}

func TestDefaultPinsAreComplete(t *testing.T) {
	for _, p := range []Platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "arm64"}, {"windows", "amd64"}} {
		trust, ok := trustFor(p)
		if !ok {
			t.Errorf("nothing is pinned for %s", p)
		}
		for _, c := range clients() {
			pin := trust.packages[c.name]
			if !hexDigest.MatchString(pin.archive) || !hexDigest.MatchString(pin.library) || pin.bytes < 1<<20 {
				t.Errorf("%s on %s: pin = %+v, want digests and a size", c.name, p, pin)
			}
		}
		if r := releases()[p]; !hexDigest.MatchString(r.sha256) {
			t.Errorf("release for %s: digest %q", p, r.sha256)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]Options{
		"no digest":        {From: "x", SHA256: "abc"},
		"digest, no file":  {SHA256: strings.Repeat("a", 64)},
		"digest not hex":   {From: "x", SHA256: strings.Repeat("g", 64)},
		"digest too short": {From: "x", SHA256: strings.Repeat("a", 63)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Setup(t.Context(), opts); err == nil {
				t.Errorf("Setup(%+v) succeeded, want an error", opts)
			}
		})
	}
}
