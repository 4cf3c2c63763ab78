package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
)

// canariesDir is where the canaries stand in a data directory.
const canariesDir = "canaries"

// errAlarm makes `needle canary run` exit with an error.
var errAlarm = errors.New("canary: there are alarms")

func (a *app) canaryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "canary",
		Short: "Watch golden questions of an index, whose answers should stay",
		Long: `A running server asks the canaries on schedule, after every change of the index
and after every exchange of the model. When their score falls, it says so in the
log, in the metrics and to a webhook, and may put the old model back; see the
section monitor of the configuration.`,
	}
	cmd.AddCommand(a.canarySetCommand(), a.canaryAddCommand(), a.canaryRunCommand(), a.canaryStatusCommand(), a.canaryRemoveCommand())
	return cmd
}

// withCanaries opens the canaries, and what answers them.
func (a *app) withCanaries(ctx context.Context, do func(canaries *monitor.Canaries, c *connection, index string) error) error {
	if a.serverURL != "" {
		return errors.New("canary: canaries are files beside the index; run this on the machine of the server, with --data and without --server")
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(monitor.OpenCanaries(filepath.Join(c.config.Data, canariesDir)), c, c.config.Index)
}

func (a *app) canarySetCommand() *cobra.Command {
	var dataset, path string
	var limit int
	var maxDrop float64
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Make the questions of a file the canaries of an index",
		Long: `The questions are asked once; how well they are answered now is what later runs
are held against. Choose some dozens whose answers matter and seldom change,
unanswerable ones among them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return errors.New("canary: set: --path is missing: name a file of questions")
			}
			data, err := readDataset(dataset, path)
			if err != nil {
				return err
			}
			chosen := sample(monitor.FromDataset(data), limit)
			return a.withCanaries(cmd.Context(), func(canaries *monitor.Canaries, c *connection, index string) error {
				set, err := canaries.Set(cmd.Context(), c, index, chosen, maxDrop)
				if err != nil {
					return err
				}
				if a.json {
					return printJSON(cmd.OutOrStdout(), set)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d canaries watch index %s; score %.3f, Brier score %.3f, alarm when either gets worse by more than %.3f\n",
					set.Reference.N, index, set.Reference.Score, set.Reference.Brier, set.MaxDrop)
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dataset, "dataset", "squad", "format of the file: squad or nq-open (JSON lines with question and answer)")
	flags.StringVar(&path, "path", "", "the file of questions")
	flags.IntVar(&limit, "limit", 0, "take only every n-th question so that there are about this many; 0 takes all")
	flags.Float64Var(&maxDrop, "max-drop", monitor.DefaultMaxDrop, "how far the mean score may fall before it is an alarm")
	return cmd
}

func (a *app) canaryRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Ask the canaries of an index now; fails if there is an alarm",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withCanaries(cmd.Context(), func(canaries *monitor.Canaries, c *connection, index string) error {
				run, err := canaries.Run(cmd.Context(), c, index, "command")
				if err != nil {
					return err
				}
				if a.json {
					err = printJSON(cmd.OutOrStdout(), run)
				} else {
					printCanaryRun(cmd.OutOrStdout(), run)
				}
				if err == nil && !run.Healthy() {
					err = errAlarm
				}
				return err
			})
		},
	}
}

func printCanaryRun(w io.Writer, run monitor.CanaryRun) {
	health := "healthy"
	if !run.Healthy() {
		health = "ALARM"
	}
	fmt.Fprintf(w, "%s: %s, %d canaries, score %.3f, Brier score %.3f, model %s, generation %d\n",
		run.Index, health, run.N, run.Score, run.Brier, short(run.Model.Hash), run.Generation)
	for _, alarm := range run.Alarms {
		fmt.Fprintln(w, "  "+alarm)
	}
}

func (a *app) canaryStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the last runs of the canaries of an index",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, canaries, err := a.canaryFiles()
			if err != nil {
				return err
			}
			set, err := canaries.Get(cfg.Index)
			if err != nil {
				return err
			}
			runs, err := canaries.Runs(cfg.Index)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), map[string]any{"set": set, "runs": append([]monitor.CanaryRun{}, runs...)})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d canaries; reference of %s: score %.3f, Brier score %.3f\n",
				len(set.Canaries), set.Reference.At.Format(time.RFC3339), set.Reference.Score, set.Reference.Brier)
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "AT\tREASON\tSCORE\tBRIER\tMODEL\tGENERATION\tALARMS")
			for _, run := range runs {
				fmt.Fprintf(w, "%s\t%s\t%.3f\t%.3f\t%s\t%d\t%d\n", run.At.Format(time.RFC3339), run.Reason, run.Score, run.Brier, short(run.Model.Hash), run.Generation, len(run.Alarms))
			}
			return w.Flush()
		},
	}
}

// canaryFiles opens the canaries without what answers them.
func (a *app) canaryFiles() (*pipeline.Config, *monitor.Canaries, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	return cfg, monitor.OpenCanaries(filepath.Join(cfg.Data, canariesDir)), nil
}

func (a *app) canaryRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm",
		Short: "Forget the canaries of an index",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, canaries, err := a.canaryFiles()
			if err != nil {
				return err
			}
			if err := canaries.Remove(cfg.Index); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the canaries of index %s are gone\n", cfg.Index)
			return nil
		},
	}
}
