package ortlib

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/models"
)

func TestLocateOrder(t *testing.T) {
	fits := fakeELF(t, machineX64, "1.30.1", 10)
	dir := t.TempDir()
	config := write(t, dir, "config/libonnxruntime.so.1.24.0", fakeELF(t, machineX64, "1.24.0", 10))
	environment := write(t, dir, "env/any-name", fakeELF(t, machineX64, "1.25.0", 10))
	system := write(t, dir, "system/libonnxruntime.so.1", fits)
	s := testSetup(t, Options{})
	cached := put(t, s, fakeELF(t, machineX64, "1.29.0", 10))

	steps := []struct {
		name        string
		prepare     func()
		wantPath    string
		wantVersion string
		wantOrigin  Origin
	}{
		{"cache", func() {}, cached.Path, "1.29.0", FromCache},
		{"system before cache", func() { s.systemDirs = []string{filepath.Join(dir, "absent"), filepath.Dir(system)} }, system, "1.30.1", FromSystem},
		{"environment before system", func() { t.Setenv(EnvLibrary, environment) }, environment, "1.25.0", FromEnvironment},
		{"config before environment", func() { s.opts.Path = config }, config, "1.24.0", FromConfig},
		{"config may name a folder", func() { s.opts.Path = filepath.Dir(config) }, config, "1.24.0", FromConfig},
	}
	for _, step := range steps {
		step.prepare()
		lib, err := s.locate(false)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if lib.Path != step.wantPath || lib.Version != step.wantVersion || lib.Origin != step.wantOrigin {
			t.Errorf("%s: library = %+v, want %s, version %s, by %s", step.name, lib, step.wantPath, step.wantVersion, step.wantOrigin)
		}
	}
}

// put installs a library in the cache of a set-up.
func put(t *testing.T, s *setup, library []byte) Library {
	t.Helper()
	each := *s
	each.opts.From = write(t, t.TempDir(), "libonnxruntime.so", library)
	each.opts.SHA256 = digestOf(library)
	lib, err := each.run(t.Context())
	if err != nil {
		t.Fatalf("put a library into the cache: %v", err)
	}
	return lib
}

func TestLocateNamedLibraryMustFit(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		path string
		want string
	}{
		"absent":       {filepath.Join(dir, "none.so"), "no such file"},
		"empty folder": {t.TempDir(), "the folder holds no libonnxruntime.so"},
		"text":         {write(t, dir, "text", []byte("no library at all")), "no shared library"},
		"empty file":   {write(t, dir, "empty", nil), "no shared library"},
		"too old":      {write(t, dir, "old.so", fakeELF(t, machineX64, "1.23.2", 10)), "it is version 1.23.2; 1.24 or newer is needed"},
		"next major":   {write(t, dir, "next.so", fakeELF(t, machineX64, "2.0.0", 10)), "it is version 2.0.0"},
		"other system": {write(t, dir, "arm.so", fakeELF(t, machineARM64, "1.29.0", 10)), "it is for linux-arm64, not for linux-amd64"},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSetup(t, Options{})
			put(t, s, fakeELF(t, machineX64, "1.29.0", 10)) // must not be taken instead
			for _, key := range []string{"NEEDLE_ORT_LIB", "config key runtime.library"} {
				if key == "NEEDLE_ORT_LIB" {
					t.Setenv(EnvLibrary, test.path)
				} else {
					s.opts.Path = test.path
				}
				_, err := s.locate(false)
				if !errors.Is(err, models.ErrRuntimeMissing) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), key) {
					t.Errorf("error = %v, want one with %q and %q", err, key, test.want)
				}
				if _, setupErr := s.run(t.Context()); setupErr == nil || setupErr.Error() != err.Error() {
					t.Errorf("setup error = %v, want the same: %v", setupErr, err)
				}
				t.Setenv(EnvLibrary, "")
			}
		})
	}
	t.Run("an unknown version is the user's business", func(t *testing.T) {
		s := testSetup(t, Options{Path: write(t, dir, "own.so", fakeELF(t, machineX64, "", 10))})
		if lib, err := s.locate(false); err != nil || lib.Version != "" || lib.Origin != FromConfig {
			t.Errorf("locate = %+v, %v, want the named library without a version", lib, err)
		}
	})
}

