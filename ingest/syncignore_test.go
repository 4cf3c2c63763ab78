package ingest_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/internal/testenv"
)

// TestIgnoreAsGit compares the ignore file with what git itself leaves out.
func TestIgnoreAsGit(t *testing.T) {
	files := []string{
		"a.txt", "b.md", "draft.txt", "draft-1.txt", "draft10.txt", "sub/a.txt", "sub/draft.txt", "sub/x/a.txt", "sub/x/keep.txt", "x/a.txt",
		"build/out.txt", "sub/build/out.txt", "doc/a/b/c.txt", "doc/c.txt", "name (1).txt", "plus+.txt", "#hash.md", "!bang.md", "with space.txt",
		"a[1].txt", "trail.txt",
	}
	for _, test := range []struct {
		name   string
		ignore map[string]string
	}{
		{"plain name", map[string]string{"": "draft.txt\n"}},
		{"star", map[string]string{"": "*.txt"}},
		{"question mark", map[string]string{"": "draft-?.txt\r\n"}},
		{"class", map[string]string{"": "draft[0-9]*.txt"}},
		{"anchored", map[string]string{"": "/a.txt"}},
		{"anchored by a slash inside", map[string]string{"": "sub/a.txt\n"}},
		{"not anchored deeper", map[string]string{"": "x/a.txt\n"}},
		{"directory", map[string]string{"": "build/\n"}},
		{"directory pattern is no file", map[string]string{"": "a.txt/\n"}},
		{"negated", map[string]string{"": "*.txt\n!keep.txt\n"}},
		{"negated below a directory that is left out", map[string]string{"": "sub/\n!sub/a.txt\n"}},
		{"two stars", map[string]string{"": "doc/**/c.txt\n"}},
		{"two stars first", map[string]string{"": "**/x/a.txt\n"}},
		{"two stars last", map[string]string{"": "doc/**\n"}},
		{"characters that mean something elsewhere", map[string]string{"": "name (1).txt\nplus+.txt\n"}},
		{"escaped", map[string]string{"": "\\#hash.md\n\\!bang.md\n# comment\n\n"}},
		{"nested", map[string]string{"": "a.txt\n", "sub": "!a.txt\n/draft.txt\n"}},
		{"space at the end", map[string]string{"": "trail.txt   \nwith space.txt\n"}},
		{"byte order mark", map[string]string{"": "\xEF\xBB\xBFa.txt\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			content := map[string]string{}
			for _, name := range files {
				content[name] = "text"
			}
			root := tree(t, content)
			for dir, text := range test.ignore {
				put(t, root, filepath.Join(dir, ingest.IgnoreFile), text)
				put(t, root, filepath.Join(dir, ".gitignore"), text)
			}
			git := func(args ...string) string {
				cmd := exec.Command("git", args...)
				cmd.Dir = root
				cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + "/usr/bin:/bin:/usr/local/bin", "GIT_CONFIG_NOSYSTEM=1"}
				var out, fault bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &fault
				if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
					testenv.Missing(t, false, "git is missing")
				} else if err != nil {
					t.Fatalf("git %v: %v: %s", args, err, &fault)
				}
				return out.String()
			}
			git("init", "-q")
			var want []string
			for name := range strings.SplitSeq(strings.Trim(git("ls-files", "-z", "--others", "--exclude-standard"), "\x00"), "\x00") {
				if !strings.Contains(name, ".gitignore") && !strings.Contains(name, ingest.IgnoreFile) {
					want = append(want, "docs/"+name)
				}
			}
			var got []string
			for found := range ingest.Walk([]string{root}, ingest.WalkOptions{IgnoreFile: ingest.IgnoreFile}) {
				if found.Fault == nil {
					got = append(got, found.File.ID)
				} else if !found.Fault.Skipped {
					t.Errorf("fault %v", found.Fault)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want as git %q", got, want)
			}
		})
	}
}

func FuzzIgnore(f *testing.F) {
	for _, seed := range []string{"*.txt\n!a.txt", "**/**", "[", "\\", "a/**/b\n", "[!-]?*", "!", "/", "//", "[]-a]"} {
		f.Add(seed)
	}
	root := f.TempDir()
	put(f, root, "a.txt", "a")
	put(f, root, "s/b.txt", "b")
	f.Fuzz(func(t *testing.T, text string) {
		put(t, root, ingest.IgnoreFile, text)
		for found := range ingest.Walk([]string{root}, ingest.WalkOptions{IgnoreFile: ingest.IgnoreFile}) {
			if found.Fault != nil && !found.Fault.Skipped {
				t.Errorf("fault %v", found.Fault)
			}
		}
	})
}
