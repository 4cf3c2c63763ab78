package bleve

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/needle-search/needle/retriever"
)

// passages narrows one segment to the passages that a query may see.
type passages struct {
	segment    *scorch.SegmentSnapshot
	dictionary segment.TermDictionary
	fields     map[string]retriever.FieldType
}

// excluded returns the records of a segment that the query must not find:
// deleted ones, those that the caller's groups do not allow and those that the
// filter turns away. Nil excludes nothing.
func excluded(ctx context.Context, s *scorch.SegmentSnapshot, fields map[string]retriever.FieldType, query *retriever.Query) (*roaring.Bitmap, error) {
	dictionary, err := s.Segment().Dictionary(fieldFilter)
	if err != nil {
		return nil, err
	}
	p := &passages{segment: s, dictionary: dictionary, fields: fields}
	allowed, err := p.visible(query)
	if err != nil {
		return nil, err
	}
	if query.Filter != nil {
		matching, err := p.matching(ctx, query.Filter)
		if err != nil {
			return nil, err
		}
		if allowed == nil {
			allowed = matching
		} else {
			allowed.And(matching)
		}
	}
	if allowed == nil {
		return s.Deleted(), nil
	}
	out := p.all()
	out.AndNot(allowed)
	if deleted := s.Deleted(); deleted != nil {
		out.Or(deleted)
	}
	return out, nil
}

// visible returns the passages that the caller may see, or nil for all.
func (p *passages) visible(query *retriever.Query) (*roaring.Bitmap, error) {
	if query.AllGroups {
		return nil, nil
	}
	restricted := roaring.New()
	if err := p.or(restricted, termRestricted); err != nil {
		return nil, err
	}
	if restricted.IsEmpty() {
		return nil, nil
	}
	own := roaring.New()
	for _, group := range query.Groups {
		if err := p.or(own, prefixGroup+group); err != nil {
			return nil, err
		}
	}
	visible := p.all()
	visible.AndNot(restricted)
	visible.Or(own)
	return visible, nil
}

// all returns every record of the segment; records that are no passages have no
// text to be found by.
func (p *passages) all() *roaring.Bitmap {
	b := roaring.New()
	b.AddRange(0, p.segment.Segment().Count())
	return b
}

// or adds the passages with a filter term to a set.
func (p *passages) or(set *roaring.Bitmap, term string) error {
	postings, err := p.dictionary.PostingsList([]byte(term), nil, nil)
	if err != nil {
		return err
	}
	merger, ok := postings.(interface{ OrInto(*roaring.Bitmap) })
	if !ok {
		return fmt.Errorf("segment of type %T cannot be filtered", p.segment.Segment())
	}
	merger.OrInto(set)
	return nil
}

// matching returns the passages whose document passes a valid filter.
func (p *passages) matching(ctx context.Context, f *retriever.Filter) (*roaring.Bitmap, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case f.And != nil:
		set := p.all()
		for i := range f.And {
			part, err := p.matching(ctx, &f.And[i])
			if err != nil {
				return nil, err
			}
			set.And(part)
		}
		return set, nil
	case f.Or != nil:
		set := roaring.New()
		for i := range f.Or {
			part, err := p.matching(ctx, &f.Or[i])
			if err != nil {
				return nil, err
			}
			set.Or(part)
		}
		return set, nil
	case f.Not != nil:
		part, err := p.matching(ctx, f.Not)
		if err != nil {
			return nil, err
		}
		set := p.all()
		set.AndNot(part)
		return set, nil
	}
	return p.field(f)
}

func (p *passages) field(f *retriever.Filter) (*roaring.Bitmap, error) {
	typ := p.fields[f.Field]
	set := roaring.New()
	switch {
	case f.Exists != nil:
		if err := p.or(set, existsTerm(f.Field)); err != nil || *f.Exists {
			return set, err
		}
		absent := p.all()
		absent.AndNot(set)
		return absent, nil
	case f.Equals != nil || f.In != nil:
		values := f.In
		if f.Equals != nil {
			values = []any{f.Equals}
		}
		for _, v := range values {
			term, err := equalTerm(f.Field, typ, v)
			if err != nil {
				return nil, err
			}
			if err := p.or(set, term); err != nil {
				return nil, err
			}
		}
		return set, nil
	}
	low, high, err := bounds(f, typ)
	if err != nil || low > high {
		return set, err
	}
	return set, p.between(set, f.Field, low, high)
}

