package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/monitor"
)

// questionsDir is where the questions that users asked stand in a data
// directory, if they are kept.
const questionsDir = "questions"

func (a *app) questionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "questions",
		Short: "Show what users asked, and what the documents do not answer",
		Long: `Questions are kept only where the configuration says so: monitor.keep_questions. They are
in the data directory, by day, without any text of the documents.`,
	}
	cmd.AddCommand(a.questionsUnansweredCommand(), a.questionsExportCommand())
	return cmd
}

// questionsSince is a flag that says how far back to look.
func questionsSince(cmd *cobra.Command) *time.Duration {
	return cmd.Flags().Duration("since", 7*24*time.Hour, "how far back to look")
}

func (a *app) questionsUnansweredCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "unanswered",
		Short: "List the questions that went without an answer, the most frequent first",
		Args:  cobra.NoArgs,
	}
	since := questionsSince(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "how many to list")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.config()
		if err != nil {
			return err
		}
		topics, asked, unanswered, err := monitor.Topics(filepath.Join(cfg.Data, questionsDir), a.indexName, time.Now().Add(-*since), limit)
		if err != nil {
			return err
		}
		if a.json {
			return printJSON(cmd.OutOrStdout(), map[string]any{"asked": asked, "unanswered": unanswered, "topics": append([]monitor.Topic{}, topics...)})
		}
		if asked == 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "no questions are kept; monitor.keep_questions in the configuration turns it on")
			return nil
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d of %d questions went without an answer (%.0f %%)\n", unanswered, asked, 100*float64(unanswered)/float64(asked))
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "UNANSWERED\tASKED\tLAST\tQUESTION")
		for _, topic := range topics {
			fmt.Fprintf(w, "%d\t%d\t%s\t%s\n", topic.Unanswered, topic.Count, topic.Last.Format("2006-01-02 15:04"), topic.Question)
		}
		return w.Flush()
	}
	return cmd
}

func (a *app) questionsExportCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the questions that are kept as JSON lines or CSV",
		Args:  cobra.NoArgs,
	}
	since := questionsSince(cmd)
	cmd.Flags().StringVar(&format, "format", "jsonl", "jsonl or csv")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.config()
		if err != nil {
			return err
		}
		dir, from := filepath.Join(cfg.Data, questionsDir), time.Now().Add(-*since)
		switch format {
		case "csv":
			return monitor.WriteCSV(cmd.OutOrStdout(), dir, a.indexName, from)
		case "jsonl":
			encoder := json.NewEncoder(cmd.OutOrStdout())
			return monitor.EachAsked(dir, from, func(asked monitor.Asked) error {
				if a.indexName != "" && asked.Index != a.indexName {
					return nil
				}
				return encoder.Encode(asked)
			})
		}
		return fmt.Errorf("questions: export: --format %s; allowed are jsonl, csv", format)
	}
	return cmd
}
