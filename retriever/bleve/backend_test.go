package bleve_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

func TestConfigValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*bleve.Config)
		want   []string // what the error must say; none for a good one
	}{
		"default":         {func(*bleve.Config) {}, nil},
		"standard":        {func(c *bleve.Config) { c.Analyzer = "standard" }, nil},
		"region":          {func(c *bleve.Config) { c.Analyzer = "pt-BR" }, nil},
		"Chinese":         {func(c *bleve.Config) { c.Analyzer = "zh-Hant" }, nil},
		"k1 and b 0":      {func(c *bleve.Config) { c.K1, c.B = 0, 0 }, nil},
		"no analyzer":     {func(c *bleve.Config) { c.Analyzer = "" }, []string{`analyzer: ""`, "en"}},
		"unknown":         {func(c *bleve.Config) { c.Analyzer = "klingon" }, []string{`analyzer: "klingon"`, "en", "standard"}},
		"standard region": {func(c *bleve.Config) { c.Analyzer = "standard-US" }, []string{`analyzer: "standard-US"`}},
		"several": {func(c *bleve.Config) { c.K1, c.B, c.LockTimeout = -1, 1.5, 0 }, []string{
			"k1: -1", "from 0 to 100", "b: 1.5", "from 0 to 1", "bolt_timeout: 0s", "up to 1m0s",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			config := bleve.DefaultConfig()
			test.change(&config)
			err := config.Validate()
			if (err == nil) != (test.want == nil) {
				t.Fatalf("Validate: %v, want %q", err, test.want)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Validate: %v, want it to say %q", err, part)
				}
			}
			if _, newErr := bleve.New(config, "unused"); (newErr == nil) != (err == nil) {
				t.Errorf("New: %v, Validate: %v", newErr, err)
			}
		})
	}
}

func TestLanguages(t *testing.T) {
	for _, test := range []struct{ analyzer, text, query string }{
		{"de", "Die Häuser am Fluss", "Haus"},
		{"fr", "les chevaux blancs", "cheval"},
		{"pl", "piękne zamki", "zamek"},
		{"ja", "東京の塔", "東京"},
		{"ru", "старые книги", "книга"},
		{"standard", "The running dogs", "running"},
	} {
		t.Run(test.analyzer, func(t *testing.T) {
			config := bleve.DefaultConfig()
			config.Analyzer = test.analyzer
			index := create(t, config)
			if err := index.Upsert(t.Context(), []retriever.Entry{entry("a", "", test.text)}); err != nil {
				t.Fatal(err)
			}
			results, err := index.Retrieve(t.Context(), retriever.Query{Text: test.query, TopK: 1})
			if err != nil || len(results.Hits) != 1 {
				t.Errorf("%q finds %d hits in %q, want 1 (terms %q, %v)", test.query, len(results.Hits), test.text, results.Terms, err)
			}
		})
	}
}

