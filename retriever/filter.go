package retriever

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// FieldType is the type of a metadata field. It is inferred from the first
// document that carries the field; a later value of another type is refused
// with [ErrFieldConflict].
type FieldType string

// The field types.
const (
	Keyword FieldType = "keyword" // string or list of strings
	Number  FieldType = "number"  // int64 or float64
	Date    FieldType = "date"    // time.Time
	Boolean FieldType = "boolean" // bool
)

// TypeOf returns the field type of a metadata value, and false for a type that
// metadata cannot hold.
func TypeOf(value any) (FieldType, bool) {
	switch value.(type) {
	case string, []string:
		return Keyword, true
	case int64, float64:
		return Number, true
	case time.Time:
		return Date, true
	case bool:
		return Boolean, true
	}
	return "", false
}

// A Filter is a condition on a document's metadata. Exactly one of And, Or,
// Not and Field is set. With Field, exactly one of Equals, In, Exists or a
// range (any of GT, GTE, LT, LTE) is set.
//
// In JSON: {"and": [{"field": "year", "gte": 2020}, {"not": {"field": "lang", "in": ["de", "fr"]}}]}.
// Numbers are float64, dates are RFC 3339 strings or "2006-01-02".
type Filter struct {
	And []Filter `json:"and,omitempty" yaml:"and"`
	Or  []Filter `json:"or,omitempty" yaml:"or"`
	Not *Filter  `json:"not,omitempty" yaml:"not"`

	Field  string `json:"field,omitempty" yaml:"field"`
	Equals any    `json:"equals,omitempty" yaml:"equals"`
	In     []any  `json:"in,omitempty" yaml:"in"`
	Exists *bool  `json:"exists,omitempty" yaml:"exists"`
	GT     any    `json:"gt,omitempty" yaml:"gt"`
	GTE    any    `json:"gte,omitempty" yaml:"gte"`
	LT     any    `json:"lt,omitempty" yaml:"lt"`
	LTE    any    `json:"lte,omitempty" yaml:"lte"`
}

// maxFilterDepth bounds the nesting that Validate accepts.
const maxFilterDepth = 16

// ParseFilter decodes a JSON filter strictly. Errors wrap [ErrInvalidFilter].
func ParseFilter(data []byte) (*Filter, error) {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	var f Filter
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrInvalidFilter, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: text after the filter", ErrInvalidFilter)
	}
	return &f, nil
}

// Validate checks the filter against the fields of an index. An unknown field
// or a value of the wrong type gives an error that names the field and wraps
// [ErrInvalidFilter].
func (f *Filter) Validate(fields map[string]FieldType) error {
	if f == nil {
		return nil
	}
	return f.validate(fields, 0)
}

func (f *Filter) validate(fields map[string]FieldType, depth int) error {
	if depth > maxFilterDepth {
		return fmt.Errorf("%w: nested deeper than %d", ErrInvalidFilter, maxFilterDepth)
	}
	set := 0
	for _, on := range []bool{f.And != nil, f.Or != nil, f.Not != nil, f.Field != ""} {
		if on {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("%w: exactly one of and, or, not, field must be set", ErrInvalidFilter)
	}
	if f.Field == "" {
		if f.hasCondition() {
			return fmt.Errorf("%w: a condition without a field", ErrInvalidFilter)
		}
		children := slices.Concat(f.And, f.Or)
		if f.Not != nil {
			children = append(children, *f.Not)
		}
		if len(children) == 0 {
			return fmt.Errorf("%w: an empty and/or", ErrInvalidFilter)
		}
		for i := range children {
			if err := children[i].validate(fields, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return f.validateField(fields)
}

func (f *Filter) hasCondition() bool {
	return f.Equals != nil || f.In != nil || f.Exists != nil || f.isRange()
}

func (f *Filter) isRange() bool {
	return f.GT != nil || f.GTE != nil || f.LT != nil || f.LTE != nil
}

func (f *Filter) validateField(fields map[string]FieldType) error {
	typ, ok := fields[f.Field]
	if !ok {
		known := make([]string, 0, len(fields))
		for name := range fields {
			known = append(known, name)
		}
		slices.Sort(known)
		return fmt.Errorf("%w: unknown field %q; the index has %s", ErrInvalidFilter, f.Field, listOrNone(known))
	}
	conditions := 0
	for _, on := range []bool{f.Equals != nil, f.In != nil, f.Exists != nil, f.isRange()} {
		if on {
			conditions++
		}
	}
	if conditions != 1 {
		return fmt.Errorf("%w: field %q: exactly one of equals, in, exists or a range is needed", ErrInvalidFilter, f.Field)
	}
	if f.isRange() && typ != Number && typ != Date {
		return fmt.Errorf("%w: field %q is a %s; a range needs a number or a date", ErrInvalidFilter, f.Field, typ)
	}
	if f.GT != nil && f.GTE != nil || f.LT != nil && f.LTE != nil {
		return fmt.Errorf("%w: field %q: two bounds on the same side", ErrInvalidFilter, f.Field)
	}
	values := slices.Clone(f.In) // where null is no value
	for _, v := range []any{f.Equals, f.GT, f.GTE, f.LT, f.LTE} {
		if v != nil {
			values = append(values, v)
		}
	}
	for _, v := range values {
		if _, err := CoerceValue(typ, v); err != nil {
			return fmt.Errorf("%w: field %q: %w", ErrInvalidFilter, f.Field, err)
		}
	}
	return nil
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "no metadata fields"
	}
	return strings.Join(names, ", ")
}

// CoerceValue turns a filter value as JSON, YAML or Go gives it into the Go
// value of a field type: string, float64, time.Time or bool.
func CoerceValue(typ FieldType, value any) (any, error) {
	switch typ {
	case Keyword:
		if s, ok := value.(string); ok {
			return s, nil
		}
	case Boolean:
		if b, ok := value.(bool); ok {
			return b, nil
		}
	case Number:
		switch n := value.(type) {
		case float64:
			if math.IsNaN(n) {
				return nil, errors.New("NaN is no number")
			}
			return n, nil
		case int:
			return float64(n), nil
		case int64:
			return float64(n), nil
		case uint64:
			return float64(n), nil
		}
	case Date:
		switch d := value.(type) {
		case time.Time:
			return d.UTC(), nil
		case string:
			for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
				if t, err := time.Parse(layout, d); err == nil {
					return t.UTC(), nil
				}
			}
			return nil, fmt.Errorf("%q is no date; use RFC 3339 or YYYY-MM-DD", d)
		}
	default:
		return nil, errors.New("unknown field type " + string(typ))
	}
	return nil, fmt.Errorf("value %v (%T) does not fit a field of type %s", value, value, typ)
}
