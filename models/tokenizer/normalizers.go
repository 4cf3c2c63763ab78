package tokenizer

import (
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// A normalizer changes text before it is cut.
type normalizer interface{ normalize(*aligned) }

type normalizerFunc func(*aligned)

func (f normalizerFunc) normalize(a *aligned) { f(a) }

func (f *normalForm) normalize(a *aligned) { f.apply(a) }

type normalizerSequence []normalizer

func (s normalizerSequence) normalize(a *aligned) {
	for _, n := range s {
		if len(a.runes) == 0 {
			return
		}
		n.normalize(a)
	}
}

// newNormalizer returns nil where the file has none.
func newNormalizer(raw json.RawMessage) (normalizer, error) {
	kind, err := kindOf(raw)
	if err != nil {
		return nil, err
	}
	var o struct {
		Normalizers []json.RawMessage          `json:"normalizers"`
		Left        bool                       `json:"strip_left"`
		Right       bool                       `json:"strip_right"`
		Pattern     map[string]json.RawMessage `json:"pattern"`
		Content     string                     `json:"content"`
		Prepend     string                     `json:"prepend"`
		Charsmap    *string                    `json:"precompiled_charsmap"`
	}
	if kind != "" {
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, err
		}
	}
	switch kind {
	case "":
		return nil, nil
	case "Sequence":
		return newNormalizerSequence(o.Normalizers)
	case "NFC", "NFD", "NFKC", "NFKD":
		return newNormalForm(kind == "NFKC" || kind == "NFKD", kind == "NFC" || kind == "NFKC"), nil
	case "Lowercase":
		return newLowercase(), nil
	case "StripAccents":
		return normalizerFunc(func(a *aligned) {
			a.filter(func(r rune) bool { return r < 0x300 || !inRanges(combiningMarks[:], r) })
		}), nil
	case "Strip":
		return normalizerFunc(func(a *aligned) { a.trim(o.Left, o.Right, unicode.IsSpace) }), nil
	case "Prepend":
		return normalizerFunc(func(a *aligned) { a.prepend(o.Prepend) }), nil
	case "Replace":
		return newReplace(o.Pattern, o.Content)
	case "BertNormalizer":
		options := defaultBertOptions()
		if err := json.Unmarshal(raw, &options); err != nil {
			return nil, err
		}
		return newBertNormalizer(options), nil
	case "Precompiled":
		if o.Charsmap == nil {
			return nil, unsupported("normalizer: precompiled_charsmap is missing")
		}
		return newPrecompiled(*o.Charsmap)
	}
	return nil, unsupported("normalizer %q", kind)
}

func newNormalizerSequence(parts []json.RawMessage) (normalizer, error) {
	var s normalizerSequence
	for _, raw := range parts {
		n, err := newNormalizer(raw)
		if err != nil {
			return nil, err
		}
		if n != nil {
			s = append(s, n)
		}
	}
	if len(s) == 0 {
		return nil, nil
	}
	return s, nil
}

func newLowercase() normalizer {
	table := newRuneTable()
	var several []string
	eachRecord(lowercase, func(r rune, to string) {
		first, size := utf8.DecodeRuneInString(to)
		if size < len(to) {
			several = append(several, to)
			first = -rune(len(several))
		}
		table.set(r, uint32(first))
	})
	return normalizerFunc(func(a *aligned) {
		longer := false
		for i, r := range a.runes {
			to := rune(table.get(r))
			longer = longer || to < 0
			if to > 0 {
				a.runes[i] = to
			}
		}
		if longer {
			a.expand(func(out []rune, r rune) []rune {
				if to := int32(table.get(r)); to < 0 {
					return append(out, []rune(several[-to-1])...)
				}
				return append(out, r)
			})
		}
	})
}

// newReplace knows fixed strings, and of patterns the one that is in use: a
// run of spaces.
func newReplace(pattern map[string]json.RawMessage, content string) (normalizer, error) {
	var text string
	least := 0
	for kind, raw := range pattern {
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fmt.Errorf("pattern: %w", err)
		}
		if kind == "Regex" {
			if text != " {2,}" && text != " +" {
				return nil, unsupported("normalizer Replace with the pattern %q", text)
			}
			least = 1
			if text == " {2,}" {
				least = 2
			}
		}
	}
	if len(pattern) != 1 || text == "" {
		return nil, unsupported("normalizer Replace without a pattern")
	}
	with := []rune(content)
	if least > 0 {
		return normalizerFunc(func(a *aligned) { a.replace(spaceRuns(a.runes, least), with) }), nil
	}
	what := []rune(text)
	return normalizerFunc(func(a *aligned) { a.replace(occurrences(a.runes, what), with) }), nil
}

func spaceRuns(runes []rune, least int) [][2]int {
	var found [][2]int
	for i := 0; i < len(runes); i++ {
		from := i
		for i < len(runes) && runes[i] == ' ' {
			i++
		}
		if i-from >= least {
			found = append(found, [2]int{from, i})
		}
	}
	return found
}

func occurrences(runes, what []rune) [][2]int {
	var found [][2]int
	for i := 0; i+len(what) <= len(runes); {
		k := 0
		for k < len(what) && runes[i+k] == what[k] {
			k++
		}
		if k == len(what) {
			found = append(found, [2]int{i, i + k})
			i += k
		} else {
			i++
		}
	}
	return found
}

// newBertNormalizer is BertNormalizer step by step, for use with other
// pre-tokenizers than its own; see bertFold for the fast way.
func newBertNormalizer(o bertOptions) normalizer {
	var steps normalizerSequence
	add := func(f func(*aligned)) { steps = append(steps, normalizerFunc(f)) }
	if o.CleanText {
		add(func(a *aligned) {
			a.filter(func(r rune) bool { return !inRanges(cleanDrops[:], r) })
			for i, r := range a.runes {
				if unicode.IsSpace(r) {
					a.runes[i] = ' '
				}
			}
		})
	}
	if o.HandleChineseChars {
		add(func(a *aligned) {
			a.expand(func(out []rune, r rune) []rune {
				if inRanges(chinese[:], r) {
					return append(out, ' ', r, ' ')
				}
				return append(out, r)
			})
		})
	}
	if o.strips() {
		steps = append(steps, newNormalForm(false, false))
		add(func(a *aligned) { a.filter(func(r rune) bool { return !inRanges(nonspacingMarks[:], r) }) })
	}
	if o.Lowercase {
		steps = append(steps, newLowercase())
	}
	return steps
}
