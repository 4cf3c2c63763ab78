package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
)

// quickstartQuestions is how many of the example questions are asked.
const quickstartQuestions = 3

func (a *app) quickstartCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Set up what is missing, index the examples and answer three questions",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.quickstart(cmd, dir)
		},
	}
	cmd.Flags().StringVar(&dir, "examples", "examples", "directory with handbook/ and questions.json")
	return cmd
}

func (a *app) quickstart(cmd *cobra.Command, dir string) error {
	begin, out, ctx := time.Now(), cmd.OutOrStdout(), cmd.Context()
	questions, err := exampleQuestions(filepath.Join(dir, "questions.json"))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "1. ONNX Runtime, which runs the model")
	if err := a.ensureRuntime(ctx, out); err != nil {
		return err
	}
	fmt.Fprintln(out, "2. Index", filepath.Join(dir, "handbook"))
	service, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer service.Close()
	report, err := addPaths(ctx, service, a.indexName, []string{filepath.Join(dir, "handbook")})
	if err != nil {
		return err
	}
	printIngestReport(out, report)
	if len(report.Faults) > 0 && report.Failed > 0 {
		return fmt.Errorf("quickstart: %d of the examples could not be indexed", report.Failed)
	}
	// A server would make them in the background; here the first question waits for them.
	if service.local != nil {
		if err := fillVectors(ctx, service.local, a.indexName); err != nil && !errors.Is(err, pipeline.ErrNoVectors) {
			return err
		}
	}
	fmt.Fprintln(out, "3. Ask")
	for _, question := range questions[:quickstartQuestions] {
		result, err := service.Ask(ctx, pipeline.Request{Question: question, Index: a.indexName, TopK: 1, Access: pipeline.FullAccess()})
		if err != nil {
			return err
		}
		if a.json {
			if err := printJSON(out, result); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "\n%s\n", styleFor(out).bold(question))
		printAnswers(out, result, false)
	}
	fmt.Fprintf(out, `
Done in %s. Try next:
  go run ./cmd/needle ask "When does Rana Demir retire?"
  go run ./cmd/needle index add PATH...     index your own files (PDF, Office, HTML, mails, text ...)
  go run ./cmd/needle search "travel expenses" --explain
  go run ./cmd/needle serve                 then: curl -d '{"question": "Who approves travel?"}' -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/ask
`, elapsed(time.Since(begin)))
	return nil
}

func exampleQuestions(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("quickstart: the examples were not found; run it in a clone of the project, or pass --examples DIR: %w", err)
	}
	var list []struct {
		Question string `json:"question"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("quickstart: %s: %w", path, err)
	}
	if len(list) < quickstartQuestions {
		return nil, fmt.Errorf("quickstart: %s has %d questions; at least %d are needed", path, len(list), quickstartQuestions)
	}
	questions := make([]string, len(list))
	for i, q := range list {
		questions[i] = q.Question
	}
	return questions, nil
}

// isRuntimeMissing says that setup would help.
func isRuntimeMissing(err error) bool { return errors.Is(err, models.ErrRuntimeMissing) }
