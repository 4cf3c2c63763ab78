package client

import (
	"encoding/json"
	"fmt"

	"github.com/needle-search/needle/retriever"
)

// plainNumbers makes the numbers of facets float64, as a pipeline returns them.
func plainNumbers(facets []retriever.Facet) error {
	var values []*any
	for i := range facets {
		for j := range facets[i].Values {
			values = append(values, &facets[i].Values[j].Value)
		}
		for j := range facets[i].Ranges {
			r := &facets[i].Ranges[j]
			values = append(values, &r.GT, &r.GTE, &r.LT, &r.LTE)
		}
	}
	for _, v := range values {
		number, ok := (*v).(json.Number)
		if !ok {
			continue
		}
		f, err := number.Float64()
		if err != nil {
			return fmt.Errorf("the answer of the server has a facet of %s: %w", number, err)
		}
		*v = f
	}
	return nil
}
