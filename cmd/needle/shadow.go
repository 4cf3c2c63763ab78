package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/pipeline"
)

func (a *app) shadowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shadow",
		Short: "Have a candidate answer a sample of a server's live questions beside",
		Long: `The candidate is another bundle, ranker or number of candidates over the same
indexes. Users get what they got before: it is asked when nobody needs the
model, one question at a time, and what does not fit is dropped.`,
	}
	cmd.AddCommand(a.shadowStartCommand(), a.shadowStatusCommand(), a.shadowStopCommand())
	return cmd
}

// withShadows gives a command the candidates of a running server.
func (a *app) withShadows(ctx context.Context, do func(m pipeline.ShadowManager) (pipeline.ShadowStatus, error)) (pipeline.ShadowStatus, error) {
	cfg, err := a.config()
	if err != nil {
		return pipeline.ShadowStatus{}, err
	}
	service, err := a.server(ctx, cfg)
	if err != nil {
		return pipeline.ShadowStatus{}, err
	}
	if service == nil {
		return pipeline.ShadowStatus{}, errors.New("shadow: no server runs over this data directory, and there is no traffic without one; needle compare needs none")
	}
	return do(service)
}

func (a *app) shadowStartCommand() *cobra.Command {
	var share float64
	cmd := &cobra.Command{
		Use:     "start CANDIDATE.yaml",
		Short:   "Start a candidate; the file holds the keys in which it differs",
		Example: "  printf 'ranker: {type: relevance}\\n' > candidate.yaml\n  needle shadow start candidate.yaml --share 0.2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("shadow: start: %w", err)
			}
			return a.printShadow(cmd, func(m pipeline.ShadowManager) (pipeline.ShadowStatus, error) {
				return m.StartShadow(cmd.Context(), pipeline.ShadowUse{Config: string(text), Share: share})
			})
		},
	}
	cmd.Flags().Float64Var(&share, "share", 0.1, "the share of questions that it answers, more than 0, at most 1")
	return cmd
}

func (a *app) shadowStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what the candidate did so far",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.printShadow(cmd, func(m pipeline.ShadowManager) (pipeline.ShadowStatus, error) { return m.ShadowStatus(cmd.Context()) })
		},
	}
}

func (a *app) shadowStopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the candidate and show what it did",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.printShadow(cmd, func(m pipeline.ShadowManager) (pipeline.ShadowStatus, error) { return m.StopShadow(cmd.Context()) })
		},
	}
}

func (a *app) printShadow(cmd *cobra.Command, do func(pipeline.ShadowManager) (pipeline.ShadowStatus, error)) error {
	status, err := a.withShadows(cmd.Context(), do)
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), status)
	}
	return writeShadow(cmd.OutOrStdout(), status)
}

func writeShadow(w io.Writer, s pipeline.ShadowStatus) error {
	if s.Since.IsZero() {
		_, err := fmt.Fprintln(w, "no candidate runs; needle shadow start CANDIDATE.yaml starts one")
		return err
	}
	state := "stopped"
	if s.Running {
		state = "running"
	}
	fmt.Fprintf(w, "%s since %s, model %s %s, differs in %s\n", state, s.Since.Format("2006-01-02 15:04"), s.Model.Name, short(s.Model.Hash), cmp.Or(strings.Join(s.Changed, ", "), "nothing"))
	fmt.Fprintf(w, "%d questions sampled (share %g), %d asked, %d failed, %d dropped\n", s.Sampled, s.Share, s.Asked, s.Failed, s.Dropped)
	compared := s.Asked - s.Failed
	if compared == 0 {
		return nil
	}
	for _, outcome := range pipeline.ShadowOutcomes() {
		fmt.Fprintf(w, "  %-15s %6d  %5.1f %%\n", outcome, s.Outcomes[outcome], 100*float64(s.Outcomes[outcome])/float64(compared))
	}
	fmt.Fprintf(w, "probability of the first answer %+.3f on average; median %.1f ms now, %.1f ms of the candidate\n", s.ProbabilityChange, s.CurrentMS, s.CandidateMS)
	if len(s.Differences) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tOUTCOME\tNOW\tCANDIDATE\tQUESTION")
	for _, d := range s.Differences[:min(20, len(s.Differences))] {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.At.Format("15:04:05"), d.Outcome, placeOf(d.Current), placeOf(d.Candidate), printable(cmp.Or(d.Question, "(not kept)")))
	}
	return table.Flush()
}

func placeOf(a pipeline.ShadowAnswer) string {
	if a.DocumentID == "" {
		return "-"
	}
	return fmt.Sprintf("%s:%d-%d (%.2f)", printable(a.DocumentID), a.Start, a.End, a.Probability)
}