// equalTerm returns the term of a value.
func equalTerm(field string, typ retriever.FieldType, v any) (string, error) {
	coerced, err := retriever.CoerceValue(typ, v)
	if err != nil {
		return "", fmt.Errorf("%w: field %q: %w", retriever.ErrInvalidFilter, field, err)
	}
	switch v := coerced.(type) {
	case string:
		return keywordTerm(field, v), nil
	case bool:
		return booleanTerm(field, v), nil
	}
	return numberTerm(field, encode(coerced), 0), nil
}

// encode encodes a number or date.
func encode(v any) uint64 {
	switch v := v.(type) {
	case float64:
		return encodeFloat(v)
	case time.Time:
		return encodeTime(v)
	}
	return 0
}

// bounds returns the inclusive bounds of a range, encoded. A range that
// nothing can lie in has low > high.
func bounds(f *retriever.Filter, typ retriever.FieldType) (low, high uint64, err error) {
	high = math.MaxUint64
	for _, bound := range []struct {
		value any
		apply func(uint64)
	}{
		{f.GT, func(n uint64) {
			if n == math.MaxUint64 {
				low, high = 1, 0
				return
			}
			low = n + 1
		}},
		{f.GTE, func(n uint64) { low = n }},
		{f.LT, func(n uint64) {
			if n == 0 {
				low, high = 1, 0
				return
			}
			high = n - 1
		}},
		{f.LTE, func(n uint64) { high = n }},
	} {
		if bound.value == nil {
			continue
		}
		v, err := retriever.CoerceValue(typ, bound.value)
		if err != nil {
			return 0, 0, fmt.Errorf("%w: field %q: %w", retriever.ErrInvalidFilter, f.Field, err)
		}
		bound.apply(encode(v))
	}
	return low, high, nil
}

// between adds the passages with an encoded number from low to high. At each
// level it takes the blocks at the two ends that the next coarser level would
// cut through, at most 255 at each end.
func (p *passages) between(set *roaring.Bitmap, field string, low, high uint64) error {
	for level := range numberLevels {
		shift := 8 * uint(level)
		first, last := low>>shift, high>>shift
		if level == numberLevels-1 || first>>8 == last>>8 {
			return p.blocks(set, field, level, first, last)
		}
		if first&0xff != 0 {
			if err := p.blocks(set, field, level, first, first|0xff); err != nil {
				return err
			}
			first = (first | 0xff) + 1
		}
		if last&0xff != 0xff {
			if err := p.blocks(set, field, level, last&^0xff, last); err != nil {
				return err
			}
			// The blocks between end before this one. There may be none.
			if last>>8 == 0 {
				return nil
			}
			last = (last >> 8 << 8) - 1
		}
		if first > last {
			return nil
		}
		low, high = first<<shift, last<<shift|(1<<shift-1)
	}
	return nil
}

// blocks adds the passages with a number in the blocks first to last of a
// level.
func (p *passages) blocks(set *roaring.Bitmap, field string, level int, first, last uint64) error {
	shift := 8 * uint(level)
	start := []byte(numberTerm(field, first<<shift, level))
	end := append([]byte(numberTerm(field, last<<shift, level)), 0)
	terms := p.dictionary.AutomatonIterator(nil, start, end)
	for {
		entry, err := terms.Next()
		if err != nil || entry == nil {
			return err
		}
		// A longer term between the two would be of another level.
		if !bytes.HasPrefix([]byte(entry.Term), start[:len(start)-(8-level)]) {
			continue
		}
		if err := p.or(set, entry.Term); err != nil {
			return err
		}
	}
}
