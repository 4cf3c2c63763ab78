package tokenizer

import (
	"encoding/json"
	"fmt"
	"sync"
)

// maxIDs keeps a damaged file from asking for all memory; the largest
// vocabularies in use are fifty times smaller.
const maxIDs = 1 << 24

func build(f *file) (*tokenizer, error) {
	t := &tokenizer{scratches: &sync.Pool{New: func() any { return new(scratch) }}}
	normalizer, err := newNormalizer(f.normalizer)
	if err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	outer, inner, err := newAddedTokens(f.added, f.model.ids(f.added), len(f.model.vocabulary), normalizer)
	if err != nil {
		return nil, err
	}
	t.added = outer
	if t.post, err = newPostProcessor(f.postProcessor); err != nil {
		return nil, err
	}
	t.size = int(t.post.greatestID() + 1)
	for _, e := range f.model.vocabulary {
		t.size = max(t.size, int(e.id)+1)
	}
	for _, tokens := range [][]addedToken{outer.tokens, inner.tokens} {
		for _, token := range tokens {
			t.size = max(t.size, int(token.ID)+1)
		}
	}
	if t.size > maxIDs {
		return nil, unsupported("an id of %d", t.size-1)
	}
	if t.post.trims {
		t.post.trim = newOffsetTrimmer(t.post.addPrefixSpace, f.model.vocabulary, t.size)
	}
	t.segments, err = buildSegmenter(f, normalizer, inner)
	return t, err
}

// ids returns a function that finds the ids of some tokens in the vocabulary.
func (m modelSpec) ids(tokens []addedToken) func(string) (int32, bool) {
	wanted := map[string]int32{}
	for _, t := range tokens {
		wanted[t.Content] = -1
	}
	for _, e := range m.vocabulary {
		if _, ok := wanted[e.token]; ok {
			wanted[e.token] = e.id
		}
	}
	return func(token string) (int32, bool) { return wanted[token], wanted[token] >= 0 }
}

func buildSegmenter(f *file, n normalizer, inner addedTokens) (segmenter, error) {
	switch f.model.kind {
	case "WordPiece":
		return buildWordPiece(f, n, inner)
	case "BPE":
		return buildByteLevel(f, n, inner)
	case "Unigram":
		model, err := newUnigram(f.model)
		if err != nil {
			return nil, err
		}
		split, err := newPreTokenizer(f.preTokenizer)
		return &stepwise{normalizer: n, inner: inner, split: split, model: model}, err
	}
	return nil, unsupported("model %q", f.model.kind)
}

func buildWordPiece(f *file, n normalizer, inner addedTokens) (segmenter, error) {
	o := wordPieceOptions{UnknownToken: "[UNK]", Prefix: "##", MaxChars: 100}
	for name, value := range map[string]any{
		"unk_token": &o.UnknownToken, "continuing_subword_prefix": &o.Prefix, "max_input_chars_per_word": &o.MaxChars,
	} {
		if err := f.model.option(name, value); err != nil {
			return nil, err
		}
	}
	model, err := newWordPiece(o, f.model.vocabulary)
	if err != nil {
		return nil, err
	}
	normalizer, err := kindOf(f.normalizer)
	if err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	pre, err := kindOf(f.preTokenizer)
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if normalizer == "BertNormalizer" && pre == "BertPreTokenizer" && len(inner.tokens) == 0 {
		options := defaultBertOptions()
		if err := json.Unmarshal(f.normalizer, &options); err != nil {
			return nil, fmt.Errorf("normalizer: %w", err)
		}
		return newBertSegmenter(options, model), nil
	}
	split, err := newPreTokenizer(f.preTokenizer)
	return &stepwise{normalizer: n, inner: inner, split: split, model: model}, err
}

func buildByteLevel(f *file, n normalizer, inner addedTokens) (segmenter, error) {
	pre, err := kindOf(f.preTokenizer)
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if pre != "ByteLevel" {
		return nil, unsupported("pre_tokenizer %q with the model BPE", pre)
	}
	o := struct {
		AddPrefixSpace bool  `json:"add_prefix_space"`
		UseRegex       *bool `json:"use_regex"`
	}{}
	if err := json.Unmarshal(f.preTokenizer, &o); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	model, err := newBPE(f.model)
	if err != nil {
		return nil, err
	}
	return &byteLevel{
		normalizer: n, inner: inner, model: model, classes: newByteClasses(),
		addPrefixSpace: o.AddPrefixSpace, useRegex: o.UseRegex == nil || *o.UseRegex,
	}, nil
}
