package retriever

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrInvalidFacet says that a facet names an unknown field, asks for ranges
// that its field cannot have, or cannot be counted by the index.
var ErrInvalidFacet = errors.New("invalid facet")

// Bounds of what one query may ask to be counted.
const (
	// DefaultFacetSize is how many values a facet lists that names no number.
	DefaultFacetSize = 10
	// MaxFacetSize is how many values a facet lists at most.
	MaxFacetSize = 1000
	// MaxFacets is how many facets a query may have.
	MaxFacets = 20
	// MaxFacetRanges is how many ranges a facet may have.
	MaxFacetRanges = 100
	// MaxFacetValue is the longest value that a facet lists, in bytes. Longer
	// ones are counted among the others.
	MaxFacetValue = 1024
)

// A Faceter is an index that counts the values of metadata fields: an ability
// that not every index has.
type Faceter interface {
	// Facets counts over all documents with a passage that matches the query's
	// text, whatever its TopK, and that its filter and groups let pass. A
	// document counts once, however many of its passages match. Errors wrap
	// [ErrInvalidFacet], [ErrInvalidQuery] or [ErrInvalidFilter].
	Facets(ctx context.Context, query Query, requests []FacetRequest) (FacetCounts, error)
}

// A FacetRequest asks how the matching documents are spread over the values of
// one field, or over ranges of a number or date.
//
// In JSON it is an object, or the name of the field alone.
type FacetRequest struct {
	Field string `json:"field"`
	// Size is how many values are listed, 1 to [MaxFacetSize]; 0 means
	// [DefaultFacetSize]. It means nothing with Ranges.
	Size int `json:"size,omitempty"`
	// Ranges replace the values of a number or date field. They may overlap.
	Ranges []FacetRange `json:"ranges,omitempty"`
}

// A FacetRange is a stretch of numbers or dates with one or two bounds, written
// as in a [Filter].
type FacetRange struct {
	// Name is returned as it is; it may be empty.
	Name string `json:"name,omitempty"`
	GT   any    `json:"gt,omitempty"`
	GTE  any    `json:"gte,omitempty"`
	LT   any    `json:"lt,omitempty"`
	LTE  any    `json:"lte,omitempty"`
}

// Filter returns the condition that a field's value lies in the range.
func (r FacetRange) Filter(field string) Filter {
	return Filter{Field: field, GT: r.GT, GTE: r.GTE, LT: r.LT, LTE: r.LTE}
}

// FacetCounts is the answer to a list of requests.
type FacetCounts struct {
	// Documents is how many documents match.
	Documents uint64
	// Facets are in the order of the requests.
	Facets []Facet
	// Generation is the index generation that was counted.
	Generation uint64
}

// A Facet says how many of the matching documents have which value of a field.
type Facet struct {
	Field string    `json:"field"`
	Type  FieldType `json:"type"`
	// Values are the most frequent ones by falling count; ties by value. Nil if
	// ranges were asked for.
	Values []FacetValue `json:"values,omitzero"`
	// Ranges are in the order of the request; nil if none were asked for.
	Ranges []FacetRangeCount `json:"ranges,omitzero"`
	// Other counts the documents that have the field but none of the values or
	// ranges listed.
	Other uint64 `json:"other"`
	// Missing counts the documents that do not have the field.
	Missing uint64 `json:"missing"`
}

// A FacetValue is one value of a field.
type FacetValue struct {
	// Value is a string, a bool or a float64; a date is a string in RFC 3339. It
	// can stand in a [Filter] as it is.
	Value any `json:"value"`
	// Count is the number of matching documents that have the value. A document
	// with a list counts for each of its values.
	Count uint64 `json:"count"`
}

// A FacetRangeCount is one range that was asked for.
type FacetRangeCount struct {
	FacetRange
	Count uint64 `json:"count"`
}

// UnmarshalJSON takes an object, decoded strictly, or a string.
func (r *FacetRequest) UnmarshalJSON(data []byte) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '"' {
		*r = FacetRequest{}
		return json.Unmarshal(data, &r.Field)
	}
	type plain FacetRequest // without this method
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var p plain
	if err := decoder.Decode(&p); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidFacet, err)
	}
	*r = FacetRequest(p)
	return nil
}

// ParseFacet reads a facet from a command line: a JSON object, or else the name
// of a field. Errors wrap [ErrInvalidFacet].
func ParseFacet(text string) (FacetRequest, error) {
	r := FacetRequest{Field: text}
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return r, nil
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		if !errors.Is(err, ErrInvalidFacet) {
			err = fmt.Errorf("%w: %w", ErrInvalidFacet, err)
		}
		return FacetRequest{}, err
	}
	return r, nil
}

// Limit returns how many values are to be listed.
func (r FacetRequest) Limit() int { return cmp.Or(r.Size, DefaultFacetSize) }

// ValidateFacets checks requests against the fields of an index. Its errors name
// the field and wrap [ErrInvalidFacet].
func ValidateFacets(requests []FacetRequest, fields map[string]FieldType) error {
	if len(requests) > MaxFacets {
		return fmt.Errorf("%w: %d facets; at most %d are allowed", ErrInvalidFacet, len(requests), MaxFacets)
	}
	for _, r := range requests {
		if err := r.validate(fields); err != nil {
			return err
		}
	}
	return nil
}

func (r FacetRequest) validate(fields map[string]FieldType) error {
	typ, known := fields[r.Field]
	switch {
	case r.Field == "":
		return fmt.Errorf("%w: it names no field", ErrInvalidFacet)
	case !known:
		names := make([]string, 0, len(fields))
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("%w: unknown field %q; the index has %s", ErrInvalidFacet, r.Field, listOrNone(names))
	case r.Size < 0 || r.Size > MaxFacetSize:
		return fmt.Errorf("%w: field %q: size is %d; allowed is 0 (%d) to %d", ErrInvalidFacet, r.Field, r.Size, DefaultFacetSize, MaxFacetSize)
	case len(r.Ranges) > MaxFacetRanges:
		return fmt.Errorf("%w: field %q: %d ranges; at most %d are allowed", ErrInvalidFacet, r.Field, len(r.Ranges), MaxFacetRanges)
	case len(r.Ranges) > 0 && typ != Number && typ != Date:
		return fmt.Errorf("%w: field %q is a %s; ranges need a number or a date", ErrInvalidFacet, r.Field, typ)
	}
	for i, each := range r.Ranges {
		if f := each.Filter(r.Field); !f.isRange() {
			return fmt.Errorf("%w: field %q: ranges[%d] has no bound; give one of gt, gte, lt, lte", ErrInvalidFacet, r.Field, i)
		} else if err := f.Validate(fields); err != nil {
			// Not wrapped: the filter of the query is not at fault.
			return fmt.Errorf("%w: ranges[%d]: %s", ErrInvalidFacet, i, strings.TrimPrefix(err.Error(), ErrInvalidFilter.Error()+": "))
		}
	}
	return nil
}

// FacetDate returns a date as [FacetValue] holds it.
func FacetDate(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
