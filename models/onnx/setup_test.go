package onnx

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
)

// childCache names the cache that a child process of this test is to examine. A
// process loads one library and keeps it, so what other tests of this package
// have loaded must not get in the way.
const childCache = "NEEDLE_TEST_DOCTOR_CACHE"

// TestSetupAndDoctor fetches the library into an empty cache, with an empty
// home, and loads it.
func TestSetupAndDoctor(t *testing.T) {
	if dir := os.Getenv(childCache); dir != "" {
		report, err := Doctor(t.Context(), SetupOptions{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for _, check := range report.Checks {
			t.Logf("%+v", check)
		}
		if !report.OK() {
			t.Errorf("report = %+v, want all well", report)
		}
		return
	}
	if os.Getenv("NEEDLE_NETWORK_TESTS") == "" {
		t.Skip("NEEDLE_NETWORK_TESTS=1 runs this test, which fetches a package of 23 MB or more")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("NEEDLE_ORT_LIB", "")
	cache := t.TempDir()
	lib, err := Setup(t.Context(), SetupOptions{CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	if located, err := Locate(LocateOptions{CacheDir: cache}); err != nil || located.Path != lib.Path {
		t.Errorf("Locate = %+v, %v, want %s", located, err, lib.Path)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestSetupAndDoctor$", "-test.v")
	cmd.Env = append(os.Environ(), childCache+"="+cache)
	output, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "says that it is version") {
		t.Errorf("doctor in a process of its own: %v\n%s", err, output)
	}
}

func TestLocateSaysWhatToDo(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "libonnxruntime.so")
	_, err := Locate(LocateOptions{Path: wrong, CacheDir: t.TempDir()})
	if !errors.Is(err, models.ErrRuntimeMissing) || !strings.Contains(err.Error(), "config key runtime.library") {
		t.Errorf("error = %v, want ErrRuntimeMissing with the config key", err)
	}
}

func TestDoctorExplainsWrongLibrary(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if err := os.WriteFile(wrong, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	report, err := Doctor(t.Context(), SetupOptions{Path: wrong, CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if report.OK() || report.Library != nil {
		t.Errorf("report = %+v, want a fault", report)
	}
}
