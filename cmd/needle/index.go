package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func (a *app) indexCommand() *cobra.Command {
	index := &cobra.Command{Use: "index", Short: "Add, remove and look after documents"}
	index.AddCommand(a.indexAddCommand(), a.indexSyncCommand(), a.indexRemoveCommand(), a.indexListCommand(), a.indexStatsCommand(), a.indexVectorsCommand(), a.indexVerifyCommand(), a.indexDropCommand(),
		a.indexCompactCommand(), a.indexBackupCommand(), a.indexRestoreCommand(), a.indexSwapCommand(), a.indexRebuildCommand(), a.indexFieldsCommand())
	return index
}

// withIndex gives a command the data directory, or the server that holds it,
// without loading the model.
func (a *app) withIndex(do func(cmd *cobra.Command, args []string, service *connection) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		service, err := a.connect(cmd.Context(), pipeline.WithoutReader())
		if err != nil {
			return err
		}
		defer service.Close()
		return do(cmd, args, service)
	}
}

func (a *app) indexAddCommand() *cobra.Command {
	vectors := vectorsAuto
	cmd := &cobra.Command{
		Use:   "add PATH...",
		Short: "Add or update the documents of files and directories",
		Long: `Adds PDF, Word, PowerPoint, Excel, OpenDocument, RTF, HTML, EPUB, mails, CSV, JSON,
Markdown and text, and archives of all these; docs/formats.md describes each.
Unchanged documents are skipped, so the command may be interrupted and run again.`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.withIndex(func(cmd *cobra.Command, args []string, service *connection) error {
			report, err := addPaths(cmd.Context(), service, a.indexName, args)
			if a.json {
				if e := printJSON(cmd.OutOrStdout(), report); e != nil {
					return e
				}
			} else {
				printIngestReport(cmd.OutOrStdout(), report)
			}
			if err != nil {
				return err
			}
			if err := followVectors(cmd, service, a.indexName, vectors); err != nil {
				return err
			}
			if report.Failed > 0 {
				return fmt.Errorf("index add: %d files or records were not taken; the others are in the index", report.Failed)
			}
			return nil
		}),
	}
	cmd.Flags().Var(&vectors, "vectors", vectorsHelp)
	return cmd
}

// addPaths indexes files through a pipeline of our own, or sends their
// documents to the server that holds the index.
func addPaths(ctx context.Context, c *connection, index string, paths []string) (ingest.Report, error) {
	bar := newByteBar("indexing", 0)
	defer bar.Close()
	events := ingest.Events{Progress: func(p ingest.Progress) {
		bar.SetTotal(p.BytesTotal)
		bar.Set(p.BytesDone)
	}}
	if c.local != nil {
		return c.local.AddPaths(ctx, paths, pipeline.AddOptions{Index: index, Events: events})
	}
	ingester, err := c.config.Ingester()
	if err != nil {
		return ingest.Report{}, err
	}
	target := &serverTarget{service: c.Service, index: cmp.Or(index, c.config.Index)}
	report, err := ingester.AddPaths(ctx, target, paths, events)
	// The server decides what is new; the ingester cannot know.
	report.Added, report.Updated, report.Unchanged, report.Passages = target.added, target.updated, target.unchanged, target.passages
	if manager, ok := c.Service.(pipeline.ModelManager); ok && err == nil {
		models, modelsErr := manager.Models(ctx)
		if modelsErr == nil && len(models) > 0 && models[0].Role == pipeline.RoleReader {
			if warning := pipeline.LanguageWarning(report.Languages, models[0].Languages); warning != "" {
				report.Warnings = append(report.Warnings, warning)
			}
		}
	}
	return report, err
}

// serverTarget sends documents to a server, which splits and stores them.
type serverTarget struct {
	service pipeline.Service
	index   string

	mu                                  sync.Mutex // the ingester writes several batches at once
	added, updated, unchanged, passages int
}

func (t *serverTarget) Infos(context.Context, []string) (map[string]retriever.DocumentInfo, error) {
	return nil, nil
}

func (t *serverTarget) Delete(ctx context.Context, ids []string) (int, error) {
	return t.service.Delete(ctx, t.index, ids)
}

func (t *serverTarget) Upsert(ctx context.Context, entries []retriever.Entry) error {
	documents := make([]retriever.Document, len(entries))
	for i, e := range entries {
		documents[i] = e.Document
	}
	results, err := t.service.Put(ctx, t.index, documents)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range results {
		switch r.Status {
		case pipeline.Created:
			t.added++
		case pipeline.Updated:
			t.updated++
		case pipeline.Unchanged:
			t.unchanged++
			continue
		}
		t.passages += r.Passages
	}
	return err
}

