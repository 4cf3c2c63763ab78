package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
)

// modelCheck is one line of `needle models verify`.
type modelCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

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
			if slices.ContainsFunc(checks, func(c modelCheck) bool { return !c.OK }) {
				return errUnsound
			}
			return nil
		},
	}
}

// verifyModel goes on after a fault where it can, so that all faults are seen
// at once.
func (a *app) verifyModel(ctx context.Context, cfg *pipeline.Config, name string) []modelCheck {
	var checks []modelCheck
	check := func(name, detail string, err error) bool {
		if err != nil {
			detail = err.Error()
		}
		checks = append(checks, modelCheck{name, err == nil, detail})
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
		for _, h := range m.Heads {
			detail, err := a.smokeHead(ctx, opened, h.Kind)
			check("head "+h.Kind+" "+precision, detail, err)
		}
		if err := opened.model.Close(); err != nil {
			check("graph "+precision, "", err)
		}
	}
	return checks
}

// smokeHead opens a head and predicts once.
func (a *app) smokeHead(ctx context.Context, m *openedModel, kind string) (string, error) {
	head, err := a.registry.OpenHead(m.bundle, kind, m.model.Info())
	if err != nil {
		return "", err
	}
	question, passage := m.tokenizer.Tokenize("Who designed the tower?"), m.tokenizer.Tokenize(sampleText)
	encodings, err := m.tokenizer.Pair(question, passage, m.model.Info().MaxLength, 0)
	if err != nil {
		return "", err
	}
	outputs, err := m.model.Run(ctx, encodings[:1])
	if err != nil {
		return "", err
	}
	return predict(head, outputs[0], encodings[0])
}

// predict says in words what a head gives, after checking that it is numbers.
func predict(head models.Head, outputs models.Outputs, e models.Encoding) (string, error) {
	var values []float32
	var detail string
	var err error
	switch h := head.(type) {
	case models.SpanHead:
		var logits models.SpanLogits
		logits, err = h.Spans(outputs, e)
		values, detail = slices.Concat(logits.Start, logits.End), fmt.Sprintf("start and end of %d tokens", e.Len())
	case models.RelevanceHead:
		var logit float32
		logit, err = h.Relevance(outputs, e)
		values, detail = []float32{logit}, fmt.Sprintf("relevance %.3f", logit)
	case models.EmbeddingHead:
		values, err = h.Embed(outputs, e)
		detail = fmt.Sprintf("a vector of %d dimensions", len(values))
		if err == nil && len(values) != h.Dimensions() {
			err = fmt.Errorf("it gives %d dimensions and promises %d", len(values), h.Dimensions())
		}
	case models.LabelHead:
		values, err = h.Classify(outputs, e)
		detail = fmt.Sprintf("%d labels", len(values))
		if err == nil && len(values) != len(h.Labels()) {
			err = fmt.Errorf("it gives %d logits for %d labels", len(values), len(h.Labels()))
		}
	case models.TokenHead:
		var tags models.Tensor
		tags, err = h.Tag(outputs, e)
		values, detail = tags.Data, fmt.Sprintf("%d labels for %d tokens", len(h.Labels()), e.Len())
		if err == nil && len(tags.Data) != e.Len()*len(h.Labels()) {
			err = fmt.Errorf("it gives %d logits for %d tokens and %d labels", len(tags.Data), e.Len(), len(h.Labels()))
		}
	default:
		return "it opens; what this kind predicts is not known here", nil
	}
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return "", fmt.Errorf("it gives %v, which is no number", v)
		}
	}
	return detail + ", all finite", nil
}