func TestAnalyzerChanged(t *testing.T) {
	dir, _ := emptyIndex(t)
	config := bleve.DefaultConfig()
	config.Analyzer = "de"
	german, err := bleve.New(config, dir)
	if err != nil {
		t.Fatal(err)
	}
	// The index stays usable as it was built, and says what is missing.
	index, err := german.Open(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := index.Upsert(t.Context(), []retriever.Entry{entry("a", "", "the towers of London")}); err != nil {
		t.Fatal(err)
	}
	if results, err := index.Retrieve(t.Context(), retriever.Query{Text: "tower", TopK: 5}); err != nil || len(results.Hits) != 1 {
		t.Errorf("the English index finds %d hits, %v; want 1", len(results.Hits), err)
	}
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(stats.Outdated, " "); !strings.Contains(said, `"en"`) || !strings.Contains(said, `"de"`) || !strings.Contains(said, "analyzer") {
		t.Errorf("outdated = %q, want a line that names both analyzers", said)
	}
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	// Another spelling of the same analysis is no change.
	config.Analyzer = "en-GB"
	british, err := bleve.New(config, dir)
	if err != nil {
		t.Fatal(err)
	}
	if index, err = british.Open(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if stats, err = index.Stats(t.Context()); err != nil || stats.Outdated != nil {
		t.Errorf("outdated = %q (%v), want nothing", stats.Outdated, err)
	}
	if err := index.Close(); err != nil {
		t.Error(err)
	}
}

func TestLocked(t *testing.T) {
	dir, _ := emptyIndex(t)
	config := bleve.DefaultConfig()
	config.LockTimeout = 100 * time.Millisecond
	backend, err := bleve.New(config, dir)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(t *testing.T) {
		t.Helper()
		if _, err := backend.Open(t.Context(), "test"); !errors.Is(err, retriever.ErrLocked) || !strings.Contains(err.Error(), `"test"`) {
			t.Errorf("Open: %v, want ErrLocked that names the index", err)
		}
		if err := backend.Drop(t.Context(), "test"); !errors.Is(err, retriever.ErrLocked) {
			t.Errorf("Drop: %v, want ErrLocked", err)
		}
	}
	t.Run("by another process", func(t *testing.T) {
		cmd := child(t, "hold", dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		refused(t)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("by another back end", func(t *testing.T) {
		other, err := bleve.New(config, dir)
		if err != nil {
			t.Fatal(err)
		}
		index, err := other.Open(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		refused(t)
		// The first opener is not disturbed.
		if err := index.Upsert(t.Context(), []retriever.Entry{entry("a", "", "text")}); err != nil {
			t.Error(err)
		}
		if err := index.Close(); err != nil {
			t.Fatal(err)
		}
	})
	index, err := backend.Open(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("by this back end", refused)
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	if err := backend.Drop(t.Context(), "test"); err != nil {
		t.Errorf("Drop of a closed index: %v", err)
	}
}

// filled makes an index "test" with a few segments, closed.
func filled(t *testing.T) (string, *bleve.Backend) {
	t.Helper()
	dir, backend := emptyIndex(t)
	index, err := backend.Open(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if err := index.Upsert(t.Context(), []retriever.Entry{bulky(n, 50), numberedEntry("doc", n)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, backend
}

// segments returns the segment files of index "test".
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "test", "store", "*.zap"))
	if err != nil || len(files) == 0 {
		t.Fatalf("segments = %v, %v", files, err)
	}
	return files
}

func change(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// damageSegments edits every segment: some may be leftovers that the newest
// snapshot does not use any more.
func damageSegments(t *testing.T, dir string, edit func([]byte) []byte) {
	t.Helper()
	for _, file := range segments(t, dir) {
		change(t, file, edit)
	}
}

// fingerprint hashes the files of a directory.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintln(sum, path)
		_, err = io.Copy(sum, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func TestDamage(t *testing.T) {
	root := filepath.Join("test", "store", "root.bolt")
	settings := filepath.Join("test", "needle.json")
	for name, test := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   error
	}{
		"segment cut short": {func(t *testing.T, dir string) {
			damageSegments(t, dir, func(b []byte) []byte { return b[:len(b)/2] })
		}, retriever.ErrCorrupt},
		"segment emptied": {func(t *testing.T, dir string) {
			damageSegments(t, dir, func([]byte) []byte { return nil })
		}, retriever.ErrCorrupt},
		"segment changed": {func(t *testing.T, dir string) {
			damageSegments(t, dir, func(b []byte) []byte { b[len(b)/3] ^= 4; return b })
		}, retriever.ErrCorrupt},
		"segment gone": {func(t *testing.T, dir string) {
			for _, file := range segments(t, dir) {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
		}, retriever.ErrCorrupt},
		"root emptied": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, root), func([]byte) []byte { return nil })
		}, retriever.ErrCorrupt},
		"root cut short": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, root), func(b []byte) []byte { return b[:5000] })
		}, retriever.ErrCorrupt},
		"root overwritten": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, root), func(b []byte) []byte {
				for i := range b {
					b[i] = byte(i * 7)
				}
				return b
			})
		}, retriever.ErrCorrupt},
		"root gone": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, root)); err != nil {
				t.Fatal(err)
			}
		}, retriever.ErrCorrupt},
		"settings garbled": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, settings), func(b []byte) []byte { return b[:len(b)/2] })
		}, retriever.ErrCorrupt},
		"settings of another index": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, settings), func([]byte) []byte { return []byte(`{"format": 1, "analyzer": "de"}`) })
		}, nil},
		"newer format": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, settings), func([]byte) []byte { return []byte(`{"format": 2, "what": "ever"}`) })
		}, retriever.ErrVersion},
		"newer format, other shape": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, settings), func([]byte) []byte { return []byte(`{"format": 3, "analyzer": {"name": "en"}}`) })
		}, retriever.ErrVersion},
	} {
		t.Run(name, func(t *testing.T) {
			dir, backend := filled(t)
			test.damage(t, dir)
			before := fingerprint(t, dir)
			index, err := backend.Open(t.Context(), "test")
			if err == nil {
				index.Close()
			}
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Fatalf("Open: %v, want %v", err, test.want)
			}
			// Where the settings alone are wrong the store is sound, and scorch tidies
			// it up in the background while it is compared with them.
			if after := fingerprint(t, dir); after != before && test.want != nil {
				t.Error("opening a damaged index changed its files")
			}
			dropErr := backend.Drop(t.Context(), "test")
			if errors.Is(test.want, retriever.ErrVersion) {
				if !errors.Is(dropErr, retriever.ErrVersion) {
					t.Errorf("Drop: %v, want ErrVersion", dropErr)
				}
				return
			}
			if dropErr != nil {
				t.Errorf("Drop of a damaged index: %v", dropErr)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
				t.Errorf("Drop left %v (%v)", entries, err)
			}
		})
	}
}

