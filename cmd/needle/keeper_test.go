package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

// asKeeper makes the test binary look after the indexes of a data directory
// until it is killed. The value is the data directory.
const asKeeper = "NEEDLE_TEST_AS_KEEPER"

// keptIndexes are the indexes that the killed process works on.
var keptIndexes = []string{"live", "other"}

// deed is a line of what the killed process says: what it begins, and what was
// acknowledged.
type deed struct {
	Begin bool   `json:"begin"`
	What  string `json:"what"`
	Index string `json:"index,omitempty"`
	// Documents are the versions that are put; 0 deletes.
	Documents map[string]int `json:"documents,omitempty"`
	// Backup is the number of a backup.
	Backup int `json:"backup,omitempty"`
	// Quiet says that nobody writes meanwhile.
	Quiet bool `json:"quiet,omitempty"`
}

// versionText is the text of a version of a document: a few passages that tell it
// from all other versions.
func versionText(id string, version int) string {
	var text strings.Builder
	for i := range 1 + version%3 {
		fmt.Fprintf(&text, "Part %d of version %d of %s. %s\n\n", i, version, id, strings.Repeat("More words about towers follow. ", 40))
	}
	return text.String()
}

func openKept(ctx context.Context, data string) (*pipeline.Pipeline, error) {
	a := &app{registry: builtin.Registry(), dataDir: data, configFile: filepath.Join(data, "needle.yaml"), indexName: keptIndexes[0]}
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return pipeline.Open(ctx, cfg, pipeline.WithoutReader(), pipeline.WithoutRanker(), pipeline.WithoutModels())
}

func backupPath(data string, number int) string {
	return filepath.Join(data, "backups", strconv.Itoa(number)+".needle")
}

// runKeeper writes and looks after indexes, both at once, until it is killed.
// Its arguments are the first free number and the backups that may be restored.
func runKeeper(data string, args []string) error {
	ctx := context.Background()
	p, err := openKept(ctx, data)
	if err != nil {
		return err
	}
	first, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var backups []int
	for _, arg := range args[1:] {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		backups = append(backups, n)
	}
	var out sync.Mutex
	do := func(d deed, work func() error) error {
		say := func(begin bool) {
			d.Begin = begin
			line, _ := json.Marshal(d)
			out.Lock()
			defer out.Unlock()
			os.Stdout.Write(append(line, '\n'))
		}
		say(true)
		if err := work(); err != nil {
			return fmt.Errorf("%s %s: %w", d.What, d.Index, err)
		}
		say(false)
		return nil
	}
	// Writers hold the lock shared; who must be alone holds it exclusively.
	var quiet sync.RWMutex
	failed := make(chan error, 2)
	go func() {
		for version := first; ; version++ {
			quiet.RLock()
			err := writeSome(ctx, p, version, do)
			quiet.RUnlock()
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	go func() {
		for number := first; ; number++ {
			d := deed{What: []string{"compact", "rebuild", "backup", "swap", "restore"}[rand.IntN(5)], Index: keptIndexes[rand.IntN(2)]}
			if d.What == "restore" && len(backups) == 0 {
				continue
			}
			d.Quiet = d.What == "swap" || d.What == "restore" || d.What == "backup" && rand.IntN(2) == 0
			if d.Quiet {
				quiet.Lock()
			}
			switch d.What {
			case "restore":
				d.Backup = backups[rand.IntN(len(backups))]
			case "backup":
				d.Backup = number
			}
			err := do(d, func() error { return keep(ctx, p, data, d) })
			if d.Quiet {
				quiet.Unlock()
			}
			if err != nil {
				failed <- err
				return
			}
			if d.What == "backup" && d.Quiet {
				backups = append(backups, number)
			}
		}
	}()
	return <-failed
}

// writeSome puts or deletes a few documents.
func writeSome(ctx context.Context, p *pipeline.Pipeline, version int, do func(deed, func() error) error) error {
	d := deed{What: "put", Index: keptIndexes[rand.IntN(2)], Documents: map[string]int{}}
	if rand.IntN(4) == 0 {
		d.What = "delete"
	}
	var ids []string
	var documents []retriever.Document
	for range 1 + rand.IntN(6) {
		id := fmt.Sprintf("doc%02d", rand.IntN(40))
		if _, twice := d.Documents[id]; twice {
			continue
		}
		d.Documents[id] = version
		if d.What == "delete" {
			d.Documents[id] = 0
		}
		ids = append(ids, id)
		documents = append(documents, retriever.Document{ID: id, Text: versionText(id, version), Metadata: map[string]any{"version": int64(version)}})
	}
	return do(d, func() error {
		if d.What == "delete" {
			_, err := p.Delete(ctx, d.Index, ids)
			return err
		}
		results, err := p.Put(ctx, d.Index, documents)
		if err == nil && len(results) != len(documents) {
			err = fmt.Errorf("%d results for %d documents", len(results), len(documents))
		}
		return err
	})
}

// keep does what is not writing.
func keep(ctx context.Context, p *pipeline.Pipeline, data string, d deed) error {
	switch d.What {
	case "compact":
		_, err := p.Compact(ctx, d.Index)
		return err
	case "rebuild":
		_, err := p.Rebuild(ctx, d.Index, pipeline.RebuildOptions{Split: rand.IntN(2) == 0})
		return err
	case "swap":
		return p.SwapIndexes(ctx, keptIndexes[0], keptIndexes[1])
	case "backup":
		_, err := writeWhole(backupPath(data, d.Backup), false, func(w io.Writer) error {
			_, err := p.Backup(ctx, d.Index, w)
			return err
		})
		return err
	case "restore":
		file, err := os.Open(backupPath(data, d.Backup))
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = p.Restore(ctx, d.Index, file, pipeline.RestoreOptions{Replace: true})
		return err
	}
	return fmt.Errorf("unknown deed %q", d.What)
}
