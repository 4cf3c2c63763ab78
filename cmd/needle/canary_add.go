package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/monitor"
)

func (a *app) canaryAddCommand() *cobra.Command {
	var dataset, path string
	var limit int
	var feedback, pending bool
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add questions of a file, or those that feedback has settled, to the canaries",
		Long: `Questions that are canaries already get the new answers. All canaries are asked
once, and that run is what later ones are held against.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if feedback == (path != "") {
				return errors.New("canary: add: give either --path or --feedback")
			}
			ctx := cmd.Context()
			chosen, err := a.newCanaries(ctx, dataset, path, pending)
			if err != nil {
				return err
			}
			return a.withCanaries(ctx, func(canaries *monitor.Canaries, c *connection, index string) error {
				set, err := canaries.Add(ctx, c, index, sample(chosen, limit))
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
	flags.BoolVar(&feedback, "feedback", false, "the questions that feedback about the index has settled")
	flags.BoolVar(&pending, "pending", false, "with --feedback: also what nobody contradicts yet")
	flags.StringVar(&dataset, "dataset", "squad", "format of the file: squad or nq-open (JSON lines with question and answer)")
	flags.StringVar(&path, "path", "", "the file of questions")
	flags.IntVar(&limit, "limit", 0, "take only every n-th question so that there are about this many; 0 takes all")
	return cmd
}

func (a *app) newCanaries(ctx context.Context, dataset, path string, pending bool) (list []monitor.Canary, err error) {
	if path != "" {
		data, err := readDataset(dataset, path)
		if err != nil {
			return nil, err
		}
		return monitor.FromDataset(data), nil
	}
	err = a.withGold(ctx, pending, func(gold *monitor.GoldSet, _ *connection) error {
		list = monitor.FromDataset(gold.Dataset())
		return nil
	})
	return list, err
}