// TestRandomDamage changes bytes anywhere in any file. Whatever that does, it
// ends in an error or in an index that works; never in a panic.
func TestRandomDamage(t *testing.T) {
	dir, backend := filled(t)
	random := rand.New(rand.NewPCG(3, 4))
	files := append(segments(t, dir), filepath.Join(dir, "test", "store", "root.bolt"))
	intact := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		intact[file] = data
	}
	refused := 0
	for range 150 {
		file := files[random.IntN(len(files))]
		change(t, file, func(b []byte) []byte {
			for range 1 + random.IntN(8) {
				b[random.IntN(len(b))] = byte(random.Uint32())
			}
			return b
		})
		if err := useAll(t.Context(), backend); err != nil {
			refused++
		}
		left, err := filepath.Glob(filepath.Join(dir, "test", "store", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range left {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		for path, data := range intact {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d of 150 were refused", refused)
	if refused < 10 {
		t.Errorf("only %d of 150 damaged indexes were refused", refused)
	}
	if err := useAll(t.Context(), backend); err != nil {
		t.Errorf("the intact index: %v", err)
	}
}

func useAll(ctx context.Context, backend *bleve.Backend) (err error) {
	index, err := backend.Open(ctx, "test")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	_, searchErr := index.Retrieve(ctx, retriever.Query{Text: "bulky version text", TopK: 10, AllGroups: true})
	_, listErr := index.List(ctx, "", 10)
	return errors.Join(searchErr, listErr, index.(*bleve.Index).Verify(ctx))
}

func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "photos")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(foreign, "precious.jpg")
	for _, path := range []string{precious, filepath.Join(dir, "notes")} {
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"photos", "notes"} {
		if _, err := backend.Open(t.Context(), name); !errors.Is(err, retriever.ErrCorrupt) || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("Open(%s): %v, want ErrCorrupt that names the path", name, err)
		}
		if err := backend.Drop(t.Context(), name); err == nil {
			t.Errorf("Drop(%s) removed what is no index", name)
		}
		if _, err := backend.Create(t.Context(), name); !errors.Is(err, retriever.ErrIndexExists) {
			t.Errorf("Create(%s): %v, want ErrIndexExists", name, err)
		}
	}
	if names, err := backend.Names(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("Names = %v, %v; want none", names, err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestCreateLeavesNothing(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root may write anywhere, so the directory is a file instead.
		t.Log("running as root")
	}
	parent := t.TempDir()
	dir := filepath.Join(parent, "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backend.Create(t.Context(), "test"); err == nil {
		t.Error("Create inside a file worked")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	backend, err = bleve.New(bleve.DefaultConfig(), parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backend.Create(ctx, "test"); !errors.Is(err, context.Canceled) {
		t.Errorf("Create: %v, want context.Canceled", err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}
