package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
)

// experimentsDir is where the records of evaluations stand in a data directory.
const experimentsDir = "experiments"

func (a *app) experiments() (*monitor.Experiments, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return monitor.OpenExperiments(filepath.Join(cfg.Data, experimentsDir)), nil
}

// finishEval keeps the record, compares, writes the report and prints.
func (a *app) finishEval(w io.Writer, run *evaluation, o evalOptions) error {
	record, err := run.record(o.label)
	if err != nil {
		return err
	}
	runs, err := a.experiments()
	if err != nil {
		return err
	}
	var comparison *monitor.Comparison
	if o.baseline != "" {
		// Looked up before this run is kept: it would be the latest itself.
		base, before, err := runs.Get(o.baseline)
		if err != nil {
			return err
		}
		if comparison, err = monitor.Compare(base, before, record, run.outcomes); err != nil {
			return err
		}
	}
	if !o.noSave {
		if err := runs.Add(record, run.outcomes); err != nil {
			return err
		}
	}
	if o.report != "" {
		if err := writeReport(o.report, record, run.outcomes, comparison); err != nil {
			return err
		}
	}
	if a.json {
		return printJSON(w, run.report)
	}
	printReport(w, run.report, record.Intervals)
	if comparison != nil {
		printDifferences(w, comparison)
	}
	if !o.noSave {
		fmt.Fprintf(w, "kept as %s; needle eval show %[1]s --report FILE writes a page about it\n", record.ID)
	}
	return nil
}

func writeReport(path string, record monitor.Record, outcomes []eval.Outcome, comparison *monitor.Comparison) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return cmp.Or(monitor.WriteReport(f, record, outcomes, comparison), f.Close())
}

// record makes the record of a run.
func (run *evaluation) record(label string) (monitor.Record, error) {
	config, err := run.config.YAML()
	if err != nil {
		return monitor.Record{}, err
	}
	now := time.Now().UTC()
	r := monitor.Record{
		ID: monitor.NewID(now), Label: label, Created: now, Needle: version(), Machine: monitor.ThisMachine(),
		Config: string(config), Request: run.request, Generation: run.generation, Calibrated: run.calibrated,
		Report: *run.report, Reliability: run.bins, Intervals: make(map[string]eval.Range),
	}
	// A run may be looked at from elsewhere.
	paths := append([]string{run.request.Path}, run.request.Corpus...)
	for i, path := range paths {
		if paths[i], err = filepath.Abs(path); err != nil {
			return r, err
		}
	}
	r.Request.Path, r.Request.Corpus = paths[0], paths[1:]
	if r.Data, err = hashes(paths); err != nil {
		return r, err
	}
	for name, value := range run.report.Metrics {
		values := eval.Values(run.outcomes, name)
		if len(values) == 0 || math.Abs(eval.Mean(values)-value) > 1e-9 {
			continue // no mean over questions
		}
		if r.Intervals[name], err = eval.Interval(values, 0.95, eval.Resamples, 1); err != nil {
			return r, err
		}
	}
	return r, nil
}

// hashes describes files, and all files of directories, by their content.
func hashes(paths []string) ([]monitor.DataFile, error) {
	var files []monitor.DataFile
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			digest := sha256.New()
			n, err := io.Copy(digest, f)
			files = append(files, monitor.DataFile{Path: path, Bytes: n, SHA256: hex.EncodeToString(digest.Sum(nil))})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("eval: %w", err)
		}
	}
	return files, nil
}

func (a *app) evalListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the evaluations that were kept, the newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runs, err := a.experiments()
			if err != nil {
				return err
			}
			records, err := runs.List()
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), slices.Concat([]monitor.Record{}, records))
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "RUN\tLABEL\tDATA\tSTAGE\tN\tMETRICS")
			for _, r := range records {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, cmp.Or(r.Label, "-"), r.Report.Dataset, r.Report.Stage, r.Report.N, headline(r.Report))
			}
			return w.Flush()
		},
	}
}

// headline is the few metrics that a line has room for.
func headline(r eval.Report) string {
	var parts []string
	for _, name := range []string{eval.MetricF1, eval.MetricEM, eval.RecallName(1), eval.RecallName(10), eval.MetricNDCG10, eval.MetricECE} {
		if v, ok := r.Metrics[name]; ok {
			parts = append(parts, fmt.Sprintf("%s %.3f", name, v))
		}
	}
	return strings.Join(parts, ", ")
}

func (a *app) evalShowCommand() *cobra.Command {
	var report, baseline string
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show a kept evaluation, or write a page about it",
		Long:  `RUN is an id, the beginning of one, a label, or "latest".`,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			runs, err := a.experiments()
			if err != nil {
				return err
			}
			record, outcomes, err := runs.Get(args[0])
			if err != nil {
				return err
			}
			var comparison *monitor.Comparison
			if baseline != "" {
				base, before, err := runs.Get(baseline)
				if err != nil {
					return err
				}
				if comparison, err = monitor.Compare(base, before, record, outcomes); err != nil {
					return err
				}
			}
			if report != "" {
				if err := writeReport(report, record, outcomes, comparison); err != nil {
					return err
				}
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), record)
			}
			printReport(cmd.OutOrStdout(), &record.Report, record.Intervals)
			if comparison != nil {
				printDifferences(cmd.OutOrStdout(), comparison)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&report, "report", "", "write a page to this HTML file")
	cmd.Flags().StringVar(&baseline, "baseline", "", "compare with this run")
	return cmd
}

