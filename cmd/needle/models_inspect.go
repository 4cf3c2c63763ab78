package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/onnx"
	"github.com/needle-search/needle/pipeline"
)

// modelReport is what `needle models inspect` prints.
type modelReport struct {
	Name         string             `json:"name"`
	Hash         string             `json:"hash"`
	Layout       string             `json:"layout"` // needle or huggingface
	Architecture string             `json:"architecture"`
	Languages    []string           `json:"languages"`
	License      string             `json:"license"`
	HiddenSize   int                `json:"hidden_size"`
	MaxLength    int                `json:"max_length"`
	Bytes        int64              `json:"bytes"`
	Heads        []headReport       `json:"heads"`
	Graphs       []graphReport      `json:"graphs"`
	Metrics      map[string]float64 `json:"metrics"`
	Origin       map[string]string  `json:"origin"`
}

type headReport struct {
	Kind string `json:"kind"`
	// File is empty when the graph holds the head.
	File    string          `json:"file,omitempty"`
	Options json.RawMessage `json:"options,omitempty"`
}

type graphReport struct {
	Precision string         `json:"precision"`
	File      string         `json:"file"`
	Bytes     int64          `json:"bytes"`
	Inputs    []tensorReport `json:"inputs"`
	Outputs   []tensorReport `json:"outputs"`
	// Speed is nil when it could not be measured; SpeedFault says why.
	Speed      *speedReport `json:"speed,omitempty"`
	SpeedFault string       `json:"speed_fault,omitempty"`
}

type tensorReport struct {
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Shape []int64 `json:"shape"` // -1 varies
}

// speedReport is a measurement on this machine, one thread, one text a call.
type speedReport struct {
	Tokens   int     `json:"tokens"`
	MedianMS float64 `json:"median_ms"`
	FastMS   float64 `json:"fastest_ms"`
	Runs     int     `json:"runs"`
	Device   string  `json:"device"`
	Runtime  string  `json:"runtime"`
}

func (a *app) modelsInspectCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect NAME|DIRECTORY",
		Short: "Show what a bundle is, takes, gives, and how fast it runs on this machine",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			bundle, err := a.registry.OpenBundle(args[0])
			if err != nil {
				return err
			}
			report, err := a.inspect(cmd.Context(), cfg, bundle)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			printModel(cmd.OutOrStdout(), report)
			return nil
		},
	}
}

func (a *app) inspect(ctx context.Context, cfg *pipeline.Config, bundle *models.Bundle) (*modelReport, error) {
	m := bundle.Manifest
	r := &modelReport{
		Name: m.Name, Hash: bundle.Hash, Layout: "needle", Architecture: m.Architecture, Languages: m.Languages, License: m.License,
		HiddenSize: m.HiddenSize, MaxLength: m.MaxLength, Bytes: bundleBytes(m), Metrics: m.Metrics, Origin: m.Origin,
	}
	if bundle.HuggingFace() {
		r.Layout = "huggingface"
	}
	for _, h := range m.Heads {
		r.Heads = append(r.Heads, headReport(h))
	}
	for _, precision := range slices.Sorted(maps.Keys(m.Graphs)) {
		file := m.Graphs[precision]
		data, err := bundle.ReadFile(file)
		if err != nil {
			return nil, err
		}
		graph, err := onnx.ReadGraph(data)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", models.ErrInvalidBundle, file, err)
		}
		g := graphReport{Precision: precision, File: file, Bytes: int64(len(data)), Inputs: tensors(graph.Inputs), Outputs: tensors(graph.Outputs)}
		// What the bundle is can be shown where it cannot be run.
		if g.Speed, err = a.measureGraph(ctx, cfg, bundle, precision); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			g.SpeedFault = err.Error()
		}
		r.Graphs = append(r.Graphs, g)
	}
	return r, nil
}

func tensors(list []onnx.GraphTensor) []tensorReport {
	out := make([]tensorReport, len(list))
	for i, t := range list {
		out[i] = tensorReport{Name: t.Name, Type: t.Type.String(), Shape: t.Shape}
	}
	return out
}

// measureGraph runs a text for a second, at least five and at most a hundred
// times, after two runs to warm up.
func (a *app) measureGraph(ctx context.Context, cfg *pipeline.Config, bundle *models.Bundle, precision string) (*speedReport, error) {
	m, err := a.openGraph(ctx, cfg, bundle, precision)
	if err != nil {
		return nil, err
	}
	defer m.model.Close()
	encoding, err := m.sampleEncoding(passageTokens)
	if err != nil {
		return nil, err
	}
	var times []float64
	begin := time.Now()
	for i := 0; len(times) < 5 || len(times) < 100 && time.Since(begin) < time.Second; i++ {
		start := time.Now()
		if _, err := m.model.Run(ctx, []models.Encoding{encoding}); err != nil {
			return nil, err
		}
		if i >= 2 {
			times = append(times, milliseconds(time.Since(start)))
		}
	}
	slices.Sort(times)
	info := m.model.Info()
	return &speedReport{Tokens: encoding.Len(), MedianMS: times[len(times)/2], FastMS: times[0], Runs: len(times), Device: info.Device, Runtime: info.Runtime}, nil
}

func printModel(w io.Writer, r *modelReport) {
	line := func(key, format string, args ...any) {
		fmt.Fprintf(w, "%-13s %s\n", key, printable(fmt.Sprintf(format, args...)))
	}
	line("name", "%s", r.Name)
	line("hash", "%s", r.Hash)
	line("layout", "%s", r.Layout)
	line("architecture", "%s, hidden size %d, at most %d tokens", cmp.Or(r.Architecture, "not stated"), r.HiddenSize, r.MaxLength)
	line("languages", "%s", cmp.Or(strings.Join(r.Languages, ", "), "not stated"))
	line("licence", "%s", cmp.Or(r.License, "not stated"))
	line("size", "%s", megabytes(r.Bytes))
	for _, h := range r.Heads {
		where := "in the graph"
		if h.File != "" {
			where = h.File
		}
		options := &bytes.Buffer{}
		if err := json.Compact(options, h.Options); err != nil {
			options.Reset() // there are none
		}
		line("head", "%s, %s %s", h.Kind, where, options)
	}
	for _, g := range r.Graphs {
		line("graph", "%s, %s, %s", g.Precision, g.File, megabytes(g.Bytes))
		for _, t := range g.Inputs {
			line("  input", "%s %s %v", t.Name, t.Type, t.Shape)
		}
		for _, t := range g.Outputs {
			line("  output", "%s %s %v", t.Name, t.Type, t.Shape)
		}
		if s := g.Speed; s != nil {
			line("  speed", "%.1f ms for a text of %d tokens (median of %d, fastest %.1f), 1 thread, %s, %s", s.MedianMS, s.Tokens, s.Runs, s.FastMS, s.Device, s.Runtime)
		} else {
			line("  speed", "not measured: %s", g.SpeedFault)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Metrics)) {
		line("metric", "%s %.4f", k, r.Metrics[k])
	}
	for _, k := range slices.Sorted(maps.Keys(r.Origin)) {
		line("origin", "%s: %s", k, r.Origin[k])
	}
}
