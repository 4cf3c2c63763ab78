package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/needle-search/needle/models"
)

// A piece of a template is a special token or one of the texts.
type piece struct {
	sequence int8 // SequenceSpecial, SequenceFirst or SequenceSecond
	id       int32
	typeID   int32
}

// A postProcessor knows where the special tokens go.
type postProcessor struct {
	single, pair []piece
	// trims says that spaces are no part of the offsets; trim does it.
	trims, addPrefixSpace bool
	trim                  *offsetTrimmer
}

type templateToken struct {
	ID   string  `json:"id"`
	IDs  []int32 `json:"ids"`
	Type int32   `json:"type_id"`
}

type templatePiece struct {
	Special  *templateToken `json:"SpecialToken"`
	Sequence *templateToken `json:"Sequence"`
}

func newPostProcessor(raw json.RawMessage) (postProcessor, error) {
	p := postProcessor{
		single: []piece{{sequence: models.SequenceFirst}},
		pair:   []piece{{sequence: models.SequenceFirst}, {sequence: models.SequenceSecond, typeID: 1}},
	}
	if err := p.read(raw); err != nil {
		return p, fmt.Errorf("post_processor: %w", err)
	}
	return p, nil
}

func (p *postProcessor) read(raw json.RawMessage) error {
	kind, err := kindOf(raw)
	if err != nil || kind == "" {
		return err
	}
	var o struct {
		Sep, Cls       specialToken
		Single, Pair   []templatePiece
		Tokens         map[string]templateToken `json:"special_tokens"`
		TrimOffsets    *bool                    `json:"trim_offsets"`
		AddPrefixSpace *bool                    `json:"add_prefix_space"`
		Processors     []json.RawMessage        `json:"processors"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return err
	}
	switch kind {
	case "BertProcessing":
		return p.wrap(int32(o.Cls), int32(o.Sep), 1)
	case "RobertaProcessing":
		if err := p.wrap(int32(o.Cls), int32(o.Sep), 0); err != nil {
			return err
		}
		p.pair = slices.Insert(p.pair, 3, piece{models.SequenceSpecial, int32(o.Sep), 0})
		return p.trimOffsets(o.TrimOffsets, o.AddPrefixSpace)
	case "ByteLevel":
		return p.trimOffsets(o.TrimOffsets, o.AddPrefixSpace)
	case "TemplateProcessing":
		if p.wrapped() {
			return unsupported("two templates for special tokens")
		}
		if p.single, err = compileTemplate(o.Single, o.Tokens, 1); err != nil {
			return fmt.Errorf("single: %w", err)
		}
		if p.pair, err = compileTemplate(o.Pair, o.Tokens, 2); err != nil {
			return fmt.Errorf("pair: %w", err)
		}
		return nil
	case "Sequence":
		for _, raw := range o.Processors {
			if err := p.read(raw); err != nil {
				return err
			}
		}
		return nil
	}
	return unsupported("%q", kind)
}

func (p *postProcessor) wrapped() bool { return len(p.single) > 1 || len(p.pair) > 2 }

// wrap makes the templates those of BERT.
func (p *postProcessor) wrap(cls, sep, secondType int32) error {
	if p.wrapped() {
		return unsupported("two templates for special tokens")
	}
	special := func(id, typeID int32) piece { return piece{models.SequenceSpecial, id, typeID} }
	p.single = []piece{special(cls, 0), {sequence: models.SequenceFirst}, special(sep, 0)}
	p.pair = append(p.single[:3:3], piece{sequence: models.SequenceSecond, typeID: secondType}, special(sep, secondType))
	return nil
}

func (p *postProcessor) trimOffsets(trim, addPrefixSpace *bool) error {
	if trim != nil && !*trim {
		return nil
	}
	if p.trims {
		return unsupported("trim_offsets twice")
	}
	p.trims, p.addPrefixSpace = true, addPrefixSpace == nil || *addPrefixSpace
	return nil
}

// A specialToken is written as ["[CLS]", 101].
type specialToken int32

// UnmarshalJSON implements json.Unmarshaler.
func (t *specialToken) UnmarshalJSON(data []byte) error {
	var name string
	var id int32
	if err := json.Unmarshal(data, &[]any{&name, &id}); err != nil {
		return err
	}
	if id < 0 {
		return fmt.Errorf("%q has the id %d", name, id)
	}
	*t = specialToken(id)
	return nil
}

func compileTemplate(template []templatePiece, tokens map[string]templateToken, sequences int) ([]piece, error) {
	var pieces []piece
	seen := map[int8]int{}
	for _, t := range template {
		switch {
		case t.Special != nil:
			token, ok := tokens[t.Special.ID]
			if !ok {
				return nil, fmt.Errorf("special_tokens does not hold %q", t.Special.ID)
			}
			for _, id := range token.IDs {
				if id < 0 {
					return nil, fmt.Errorf("%q has the id %d", t.Special.ID, id)
				}
				pieces = append(pieces, piece{models.SequenceSpecial, id, t.Special.Type})
			}
		case t.Sequence != nil:
			sequence := models.SequenceFirst
			if t.Sequence.ID != "A" {
				sequence = models.SequenceSecond
			}
			seen[sequence]++
			pieces = append(pieces, piece{sequence: sequence, typeID: t.Sequence.Type})
		}
	}
	for sequence := range sequences {
		if seen[int8(sequence)] != 1 || len(seen) != sequences {
			return nil, unsupported("a template that does not hold each text once")
		}
	}
	return pieces, nil
}

func (p postProcessor) greatestID() int32 {
	greatest := int32(-1)
	for _, pieces := range [][]piece{p.single, p.pair} {
		for _, x := range pieces {
			if x.sequence == models.SequenceSpecial {
				greatest = max(greatest, x.id)
			}
		}
	}
	return greatest
}

// assemble puts texts between the special tokens of a template.
// Encoding.First and Last delimit the text of the sequence last.
func assemble(pieces []piece, first, second models.Tokens, last int8) models.Encoding {
	n := len(pieces) + len(first.IDs) + len(second.IDs)
	e := models.Encoding{
		IDs:       make([]int32, 0, n),
		TypeIDs:   make([]int32, 0, n),
		Sequences: make([]int8, 0, n),
		Offsets:   make([]models.Offset, 0, n),
	}
	for _, x := range pieces {
		before := len(e.IDs)
		switch x.sequence {
		case models.SequenceSpecial:
			e.IDs = append(e.IDs, x.id)
			e.Offsets = append(e.Offsets, models.Offset{})
		case models.SequenceFirst:
			e.IDs = append(e.IDs, first.IDs...)
			e.Offsets = append(e.Offsets, first.Offsets...)
		case models.SequenceSecond:
			e.IDs = append(e.IDs, second.IDs...)
			e.Offsets = append(e.Offsets, second.Offsets...)
		}
		if x.sequence == last {
			e.First, e.Last = before, len(e.IDs)
		}
		for range len(e.IDs) - before {
			e.TypeIDs = append(e.TypeIDs, x.typeID)
			e.Sequences = append(e.Sequences, x.sequence)
		}
	}
	return e
}

// Single implements models.Tokenizer.
func (t *tokenizer) Single(text models.Tokens, maxLength int) (models.Encoding, error) {
	pieces := t.post.single
	room := maxLength - (len(pieces) - 1)
	if room < 1 {
		return models.Encoding{}, fmt.Errorf("tokenizer: a maximum length of %d leaves no room for text; the special tokens alone are %d", maxLength, len(pieces)-1)
	}
	truncated := text.Len() > room
	if truncated {
		text = models.Tokens{IDs: text.IDs[:room], Offsets: text.Offsets[:room]}
	}
	e := assemble(pieces, text, models.Tokens{}, models.SequenceFirst)
	e.Truncated = truncated
	return e, nil
}

// Pair implements models.Tokenizer.
func (t *tokenizer) Pair(question, passage models.Tokens, maxLength, stride int) ([]models.Encoding, error) {
	if stride < 0 {
		return nil, fmt.Errorf("tokenizer: a stride of %d is negative", stride)
	}
	pieces := t.post.pair
	room := maxLength - (len(pieces) - 2) - question.Len()
	if room < stride+1 {
		return nil, fmt.Errorf("tokenizer: %w: its %d tokens leave %d of %d for the passage, and windows that overlap by %d need more",
			models.ErrQuestionTooLong, question.Len(), max(room, 0), maxLength, stride)
	}
	var windows []models.Encoding
	for from := 0; ; from += room - stride {
		to := min(from+room, passage.Len())
		part := models.Tokens{IDs: passage.IDs[from:to], Offsets: passage.Offsets[from:to]}
		windows = append(windows, assemble(pieces, question, part, models.SequenceSecond))
		if to == passage.Len() {
			return windows, nil
		}
	}
}
