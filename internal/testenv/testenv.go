// Package testenv finds what tests need beyond the repository and says what is
// to happen where it is missing: where it was promised (the variable that names
// it is set, or CI=true) the test fails, elsewhere it is skipped and says what
// was missing.
//
//	path := testenv.Shared(t, "data", "cranfield")
package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// Root returns the root of the repository: the directory above the test that
// holds go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// Shared returns the path of a file or folder of the shared data and models,
// which NEEDLE_SHARED points to; by default they lie beside the repository. A
// relative NEEDLE_SHARED counts from the root of the repository.
func Shared(t testing.TB, elements ...string) string {
	t.Helper()
	dir, promised := os.LookupEnv("NEEDLE_SHARED")
	if !promised {
		dir = filepath.Join("..", "shared")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(Root(t), dir)
	}
	path := filepath.Join(dir, filepath.Join(elements...))
	if _, err := os.Stat(path); err != nil {
		Missing(t, promised, "the shared data is missing (NEEDLE_SHARED says where it is): %v", err)
	}
	return path
}

// Missing ends a test that lacks something: as failed where it was promised or
// under CI=true, else as skipped.
func Missing(t testing.TB, promised bool, format string, args ...any) {
	t.Helper()
	if promised || os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
