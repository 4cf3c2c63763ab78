package ortlib

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
)

// linuxX64 is the platform of the tests, whatever machine they run on.
func linuxX64() Platform { return Platform{"linux", "amd64"} }

// testSetup is a set-up on an empty machine: no system libraries, nothing
// trusted, an empty cache and home.
func testSetup(t *testing.T, opts Options) *setup {
	t.Helper()
	t.Setenv(EnvLibrary, "")
	t.Setenv(EnvCache, "")
	t.Setenv("LD_LIBRARY_PATH", "")
	if opts.CacheDir == "" {
		opts.CacheDir = t.TempDir()
	}
	if opts.Platform == (Platform{}) {
		opts.Platform = linuxX64()
	}
	if opts.Timeouts.Retry == 0 {
		opts.Timeouts.Retry = time.Millisecond
	}
	s, err := newSetup(opts)
	if err != nil {
		t.Fatalf("newSetup(%+v): %v", opts, err)
	}
	s.systemDirs, s.linkerCache = nil, ""
	s.trust = trust{packages: map[string]pin{}, archives: map[string]string{}, libraries: map[string]string{}}
	return s
}

// fakeELF makes the smallest shared library that says it is ONNX Runtime: an
// ELF file with the section that holds symbol versions. An empty version leaves
// the section out. The padding makes it large enough to be cut.
func fakeELF(t testing.TB, machine uint16, version string, padding int) []byte {
	t.Helper()
	le := binary.LittleEndian
	const ehsize, shsize = 64, 64
	names := []byte("\x00.dynstr\x00.gnu.version_d\x00.shstrtab\x00.dynsym\x00.gnu.version\x00")
	dynstr := append([]byte("\x00VERS_"+version), 0)
	// One Verdef (20 bytes) with one Verdaux (8 bytes) that points at the name.
	verdef := make([]byte, 28)
	le.PutUint16(verdef[0:], 1)
	le.PutUint16(verdef[4:], 2)
	le.PutUint16(verdef[6:], 1)
	le.PutUint32(verdef[12:], 20)
	le.PutUint32(verdef[20:], 1)
	out := make([]byte, ehsize)
	place := func(data []byte) (offset, size uint64) {
		offset = uint64(len(out))
		out = append(out, data...)
		return offset, uint64(len(data))
	}
	namesAt, namesLen := place(names)
	strAt, strLen := place(dynstr)
	defAt, defLen := place(verdef)
	symAt, symLen := place(make([]byte, 2*24))
	verAt, verLen := place([]byte{0, 0, 2, 0})
	for i := range padding {
		out = append(out, byte(i*i>>3))
	}
	table := uint64(len(out))
	section := func(name, kind uint32, at, size uint64, link uint32, info uint32) {
		h := make([]byte, shsize)
		le.PutUint64(h[56:], map[uint32]uint64{11: 24, 0x6fffffff: 2}[kind])
		le.PutUint32(h[0:], name)
		le.PutUint32(h[4:], kind)
		le.PutUint64(h[24:], at)
		le.PutUint64(h[32:], size)
		le.PutUint32(h[40:], link)
		le.PutUint32(h[44:], info)
		out = append(out, h...)
	}
	count := uint16(6)
	section(0, 0, 0, 0, 0, 0)
	section(1, 3, strAt, strLen, 0, 0)
	if version != "" {
		section(9, 0x6ffffffd, defAt, defLen, 1, 1)
	} else {
		section(9, 1, defAt, defLen, 0, 0)
	}
	section(24, 3, namesAt, namesLen, 0, 0)
	section(34, 11, symAt, symLen, 1, 0)
	section(42, 0x6fffffff, verAt, verLen, 4, 0)
	copy(out, "\x7fELF\x02\x01\x01")
	le.PutUint16(out[16:], 3) // a shared object
	le.PutUint16(out[18:], machine)
	le.PutUint32(out[20:], 1)
	le.PutUint64(out[40:], table)
	le.PutUint16(out[52:], ehsize)
	le.PutUint16(out[58:], shsize)
	le.PutUint16(out[60:], count)
	le.PutUint16(out[62:], 3)
	return out
}

const (
	machineX64   = 62
	machineARM64 = 183
)

// file is an entry of a test archive.
type file struct {
	name string
	data []byte
}

func zipOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		e, err := w.Create(f.name)
		if err == nil {
			_, err = e.Write(f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tgzOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		if f.data == nil {
			header.Typeflag, header.Linkname = tar.TypeSymlink, "../../../etc/passwd"
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// needsShell skips where the fake clients, which are shell scripts, cannot run.
func needsShell(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake package clients are shell scripts")
	}
}

// fakeClients puts scripts on an otherwise empty PATH and makes the set-up know
// them as clients, in order. $1 is the folder to leave the package in, $2 the
// work folder.
func fakeClients(t *testing.T, s *setup, pinned pin, scripts ...file) {
	t.Helper()
	needsShell(t)
	bin := t.TempDir()
	s.clients = nil
	for _, script := range scripts {
		if script.data != nil {
			body := "#!/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin\n" + string(script.data) + "\n"
			write(t, bin, script.name, []byte(body))
		}
		s.clients = append(s.clients, client{
			name:        script.name,
			programs:    [][]string{{script.name}},
			arguments:   func(_ Platform, work, out string) []string { return []string{out, work} },
			environment: tempEnvironment,
			remark:      "1 MB",
		})
		s.trust.packages[script.name] = pinned
	}
	t.Setenv("PATH", bin)
}

func script(name, body string) file { return file{name, []byte(body)} }

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
