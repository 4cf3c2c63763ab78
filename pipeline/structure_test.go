package pipeline_test

import (
	"strings"
	"testing"

	"github.com/needle-search/needle/models/modelstest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

func TestPutKeepsStructure(t *testing.T) {
	p := open(t, fakes(t, modelstest.Options{}))
	first := "Opening hours\nThe gate opens at seven.\n"
	put(t, p, retriever.Document{
		ID: "site", Text: first + "Parking\nCars stand behind the kiln.\n",
		Sections: []retriever.Section{{Start: 0, Headings: []string{"Site", "Opening hours"}}, {Start: len(first), Headings: []string{"Site", "Parking"}}},
		Pages:    []int{0, len(first)},
	})
	result, err := p.Search(t.Context(), pipeline.SearchRequest{Query: "cars kiln", Access: pipeline.FullAccess()})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Hits) == 0 {
		t.Fatal("no hits")
	}
	hit := result.Hits[0]
	if got := strings.Join(hit.Source.Headings, " > "); hit.Source.Page == 0 || !strings.HasPrefix(got, "Site") {
		t.Errorf("page %d, headings %q; want the structure that was given", hit.Source.Page, got)
	}
}
