package ortlib

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
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
