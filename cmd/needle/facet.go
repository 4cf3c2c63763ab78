package main

import (
	"fmt"
	"io"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func parseFacets(texts []string) ([]retriever.FacetRequest, error) {
	var facets []retriever.FacetRequest
	for _, text := range texts {
		facet, err := retriever.ParseFacet(text)
		if err != nil {
			return nil, err
		}
		facets = append(facets, facet)
	}
	return facets, nil
}

func printFacets(w io.Writer, s style, r *pipeline.SearchResult) {
	if r.MatchedDocuments != nil {
		fmt.Fprintln(w, s.dim(fmt.Sprintf("%d documents match", *r.MatchedDocuments)))
	}
	for _, f := range r.Facets {
		fmt.Fprintln(w, s.bold(printable(f.Field)))
		for _, v := range f.Values {
			fmt.Fprintf(w, "   %6d  %s\n", v.Count, oneLine(fmt.Sprint(v.Value)))
		}
		for _, each := range f.Ranges {
			fmt.Fprintf(w, "   %6d  %s\n", each.Count, oneLine(rangeText(each.FacetRange)))
		}
		if f.Other > 0 {
			fmt.Fprintf(w, "   %6d  %s\n", f.Other, s.dim("(others)"))
		}
		if f.Missing > 0 {
			fmt.Fprintf(w, "   %6d  %s\n", f.Missing, s.dim("(none)"))
		}
	}
}

// rangeText returns the name of a range, or else its bounds.
func rangeText(r retriever.FacetRange) string {
	text := r.Name
	for _, bound := range []struct {
		sign  string
		value any
	}{{">", r.GT}, {">=", r.GTE}, {"<", r.LT}, {"<=", r.LTE}} {
		if bound.value == nil || r.Name != "" {
			continue
		}
		if text != "" {
			text += " "
		}
		text += bound.sign + " " + fmt.Sprint(bound.value)
	}
	return text
}
