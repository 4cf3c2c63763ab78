package pipeline

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/needle-search/needle/retriever"
)

// oneDocument is an index that has the document "there" only.
type oneDocument struct{ retriever.Index }

func (oneDocument) Document(_ context.Context, id string) (retriever.Document, error) {
	if id != "there" {
		return retriever.Document{}, fmt.Errorf("read: %w: %q", retriever.ErrDocumentNotFound, id)
	}
	return retriever.Document{ID: id, Text: "Größe: 12 m"}, nil
}

// TestOffsetsOfDeletedDocuments: a document that is deleted between finding and
// answering is left out and told of, and the others keep their answers.
func TestOffsetsOfDeletedDocuments(t *testing.T) {
	units := offsetConverter{index: oneDocument{}, unit: Bytes}
	result := &Result{
		Answerable: true,
		Answers: []Answer{
			{DocumentID: "gone", Start: 1, End: 2, Text: "r"}, {DocumentID: "there", Start: 7, End: 11, Text: "12 m"},
			{DocumentID: "gone", Start: 3, End: 4, Text: "ß"},
		},
		Candidates: []Candidate{{DocumentID: "there", Start: 0, End: 11, Text: "Größe: 12 m"}, {DocumentID: "gone", Start: 0, End: 11}},
	}
	if err := units.result(t.Context(), result); err != nil {
		t.Fatal(err)
	}
	if len(result.Answers) != 1 || result.Answers[0].Start != 9 || result.Answers[0].End != 13 || !result.Answerable {
		t.Errorf("got the answers %+v, want the one of the document that is there, at the bytes 9 to 13", result.Answers)
	}
	if len(result.Candidates) != 1 || result.Candidates[0].End != 13 {
		t.Errorf("got the candidates %+v, want the one of the document that is there", result.Candidates)
	}
	if len(result.Warnings) != 1 || strings.Count(result.Warnings[0], "gone") != 1 {
		t.Errorf("got the warnings %q, want one that names the document once", result.Warnings)
	}
	result = &Result{Answerable: true, Answers: []Answer{{DocumentID: "gone", Start: 1, End: 2}}}
	if err := units.result(t.Context(), result); err != nil || result.Answerable || len(result.Answers) != 0 {
		t.Errorf("got %+v, %v; want no answer left", result, err)
	}
}

// TestOffsetsOfChangedDocuments: offsets are not counted in another text than the
// one that was found, whether it became shorter, longer or only another.
func TestOffsetsOfChangedDocuments(t *testing.T) {
	for _, unit := range []string{Bytes, UTF16} {
		for _, stretch := range []Answer{
			{DocumentID: "there", Start: 7, End: 11, Text: "14 m"}, {DocumentID: "there", Start: 200, End: 204, Text: "12 m"},
			{DocumentID: "there", Start: 9, End: 13, Text: "12 m"}, {DocumentID: "there", Start: 9, End: 15, Text: " m und"},
		} {
			units := offsetConverter{index: oneDocument{}, unit: unit}
			result := &Result{Answerable: true, Answers: []Answer{stretch}}
			if err := units.result(t.Context(), result); err != nil {
				t.Fatal(err)
			}
			if len(result.Answers) != 0 || result.Answerable || len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "changed") {
				t.Errorf("%s, %+v: got %+v with the warnings %q; want it left out with a warning", unit, stretch, result.Answers, result.Warnings)
			}
		}
	}
}
