package pipeline

import (
	"context"
	"slices"

	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// Progress is what an ask has found so far; see [Request].
type Progress struct {
	// Candidates are the passages that will be read, best first. They come once,
	// before anything is read.
	Candidates []Candidate
	// Result holds the answers so far, with Complete false. It comes after every
	// round of reading that changed the answers.
	Result *Result
}

// A teller reports the progress of one ask, in the goroutine that reads.
type teller struct {
	pipeline *Pipeline
	profile  Profile
	request  Request
	base     *Result // what all results of the request share
	hits     []retriever.Hit
	passages []retriever.Passage
	units    offsetConverter
	last     []Answer
	told     bool
}

// candidates reports what will be read.
func (t *teller) candidates(ctx context.Context) error {
	list := make([]Candidate, len(t.hits)) // never nil
	for i, h := range t.hits {
		list[i] = candidate(h)
	}
	list, err := t.units.candidates(ctx, list)
	if err != nil {
		return err
	}
	t.request.Progress(Progress{Candidates: list})
	return nil
}

// answers returns what reports the answers of a reading that goes on.
func (t *teller) answers(ctx context.Context) func(reader.Reading) {
	return func(reading reader.Reading) {
		result := copyResult(t.base)
		t.pipeline.fillAnswers(ctx, t.profile, result, t.request, t.hits, t.passages, reading)
		result.Complete = false
		if err := t.units.result(ctx, result); err != nil {
			return // the end of the request reports it
		}
		now := slices.Concat(result.Answers, result.Rejected)
		if t.told && slices.EqualFunc(now, t.last, sameAnswer) {
			return
		}
		t.last, t.told = now, true
		t.request.Progress(Progress{Result: result})
	}
}

func sameAnswer(a, b Answer) bool {
	return a.DocumentID == b.DocumentID && a.Start == b.Start && a.End == b.End && a.Probability == b.Probability
}
