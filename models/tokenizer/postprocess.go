package tokenizer

import (
	"encoding/json"
	"fmt"

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
	first, second := piece{sequence: models.SequenceFirst}, piece{sequence: models.SequenceSecond, typeID: 1}
	p := postProcessor{single: []piece{first}, pair: []piece{first, second}}
	kind, err := kindOf(raw)
	if err != nil {
		return p, fmt.Errorf("post_processor: %w", err)
	}
	special := func(id, typeID int32) piece { return piece{models.SequenceSpecial, id, typeID} }
	switch kind {
	case "":
		return p, nil
	case "BertProcessing":
		var o struct{ Sep, Cls specialToken }
		if err := json.Unmarshal(raw, &o); err != nil {
			return p, fmt.Errorf("post_processor: %w", err)
		}
		cls, sep := int32(o.Cls), int32(o.Sep)
		p.single = []piece{special(cls, 0), first, special(sep, 0)}
		p.pair = append(p.single[:3:3], second, special(sep, 1))
		return p, nil
	case "TemplateProcessing":
		var o struct {
			Single, Pair []templatePiece
			Tokens       map[string]templateToken `json:"special_tokens"`
		}
		if err := json.Unmarshal(raw, &o); err != nil {
			return p, fmt.Errorf("post_processor: %w", err)
		}
		if p.single, err = compileTemplate(o.Single, o.Tokens, 1); err != nil {
			return p, fmt.Errorf("post_processor: single: %w", err)
		}
		if p.pair, err = compileTemplate(o.Pair, o.Tokens, 2); err != nil {
			return p, fmt.Errorf("post_processor: pair: %w", err)
		}
		return p, nil
	}
	return p, unsupported("post_processor %q", kind)
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
