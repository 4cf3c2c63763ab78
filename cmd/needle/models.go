package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
)

func (a *app) modelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "models",
		Short: "List, inspect, pull, check, compare and exchange model bundles",
		Long: `A bundle is a language model with its tokenizer and prediction heads: a known
name such as builtin, a directory with needle.json, or a directory in the
Hugging Face layout (config.json, tokenizer.json and model.onnx or
onnx/model*.onnx). reader.bundle in the configuration names the one that reads.`,
	}
	cmd.AddCommand(a.modelsListCommand(), a.modelsInspectCommand(), a.modelsPullCommand(), a.modelsVerifyCommand(), a.modelsCompareCommand(), a.modelsUseCommand())
	return cmd
}

// modelSummary is a line of `needle models list`.
type modelSummary struct {
	// Bundle is what reader.bundle says to use it.
	Bundle     string `json:"bundle"`
	Configured bool   `json:"configured"`
	// Chosen says that `needle models use` put it in place of the configured
	// one; Active, that questions are answered with it.
	Chosen bool `json:"chosen"`
	Active bool `json:"active"`
	// Named are its names in the section models of the configuration.
	Named      []string `json:"named,omitempty"`
	Name       string   `json:"name,omitempty"`
	Hash       string   `json:"hash,omitempty"`
	Heads      []string `json:"heads,omitempty"`
	Precisions []string `json:"precisions,omitempty"`
	Bytes      int64    `json:"bytes,omitempty"`
	License    string   `json:"license,omitempty"`
	// Fault says why the bundle cannot be used.
	Fault string `json:"fault,omitempty"`
}

func (a *app) modelsListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the known bundles: the one that reads (*), the configured one if it is another (c), those that predict beside it (p)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			names := a.registry.BundleNames()
			if !slices.Contains(names, cfg.Reader.Bundle) {
				names = append(names, cfg.Reader.Bundle)
			}
			active := cfg.Reader.Bundle
			choice, stale, err := cfg.Choice()
			if err != nil {
				return err
			}
			if choice != nil && !stale {
				active = choice.Bundle
				if !slices.Contains(names, active) {
					names = append(names, active)
				}
			}
			named := map[string][]string{}
			for _, name := range slices.Sorted(maps.Keys(cfg.Models)) {
				bundle := cfg.Models[name].Bundle
				named[bundle] = append(named[bundle], name)
				if !slices.Contains(names, bundle) {
					names = append(names, bundle)
				}
			}
			list := make([]modelSummary, len(names))
			for i, name := range names {
				list[i] = modelSummary{Bundle: name, Configured: name == cfg.Reader.Bundle, Active: name == active, Chosen: choice != nil && !stale && name == active, Named: named[name]}
				bundle, err := a.registry.OpenBundle(name)
				if err != nil {
					list[i].Fault = err.Error()
					continue
				}
				if list[i].Chosen && bundle.Hash != choice.Hash {
					list[i].Fault = "its content is another than when it was chosen; choose it again, or go back with: needle models use --reset"
					continue
				}
				m := bundle.Manifest
				list[i].Name, list[i].Hash, list[i].License = m.Name, bundle.Hash, m.License
				list[i].Heads, list[i].Precisions, list[i].Bytes = headKinds(m), slices.Sorted(maps.Keys(m.Graphs)), bundleBytes(m)
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), list)
			}
			for _, m := range list {
				printSummary(cmd.OutOrStdout(), m)
			}
			return nil
		},
	}
}

func printSummary(w io.Writer, m modelSummary) {
	mark := " "
	switch {
	case m.Active:
		mark = "*"
	case m.Configured:
		mark = "c" // configured, and another was chosen
	case len(m.Named) > 0:
		mark = "p"
	}
	if m.Fault != "" {
		fmt.Fprintf(w, "%s %s  %s\n", mark, printable(m.Bundle), printable(m.Fault))
		return
	}
	fmt.Fprintf(w, "%s %s  %s %s  %s  %s  %s  %s%s\n", mark, printable(m.Bundle), printable(m.Name), short(m.Hash),
		strings.Join(m.Heads, "+"), strings.Join(m.Precisions, "+"), megabytes(m.Bytes), printable(cmp.Or(m.License, "licence not stated")), namedAs(m.Named))
}

func namedAs(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "  models: " + strings.Join(names, ", ")
}

func headKinds(m models.Manifest) []string {
	kinds := make([]string, len(m.Heads))
	for i, h := range m.Heads {
		kinds[i] = h.Kind
	}
	return kinds
}

func bundleBytes(m models.Manifest) int64 {
	var sum int64
	for _, f := range m.Files {
		sum += f.Bytes
	}
	return sum
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// openedModel is a bundle with its tokenizer and one of its graphs open.
type openedModel struct {
	bundle    *models.Bundle
	tokenizer models.Tokenizer
	model     models.LanguageModel
}

// openGraph opens one precision of a bundle on one thread of the configured
// device.
func (a *app) openGraph(ctx context.Context, cfg *pipeline.Config, bundle *models.Bundle, precision string) (*openedModel, error) {
	tokenizer, err := a.registry.OpenTokenizer(bundle)
	if err != nil {
		return nil, err
	}
	model, err := a.registry.OpenModel(ctx, bundle, pipeline.ModelOptions{
		Precision: precision, Device: cfg.Reader.Device, Library: cfg.Runtime.Library,
	})
	if err != nil {
		return nil, err
	}
	return &openedModel{bundle, tokenizer, model}, nil
}

// passageTokens is the length of the text that speed is measured on.
const passageTokens = 160

const sampleText = "The Eiffel Tower, which Gustave Eiffel's company designed, was built from 1887 to 1889 for the World's Fair in Paris. "

// sampleEncoding is a text of exactly so many tokens, special ones included,
// or as many as the model takes.
func (m *openedModel) sampleEncoding(length int) (models.Encoding, error) {
	tokens := m.tokenizer.Tokenize(strings.Repeat(sampleText, 1+length/8))
	return m.tokenizer.Single(tokens, min(length, m.model.Info().MaxLength))
}
