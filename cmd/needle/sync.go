package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// syncFlags are those of needle index sync.
type syncFlags struct {
	dryRun, allowDeletes, watch bool
	verifyContent               bool
	report, progress            string
	debounce, rescan            time.Duration
	vectors                     vectorsWhen
}

func (a *app) indexSyncCommand() *cobra.Command {
	var flags syncFlags
	cmd := &cobra.Command{
		Use:   "sync DIR|s3://BUCKET/PREFIX...",
		Short: "Make the index match directories and buckets: add, update and delete",
		Long: `Adds and updates documents as index add does, and deletes those that came from
the directories and whose file or record is gone. Documents of other sources are
never touched, nothing is deleted where something could not be read, and a
directory that is missing or suddenly almost empty deletes nothing.

A file .needleignore lists, in the syntax of gitignore, what is left out.

Buckets are those of Amazon S3 and of servers with its API; credentials come from
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, other settings from ingest.s3.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.sync(cmd, args, flags) },
	}
	f := cmd.Flags()
	flags.vectors = vectorsAuto
	f.Var(&flags.vectors, "vectors", vectorsHelp)
	f.BoolVar(&flags.dryRun, "dry-run", false, "only print what would be added, updated and deleted")
	f.BoolVar(&flags.allowDeletes, "allow-deletes", false, "delete even if most of a directory's documents go")
	f.BoolVar(&flags.verifyContent, "verify-content", false, "read every file, also those of the same size and time of change as at the last sync")
	f.StringVar(&flags.report, "report", "", "write a line of JSON for every document and fault to this file")
	f.StringVar(&flags.progress, "progress", "auto", "auto (a bar on a terminal, plain lines elsewhere), plain, json or none")
	f.BoolVar(&flags.watch, "watch", false, "go on until interrupted, and sync whenever something changes")
	f.DurationVar(&flags.debounce, "debounce", time.Second, "with --watch: how long things must be quiet before a sync")
	f.DurationVar(&flags.rescan, "rescan", 10*time.Minute, "with --watch: sync at least this often")
	return cmd
}

func (a *app) sync(cmd *cobra.Command, directories []string, flags syncFlags) (err error) {
	switch {
	case flags.watch && flags.dryRun:
		return errors.New("index sync: --watch and --dry-run do not go together")
	case flags.debounce <= 0 || flags.rescan <= 0:
		return errors.New("index sync: --debounce and --rescan must be greater than 0")
	}
	switch flags.progress {
	case "auto", "plain", "json", "none":
	default:
		return fmt.Errorf("index sync: --progress %q; allowed are auto, plain, json, none", flags.progress)
	}
	service, err := a.connect(cmd.Context(), pipeline.WithoutReader())
	if err != nil {
		return err
	}
	defer service.Close()
	if service.local == nil {
		return errors.New("index sync: a running server holds the index, and sync works on a data directory of its own; stop the server first, or use index add, which goes through it")
	}
	var report *reportFile
	if flags.report != "" {
		if err := outside(flags.report, directories); err != nil {
			return err
		}
		if report, err = createReport(flags.report); err != nil {
			return fmt.Errorf("index sync: %w", err)
		}
		defer func() { err = errors.Join(err, report.Close()) }()
	}
	once := func(ctx context.Context) (ingest.SyncReport, error) {
		return a.syncOnce(ctx, cmd, service.local, directories, flags, report)
	}
	if !flags.watch {
		result, err := once(cmd.Context())
		if e := a.printSync(cmd.OutOrStdout(), result); e != nil {
			return e
		}
		if err == nil && !flags.dryRun {
			err = followVectors(cmd, service, a.indexName, flags.vectors)
		}
		if err == nil && result.Failed > 0 {
			err = fmt.Errorf("index sync: %d files or records were not taken; what they gave before stays", result.Failed)
		}
		return err
	}
	return a.watch(cmd, service.config, directories, flags, once)
}

// outside refuses a report in a directory that is synced: it would be taken
// itself, and writing it would set off the next sync of --watch.
func outside(report string, directories []string) error {
	path, err := filepath.Abs(report)
	if err != nil {
		return fmt.Errorf("index sync: %w", err)
	}
	for _, dir := range localDirectories(directories) {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("index sync: %w", err)
		}
		if inside, err := filepath.Rel(absolute, path); err == nil && filepath.IsLocal(inside) {
			return fmt.Errorf("index sync: --report %s: it is in a directory that is synced; write it elsewhere", report)
		}
	}
	return nil
}

// localDirectories returns what is on this machine. Buckets tell of no changes and
// wait for the next sync.
func localDirectories(sources []string) []string {
	var local []string
	for _, source := range sources {
		if _, ok := ingest.IsAddress(source); !ok {
			local = append(local, source)
		}
	}
	return local
}

// watch syncs until the context ends. A sync that fails is told and tried
// again, unless the index itself is of no use any more.
func (a *app) watch(cmd *cobra.Command, cfg *pipeline.Config, directories []string, flags syncFlags, once func(context.Context) (ingest.SyncReport, error)) error {
	first := true
	return ingest.Watch(cmd.Context(), localDirectories(directories), ingest.WatchOptions{
		Debounce: flags.debounce, Rescan: flags.rescan, Exclude: []string{cfg.Data},
		Warn: func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), "needle:", printable(err.Error())) },
	}, func(ctx context.Context) error {
		result, err := once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if first || err != nil || result.Added+result.Updated+result.Deleted+result.Failed > 0 {
			if e := a.printSync(cmd.OutOrStdout(), result); e != nil {
				return e
			}
		}
		first = false
		for _, fatal := range [...]error{retriever.ErrClosed, retriever.ErrCorrupt, retriever.ErrVersion, retriever.ErrLocked, ingest.ErrSourceName} {
			if errors.Is(err, fatal) {
				return err
			}
		}
		if err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "needle:", printable(err.Error()))
		}
		return nil
	})
}

func (a *app) syncOnce(ctx context.Context, cmd *cobra.Command, p *pipeline.Pipeline, directories []string, flags syncFlags, report *reportFile) (ingest.SyncReport, error) {
	progress, done := newSyncProgress(cmd.ErrOrStderr(), flags.progress)
	defer done()
	events := ingest.Events{
		Progress: progress,
		Document: func(id string, outcome ingest.Outcome, passages int) {
			report.document(id, outcome, passages)
			if flags.dryRun && !a.json && outcome != ingest.Unchanged {
				fmt.Fprintf(cmd.OutOrStdout(), "would be %s: %s\n", outcome, printable(id))
			}
		},
		Fault: func(f ingest.Fault) { report.fault(f) },
	}
	return p.Sync(ctx, directories, pipeline.SyncOptions{
		Index: a.indexName, AllowDeletes: flags.allowDeletes, DryRun: flags.dryRun, VerifyContent: flags.verifyContent, Events: events,
	})
}

func (a *app) printSync(w io.Writer, r ingest.SyncReport) error {
	if a.json {
		return printJSON(w, r)
	}
	printFaults(w, r.Report)
	for _, s := range r.Sources {
		if s.Kept > 0 {
			fmt.Fprintf(w, "%s: %d documents stay as they were, because what held them could not be read\n", printable(s.Path), s.Kept)
		}
	}
	dry := ""
	if r.DryRun {
		dry = "dry run, nothing was changed: "
	}
	_, err := fmt.Fprintf(w, "%s%d added, %d updated, %d deleted, %d unchanged, %d kept, %d skipped, %d not taken; %d passages in %s\n",
		dry, r.Added, r.Updated, r.Deleted, r.Unchanged, r.Kept, r.Skipped, r.Failed, r.Passages, elapsed(r.Duration))
	return err
}

// statistics are what index stats prints.
type statistics struct {
	retriever.Statistics
	Sources []sourceStatus `json:"sources,omitempty"`
}

// A sourceStatus is a source with how far the index may be behind it.
type sourceStatus struct {
	pipeline.SourceState
	LagSeconds *float64 `json:"lag_seconds,omitempty"` // absent if it was never synced
	Failing    bool     `json:"failing"`
}

// sources reads the record beside the index. One that is reached by its address
// only keeps it elsewhere.
func (a *app) sources(ctx context.Context, service *connection, index string) ([]sourceStatus, error) {
	if a.serverURL != "" {
		return nil, nil
	}
	states, err := service.config.Sources(ctx, index)
	if err != nil {
		return nil, err
	}
	var list []sourceStatus
	for _, s := range states {
		status := sourceStatus{SourceState: s, Failing: s.Failing()}
		if lag, ok := s.Lag(time.Now()); ok {
			seconds := lag.Seconds()
			status.LagSeconds = &seconds
		}
		list = append(list, status)
	}
	return list, nil
}

func printSources(w io.Writer, sources []sourceStatus) {
	for _, s := range sources {
		lag := "never synced without a fault"
		if s.LagSeconds != nil {
			lag = "synced " + time.Duration(*s.LagSeconds*float64(time.Second)).Round(time.Second).String() + " ago"
		}
		changed := "never changed"
		if !s.LastChange.IsZero() {
			changed = "last changed " + s.LastChange.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "source %s (%s): %d documents, %s, %s\n", printable(s.Name), printable(s.Path), s.Documents, lag, changed)
		if s.Failing {
			fmt.Fprintf(w, "  failing since %s: %s\n", s.LastFailure.Local().Format(time.DateTime), printable(s.Failure))
		}
	}
}

// newSyncProgress shows progress in one of the forms of --progress.
func newSyncProgress(stderr io.Writer, form string) (show func(ingest.Progress), done func()) {
	switch form {
	case "none":
		return nil, func() {}
	case "json":
		return func(p ingest.Progress) {
			// An event that cannot be written is no reason to stop the work.
			_, _ = stderr.Write(jsonLine(progressEvent{
				"progress", p.FilesTotal, p.FilesDone, p.BytesTotal, p.BytesDone, p.Documents, p.Passages, p.Skipped, p.Failed, p.Done,
			}))
		}, func() {}
	}
	b := newByteBar("syncing", 0)
	if form == "plain" {
		now := time.Now()
		b = &bar{out: os.Stderr, label: "syncing", bytes: true, started: now, printed: now}
	}
	return func(p ingest.Progress) {
		b.SetTotal(p.BytesTotal)
		b.Set(p.BytesDone)
	}, b.Close
}
