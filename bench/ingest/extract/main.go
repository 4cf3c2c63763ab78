// Command extract reads files with the processors of Needle, as indexing would
// but without an index, and says how fast that was, one line of JSON a type:
//
//	go run ./bench/ingest/extract [-workers 2] [-out DIR] FILE|DIR...
//
// With -out the text of every document is written there as JSON Lines, which
// is what compare.py reads.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/pipeline/builtin"
	"github.com/needle-search/needle/retriever"
)

func main() {
	workers := flag.Int("workers", 2, "files read at once")
	out := flag.String("out", "", "`file` that gets the documents as JSON Lines")
	configPath := flag.String("config", "", "needle.yaml")
	flag.Parse()
	if err := run(context.Background(), *configPath, *out, *workers, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "extract:", err)
		os.Exit(1)
	}
}

// A target counts documents and keeps none, unless they are written to a file.
type target struct {
	mu      sync.Mutex
	encoder *json.Encoder
	count   int
	runes   int
}

func (*target) Infos(context.Context, []string) (map[string]retriever.DocumentInfo, error) {
	return nil, nil
}

func (*target) Delete(context.Context, []string) (int, error) { return 0, nil }

func (t *target) Upsert(_ context.Context, entries []retriever.Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		t.count++
		t.runes += len(e.Document.Text)
		if t.encoder == nil {
			continue
		}
		if err := t.encoder.Encode(map[string]any{
			"path": e.Document.Source.URI, "id": e.Document.ID, "title": e.Document.Title, "language": e.Document.Language,
			"metadata": e.Document.Metadata, "text": e.Document.Text, "passages": e.Passages,
		}); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, configPath, out string, workers int, paths []string) error {
	config, err := pipeline.LoadConfig(configPath, builtin.Registry())
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(workers)
	ingester, err := config.Ingester()
	if err != nil {
		return err
	}
	t := &target{}
	if out != "" {
		f, err := os.Create(out)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		t.encoder = json.NewEncoder(f)
	}
	byType := map[string][]string{}
	var order []string
	var bytes = map[string]int64{}
	for found := range ingest.Walk(paths, ingest.WalkOptions{}) {
		if found.Fault != nil {
			continue
		}
		kind := strings.TrimPrefix(strings.ToLower(filepath.Ext(found.File.Path)), ".")
		if byType[kind] == nil {
			order = append(order, kind)
		}
		byType[kind] = append(byType[kind], found.File.Path)
		bytes[kind] += found.File.Size
	}
	for _, kind := range order {
		countBefore, runesBefore := t.count, t.runes
		started := time.Now()
		report, err := ingester.AddPaths(ctx, t, byType[kind], ingest.Events{Fault: func(f ingest.Fault) { fmt.Fprintln(os.Stderr, f) }})
		if err != nil {
			return err
		}
		seconds := time.Since(started).Seconds()
		line, err := json.Marshal(map[string]any{
			"type": kind, "files": len(byType[kind]), "bytes": bytes[kind], "documents": t.count - countBefore, "text_bytes": t.runes - runesBefore,
			"failed": report.Failed, "skipped": report.Skipped, "seconds": seconds,
			"files_per_second": float64(len(byType[kind])) / seconds, "mb_per_second": float64(bytes[kind]) / 1e6 / seconds,
		})
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return nil
}
