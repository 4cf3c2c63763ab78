package hub

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// FuzzCheckName: a name that is let through stays inside a directory, by the
// rules of this system.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"config.json", "onnx/model.onnx", "../x", "a/../../x", "/x", `..\x`, "C:x", "a//b", "", ".", "a/.", "NUL"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName(name) != nil {
			return
		}
		if !fs.ValidPath(name) && filepath.ToSlash(filepath.Clean(name)) != name {
			t.Fatalf("%q is let through", name)
		}
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		// Whatever else is wrong with a name, it must not lead out.
		if _, err := root.Lstat(name); err != nil && !errors.Is(err, fs.ErrNotExist) && len(name) < 200 {
			t.Fatalf("%q: %v", name, err)
		}
	})
}
