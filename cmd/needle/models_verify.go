package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
)

// errUnsound says that a check of `needle models verify` failed.
var errUnsound = errors.New("models: the bundle cannot be used; see above")

func (a *app) modelsVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify NAME|DIRECTORY",
		Short: "Check hashes, shapes, vocabulary and heads of a bundle, and run it once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			checks := a.verifyModel(cmd.Context(), cfg, args[0])
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if a.json {
				if err := printJSON(cmd.OutOrStdout(), checks); err != nil {
					return err
				}
			} else {
				for _, c := range checks {
					mark := "ok   "
					if !c.OK {
						mark = "fault"
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s  %s: %s\n", mark, c.Name, printable(strings.ReplaceAll(c.Detail, "\n", "; ")))
				}
			}
			if slices.ContainsFunc(checks, func(c pipeline.BundleCheck) bool { return !c.OK }) {
				return errUnsound
			}
			return nil
		},
	}
}

// maxVerifyLength bounds the longest text that is run: the memory for attention
// grows with the square of the length.
const maxVerifyLength = 2048

// verifyModel goes on after a fault where it can, so that all faults are seen
// at once.
func (a *app) verifyModel(ctx context.Context, cfg *pipeline.Config, name string) []pipeline.BundleCheck {
	var checks []pipeline.BundleCheck
	check := func(name, detail string, err error) bool {
		if err != nil {
			detail = err.Error()
		}
		checks = append(checks, pipeline.BundleCheck{Name: name, OK: err == nil, Detail: detail})
		return err == nil
	}
	bundle, err := a.registry.OpenBundle(name)
	if err != nil {
		check("bundle", "", err)
		return checks
	}
	m := bundle.Manifest
	check("bundle", fmt.Sprintf("%s %s", m.Name, short(bundle.Hash)), nil)
	detail := fmt.Sprintf("%d files have the size and SHA-256 of %s", len(m.Files), models.ManifestName)
	if bundle.HuggingFace() {
		detail = fmt.Sprintf("%d files can be read; the Hugging Face layout has no hashes to compare with", len(m.Files))
	}
	check("files", detail, bundle.Verify())
	tokenizer, err := a.registry.OpenTokenizer(bundle)
	if err != nil {
		check("tokenizer", "", err)
		return checks
	}
	check("tokenizer", fmt.Sprintf("%s opens, %d ids", m.Tokenizer, tokenizer.VocabularySize()), nil)
	for _, precision := range slices.Sorted(maps.Keys(m.Graphs)) {
		opened, err := a.openGraph(ctx, cfg, bundle, precision)
		if !check("graph "+precision, fmt.Sprintf("%s opens, its inputs and outputs fit, it runs", m.Graphs[precision]), err) {
			continue
		}
		err = pipeline.CheckVocabulary(ctx, bundle, tokenizer, opened.model)
		check("vocabulary "+precision, "the graph knows every id of the tokenizer", err)
		greatest := opened.model.Info().MaxLength
		length := min(greatest, maxVerifyLength)
		err = pipeline.CheckLength(ctx, bundle, opened.model, length)
		check("length "+precision, fmt.Sprintf("the graph runs a text of %d tokens; the bundle promises %d", length, greatest), err)
		for _, h := range m.Heads {
			detail, err := a.registry.CheckHead(ctx, bundle, h.Kind, tokenizer, opened.model)
			check("head "+h.Kind+" "+precision, detail, err)
		}
		if err := opened.model.Close(); err != nil {
			check("graph "+precision, "", err)
		}
	}
	return checks
}
