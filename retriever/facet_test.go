package retriever_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/needle-search/needle/retriever"
)

func TestParseFacet(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       retriever.FacetRequest
		fault      string
	}{
		{name: "name", text: "lang", want: retriever.FacetRequest{Field: "lang"}},
		{name: "name with a colon", text: "a: b", want: retriever.FacetRequest{Field: "a: b"}},
		{
			name: "object", text: ` {"field": "year", "size": 3, "ranges": [{"name": "new", "gte": 2020}]}`,
			want: retriever.FacetRequest{Field: "year", Size: 3, Ranges: []retriever.FacetRange{{Name: "new", GTE: 2020.0}}},
		},
		{name: "unknown key", text: `{"field": "year", "top": 3}`, fault: "top"},
		{name: "cut short", text: `{"field": "year"`, fault: "unexpected end"},
		{name: "wrong type", text: `{"field": 3}`, fault: "field"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := retriever.ParseFacet(test.text)
			if test.fault != "" {
				if !errors.Is(err, retriever.ErrInvalidFacet) || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("got %v, want ErrInvalidFacet that says %q", err, test.fault)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

// FuzzFacet: whatever is accepted can be validated, written and read again.
func FuzzFacet(f *testing.F) {
	f.Add(`"lang"`)
	f.Add(`{"field": "year", "ranges": [{"gt": 1, "lte": 1e300}]}`)
	f.Add(`{"field": "day", "ranges": [{"gte": "2024-01-01"}], "size": -1}`)
	fields := map[string]retriever.FieldType{"lang": retriever.Keyword, "year": retriever.Number, "day": retriever.Date}
	f.Fuzz(func(t *testing.T, text string) {
		var r retriever.FacetRequest
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		if err := retriever.ValidateFacets([]retriever.FacetRequest{r}, fields); err != nil && !errors.Is(err, retriever.ErrInvalidFacet) {
			t.Errorf("ValidateFacets: %v", err)
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again retriever.FacetRequest
		if err := json.Unmarshal(data, &again); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	})
}
