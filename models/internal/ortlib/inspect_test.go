package ortlib

import (
	"bytes"
	"debug/macho"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// fakeMachO makes a library for macOS that consists of the load command with
// its version.
func fakeMachO(cpu macho.Cpu, version uint32) []byte {
	le := binary.LittleEndian
	const headerSize, loadSize = 32, 40
	out := make([]byte, headerSize+loadSize)
	le.PutUint32(out[0:], macho.Magic64)
	le.PutUint32(out[4:], uint32(cpu))
	le.PutUint32(out[12:], uint32(macho.TypeDylib))
	le.PutUint32(out[16:], 1)
	le.PutUint32(out[20:], loadSize)
	le.PutUint32(out[headerSize:], 0xd)
	le.PutUint32(out[headerSize+4:], loadSize)
	le.PutUint32(out[headerSize+8:], 24) // where its name starts
	le.PutUint32(out[headerSize+16:], version)
	copy(out[headerSize+24:], "@rpath/x")
	return out
}

// fakePE makes a DLL that consists of a resource with its version.
func fakePE(machine uint16, version [4]uint16) []byte {
	le := binary.LittleEndian
	const peAt, optional = 64, 240
	out := make([]byte, peAt+4+20+optional+40)
	copy(out, "MZ")
	le.PutUint32(out[0x3c:], peAt)
	copy(out[peAt:], "PE\x00\x00")
	header := out[peAt+4:]
	le.PutUint16(header[0:], machine)
	le.PutUint16(header[2:], 1)
	le.PutUint16(header[16:], optional)
	le.PutUint16(header[20:], 0x20b)
	le.PutUint32(header[20+108:], 16)
	section := header[20+optional:]
	copy(section, ".rsrc")
	le.PutUint32(section[8:], 64)
	le.PutUint32(section[16:], 64)
	le.PutUint32(section[20:], uint32(len(out)))
	resource := make([]byte, 64)
	copy(resource[8:], "\xbd\x04\xef\xfe\x00\x00\x01\x00")
	le.PutUint16(resource[16:], version[1])
	le.PutUint16(resource[18:], version[0])
	le.PutUint16(resource[20:], version[3])
	le.PutUint16(resource[22:], version[2])
	return append(out, resource...)
}

func TestIdentify(t *testing.T) {
	for name, test := range map[string]struct {
		content []byte
		want    identity
	}{
		"ELF x64":          {fakeELF(t, machineX64, "1.29.0", 10), identity{Platform{"linux", "amd64"}, "1.29.0"}},
		"ELF arm64":        {fakeELF(t, machineARM64, "1.24", 10), identity{Platform{"linux", "arm64"}, "1.24"}},
		"ELF no version":   {fakeELF(t, machineX64, "", 10), identity{Platform{"linux", "amd64"}, ""}},
		"ELF other symbol": {fakeELF(t, machineX64, "a.b", 10), identity{Platform{"linux", "amd64"}, ""}},
		"Mach-O arm64":     {fakeMachO(macho.CpuArm64, 0x11d00), identity{Platform{"darwin", "arm64"}, "1.29.0"}},
		"Mach-O x64":       {fakeMachO(macho.CpuAmd64, 0x11702), identity{Platform{"darwin", "amd64"}, "1.23.2"}},
		"PE x64":           {fakePE(0x8664, [4]uint16{1, 29, 0, 7}), identity{Platform{"windows", "amd64"}, "1.29.0"}},
		"PE arm64":         {fakePE(0xaa64, [4]uint16{1, 17, 2024, 1}), identity{Platform{"windows", "arm64"}, "1.17.2024"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := identify(bytes.NewReader(test.content)); err != nil || got != test.want {
				t.Errorf("identify = %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("INPUT(-lonnxruntime)"), "only a magic": []byte("\x7fELF"), "cut PE": []byte("MZxxxxxx"),
		"cut Mach-O": fakeMachO(macho.CpuArm64, 1)[:20], "an ELF program": withByte(fakeELF(t, machineX64, "1.29.0", 1), 16, 2),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := identify(bytes.NewReader(content)); !errors.Is(err, errNotLibrary) {
				t.Errorf("identify = %+v, %v, want %v", got, err, errNotLibrary)
			}
		})
	}
}

func withByte(data []byte, at int, value byte) []byte {
	data[at] = value
	return data
}

// TestInspectRealProgram reads a file that a compiler made: this test itself.
func TestInspectRealProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	id, err := inspect(self)
	if err == nil && id.check(Host()) == "" {
		t.Errorf("inspect(%s) = %+v, want that it is no library that fits", self, id)
	}
}

// TestInspectFollowsLinks shows that a chain of links ends at the name that
// tells the version, as distributions install it.
func TestInspectFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "libonnxruntime.so.1.26.1", fakeELF(t, machineX64, "", 10))
	link := filepath.Join(dir, "libonnxruntime.so")
	if err := errors.Join(os.Symlink("libonnxruntime.so.1.26.1", filepath.Join(dir, "libonnxruntime.so.1")), os.Symlink("libonnxruntime.so.1", link)); err != nil {
		t.Skipf("links cannot be made here: %v", err)
	}
	if id, err := inspect(link); err != nil || id.version != "1.26.1" {
		t.Errorf("inspect = %+v, %v, want version 1.26.1", id, err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	if id, err := inspect(loop); err == nil {
		t.Errorf("inspect of a loop = %+v, want an error", id)
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add(fakeMachO(macho.CpuArm64, 0x11d00))
	f.Add(fakePE(0x8664, [4]uint16{1, 29, 0, 0}))
	f.Add(fakeELF(f, machineX64, "1.29.0", 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := identify(bytes.NewReader(data))
		if err == nil && (id.platform.OS == "" || id.platform.Arch == "") {
			t.Errorf("identify = %+v, want a platform or an error", id)
		}
		if err == nil && id.version != "" && !isVersion(id.version) {
			t.Errorf("version = %q, want one that can be read", id.version)
		}
	})
}

func FuzzExtract(f *testing.F) {
	f.Add(zipOf(f, file{"a/libonnxruntime.so", fakeELF(f, machineX64, "1.29.0", 1)}, file{"../x", []byte("x")}))
	f.Add(tgzOf(f, file{"a/libonnxruntime.so", fakeELF(f, machineX64, "1.29.0", 1)}, file{"../x", nil}))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		s := &setup{platform: linuxX64(), limits: limits{archive: 1 << 20, library: 1 << 18, stream: 1 << 20, entries: 50}}
		work := filepath.Join(dir, "work")
		if err := os.Mkdir(work, 0o755); err != nil {
			t.Fatal(err)
		}
		archive := write(t, dir, "archive", data)
		lib, err := s.extract(t.Context(), archive, work, func(string) bool { return false })
		if err == nil && filepath.Dir(lib.path) != work {
			t.Errorf("the library lies in %s, want it in %s", lib.path, work)
		}
		if got := names(t, dir); len(got) != 2 {
			t.Errorf("the folder holds %q, want archive and work", got)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"file": "libonnxruntime.so", "sha256": "` + digestOf(nil) + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := parseRecord(data)
		if err == nil && (rec.File != filepath.Base(rec.File) || !filepath.IsLocal(rec.File)) {
			t.Errorf("file = %q, want a name in the folder", rec.File)
		}
	})
}

func TestDiagnose(t *testing.T) {
	fits := fakeELF(t, machineX64, "1.29.0", 10)
	find := func(t *testing.T, r Report, name string) Check {
		t.Helper()
		for _, c := range r.Checks {
			if c.Name == name {
				if !c.OK && c.Remedy == "" {
					t.Errorf("check %+v has no remedy", c)
				}
				return c
			}
		}
		t.Fatalf("report = %+v, want the check %q", r, name)
		return Check{}
	}
	t.Run("all well", func(t *testing.T) {
		s := testSetup(t, Options{Load: func(string) (string, error) { return "1.29.0", nil }})
		put(t, s, fits)
		if r := s.diagnose(t.Context()); !r.OK() || r.Library == nil || !find(t, r, "load").OK {
			t.Errorf("report = %+v, want all well", r)
		}
	})
	t.Run("does not load", func(t *testing.T) {
		s := testSetup(t, Options{Load: func(string) (string, error) { return "", exec.ErrNotFound }})
		put(t, s, fits)
		if r := s.diagnose(t.Context()); r.OK() || find(t, r, "load").OK {
			t.Errorf("report = %+v, want a fault of loading", r)
		}
	})
	t.Run("loads as too old", func(t *testing.T) {
		s := testSetup(t, Options{Load: func(string) (string, error) { return "1.20.1", nil }})
		put(t, s, fits)
		if r := s.diagnose(t.Context()); r.OK() || find(t, r, "load").OK {
			t.Errorf("report = %+v, want a fault of loading", r)
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		s := testSetup(t, Options{})
		s.trust, _ = trustFor(linuxX64())
		t.Setenv("PATH", t.TempDir())
		r := s.diagnose(t.Context())
		if r.OK() || r.Library != nil || find(t, r, "library").OK || find(t, r, "package clients").OK || !find(t, r, "cache").OK {
			t.Errorf("report = %+v, want faults of library and clients", r)
		}
		if left := names(t, s.opts.CacheDir); len(left) != 0 {
			t.Errorf("the diagnosis left %q", left)
		}
	})
	t.Run("clients there", func(t *testing.T) {
		s := testSetup(t, Options{})
		fakeClients(t, s, pin{}, script("one", "exit 1"))
		if r := s.diagnose(t.Context()); r.OK() || !find(t, r, "package clients").OK {
			t.Errorf("report = %+v, want a client that could be used", r)
		}
	})
	t.Run("wrong environment", func(t *testing.T) {
		s := testSetup(t, Options{})
		put(t, s, fits)
		t.Setenv(EnvLibrary, filepath.Join(t.TempDir(), "none"))
		if c := find(t, s.diagnose(t.Context()), "library"); c.OK || c.Remedy != "correct or remove the path" {
			t.Errorf("check = %+v, want a wrong path", c)
		}
	})
	t.Run("cache cannot be written", func(t *testing.T) {
		s := testSetup(t, Options{CacheDir: filepath.Join(write(t, t.TempDir(), "file", nil), "cache")})
		if c := find(t, s.diagnose(t.Context()), "cache"); c.OK {
			t.Errorf("check = %+v, want a fault", c)
		}
	})
}
