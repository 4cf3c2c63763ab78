package tokenizer

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/needle-search/needle/models"
)

// file is a tokenizer.json, its large parts decoded.
type file struct {
	added         []addedToken
	normalizer    json.RawMessage
	preTokenizer  json.RawMessage
	postProcessor json.RawMessage
	model         modelSpec
}

type vocabularyEntry struct {
	token string
	id    int32
}

// modelSpec is the model of a tokenizer.json.
type modelSpec struct {
	kind       string
	vocabulary []vocabularyEntry
	// options are all settings but the vocabulary and the merges.
	options map[string]json.RawMessage
}

// Load reads a tokenizer from the bytes of a Hugging Face tokenizer.json.
// What it cannot reproduce exactly gives an error that names the part and wraps
// models.ErrUnsupportedTokenizer. The sections truncation and padding are not
// used: how long a sequence may be is said in every call. Load keeps no
// reference to data.
func Load(data []byte) (models.Tokenizer, error) {
	f, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: read tokenizer.json: %w", err)
	}
	t, err := build(f)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: open tokenizer.json: %w", err)
	}
	return t, nil
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", models.ErrUnsupportedTokenizer, fmt.Sprintf(format, args...))
}

func parse(data []byte) (*file, error) {
	s, f := &scanner{data: string(data)}, &file{}
	err := s.object(func(key string) error {
		if key == "model" {
			return s.model(&f.model)
		}
		raw, err := s.value()
		if err != nil {
			return err
		}
		switch key {
		case "version":
			if string(raw) != `"1.0"` {
				return unsupported("version %s", raw)
			}
		case "added_tokens":
			if err := json.Unmarshal(raw, &f.added); err != nil {
				return fmt.Errorf("added_tokens: %w", err)
			}
		case "normalizer":
			f.normalizer = raw
		case "pre_tokenizer":
			f.preTokenizer = raw
		case "post_processor":
			f.postProcessor = raw
		}
		return nil
	})
	if err == nil && s.next() != 0 {
		err = s.fail("more data after the object")
	}
	return f, err
}

func (s *scanner) model(spec *modelSpec) error {
	spec.options = map[string]json.RawMessage{}
	return s.object(func(key string) error {
		if key == "vocab" && s.next() == '{' {
			return s.vocabulary(spec)
		}
		raw, err := s.value()
		if err != nil {
			return err
		}
		if key == "type" {
			return json.Unmarshal(raw, &spec.kind)
		}
		spec.options[key] = raw
		return nil
	})
}

// vocabulary reads an object of tokens and ids.
func (s *scanner) vocabulary(spec *modelSpec) error {
	return s.object(func(key string) error {
		id, err := s.integer()
		if err != nil {
			return err
		}
		spec.vocabulary = append(spec.vocabulary, vocabularyEntry{key, int32(id)})
		return nil
	})
}

// option decodes a setting of the model into a value that holds the default.
func (m modelSpec) option(name string, value any) error {
	raw, ok := m.options[name]
	if !ok || string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, value); err != nil {
		return fmt.Errorf("model.%s: %w", name, err)
	}
	return nil
}

// kindOf returns the type of a part of a tokenizer.json, "" where there is none.
func kindOf(raw json.RawMessage) (string, error) {
	var part struct {
		Type string `json:"type"`
	}
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	err := json.Unmarshal(raw, &part)
	return part.Type, err
}

func build(f *file) (*tokenizer, error) {
	t := &tokenizer{scratches: &sync.Pool{New: func() any { return new(scratch) }}}
	var err error
	if t.segments, err = buildSegmenter(f); err != nil {
		return nil, err
	}
	size := int32(0)
	ids := func(token string) (int32, bool) { return 0, false }
	if wp, ok := t.segments.(*bertSegmenter); ok {
		ids = wp.model.first.get
	}
	for _, e := range f.model.vocabulary {
		size = max(size, e.id+1)
	}
	if t.added, err = newAddedTokens(f.added, ids, len(f.model.vocabulary)); err != nil {
		return nil, err
	}
	for _, a := range t.added.tokens {
		size = max(size, a.ID+1)
	}
	if t.post, err = newPostProcessor(f.postProcessor); err != nil {
		return nil, err
	}
	t.size = int(max(size, t.post.greatestID()+1))
	return t, nil
}

func buildSegmenter(f *file) (segmenter, error) {
	if f.model.kind != "WordPiece" {
		return nil, unsupported("model %q", f.model.kind)
	}
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
	if normalizer != "BertNormalizer" {
		return nil, unsupported("normalizer %q", normalizer)
	}
	if pre != "BertPreTokenizer" {
		return nil, unsupported("pre_tokenizer %q", pre)
	}
	options := bertOptions{CleanText: true, HandleChineseChars: true, Lowercase: true}
	if err := json.Unmarshal(f.normalizer, &options); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	return newBertSegmenter(options, model), nil
}
