package eval

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// sharedData returns the path of a file or folder among the shared data sets.
// Where they are promised, by NEEDLE_SHARED or CI, their absence is a failure.
func sharedData(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("NEEDLE_SHARED")
	promised := root != "" || os.Getenv("CI") == "true"
	if root == "" {
		root = filepath.Join(repositoryRoot(t), "..", "shared")
	}
	path := filepath.Join(root, "data", name)
	if _, err := os.Stat(path); err != nil {
		if promised || !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("shared data set %s: %v", name, err)
		}
		t.Skipf("the shared data set %s is missing; NEEDLE_SHARED says where it is", name)
	}
	return path
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}

func readShared(t *testing.T, name string) *Dataset {
	t.Helper()
	file, err := os.Open(sharedData(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := ReadSQuAD(file, "")
	if err != nil {
		t.Fatalf("ReadSQuAD(%s): %v", name, err)
	}
	return data
}

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }
