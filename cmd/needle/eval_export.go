package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/monitor"
)

func (a *app) evalExportCommand() *cobra.Command {
	var server, experiment string
	cmd := &cobra.Command{
		Use:   "export RUN",
		Short: "Write a kept evaluation to an MLflow server",
		Long: `Metrics with their intervals, all settings, the hashes of the data, the record,
every question's outcome and the report. A token is taken from
MLFLOW_TRACKING_TOKEN.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if server == "" {
				return errors.New("eval: export: --mlflow is missing: name the tracking server, for example http://127.0.0.1:5000")
			}
			runs, err := a.experiments()
			if err != nil {
				return err
			}
			record, outcomes, err := runs.Get(args[0])
			if err != nil {
				return err
			}
			target := monitor.MLflow{URL: server, Token: os.Getenv("MLFLOW_TRACKING_TOKEN")}
			run, err := target.Export(cmd.Context(), experiment, record, outcomes)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"run": record.ID, "mlflow_run": run})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is run %s of %s\n", record.ID, run, server)
			return nil
		},
	}
	cmd.Flags().StringVar(&server, "mlflow", os.Getenv("MLFLOW_TRACKING_URI"), "URL of the tracking server (default: MLFLOW_TRACKING_URI)")
	cmd.Flags().StringVar(&experiment, "experiment", "needle", "experiment of the server")
	return cmd
}
