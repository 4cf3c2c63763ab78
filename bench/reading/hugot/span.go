//go:build ORT || ALL

package main

import (
	"errors"
	"fmt"

	"github.com/knights-analytics/hugot/backends"
	"github.com/knights-analytics/hugot/pipelines"
)

const (
	separator       = "[SEP]"
	maxAnswerTokens = 30
)

// errShape says that the graph is not one that training/export.py --fused wrote.
var errShape = errors.New("the graph does not give start_logits and end_logits")

// A span is the best one of a passage, in bytes.
type span struct {
	start, end int
	score      float32
}

// readBatch reads passages in one call of the pipeline and returns how many
// tokens they had, without padding. Hugot has neither pairs nor windows: the
// pair is put together as one text, as its own cross-encoder does, and what is
// longer than the model takes is cut off.
func readBatch(p *pipelines.FeatureExtractionPipeline, question string, passages []string, into []span) (tokens int, err error) {
	texts := make([]string, len(passages))
	prefix := question + separator
	for i, passage := range passages {
		texts[i] = prefix + passage
	}
	batch := backends.NewBatch(len(texts))
	defer func() { err = errors.Join(err, batch.Destroy()) }()
	backends.TokenizeInputs(batch, p.Model.Tokenizer, texts)
	firsts := make([]int, len(texts))
	for i := range batch.Input {
		in := &batch.Input[i]
		tokens += len(in.TokenIDs)
		if firsts[i] = second(in); firsts[i] == 0 {
			return 0, fmt.Errorf("the tokenizer does not know %s", separator)
		}
		for t := firsts[i]; t < len(in.TypeIDs); t++ {
			in.TypeIDs[t] = 1
		}
	}
	if err := backends.CreateInputTensors(batch, p.Model, p.Runtime); err != nil {
		return 0, err
	}
	if err := p.Forward(batch); err != nil {
		return 0, err
	}
	logits := make([][][]float32, 2)
	for i, name := range []string{"start_logits", "end_logits"} {
		for k, meta := range p.Model.OutputsMeta {
			if meta.Name == name && k < len(batch.OutputValues) {
				logits[i], _ = batch.OutputValues[k].([][]float32)
			}
		}
		if len(logits[i]) != len(texts) {
			return 0, errShape
		}
	}
	for i, in := range batch.Input {
		into[i] = best(in, firsts[i], len(prefix), logits[0][i], logits[1][i])
	}
	return tokens, nil
}

// second returns the first token of the passage.
func second(in *backends.TokenizedInput) int {
	for t := 1; t < len(in.Tokens); t++ {
		if in.Tokens[t] == separator {
			return t + 1
		}
	}
	return 0
}

// best decodes the span of the highest sum; among equals the first.
func best(in backends.TokenizedInput, first, prefix int, start, end []float32) (found span) {
	last := len(in.TokenIDs)
	if in.SpecialTokensMask[last-1] == 1 {
		last--
	}
	seen := false
	for i := first; i < last; i++ {
		for j := i; j < min(i+maxAnswerTokens, last); j++ {
			if score := start[i] + end[j]; !seen || score > found.score {
				seen, found = true, span{int(in.Offsets[i][0]) - prefix, int(in.Offsets[j][1]) - prefix, score}
			}
		}
	}
	return found
}
