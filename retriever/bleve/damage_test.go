package bleve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// TestDamageWhileOpen cuts short and overwrites the files of an index that a
// process has open and mapped into its memory, as a failing disk or a careless
// tool does. The process must survive, say of everything that needs the damaged
// files that they are damaged, and verify must find it.
func TestDamageWhileOpen(t *testing.T) {
	for _, damage := range []string{"cut segments", "empty segments", "overwrite segments", "cut flat files", "empty flat files"} {
		t.Run(damage, func(t *testing.T) {
			dir, backend := emptyIndex(t)
			index, err := backend.Open(t.Context(), "test")
			if err != nil {
				t.Fatal(err)
			}
			for part := range 3 {
				var entries []retriever.Entry
				for n := range 1500 {
					entries = append(entries, numberedEntry(fmt.Sprintf("part%d/doc%d", part, n), n))
				}
				if err := index.Upsert(t.Context(), entries); err != nil {
					t.Fatal(err)
				}
			}
			if err := index.(*bleve.Index).Warm(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := index.Close(); err != nil {
				t.Fatal(err)
			}
			var out, faults bytes.Buffer
			cmd := child(t, "damaged", dir, damage)
			cmd.Stdout, cmd.Stderr = &out, &faults
			if err := cmd.Run(); err != nil {
				t.Fatalf("the process did not survive: %v\n%s\n%s", err, out.String(), faults.String())
			}
			t.Log("\n" + out.String())
			said := out.String()
			if strings.Contains(damage, "segments") {
				// A few terms may lie before the damage, but not these.
				for _, what := range []string{"verify", "documents", "compact"} {
					if !strings.Contains(said, what+": damaged") {
						t.Errorf("%s did not say that the index is damaged", what)
					}
				}
			} else if !strings.Contains(said, "verify: fine") {
				t.Error("verify found damage in what is derived")
			}
			if !strings.HasSuffix(said, "alive\n") {
				t.Error("the process ended early")
			}
		})
	}
}

// childDamaged damages the files of the index that it has open and uses it in
// every way.
func childDamaged(ctx context.Context, opened retriever.Index, args []string) error {
	index := opened.(*bleve.Index)
	dir := os.Args[1]
	query := retriever.Query{Text: "part 3 of version 700 text", TopK: 100, AllGroups: true}
	if err := index.Warm(ctx); err != nil {
		return err
	}
	if results, err := index.Retrieve(ctx, query); err != nil || len(results.Hits) != 100 {
		return fmt.Errorf("before the damage: %d hits, %w", len(results.Hits), err)
	}
	pattern := filepath.Join(dir, "test", "store", "*.zap")
	if strings.Contains(args[0], "flat") {
		pattern = filepath.Join(dir, "test", bleve.FlatFolder, "*")
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%s: %v, %w", pattern, files, err)
	}
	for _, file := range files {
		if err := damageFile(file, args[0]); err != nil {
			return err
		}
	}
	say := func(what string, err error) {
		switch {
		case err == nil:
			fmt.Println(what + ": fine")
		case errors.Is(err, retriever.ErrCorrupt):
			fmt.Println(what + ": damaged")
		default:
			fmt.Println(what+":", err)
		}
	}
	for range 3 {
		_, err := index.Retrieve(ctx, query)
		say("retrieve", err)
	}
	_, err = index.Facets(ctx, query, nil)
	say("facets", err)
	say("documents", allDocuments(ctx, index))
	_, err = index.List(ctx, "", 10_000)
	say("list", err)
	say("verify", index.Verify(ctx))
	say("warm", index.Warm(ctx))
	say("compact", index.Compact(ctx))
	say("upsert", index.Upsert(ctx, []retriever.Entry{numberedEntry("new", 1), numberedEntry("part1/doc7", 1)}))
	_, err = index.Delete(ctx, []string{"part2/doc9"})
	say("delete", err)
	_, err = index.Retrieve(ctx, query)
	say("retrieve", err)
	fmt.Println("alive")
	return nil
}

func allDocuments(ctx context.Context, index *bleve.Index) error {
	snapshot, err := index.Snapshot(ctx)
	if err != nil {
		return err
	}
	for _, err := range snapshot.Entries(ctx) {
		if err != nil {
			return errors.Join(err, snapshot.Close())
		}
	}
	return snapshot.Close()
}

func damageFile(path, damage string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch what, _, _ := strings.Cut(damage, " "); what {
	case "cut":
		return os.Truncate(path, info.Size()/3)
	case "empty":
		return os.Truncate(path, 0)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(slices.Repeat([]byte{0xa5}, int(info.Size()/2)), info.Size()/3)
	return errors.Join(err, file.Close())
}
