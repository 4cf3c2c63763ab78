package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/store"
)

// previous lists the data directories of earlier versions that must open; see
// testdata/previous/make.sh.
var previous = []string{"d33163b"}

// unpack returns the data directory of an earlier version.
func unpack(t *testing.T, version string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "previous", version+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for archive := tar.NewReader(packed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, "data")
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, header.Name, string(data))
	}
}

// previousConfig is the configuration that the directory was made with.
func previousConfig(t *testing.T) string {
	t.Helper()
	return write(t, t.TempDir(), "needle.yaml", "ranker: {type: vector}\n")
}

// TestPreviousRelease: what an earlier version stored is there: searched, read,
// checked, changed and built anew.
func TestPreviousRelease(t *testing.T) {
	needRuntime(t)
	for _, version := range previous {
		t.Run(version, func(t *testing.T) {
			data, config := unpack(t, version), previousConfig(t)
			run := func(args ...string) string {
				t.Helper()
				return mustNeedle(t, append(args, "--data", data, "--config", config)...)
			}
			contains := func(out string, wanted ...string) {
				t.Helper()
				for _, want := range wanted {
					if !strings.Contains(out, want) {
						t.Errorf("got %s\nwant %q in it", out, want)
					}
				}
			}
			segments := filepath.Join(data, "indexes", "default", "store")
			before := treeSums(t, segments)
			run("index", "verify")
			contains(run("index", "stats", "--json"), `"documents": 14`, `"passages": 27`)
			contains(run("search", "boiler in Brno", "--json"), "more/boiler")
			if after := treeSums(t, segments); !maps.Equal(before, after) {
				t.Errorf("looking at the index changed its files: %x, before %x", after, before)
			}
			var result pipeline.Result
			if err := json.Unmarshal([]byte(run("ask", "Who inspects the boiler in Brno?", "--json")), &result); err != nil {
				t.Fatal(err)
			}
			if len(result.Answers) == 0 || result.Answers[0].Text != "Jana Dvorakova" {
				t.Errorf("got the answers %+v, want Jana Dvorakova", result.Answers)
			}
			contains(run("index", "vectors"), "27 of 27")
			contains(run("eval", "list"), "before", "end-to-end")
			contains(run("canary", "status"), "5 canaries")
			contains(run("index", "restore", "--index", "copy", filepath.Join(data, "monday.needle")), "14 documents")
			contains(run("search", "boiler in Brno", "--json", "--index", "copy"), "more/boiler")
			checkPreviousStore(t, data)

			run("index", "rm", "more/gone")
			run("index", "add", write(t, t.TempDir(), "new.md", "# New\n\nThe canteen was painted by Osric Penhaligon.\n"))
			run("index", "compact")
			run("index", "rebuild", "--split")
			run("index", "verify")
			contains(run("index", "stats", "--json"), `"documents": 14`)
			contains(run("search", "canteen painted", "--json"), "Osric Penhaligon")
			if out := run("search", "telephone exchange", "--json"); strings.Contains(out, "Tillotson") {
				t.Errorf("the deleted document is found: %s", out)
			}
		})
	}
}

var secretShape = regexp.MustCompile(`needle_[a-z0-9]+_[a-z0-9]+`)

// checkPreviousStore: the keys still open the door, and feedback is there.
func checkPreviousStore(t *testing.T, data string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "keys.txt"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := secretShape.FindAllString(string(text), -1)
	if len(secrets) != 2 {
		t.Fatalf("got %d secrets in keys.txt, want 2", len(secrets))
	}
	cfg, err := pipeline.LoadConfig("", builtin.Registry())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Data = data
	s, err := cfg.OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, wantAdmin := range []bool{true, false} {
		who, err := s.Authenticate(t.Context(), secrets[i])
		if err != nil {
			t.Fatal(err)
		}
		if got := who.Grants.May(auth.Admin, "default"); got != wantAdmin {
			t.Errorf("key %d may administrate: %v, want %v", i, got, wantAdmin)
		}
	}
	var verdicts []string
	err = s.EachFeedback(t.Context(), "default", func(f store.Feedback) error {
		verdicts = append(verdicts, f.Answer)
		return nil
	})
	if err != nil || len(verdicts) != 2 {
		t.Errorf("got the feedback %q, %v; want two", verdicts, err)
	}
}

// treeSums returns the hash of every file below a directory. Left out is the
// engine's list of segments, in which bbolt notes every time that it was opened.
func treeSums(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	sums := make(map[string][32]byte)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == "root.bolt" {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		sums[name] = sha256.Sum256(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// TestNewerFormatsAreRefused: what a later version wrote is not read as if it
// were understood, and not touched.
func TestNewerFormatsAreRefused(t *testing.T) {
	cases := []struct {
		name, file, was, is string
		args                []string
		want                string
	}{
		{"index", "indexes/default/needle.json", `"format": 1`, `"format": 99`, []string{"search", "boiler"}, "newer format"},
		{"index, written to", "indexes/default/needle.json", `"format": 1`, `"format": 99`, []string{"index", "rm", "more/gone"}, "newer format"},
		{"index, verified", "indexes/default/needle.json", `"format": 1`, `"format": 99`, []string{"index", "verify"}, "newer format"},
		{"backup", "monday.needle", "", "", []string{"index", "restore", "--index", "copy", "monday.needle"}, "newer format"},
		{"sources", "sources/default.json", `"format": 1`, `"format": 99`, []string{"index", "sync", "folder"}, "newer format"},
		{"canaries", "canaries/default.json", `"version": 1`, `"version": 99`, []string{"canary", "status"}, "newer needle"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data := unpack(t, previous[len(previous)-1])
			path := filepath.Join(data, filepath.FromSlash(c.file))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := bytes.Replace(text, []byte(c.was), []byte(c.is), 1)
			if c.was == "" {
				changed = newerBackup(t, text)
			}
			if bytes.Equal(changed, text) {
				t.Fatalf("%s does not hold %s", c.file, c.was)
			}
			if err := os.WriteFile(path, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{}, c.args...)
			for i, a := range args {
				switch a {
				case "monday.needle":
					args[i] = path
				case "folder":
					args[i] = filepath.Dir(write(t, t.TempDir(), "people/a.md", "text"))
				}
			}
			before := treeSums(t, data)
			out, err := needle(t, append(args, "--data", data, "--config", previousConfig(t))...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v %s, want an error with %q", err, out, c.want)
			}
			if after := treeSums(t, data); !maps.Equal(before, after) {
				for name, sum := range after {
					if before[name] != sum {
						t.Errorf("%s was changed", name)
					}
				}
				if len(after) < len(before) {
					t.Error("a file is gone")
				}
			}
		})
	}
}

// newerBackup is a backup of a later format.
func newerBackup(t *testing.T, old []byte) []byte {
	t.Helper()
	packed, err := gzip.NewReader(bytes.NewReader(old))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(bytes.Replace(text, []byte(`"format":1`), []byte(`"format":99`), 1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
