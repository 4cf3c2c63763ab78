package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/backup"
)

// keeper returns what looks after indexes: the pipeline of our own, or the
// server.
func (c *connection) keeper() (pipeline.Keeper, error) {
	keeper, ok := c.Service.(pipeline.Keeper)
	if !ok {
		return nil, errors.New("this connection cannot look after indexes")
	}
	return keeper, nil
}

// withKeeper is withIndex for the commands that look after an index.
func (a *app) withKeeper(do func(cmd *cobra.Command, args []string, keeper pipeline.Keeper) error) func(*cobra.Command, []string) error {
	return a.withIndex(func(cmd *cobra.Command, args []string, service *connection) error {
		keeper, err := service.keeper()
		if err != nil {
			return err
		}
		return missingIndex(do(cmd, args, keeper))
	})
}

func (a *app) indexCompactCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compact",
		Short: "Give back the space of what was deleted and replaced",
		Args:  cobra.NoArgs,
		RunE: a.withKeeper(func(cmd *cobra.Command, _ []string, keeper pipeline.Keeper) error {
			report, err := keeper.Compact(cmd.Context(), a.indexName)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "index %s: %.1f MB before, %.1f MB now\n", report.Index, float64(report.Before)/1e6, float64(report.After)/1e6)
			return nil
		}),
	}
}

// backupReport is what index backup prints.
type backupReport struct {
	File string `json:"file"`
	backup.Summary
	Bytes int64 `json:"bytes"`
}

func (a *app) indexBackupCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the index as it is now to a file, while it is used",
		Long: `Writes one file with all documents, their passages, metadata and groups, the settings of the index and a checksum.
The file is complete or not there at all. "-" writes to the standard output.`,
		Args: cobra.ExactArgs(1),
		RunE: a.withKeeper(func(cmd *cobra.Command, args []string, keeper pipeline.Keeper) error {
			if args[0] == "-" {
				_, err := keeper.Backup(cmd.Context(), a.indexName, cmd.OutOrStdout())
				return err
			}
			report := backupReport{File: args[0]}
			var err error
			report.Bytes, err = writeWhole(args[0], force, func(w io.Writer) error {
				report.Summary, err = keeper.Backup(cmd.Context(), a.indexName, w)
				return err
			})
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d documents, %d passages, %.1f MB written to %s\nsha256 of the content: %s\n",
				report.Documents, report.Passages, float64(report.Bytes)/1e6, report.File, report.SHA256)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	return cmd
}

// writeWhole writes a file that is there as a whole, and on disk, or not at all.
func writeWhole(path string, replace bool, write func(io.Writer) error) (size int64, err error) {
	if _, err := os.Lstat(path); err == nil && !replace {
		return 0, fmt.Errorf("%s is there already; pass --force to replace it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err = write(f); err == nil {
		err = f.Sync()
	}
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err != nil {
		return 0, err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return 0, err
	}
	return info.Size(), syncFolder(filepath.Dir(path))
}

// syncFolder makes a renamed file survive a loss of power under its new name.
// Where folders cannot be synced (some network file systems, Windows) the name
// is as safe as the system makes it.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || runtime.GOOS == "windows" {
		err = nil
	}
	return errors.Join(err, folder.Close())
}

