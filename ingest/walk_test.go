package ingest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
)

// tree writes files under a new directory named "docs"; a value that starts
// with "-> " is a symbolic link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "docs")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(filepath.FromSlash(target), p)
		} else {
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// walk returns "id" for files and "relative-path: reason" for faults, those
// that are no skips with a "!" in front.
func walk(t *testing.T, base string, options ingest.WalkOptions, paths ...string) []string {
	t.Helper()
	var got []string
	for found := range ingest.Walk(paths, options) {
		if found.Fault == nil {
			got = append(got, found.File.ID)
			continue
		}
		line := strings.ReplaceAll(strings.TrimPrefix(found.Fault.String(), base+string(filepath.Separator)), base, "BASE")
		if !found.Fault.Skipped {
			line = "!" + line
		}
		got = append(got, line)
	}
	return got
}

func TestWalk(t *testing.T) {
	cases := []struct {
		name  string
		files map[string]string
		paths []string // below the directory; default is the directory
		want  []string
	}{
		{
			name:  "order and ids",
			files: map[string]string{"b.txt": "b", "a/z.md": "z", "a/b/c.txt": "c", "a b.txt": "s"},
			want:  []string{"docs/a/b/c.txt", "docs/a/z.md", "docs/a b.txt", "docs/b.txt"},
		},
		{
			name:  "hidden files and leftovers",
			files: map[string]string{"a.txt": "a", ".git/config": "x", ".env": "x", "~$a.docx": "x", "a.txt~": "x", "a.tmp": "x", "node_modules/m/readme.md": "x"},
			want: []string{
				".env: it is hidden", ".git: it is hidden", "a.tmp: it is a temporary file", "docs/a.txt", "a.txt~: it is a leftover of another program",
				"node_modules: it holds no documents", "~$a.docx: it is a leftover of another program",
			},
		},
		{
			name:  "a file that was given",
			files: map[string]string{"sub/.hidden.txt": "x"},
			paths: []string{"sub/.hidden.txt"},
			want:  []string{".hidden.txt"},
		},
		{
			name:  "a path that is not there, and one given twice",
			files: map[string]string{"a/x.txt": "x"},
			paths: []string{"gone", "a", "a/../a"},
			want:  []string{"!gone: lstat: no such file or directory", "a/x.txt"},
		},
		{
			name:  "loops and links within",
			files: map[string]string{"a/x.txt": "x", "a/up": "-> ..", "a/self": "-> self", "a/again": "-> ../a", "a/y.txt": "-> x.txt"},
			want: []string{
				"a/again: it is a symbolic link to BASE/a, which is taken under its own name",
				"!a/self: EvalSymlinks: too many links",
				"a/up: it is a symbolic link to BASE, which is taken under its own name",
				"docs/a/x.txt",
				"a/y.txt: it is a symbolic link to BASE/a/x.txt, which is taken under its own name",
			},
		},
		{
			name:  "links to hidden places within, as Kubernetes makes them",
			files: map[string]string{"..2026/a.txt": "a", "..data": "-> ..2026", "a.txt": "-> ..data/a.txt", "dir": "-> ..data", "dir2": "-> ..data"},
			want:  []string{"..2026: it is hidden", "..data: it is hidden", "docs/a.txt", "docs/dir/a.txt", "dir2: it is a symbolic link to a directory that was taken already"},
		},
		{
			name:  "links that lead out or nowhere",
			files: map[string]string{"a.txt": "a", "etc": "-> /etc", "up.txt": "-> ../outside.txt", "gone": "-> nothing"},
			want: []string{
				"docs/a.txt", "etc: it is a symbolic link that leads out of BASE",
				"gone: it is a symbolic link to something that does not exist", "up.txt: it is a symbolic link that leads out of BASE",
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, c.files)
			if err := os.WriteFile(filepath.Join(filepath.Dir(root), "outside.txt"), []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
			paths := []string{root}
			if c.paths != nil {
				paths = nil
				for _, p := range c.paths {
					paths = append(paths, root+string(filepath.Separator)+p)
				}
			}
			if got := walk(t, root, ingest.WalkOptions{}, paths...); !slices.Equal(got, c.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
			}
		})
	}
}

func TestWalkExcludesTheIndex(t *testing.T) {
	root := tree(t, map[string]string{"a.txt": "a", "needle-data/lock.txt": "x"})
	got := walk(t, root, ingest.WalkOptions{Exclude: []string{filepath.Join(root, "needle-data"), filepath.Join(root, "missing")}}, root)
	want := []string{"docs/a.txt", "needle-data: this directory holds Needle's own data"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWalkRelativePathsGetTheNameOfTheDirectory(t *testing.T) {
	root := tree(t, map[string]string{"sub/a.txt": "a"})
	t.Chdir(root)
	for _, c := range []struct{ path, want string }{{".", "docs/sub/a.txt"}, {"sub", "sub/a.txt"}, {"sub/", "sub/a.txt"}, {"sub/a.txt", "a.txt"}, {"../docs/sub", "sub/a.txt"}} {
		if got := walk(t, root, ingest.WalkOptions{}, c.path); !slices.Equal(got, []string{c.want}) {
			t.Errorf("path %q: got %q, want %q", c.path, got, c.want)
		}
	}
}

// A directory that becomes a link after it was walked must not lead outside.
func TestOpenStaysInside(t *testing.T) {
	root := tree(t, map[string]string{"sub/a.txt": "inside"})
	outside := filepath.Join(filepath.Dir(root), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "a.txt"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for found := range ingest.Walk([]string{root}, ingest.WalkOptions{}) {
		if found.Fault != nil {
			t.Fatal(found.Fault)
		}
		if err := os.RemoveAll(filepath.Join(root, "sub")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(root, "sub")); err != nil {
			t.Fatal(err)
		}
		if content, err := found.File.Open(); err == nil {
			content.Close()
			t.Error("a file outside the directory was opened through a link")
		}
	}
}
