package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"

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
	score float64 // of Unigram only
}

// modelSpec is the model of a tokenizer.json.
type modelSpec struct {
	kind       string
	vocabulary []vocabularyEntry
	merges     [][2]string
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
		switch {
		case key == "vocab" && s.next() == '{':
			return s.vocabulary(spec)
		case key == "vocab" && s.next() == '[':
			return s.scoredVocabulary(spec)
		case key == "merges" && s.next() == '[':
			return s.merges(spec)
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
		spec.vocabulary = append(spec.vocabulary, vocabularyEntry{token: key, id: int32(id)})
		return nil
	})
}

// scoredVocabulary reads an array of pairs of a token and its score.
func (s *scanner) scoredVocabulary(spec *modelSpec) error {
	return s.array(func() error {
		e := vocabularyEntry{id: int32(len(spec.vocabulary))}
		err := s.pair(func() (err error) {
			e.token, err = s.str()
			return err
		}, func() (err error) {
			e.score, err = s.float()
			return err
		})
		spec.vocabulary = append(spec.vocabulary, e)
		return err
	})
}

// merges reads pairs of tokens, written as two strings or as one with a space.
func (s *scanner) merges(spec *modelSpec) error {
	return s.array(func() error {
		var m [2]string
		if s.next() == '[' {
			part := func(i int) func() error {
				return func() (err error) {
					m[i], err = s.str()
					return err
				}
			}
			if err := s.pair(part(0), part(1)); err != nil {
				return err
			}
			spec.merges = append(spec.merges, m)
			return nil
		}
		line, err := s.str()
		if err != nil || strings.HasPrefix(line, "#version") {
			return err
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return s.fail("a merge is not two tokens with a space between")
		}
		m = [2]string{left, right}
		spec.merges = append(spec.merges, m)
		return nil
	})
}

func (s *scanner) pair(first, second func() error) error {
	for _, step := range []func() error{
		func() error { return s.expect('[') }, first, func() error { return s.expect(',') }, second, func() error { return s.expect(']') },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
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