func (a *app) indexRestoreCommand() *cobra.Command {
	var replace, check bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make an index of a backup",
		Long: `Reads a backup into the index that --index names. The checksum is compared before anything is put in place: if the file
is damaged or of a newer version, what was there before is untouched. With --check nothing is restored.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			if check {
				return a.checkBackup(cmd, file)
			}
			return a.withKeeper(func(cmd *cobra.Command, _ []string, keeper pipeline.Keeper) error {
				report, err := keeper.Restore(cmd.Context(), a.indexName, file, pipeline.RestoreOptions{Replace: replace})
				if errors.Is(err, retriever.ErrIndexExists) {
					return fmt.Errorf("%w (pass --replace to replace it, or --index NAME)", err)
				}
				if err != nil {
					return err
				}
				if a.json {
					return printJSON(cmd.OutOrStdout(), report)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "index %s: %d documents, %d passages restored from the backup of %s of %s\n",
					report.Index, report.Documents, report.Passages, report.From, report.Created.Format(time.RFC3339))
				return nil
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "replace the index if it is there")
	cmd.Flags().BoolVar(&check, "check", false, "only read the file and compare its checksum")
	return cmd
}

func (a *app) checkBackup(cmd *cobra.Command, file io.Reader) error {
	header, summary, err := backup.Verify(cmd.Context(), file)
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), struct {
			backup.Header
			backup.Summary
		}{header, summary})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "a whole backup of index %s of %s: %d documents, %d passages\n",
		header.Index.Name, header.Created.Format(time.RFC3339), summary.Documents, summary.Passages)
	return nil
}

func (a *app) indexSwapCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "swap NAME",
		Short: "Exchange the names of the index and of another one, at once",
		Long: `After the swap, --index stands for what was NAME, and NAME for what was --index, until you drop it or swap back.
Questions that run finish on the index on which they began. If there is no index --index yet, NAME is renamed.`,
		Args: cobra.ExactArgs(1),
		RunE: a.withKeeper(func(cmd *cobra.Command, args []string, keeper pipeline.Keeper) error {
			if err := keeper.SwapIndexes(cmd.Context(), a.indexName, args[0]); err != nil {
				return err
			}
			fmt.Fprintln(os.Stderr, "swapped")
			return nil
		}),
	}
}

func (a *app) indexRebuildCommand() *cobra.Command {
	var options pipeline.RebuildOptions
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the index anew with the settings of the configuration",
		Long: `Builds the index anew from the documents that it stores, beside the old one, and puts it in place when it is complete.
The old one answers and takes writes meanwhile. An interrupted rebuild goes on when the command is run again. On a server
it runs in the background; the command only watches.`,
		Args: cobra.NoArgs,
		RunE: a.withIndex(func(cmd *cobra.Command, _ []string, service *connection) error {
			report, err := a.rebuild(cmd.Context(), service, options)
			if err != nil {
				return missingIndex(err)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "index %s: %d documents, %d written anew, %d kept from an interrupted rebuild\n",
				report.Index, report.Documents, report.Copied, report.Kept)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&options.Split, "split", false, "cut the documents into passages anew, by the section split of the configuration")
	return cmd
}

// rebuildPause is how often a rebuild on a server is looked at.
const rebuildPause = 500 * time.Millisecond

func (a *app) rebuild(ctx context.Context, service *connection, options pipeline.RebuildOptions) (pipeline.RebuildReport, error) {
	bar := newBar("rebuilding", 0)
	defer bar.Close()
	progress := func(done, total uint64) {
		bar.SetTotal(int64(total))
		bar.Set(int64(done))
	}
	if service.local != nil {
		options.Progress = progress
		return service.local.Rebuild(ctx, a.indexName, options)
	}
	keeper, err := service.keeper()
	if err != nil {
		return pipeline.RebuildReport{}, err
	}
	// One that runs already is watched too.
	if err := keeper.StartRebuild(ctx, a.indexName, options); err != nil && !errors.Is(err, pipeline.ErrRebuilding) {
		return pipeline.RebuildReport{}, err
	}
	for {
		status, err := keeper.RebuildStatus(ctx, a.indexName)
		if err != nil {
			return pipeline.RebuildReport{}, err
		}
		progress(status.Done, status.Total)
		switch {
		case status.State == pipeline.RebuildDone && status.Report != nil:
			return *status.Report, nil
		case status.State != pipeline.RebuildRunning:
			return pipeline.RebuildReport{}, fmt.Errorf("the rebuild ended: %s %s", status.State, status.Error)
		}
		select {
		case <-time.After(rebuildPause):
		case <-ctx.Done():
			return pipeline.RebuildReport{}, fmt.Errorf("%w; the rebuild goes on on the server", ctx.Err())
		}
	}
}

func (a *app) indexFieldsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fields NAME=TYPE...",
		Short: "Declare the types of metadata fields: keyword, number, date or boolean",
		Long: `A field gets its type from the first document that carries it, or from this command. Documents with a value of another
type are refused, and filters may use a declared field before any document has it.`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.withKeeper(func(cmd *cobra.Command, args []string, keeper pipeline.Keeper) error {
			fields := make(map[string]retriever.FieldType, len(args))
			for _, arg := range args {
				name, typ, ok := strings.Cut(arg, "=")
				if !ok || name == "" {
					return fmt.Errorf("index fields: %q; write NAME=TYPE", arg)
				}
				parsed, err := retriever.ParseFieldType(typ)
				if err != nil {
					return fmt.Errorf("index fields: %s: %w", name, err)
				}
				fields[name] = parsed
			}
			return keeper.DeclareFields(cmd.Context(), a.indexName, fields)
		}),
	}
}
