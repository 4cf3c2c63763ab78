package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// benchInput is what the peers in bench/reading read too.
type benchInput struct {
	Question string   `json:"question"`
	Passages []string `json:"passages"`
}

// benchRow is one repetition, a JSON line.
type benchRow struct {
	System    string  `json:"system"`
	Precision string  `json:"precision"`
	WallMS    float64 `json:"wall_ms"`
	CPUMS     float64 `json:"cpu_ms"`
	RSSMB     float64 `json:"rss_mb"`
	Answer    string  `json:"answer"`
}

func (a *app) benchCommand() *cobra.Command {
	bench := &cobra.Command{Use: "bench", Short: "Measure speed"}
	var repeat int
	var precision string
	read := &cobra.Command{
		Use:   "read INPUT.json",
		Short: "Read the passages of a file for its question; one JSON line a repetition",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			var input benchInput
			if err := json.Unmarshal(data, &input); err != nil {
				return fmt.Errorf("bench: %s: %w", args[0], err)
			}
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if precision != "" {
				cfg.Reader.Precision = precision
			}
			dir, err := os.MkdirTemp("", "needle-bench-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			cfg.Data = dir
			p, err := pipeline.Open(cmd.Context(), cfg, pipeline.WithoutModels())
			if err != nil {
				return err
			}
			defer p.Close()
			if err := p.Ready(cmd.Context()); err != nil {
				return err
			}
			passages := make([]retriever.Passage, len(input.Passages))
			for i, text := range input.Passages {
				passages[i] = retriever.Passage{DocumentID: fmt.Sprintf("%04d", i), Text: text, End: len([]rune(text))}
			}
			encoder := json.NewEncoder(cmd.OutOrStdout())
			for range repeat {
				begin, cpu := time.Now(), processCPU()
				reading, err := p.ReadPassages(cmd.Context(), input.Question, passages)
				if err != nil {
					return err
				}
				row := benchRow{
					System: "needle", Precision: p.Model().Precision,
					WallMS: milliseconds(time.Since(begin)), CPUMS: milliseconds(processCPU() - cpu), RSSMB: peakRSS(),
				}
				if len(reading.Spans) > 0 {
					row.Answer = reading.Spans[0].Text
				}
				if err := encoder.Encode(row); err != nil {
					return err
				}
			}
			return nil
		},
	}
	read.Flags().IntVar(&repeat, "repeat", 5, "number of repetitions")
	read.Flags().StringVar(&precision, "precision", "", "auto, fp32 or int8 (default: the configuration's)")
	bench.AddCommand(read)
	return bench
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