func (a *app) evalCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare A B",
		Short: "Compare two kept evaluations over the questions that both were asked",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			runs, err := a.experiments()
			if err != nil {
				return err
			}
			first, before, err := runs.Get(args[0])
			if err != nil {
				return err
			}
			second, after, err := runs.Get(args[1])
			if err != nil {
				return err
			}
			comparison, err := monitor.Compare(first, before, second, after)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), comparison)
			}
			printDifferences(cmd.OutOrStdout(), comparison)
			return nil
		},
	}
}

func printDifferences(w io.Writer, c *monitor.Comparison) {
	fmt.Fprintf(w, "%s against %s\n", c.B.ID, c.A.ID)
	for _, s := range c.Settings {
		fmt.Fprintf(w, "  %s: %s, was %s\n", s.Key, cmp.Or(s.B, "(not set)"), cmp.Or(s.A, "(not set)"))
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  metric\tbefore\tnow\tdifference\t95 % interval\tp")
	for _, d := range c.Differences {
		fmt.Fprintf(table, "  %s\t%.4f\t%.4f\t%+.4f\t", d.Metric, d.A, d.B, d.Mean)
		if d.N > 0 {
			fmt.Fprintf(table, "%+.4f to %+.4f\t%.4f", d.Interval.Lower, d.Interval.Upper, d.P)
		} else {
			fmt.Fprint(table, "\t")
		}
		fmt.Fprintln(table)
	}
	table.Flush()
	fmt.Fprintf(w, "%d questions lost, %d won\n", len(c.Lost), len(c.Won))
}

func (a *app) evalRerunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rerun RUN",
		Short: "Do a kept evaluation again from its record, and compare",
		Long: `Takes configuration, data and stage from the record. Data that has changed
since is refused. A run over an index that has changed, or with another version
of needle, is done, and the difference is said.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			runs, err := a.experiments()
			if err != nil {
				return err
			}
			record, before, err := runs.Get(args[0])
			if err != nil {
				return err
			}
			run, err := a.rerun(cmd, record)
			if err != nil {
				return err
			}
			again, err := run.record("rerun of " + record.ID)
			if err != nil {
				return err
			}
			if err := runs.Add(again, run.outcomes); err != nil {
				return err
			}
			comparison, err := monitor.Compare(record, before, again, run.outcomes)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), comparison)
			}
			for _, note := range changedSince(record, again) {
				fmt.Fprintln(cmd.OutOrStdout(), note)
			}
			printDifferences(cmd.OutOrStdout(), comparison)
			return nil
		},
	}
}

func (a *app) rerun(cmd *cobra.Command, record monitor.Record) (*evaluation, error) {
	files, err := hashes(append([]string{record.Request.Path}, record.Request.Corpus...))
	if err != nil {
		return nil, err
	}
	if !slices.Equal(files, record.Data) {
		return nil, fmt.Errorf("eval: rerun %s: the files of %s are not those of the record", record.ID, record.Request.Path)
	}
	cfg, err := pipeline.ParseConfig("record "+record.ID, []byte(record.Config), a.registry)
	if err != nil {
		return nil, err
	}
	with := *a
	with.recorded, with.indexName = cfg, record.Request.Index
	q := record.Request
	return with.evaluate(cmd.Context(), evalOptions{dataset: q.Dataset, path: q.Path, corpus: q.Corpus, stage: q.Stage, limit: q.Limit})
}

// changedSince says what differs between the conditions of two runs.
func changedSince(a, b monitor.Record) []string {
	var notes []string
	note := func(what, before, now string) {
		if before != now {
			notes = append(notes, fmt.Sprintf("%s was %s, is %s", what, cmp.Or(before, "none"), cmp.Or(now, "none")))
		}
	}
	note("needle", a.Needle, b.Needle)
	note("the machine", fmt.Sprint(a.Machine), fmt.Sprint(b.Machine))
	note("the generation of the index", fmt.Sprint(a.Generation), fmt.Sprint(b.Generation))
	if a.Report.Model != nil && b.Report.Model != nil {
		note("the model", a.Report.Model.Hash, b.Report.Model.Hash)
	}
	return notes
}

func printReport(w io.Writer, r *eval.Report, intervals map[string]eval.Range) {
	fmt.Fprintf(w, "%s, %s, %d questions in %.1f s\n", r.Dataset, r.Stage, r.N, r.Seconds)
	if r.Model != nil {
		fmt.Fprintf(w, "model %s %s\n", r.Model.Name, short(r.Model.Hash))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		fmt.Fprintf(w, "  %-20s %.4f", name, r.Metrics[name])
		if i, ok := intervals[name]; ok {
			fmt.Fprintf(w, "  (%.4f to %.4f)", i.Lower, i.Upper)
		}
		fmt.Fprintln(w)
	}
}
