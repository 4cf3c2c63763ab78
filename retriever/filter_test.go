package retriever_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
)

var fields = map[string]retriever.FieldType{
	"lang": retriever.Keyword, "year": retriever.Number, "day": retriever.Date, "on": retriever.Boolean,
}

func TestParseFilter(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"equals":           {`{"field": "lang", "equals": "en"}`, ""},
		"in":               {`{"field": "year", "in": [1, 2.5]}`, ""},
		"nested":           {`{"and": [{"or": [{"field": "on", "equals": true}]}, {"not": {"field": "day", "gte": "2020-01-01"}}]}`, ""},
		"not JSON":         {`field = 1`, "invalid"},
		"empty":            {``, "EOF"},
		"unknown key":      {`{"field": "lang", "equal": "en"}`, `"equal"`},
		"wrong shape":      {`{"and": {"field": "lang"}}`, "and"},
		"second object":    {`{"field": "lang", "equals": "en"} {}`, "text after"},
		"trailing bracket": {`{"field": "lang", "equals": "en"}}`, "text after"},
		"trailing word":    {`{"field": "lang", "equals": "en"} and`, "text after"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := retriever.ParseFilter([]byte(test.text))
			if test.want == "" {
				if err == nil {
					err = f.Validate(fields)
				}
				if err != nil {
					t.Errorf("got %v, want a valid filter", err)
				}
				return
			}
			if !errors.Is(err, retriever.ErrInvalidFilter) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ParseFilter: %v, want ErrInvalidFilter that says %q", err, test.want)
			}
		})
	}
}

func TestFilterValidate(t *testing.T) {
	yes := true
	deep := retriever.Filter{Field: "on", Equals: true}
	for range 20 {
		deep = retriever.Filter{Not: &retriever.Filter{And: []retriever.Filter{deep}}}
	}
	for name, test := range map[string]struct {
		filter retriever.Filter
		want   string // what the error says; empty for a valid filter
	}{
		"exists":            {retriever.Filter{Field: "lang", Exists: &yes}, ""},
		"empty in":          {retriever.Filter{Field: "lang", In: []any{}}, ""},
		"two bounds":        {retriever.Filter{Field: "year", GT: 1, LTE: uint64(3)}, ""},
		"date of Go":        {retriever.Filter{Field: "day", LT: time.Now()}, ""},
		"nothing":           {retriever.Filter{}, "exactly one of and, or, not, field"},
		"two kinds":         {retriever.Filter{Field: "on", Equals: true, Not: &retriever.Filter{}}, "exactly one of and, or, not, field"},
		"empty and":         {retriever.Filter{And: []retriever.Filter{}}, "empty and/or"},
		"stray condition":   {retriever.Filter{Not: &retriever.Filter{Field: "on", Equals: true}, Equals: 1}, "without a field"},
		"unknown field":     {retriever.Filter{Field: "size", Equals: 1}, `"size"; the index has day, lang, on, year`},
		"no condition":      {retriever.Filter{Field: "on"}, `"on"`},
		"two conditions":    {retriever.Filter{Field: "on", Equals: true, In: []any{false}}, `"on"`},
		"range of keywords": {retriever.Filter{Field: "lang", GT: "a"}, "keyword"},
		"range of booleans": {retriever.Filter{Field: "on", LT: true}, "boolean"},
		"same side":         {retriever.Filter{Field: "year", GT: 1, GTE: 1}, "same side"},
		"text for number":   {retriever.Filter{Field: "year", Equals: "2020"}, `"year"`},
		"NaN":               {retriever.Filter{Field: "year", GT: math.NaN()}, "NaN"},
		"bad date":          {retriever.Filter{Field: "day", GT: "1.1.2020"}, "RFC 3339"},
		"null in list":      {retriever.Filter{Field: "lang", In: []any{"a", nil}}, `"lang"`},
		"wrong in list":     {retriever.Filter{Field: "lang", In: []any{"a", 1.0}}, `"lang"`},
		"too deep":          {deep, "deeper than"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.filter.Validate(fields)
			if test.want == "" {
				if err != nil {
					t.Errorf("Validate: %v, want nil", err)
				}
				return
			}
			if !errors.Is(err, retriever.ErrInvalidFilter) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Validate: %v, want ErrInvalidFilter that says %q", err, test.want)
			}
		})
	}
	if err := (*retriever.Filter)(nil).Validate(nil); err != nil {
		t.Errorf("no filter: %v", err)
	}
	if err := (&retriever.Filter{Field: "x", Equals: 1}).Validate(nil); err == nil || !strings.Contains(err.Error(), "no metadata fields") {
		t.Errorf("no fields: %v", err)
	}
}

func TestCoerceValue(t *testing.T) {
	noon := time.Date(2024, 2, 3, 12, 0, 0, 5, time.UTC)
	for _, test := range []struct {
		typ      retriever.FieldType
		in, want any
	}{
		{retriever.Keyword, "x", "x"},
		{retriever.Boolean, false, false},
		{retriever.Number, 1, 1.0},
		{retriever.Number, int64(-1), -1.0},
		{retriever.Number, uint64(7), 7.0},
		{retriever.Number, 0.5, 0.5},
		{retriever.Date, "2024-02-03", time.Date(2024, 2, 3, 0, 0, 0, 0, time.UTC)},
		{retriever.Date, "2024-02-03T13:00:00.000000005+01:00", noon},
		{retriever.Date, noon.In(time.FixedZone("", 3600)), noon},
		{retriever.Keyword, 1, nil},
		{retriever.Boolean, "true", nil},
		{retriever.Number, "1", nil},
		{retriever.Date, 2024, nil},
		{retriever.FieldType("colour"), "red", nil},
	} {
		got, err := retriever.CoerceValue(test.typ, test.in)
		if (err != nil) != (test.want == nil) || !reflect.DeepEqual(got, test.want) {
			t.Errorf("CoerceValue(%s, %v) = %v, %v; want %v", test.typ, test.in, got, err, test.want)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{
		`{"field": "lang", "equals": "en"}`, `{"and": [{"field": "year", "gte": 2020}, {"not": {"field": "lang", "in": ["de", "fr"]}}]}`,
		`{"field": "day", "lt": "2024-01-01", "gt": "2020-01-01T00:00:00Z"}`, `{"field": "on", "exists": false}`, `{}`, `{"in": [null]}`, `[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		filter, err := retriever.ParseFilter(data)
		if err != nil {
			if !errors.Is(err, retriever.ErrInvalidFilter) {
				t.Errorf("error %v does not wrap ErrInvalidFilter", err)
			}
			return
		}
		if err := filter.Validate(fields); err != nil {
			if !errors.Is(err, retriever.ErrInvalidFilter) {
				t.Errorf("error %v does not wrap ErrInvalidFilter", err)
			}
			return
		}
		written, err := json.Marshal(filter)
		if err != nil {
			t.Fatalf("a valid filter cannot be written: %v", err)
		}
		if _, err := retriever.ParseFilter(written); err != nil {
			t.Errorf("%s is written as %s, which cannot be read: %v", data, written, err)
		}
	})
}
