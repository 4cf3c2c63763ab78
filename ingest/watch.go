package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// WatchOptions drive [Watch]. Zero values mean the defaults.
type WatchOptions struct {
	// Debounce is how long things must be quiet before a sync, by default one
	// second; MaxDelay is how long changes may put it off, by default 30 s.
	Debounce, MaxDelay time.Duration
	// Rescan is the time after which a sync happens without any change, by
	// default ten minutes: file systems across a network tell of none.
	Rescan time.Duration
	// Exclude names directories that are not watched, such as the one that
	// holds the index.
	Exclude []string
	// Warn is told what cannot be watched; such places wait for the rescan.
	Warn func(error)
}

func (o WatchOptions) withDefaults() WatchOptions {
	if o.Debounce <= 0 {
		o.Debounce = time.Second
	}
	if o.MaxDelay <= 0 {
		o.MaxDelay = 30 * time.Second
	}
	if o.Rescan <= 0 {
		o.Rescan = 10 * time.Minute
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	return o
}

// Watch calls sync at once, whenever something below the directories has
// changed and they have been quiet for a moment, when the system has lost
// count of the changes, and every so often in any case. The calls come one
// after the other. Watch returns nil when the context ends, or the first error
// of sync.
//
// Directories that are reached through symbolic links are not watched; their
// changes are found by the rescan.
func Watch(ctx context.Context, directories []string, options WatchOptions, sync func(context.Context) error) error {
	options = options.withDefaults()
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer notify.Close()
	w := watcher{notify: notify, warn: options.Warn, exclude: map[string]bool{}}
	for _, dir := range options.Exclude {
		if real, err := realPath(dir); err == nil {
			w.exclude[real] = true
		}
	}
	for {
		// Before the sync, so that no change falls between the two; each time,
		// because a directory may have come back.
		for _, dir := range directories {
			w.add(ctx, dir)
		}
		if err := sync(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		if !w.wait(ctx, options) {
			return nil
		}
	}
}

type watcher struct {
	notify  *fsnotify.Watcher
	warn    func(error)
	exclude map[string]bool
}

// add watches a directory and those below it.
func (w *watcher) add(ctx context.Context, dir string) {
	real, err := realPath(dir)
	if err != nil {
		w.warn(fmt.Errorf("watch %s: %s", dir, pathReason(err)))
		return
	}
	err = filepath.WalkDir(real, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return filepath.SkipAll
		case err != nil:
			if !errors.Is(err, fs.ErrNotExist) {
				w.warn(fmt.Errorf("watch %s: %s", path, pathReason(err)))
			}
			return nil
		case !entry.IsDir():
			return nil
		case w.exclude[path], path != real && ignored(entry.Name()) != "":
			return filepath.SkipDir
		}
		if err := w.notify.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.warn(fmt.Errorf("watch %s: %w; its changes wait for the rescan", path, err))
		}
		return nil
	})
	if err != nil {
		w.warn(fmt.Errorf("watch %s: %w", dir, err))
	}
}

// wait returns true when it is time for a sync, false when the context ended.
func (w *watcher) wait(ctx context.Context, options WatchOptions) bool {
	rescan := time.NewTimer(options.Rescan)
	defer rescan.Stop()
	var quiet, latest <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-rescan.C:
			return true
		case <-quiet:
			return true
		case <-latest:
			return true
		case event, ok := <-w.notify.Events:
			if !ok {
				return false
			}
			if !w.matters(ctx, event) {
				continue
			}
		case err, ok := <-w.notify.Errors:
			if !ok {
				return false
			}
			// An overflow means changes that nobody told us of; a sync looks at
			// everything, so it makes up for them.
			w.warn(fmt.Errorf("watch: %w", err))
		}
		quiet = time.After(options.Debounce)
		if latest == nil {
			latest = time.After(options.MaxDelay)
		}
	}
}

// matters reports whether an event can change the index. New directories are
// watched from then on.
func (w *watcher) matters(ctx context.Context, event fsnotify.Event) bool {
	name := filepath.Base(event.Name)
	if event.Op == fsnotify.Chmod || name != IgnoreFile && ignored(name) != "" || w.exclude[event.Name] {
		return false
	}
	if event.Has(fsnotify.Create) {
		if info, err := os.Lstat(event.Name); err == nil && info.IsDir() {
			w.add(ctx, event.Name)
		}
	}
	return true
}
