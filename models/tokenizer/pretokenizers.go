package tokenizer

import (
	"encoding/json"
	"errors"
	"unicode"

	"github.com/needle-search/needle/models"
)

// A preTokenizer cuts a piece of text into smaller ones.
type preTokenizer func(piece aligned, emit func(aligned))

// newPreTokenizer reads all pre-tokenizers but ByteLevel.
func newPreTokenizer(raw json.RawMessage) (preTokenizer, error) {
	kind, err := kindOf(raw)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "":
		return func(piece aligned, emit func(aligned)) { emit(piece) }, nil
	case "WhitespaceSplit":
		return splitSpace, nil
	case "BertPreTokenizer":
		return func(piece aligned, emit func(aligned)) {
			splitSpace(piece, func(word aligned) { isolatePunctuation(word, emit) })
		}, nil
	case "Metaspace":
		return newMetaspace(raw)
	case "Sequence":
		var o struct {
			PreTokenizers []json.RawMessage `json:"pretokenizers"`
		}
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, err
		}
		return newPreTokenizerSequence(o.PreTokenizers)
	}
	return nil, unsupported("pre_tokenizer %q", kind)
}

func newPreTokenizerSequence(parts []json.RawMessage) (preTokenizer, error) {
	sequence := func(piece aligned, emit func(aligned)) { emit(piece) }
	for _, raw := range parts {
		next, err := newPreTokenizer(raw)
		if err != nil {
			return nil, err
		}
		before := sequence
		sequence = func(piece aligned, emit func(aligned)) {
			before(piece, func(part aligned) { next(part, emit) })
		}
	}
	return sequence, nil
}

func splitSpace(piece aligned, emit func(aligned)) {
	from := 0
	for i, r := range piece.runes {
		if unicode.IsSpace(r) {
			if i > from {
				emit(piece.slice(from, i))
			}
			from = i + 1
		}
	}
	if from < len(piece.runes) {
		emit(piece.slice(from, len(piece.runes)))
	}
}

func isolatePunctuation(piece aligned, emit func(aligned)) {
	from := 0
	for i, r := range piece.runes {
		if inRanges(punctuation[:], r) {
			if i > from {
				emit(piece.slice(from, i))
			}
			emit(piece.slice(i, i+1))
			from = i + 1
		}
	}
	if from < len(piece.runes) {
		emit(piece.slice(from, len(piece.runes)))
	}
}

func newMetaspace(raw json.RawMessage) (preTokenizer, error) {
	var o struct {
		Replacement    string  `json:"replacement"`
		AddPrefixSpace *bool   `json:"add_prefix_space"` // the older form
		PrependScheme  *string `json:"prepend_scheme"`
		Split          *bool   `json:"split"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	runes := []rune(o.Replacement)
	if len(runes) != 1 {
		return nil, errors.New("pre_tokenizer: the replacement of Metaspace is not one character")
	}
	mark := runes[0]
	scheme := "always"
	if o.PrependScheme != nil {
		scheme = *o.PrependScheme
	}
	if o.AddPrefixSpace != nil && !*o.AddPrefixSpace {
		if scheme != "never" {
			return nil, errors.New("pre_tokenizer: add_prefix_space of Metaspace contradicts its prepend_scheme")
		}
	}
	if scheme != "always" && scheme != "first" && scheme != "never" {
		return nil, unsupported("pre_tokenizer Metaspace with the prepend_scheme %q", scheme)
	}
	split := o.Split == nil || *o.Split
	return func(piece aligned, emit func(aligned)) {
		for i, r := range piece.runes {
			if r == ' ' {
				piece.runes[i] = mark
			}
		}
		if len(piece.runes) > 0 && piece.runes[0] != mark && (scheme == "always" || scheme == "first" && piece.at[0] == 0) {
			piece.prepend(o.Replacement)
		}
		if !split {
			emit(piece)
			return
		}
		from := 0
		for i, r := range piece.runes {
			if r == mark && i > from {
				emit(piece.slice(from, i))
				from = i
			}
		}
		if from < len(piece.runes) {
			emit(piece.slice(from, len(piece.runes)))
		}
	}, nil
}

// A cutter is a model: it puts out the tokens of a piece of text, of which each
// byte has an origin.
type cutter interface {
	cut(text []byte, origin []int32, s *scratch)
}

// stepwise applies normalizer, pre-tokenizer and model one after the other.
type stepwise struct {
	normalizer normalizer
	inner      addedTokens
	split      preTokenizer
	model      cutter
}

func (p *stepwise) segment(text string, start int32, s *scratch) {
	s.aligned.set(text, start)
	if p.normalizer != nil {
		p.normalizer.normalize(&s.aligned)
	}
	cut := func(piece aligned) {
		s.flat.setAligned(&piece)
		p.model.cut(s.flat.bytes, s.flat.origin, s)
	}
	if len(p.inner.tokens) == 0 {
		p.split(s.aligned, cut)
		return
	}
	whole := string(s.aligned.runes)
	// Bytes of the string to runes.
	at, done := 0, 0
	p.inner.split(whole, func(from, to int, token *addedToken) {
		first := done
		for at < to {
			if !isContinuation(whole[at]) {
				done++
			}
			at++
		}
		piece := s.aligned.slice(first, done)
		switch {
		case token != nil:
			s.emitAdded(token.ID, whole[from:to], models.Offset{Start: piece.at[0], End: piece.at[len(piece.at)-1] + 1})
		case from < to:
			p.split(piece, cut)
		}
	})
}
