package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// withGold gives a command what feedback about the configured index has
// settled, and the service that has the documents, without a reader.
func (a *app) withGold(ctx context.Context, pending bool, do func(gold *monitor.GoldSet, c *connection) error) error {
	c, err := a.connect(ctx, pipeline.WithoutReader(), pipeline.WithoutRanker())
	if err != nil {
		return err
	}
	gold, err := a.gold(ctx, c, pending)
	if err == nil {
		err = do(gold, c)
	}
	return errors.Join(err, c.Close())
}

func (a *app) gold(ctx context.Context, c *connection, pending bool) (*monitor.GoldSet, error) {
	var book feedbackBook
	if c.local == nil {
		service, err := a.server(ctx, c.config)
		if err != nil {
			return nil, err
		}
		book = remoteFeedback{service, a.indexName}
	} else {
		kept, err := c.local.Store(ctx)
		if err != nil {
			return nil, err
		}
		book = storedFeedback{kept, c.config.Index, c.config.Monitor.Feedback.Judging()}
	}
	cases, err := book.cases(ctx)
	if err != nil {
		return nil, err
	}
	gold, err := monitor.Gold(ctx, cases, pending, c.Document)
	if err != nil {
		return nil, err
	}
	if len(gold.Questions) == 0 {
		return nil, fmt.Errorf("feedback: nothing is settled about index %s: %d cases wait; review them with needle feedback list and accept", c.config.Index, len(cases))
	}
	return gold, nil
}

func (a *app) feedbackExportCommand() *cobra.Command {
	var format, out string
	var pending, whole bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write what is settled as a data set",
		Long: `squad is one JSON file in the format of SQuAD 2.0, whose paragraphs are whole
documents. beir is a directory with corpus.jsonl, queries.jsonl and
qrels/test.tsv. Both hold the documents as they are now.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "squad" && format != "beir" {
				return fmt.Errorf("feedback: export: --format %s; allowed are squad, beir", format)
			}
			if format == "beir" && out == "" {
				return errors.New("feedback: export: --out is missing: name the directory to make")
			}
			return a.withGold(cmd.Context(), pending, func(gold *monitor.GoldSet, c *connection) error {
				if gold.LeftOut > 0 {
					fmt.Fprintf(os.Stderr, "%d questions are left out: not settled, or their documents have changed\n", gold.LeftOut)
				}
				if format == "beir" {
					return a.writeBEIR(cmd.Context(), gold, c, out, whole)
				}
				if out == "" {
					return printJSON(cmd.OutOrStdout(), gold.SQuAD())
				}
				f, err := os.Create(out)
				if err != nil {
					return err
				}
				return errors.Join(printJSON(f, gold.SQuAD()), f.Close())
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "squad", "squad or beir")
	flags.StringVar(&out, "out", "", "file, or directory for beir (default for squad: standard output)")
	flags.BoolVar(&pending, "pending", false, "also what nobody contradicts yet")
	flags.BoolVar(&whole, "whole-corpus", false, "beir: the corpus holds all documents of the index, not only those with answers")
	return cmd
}

// writeBEIR unpacks the archive, for tools read directories.
func (a *app) writeBEIR(ctx context.Context, gold *monitor.GoldSet, c *connection, dir string, whole bool) error {
	var more func(add func(retriever.Document) error) error
	if whole {
		more = func(add func(retriever.Document) error) error { return a.eachDocument(ctx, c, 0, add) }
	}
	var buffer bytes.Buffer
	if err := gold.WriteBEIR(&buffer, more); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("feedback: export: %w", err)
	}
	archive, err := zip.NewReader(bytes.NewReader(buffer.Bytes()), int64(buffer.Len()))
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "qrels"), 0o755)
	}
	if err == nil {
		err = os.CopyFS(dir, archive)
	}
	if err != nil {
		return fmt.Errorf("feedback: export: %w", err)
	}
	return nil
}

// eachDocument calls a function with the documents of the index, at most limit
// of them unless it is 0.
func (a *app) eachDocument(ctx context.Context, c *connection, limit int, do func(retriever.Document) error) error {
	const page = 500
	after, seen := "", 0
	for {
		infos, err := c.List(ctx, a.indexName, after, page)
		if err != nil {
			return err
		}
		for _, info := range infos {
			after = info.ID
			if seen++; limit > 0 && seen > limit {
				return nil
			}
			d, err := c.Document(ctx, a.indexName, info.ID)
			if errors.Is(err, retriever.ErrDocumentNotFound) {
				continue // it was deleted meanwhile
			}
			if err != nil {
				return err
			}
			if err := do(d); err != nil {
				return err
			}
		}
		if len(infos) < page {
			return nil
		}
	}
}
