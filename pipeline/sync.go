package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

// SyncOptions drive [Pipeline.Sync].
type SyncOptions struct {
	// Index is the name of the index, the configured one if it is empty.
	Index string
	// AllowDeletes and DryRun are those of [ingest.SyncOptions].
	AllowDeletes bool
	DryRun       bool
	// VerifyContent reads every file. Otherwise those of the same size and
	// time of change as at the last sync are taken to be the same.
	VerifyContent bool
	Events        ingest.Events
}

// Sync makes an index match directories of this machine, and buckets and the like
// given by their addresses ("s3://bucket/prefix"), and records when each was last
// seen, changed and failed; see [ingest.Ingester.Sync] for what is
// deleted and for the errors, and [Config.Sources] for the record. Calls for one
// index must come one after the other.
func (p *Pipeline) Sync(ctx context.Context, given []string, options SyncOptions) (ingest.SyncReport, error) {
	index := cmp.Or(options.Index, p.config.Index)
	splitter, err := p.splitter()
	if err != nil {
		return ingest.SyncReport{}, err
	}
	ingester, err := p.config.newIngester(splitter)
	if err != nil {
		return ingest.SyncReport{}, err
	}
	known, err := p.readSources(ctx, index)
	if err != nil {
		return ingest.SyncReport{}, err
	}
	found, err := p.config.openSources(ctx, given)
	if err != nil {
		return ingest.SyncReport{}, err
	}
	sources, err := known.place(found)
	if err != nil {
		return ingest.SyncReport{}, err
	}
	var target ingest.SyncTarget
	if options.DryRun {
		// A dry run must not even create the index.
		if target, err = p.index(ctx, index); errors.Is(err, retriever.ErrIndexNotFound) {
			target, err = emptyTarget{}, nil
		}
	} else {
		target, err = p.indexOrCreate(ctx, index)
	}
	if err != nil {
		return ingest.SyncReport{}, err
	}
	if !options.DryRun {
		target = erasingTarget{target, p, index}
	}
	remembered := readSyncedFiles(p.config.Data, index, p.config.fingerprint(splitter))
	files := remembered.Files
	if options.VerifyContent {
		files = nil
	}
	started := time.Now()
	if !options.DryRun {
		for _, s := range sources {
			known.start(s.Path, started)
		}
		if err := p.writeSources(ctx, index, known); err != nil {
			return ingest.SyncReport{}, err
		}
	}
	report, err := ingester.Sync(ctx, target, sources, ingest.SyncOptions{
		AllowDeletes: options.AllowDeletes, DryRun: options.DryRun, Known: files, Events: options.Events,
	})
	p.warn(&report.Report)
	if !options.DryRun {
		if report.Files != nil {
			remembered.update(report.Sources, report.Files)
			err = errors.Join(err, remembered.write(p.config.Data, index))
		}
		for _, s := range report.Sources {
			known.end(s, time.Now())
		}
		// Also what was interrupted is noted.
		err = errors.Join(err, p.writeSources(context.WithoutCancel(ctx), index, known))
	}
	return report, err
}

// openSources returns directories by their absolute paths, and what is given by
// an address.
func (c *Config) openSources(ctx context.Context, given []string) ([]ingest.Source, error) {
	var sources []ingest.Source
	for _, name := range given {
		scheme, ok := ingest.IsAddress(name)
		if !ok {
			path, err := filepath.Abs(name)
			if err != nil {
				return nil, fmt.Errorf("sync: %w", err)
			}
			sources = append(sources, ingest.Source{Path: path})
			continue
		}
		opener, ok := c.Ingest.Formats[scheme].(TreeOpener)
		if !ok {
			return nil, fmt.Errorf("sync %s: nothing reads addresses that start with %s://", name, scheme)
		}
		tree, err := opener.OpenTree(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("sync %s: %w", name, err)
		}
		sources = append(sources, ingest.Source{Path: tree.Address(), Tree: tree})
	}
	return sources, nil
}

// place tells where the directories were when they were last synced, and
// refuses those that would mix with other sources of the index.
func (s Sources) place(sources []ingest.Source) ([]ingest.Source, error) {
	for i, source := range sources {
		path := source.Path
		for _, known := range s {
			switch {
			case known.Path == path:
			case known.Name == ingest.SourceName(path):
				if _, remote := ingest.IsAddress(known.Path); remote || !isGone(known.Path) {
					return nil, fmt.Errorf("sync %s: %w: its documents would have the same ids as those of %s; rename one of them or use two indexes", path, ingest.ErrSourceName, known.Path)
				}
				sources[i].Former = known.Path
			case within(path, known.Path), within(known.Path, path):
				return nil, fmt.Errorf("sync %s: %w: it overlaps with %s, which this index follows already", path, ingest.ErrSourceName, known.Path)
			}
		}
	}
	return sources, nil
}

func isGone(directory string) bool {
	_, err := os.Stat(directory)
	return errors.Is(err, fs.ErrNotExist)
}

func within(path, directory string) bool {
	return path != directory && ingest.Inside(path, strings.TrimSuffix(directory, string(filepath.Separator)))
}

// emptyTarget is an index that is not there.
type emptyTarget struct{}

func (emptyTarget) Upsert(context.Context, []retriever.Entry) error { return nil }
func (emptyTarget) Delete(context.Context, []string) (int, error)   { return 0, nil }
func (emptyTarget) List(context.Context, string, int) ([]retriever.DocumentInfo, error) {
	return nil, nil
}
func (emptyTarget) Infos(context.Context, []string) (map[string]retriever.DocumentInfo, error) {
	return nil, nil
}