func TestLocateSystemPassesOver(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/libonnxruntime.so.1.21.0", fakeELF(t, machineX64, "1.21.0", 10))
	write(t, dir, "b/libonnxruntime.so", []byte("GROUP ( AS_NEEDED ( libonnxruntime.so.1 ) )"))
	write(t, dir, "c/libonnxruntime.so.1", fakeELF(t, machineX64, "", 10))
	write(t, dir, "d/libonnxruntime.so.1.29.0", fakeELF(t, machineARM64, "1.29.0", 10))
	write(t, dir, "e/libonnxruntime_providers_shared.so", fakeELF(t, machineX64, "1.29.0", 10))
	write(t, dir, "e/libonnxruntime4j_jni.so", fakeELF(t, machineX64, "1.29.0", 10))
	s := testSetup(t, Options{})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.systemDirs = append(s.systemDirs, filepath.Join(dir, name))
	}
	lib, err := s.locate(false)
	if !errors.Is(err, models.ErrRuntimeMissing) {
		t.Fatalf("error = %v, want one that wraps ErrRuntimeMissing", err)
	}
	wantReasons := []string{"it is version 1.21.0", "no shared library", "its version cannot be told", "it is for linux-arm64"}
	if len(lib.PassedOver) != len(wantReasons) {
		t.Fatalf("passed over = %v, want %d", lib.PassedOver, len(wantReasons))
	}
	for i, want := range wantReasons {
		if !strings.Contains(lib.PassedOver[i].Reason, want) || !strings.Contains(err.Error(), lib.PassedOver[i].Path) {
			t.Errorf("passed over = %v, want %q in it, and its path in the error %v", lib.PassedOver[i], want, err)
		}
	}
	for _, way := range []string{`run "needle setup"`, "set NEEDLE_ORT_LIB", "config key runtime.library", "--from FILE|DIR|URL"} {
		if !strings.Contains(err.Error(), way) {
			t.Errorf("error = %v, want the way out %q", err, way)
		}
	}

	// A file without version symbols is taken if the name behind a link says
	// what it is; of two in one folder the newer one is.
	folder := filepath.Join(dir, "f")
	write(t, folder, "libonnxruntime.so.1.26.1", fakeELF(t, machineX64, "", 10))
	newest := write(t, folder, "libonnxruntime.so.1.27.0", fakeELF(t, machineX64, "", 10))
	s.systemDirs = append(s.systemDirs, folder)
	if lib, err = s.locate(false); err != nil || lib.Path != newest || lib.Version != "1.27.0" || len(lib.PassedOver) != 4 {
		t.Errorf("locate = %+v, %v, want %s after four were passed over", lib, err, newest)
	}
}

// TestLocateInLinkerCache builds a shared library and lets the real ldconfig
// write it into a cache of each format.
func TestLocateInLinkerCache(t *testing.T) {
	if Host().OS != "linux" {
		t.Skip("the cache of the dynamic linker is a thing of Linux")
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler (cc) to build a library with")
	}
	ldconfig := "/sbin/ldconfig"
	if _, err := os.Stat(ldconfig); err != nil {
		t.Skip("ldconfig is not on this machine")
	}
	dir := t.TempDir()
	library := filepath.Join(dir, "lib", "libonnxruntime.so.1.29.0")
	if err := os.Mkdir(filepath.Dir(library), 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.Command(cc, "-shared", "-x", "c", os.DevNull, "-Wl,-soname,libonnxruntime.so.1", "-o", library)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build a library: %v\n%s", err, output)
	}
	for _, format := range []string{"compat", "new"} {
		t.Run(format, func(t *testing.T) {
			s := testSetup(t, Options{Platform: Host()})
			s.linkerCache = filepath.Join(dir, format)
			cmd := exec.Command(ldconfig, "-c", format, "-C", s.linkerCache, "-f", os.DevNull, filepath.Dir(library))
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("ldconfig: %v\n%s", err, output)
			}
			want := filepath.Join(filepath.Dir(library), "libonnxruntime.so.1")
			if lib, err := s.locate(false); err != nil || lib.Path != want || lib.Version != "1.29.0" || lib.Origin != FromSystem {
				t.Errorf("locate = %+v, %v, want %s, version 1.29.0, by system", lib, err, want)
			}
		})
	}
}

func TestParseLinkerCache(t *testing.T) {
	s := testSetup(t, Options{})
	data := []byte("glibc-ld.so.cache1.1\x05\x00\x00\x00" +
		"libz.so.1\x00/lib/libz.so.1\x00" +
		"libonnxruntime.so.1\x00/usr/lib/x86_64-linux-gnu/libonnxruntime.so.1\x00" +
		"libonnxruntime.so\x00/usr/lib/x86_64-linux-gnu/libonnxruntime.so\x00" +
		"/usr/lib/x86_64-linux-gnu/libonnxruntime.so.1\x00" +
		"/usr/lib/libonnxruntime_providers_shared.so\x00relative/libonnxruntime.so\x00/cut/libonnxruntime.so.1.2")
	want := []string{
		"/usr/lib/x86_64-linux-gnu/libonnxruntime.so.1", "/usr/lib/x86_64-linux-gnu/libonnxruntime.so", "/cut/libonnxruntime.so.1.2",
	}
	if got := s.parseLinkerCache(data); !slices.Equal(got, want) {
		t.Errorf("paths = %q, want %q", got, want)
	}
}