func printIngestReport(w io.Writer, r ingest.Report) {
	printFaults(w, r)
	fmt.Fprintf(w, "%d added, %d updated, %d unchanged, %d skipped, %d not taken; %d passages written in %s\n",
		r.Added, r.Updated, r.Unchanged, r.Skipped, r.Failed, r.Passages, elapsed(r.Duration))
}

func printFaults(w io.Writer, r ingest.Report) {
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", printable(warning))
	}
	for _, f := range r.Faults {
		kind := "not taken"
		if f.Skipped {
			kind = "skipped"
		}
		fmt.Fprintf(w, "%s: %s\n", kind, printable(f.String()))
	}
	if r.FaultsOmitted > 0 {
		fmt.Fprintf(w, "... and %d more\n", r.FaultsOmitted)
	}
}

func (a *app) indexRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm ID...",
		Short: "Remove documents by id",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.withIndex(func(cmd *cobra.Command, args []string, service *connection) error {
			n, err := service.Delete(cmd.Context(), a.indexName, args)
			if err != nil {
				return missingIndex(err)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), map[string]int{"removed": n, "absent": len(args) - n})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d removed, %d were not there\n", n, len(args)-n)
			return nil
		}),
	}
}

func (a *app) indexListCommand() *cobra.Command {
	var documents bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the indexes, or with --documents the documents of one",
		Args:  cobra.NoArgs,
		RunE: a.withIndex(func(cmd *cobra.Command, _ []string, service *connection) error {
			if documents {
				return missingIndex(a.listDocuments(cmd.Context(), cmd.OutOrStdout(), service))
			}
			all, err := service.Indexes(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			for _, s := range all {
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %d documents, %d passages, generation %d\n", s.Name, s.Documents, s.Passages, s.Generation)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&documents, "documents", false, "list the documents of the index")
	return cmd
}

func (a *app) listDocuments(ctx context.Context, w io.Writer, service pipeline.Service) error {
	for after := ""; ; {
		page, err := service.List(ctx, a.indexName, after, pipeline.MaxListLimit)
		if err != nil {
			return err
		}
		for _, d := range page {
			after = d.ID
			if a.json {
				if err := printJSON(w, d); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(w, "%s  %d characters, %d passages, %s\n", printable(d.ID), d.Runes, d.Passages, printable(d.Title))
		}
		if len(page) < pipeline.MaxListLimit {
			return nil
		}
	}
}

func (a *app) indexStatsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Describe the index",
		Args:  cobra.NoArgs,
		RunE: a.withIndex(func(cmd *cobra.Command, _ []string, service *connection) error {
			s, err := service.Stats(cmd.Context(), a.indexName)
			if err != nil {
				return missingIndex(err)
			}
			sources, err := a.sources(cmd.Context(), service, s.Name)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), statistics{s, sources})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "index %s: %d documents, %d passages of %.1f terms on average, generation %d, %.1f MB, analyzer %s, k1 %g, b %g\n",
				s.Name, s.Documents, s.Passages, s.AverageLength, s.Generation, float64(s.Bytes)/1e6, s.Analyzer, s.K1, s.B)
			for _, what := range s.Outdated {
				fmt.Fprintf(cmd.OutOrStdout(), "outdated: %s; run: needle index rebuild\n", what)
			}
			printVectors(cmd.OutOrStdout(), service, s)
			printSources(cmd.OutOrStdout(), sources)
			return nil
		}),
	}
}

func (a *app) indexVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Read everything that the index stores and report damage",
		Args:  cobra.NoArgs,
		RunE: a.withIndex(func(cmd *cobra.Command, _ []string, service *connection) error {
			keeper, err := service.keeper()
			if err != nil {
				return err
			}
			if err := keeper.Verify(cmd.Context(), a.indexName); err != nil {
				return missingIndex(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "everything that is stored is whole")
			return nil
		}),
	}
}

func (a *app) indexDropCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "drop NAME",
		Short: "Delete an index and all it holds",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return fmt.Errorf("index drop: this deletes all documents of %q; pass --yes to do it", args[0])
			}
			service, err := a.connect(cmd.Context(), pipeline.WithoutReader())
			if err != nil {
				return err
			}
			defer service.Close()
			if err := service.DropIndex(cmd.Context(), args[0]); err != nil {
				return missingIndex(err)
			}
			fmt.Fprintf(os.Stderr, "index %q deleted\n", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "really delete")
	return cmd
}
