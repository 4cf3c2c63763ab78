package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/monitor"
)

type exportOptions struct {
	format, out  string
	since, until string
	redact       bool
}

func (a *app) exportCommand() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export questions|feedback|metrics",
		Short: "Write questions with their answers, feedback or metrics as a table",
		Long: `questions are those that the configuration keeps (monitor.keep_questions), no older
than monitor.retention; feedback has a row for every judgement; metrics has a
row for every number of the evaluations and canary runs in the data directory.`,
		Example: `  needle export questions --since 168h --out questions.parquet
  needle export feedback --format csv --redact`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"questions", "feedback", "metrics"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.export(cmd.Context(), cmd.OutOrStdout(), args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.format, "format", "", "parquet, csv or jsonl (default: by the ending of --out, else jsonl)")
	flags.StringVar(&o.out, "out", "", "file to write (default: standard output)")
	flags.StringVar(&o.since, "since", "720h", "the earliest: a time such as 2026-01-31T00:00:00Z, or how long ago")
	flags.StringVar(&o.until, "until", "0s", "the end, left out: a time, or how long ago")
	flags.BoolVar(&o.redact, "redact", false, "replace mail addresses and long numbers in questions and comments, whatever the configuration says")
	return cmd
}

// moment reads a time, or how long ago it was.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("export: %s %q; allowed is a time such as 2026-01-31T00:00:00Z, or a duration such as 168h", flag, text)
}

func (a *app) export(ctx context.Context, w io.Writer, what string, o exportOptions) error {
	now := time.Now()
	from, err := moment("--since", o.since, now)
	if err != nil {
		return err
	}
	to, err := moment("--until", o.until, now)
	if err != nil {
		return err
	}
	if o.format == "" {
		o.format = strings.TrimPrefix(filepath.Ext(o.out), ".")
	}
	if o.format == "" {
		o.format = monitor.FormatJSONL
	}
	if !slices.Contains(monitor.TableFormats(), o.format) {
		return fmt.Errorf("export: --format %s; allowed are %s", o.format, strings.Join(monitor.TableFormats(), ", "))
	}
	var write func(w io.Writer) error
	switch what {
	case "questions":
		write, err = a.exportQuestions(o, from, to, now)
	case "feedback":
		write, err = a.exportFeedback(ctx, o, from, to)
	case "metrics":
		write, err = a.exportMetrics(o, from, to)
	default:
		err = fmt.Errorf("export: %s; allowed are questions, feedback, metrics", what)
	}
	if err != nil {
		return err
	}
	if o.out != "" {
		return writeTo(o.out, write)
	}
	buffered := bufio.NewWriter(w)
	return errors.Join(write(buffered), buffered.Flush())
}

// writeTo writes a file, and leaves none behind that is not whole.
func writeTo(path string, write func(w io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	buffered := bufio.NewWriter(f)
	if err := errors.Join(write(buffered), buffered.Flush(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func (a *app) exportQuestions(o exportOptions, from, to, now time.Time) (func(io.Writer) error, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	// What should be gone is not given out, also where no server has removed it
	// yet.
	if oldest := now.Add(-cfg.Monitor.Retention); from.Before(oldest) {
		from = oldest
	}
	rows, err := monitor.AskedRows(filepath.Join(cfg.Data, questionsDir), a.indexName, from, to, o.redact || cfg.Monitor.Redact)
	return func(w io.Writer) error { return monitor.WriteTable(w, o.format, rows) }, err
}

func (a *app) exportFeedback(ctx context.Context, o exportOptions, from, to time.Time) (func(io.Writer) error, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	var rows []monitor.FeedbackRow
	err = a.withFeedback(ctx, func(book feedbackBook) error {
		cases, err := book.cases(ctx)
		rows = monitor.FeedbackRows(cases, from, to, o.redact || cfg.Monitor.Redact)
		return err
	})
	return func(w io.Writer) error { return monitor.WriteTable(w, o.format, rows) }, err
}

func (a *app) exportMetrics(o exportOptions, from, to time.Time) (func(io.Writer) error, error) {
	runs, err := a.experiments()
	if err != nil {
		return nil, err
	}
	records, err := runs.List()
	if err != nil {
		return nil, err
	}
	_, canaries, err := a.canaryFiles()
	if err != nil {
		return nil, err
	}
	indexes, err := canaries.Indexes()
	if err != nil {
		return nil, err
	}
	var asked []monitor.CanaryRun
	for _, index := range indexes {
		its, err := canaries.Runs(index)
		if err != nil {
			return nil, err
		}
		asked = append(asked, its...)
	}
	rows := monitor.MetricRows(records, asked, from, to)
	return func(w io.Writer) error { return monitor.WriteTable(w, o.format, rows) }, nil
}