func FuzzParseLinkerCache(f *testing.F) {
	f.Add([]byte("\x00/usr/lib/libonnxruntime.so.1\x00"))
	f.Add([]byte("/libonnxruntime/libonnxruntime"))
	s := &setup{platform: linuxX64()}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range s.parseLinkerCache(data) {
			if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) || !s.platform.isLibraryName(filepath.Base(path)) {
				t.Errorf("path = %q, want an absolute path of a library", path)
			}
		}
	})
}

// TestLocateReadsTouchedLibrary shows that a changed time makes Locate read the
// library, and that it is taken if its content is still right.
func TestLocateReadsTouchedLibrary(t *testing.T) {
	s := testSetup(t, Options{})
	library := fakeELF(t, machineX64, "1.29.0", 100)
	lib := put(t, s, library)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(lib.Path, later, later); err != nil {
		t.Fatal(err)
	}
	if got, err := s.locate(false); err != nil || got.Path != lib.Path {
		t.Errorf("locate after a touch = %+v, %v, want %s", got, err, lib.Path)
	}
	library[len(library)/2] ^= 1
	if err := errors.Join(os.WriteFile(lib.Path, library, 0o755), os.Chtimes(lib.Path, later, later)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.locate(false); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("error = %v, want one that says that the library is damaged", err)
	}
}

func TestCacheDir(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(EnvCache, dir)
	s, err := newSetup(Options{Platform: linuxX64()})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "onnxruntime", Version, "linux-amd64"); s.dir != want {
		t.Errorf("cache = %s, want %s", s.dir, want)
	}
}

func TestLibraryNames(t *testing.T) {
	for _, test := range []struct {
		platform Platform
		name     string
		want     bool
	}{
		{Platform{"linux", "amd64"}, "libonnxruntime.so", true},
		{Platform{"linux", "amd64"}, "libonnxruntime.so.1", true},
		{Platform{"linux", "amd64"}, "libonnxruntime.so.1.29.0", true},
		{Platform{"linux", "amd64"}, "libonnxruntime.so.bak", false},
		{Platform{"linux", "amd64"}, "libonnxruntime_providers_shared.so", false},
		{Platform{"linux", "amd64"}, "libonnxruntime.dylib", false},
		{Platform{"darwin", "arm64"}, "libonnxruntime.dylib", true},
		{Platform{"darwin", "arm64"}, "libonnxruntime.1.29.0.dylib", true},
		{Platform{"darwin", "arm64"}, "libonnxruntime4j_jni.dylib", false},
		{Platform{"darwin", "arm64"}, "libonnxruntime.dylib.yml", false},
		{Platform{"windows", "amd64"}, "onnxruntime.dll", true},
		{Platform{"windows", "amd64"}, "OnnxRuntime.DLL", true},
		{Platform{"windows", "amd64"}, "onnxruntime_providers_shared.dll", false},
	} {
		if got := test.platform.isLibraryName(test.name); got != test.want {
			t.Errorf("%s: isLibraryName(%q) = %v, want %v", test.platform, test.name, got, test.want)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, fits := range map[string]bool{
		"1.24": true, "1.24.2": true, "1.29.0": true, "1.100.0": true,
		"1.23.9": false, "1.3": false, "0.29.0": false, "2.0.0": false, "": false, "x": false, "1.29.0.1": false, "1.-2": false,
	} {
		if got := unfit(version) == ""; got != fits {
			t.Errorf("unfit(%q) = %q, want fits = %v", version, unfit(version), fits)
		}
	}
	for name, want := range map[string]string{
		"libonnxruntime.so.1.29.0": "1.29.0", "libonnxruntime.so.1.24": "1.24", "libonnxruntime.so.1": "", "libonnxruntime.so": "",
		"libonnxruntime.1.29.0.dylib": "1.29.0", "libonnxruntime.1.dylib": "", "onnxruntime.dll": "", "": "",
	} {
		if got := versionInName(name); got != want {
			t.Errorf("versionInName(%q) = %q, want %q", name, got, want)
		}
	}
}
