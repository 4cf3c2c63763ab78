package monitor_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

func readFrom(documents map[string]string) monitor.ReadDocument {
	return func(_ context.Context, _, id string) (retriever.Document, error) {
		text, ok := documents[id]
		if !ok {
			return retriever.Document{}, fmt.Errorf("%w: %q", retriever.ErrDocumentNotFound, id)
		}
		return retriever.Document{ID: id, Text: text}, nil
	}
}

func spanIn(text, answer, id string) store.Span {
	at := strings.Index(text, answer)
	start := len([]rune(text[:at]))
	return store.Span{DocumentID: id, Answer: answer, Start: start, End: start + len([]rune(answer)), For: 1}
}

func TestGold(t *testing.T) {
	a, b := "Größe zählt: the tower is 300 m high.", "In feet, the tower is 984 high."
	cases := []store.Case{
		{ID: "1", Question: "How high?", State: store.CaseReviewed, Answers: []store.Span{spanIn(a, "300 m", "a"), spanIn(b, "984", "b")}},
		{ID: "2", Question: "Why?", State: store.CaseAgreed, Unanswerable: true, Judgements: []store.Judgement{{Feedback: store.Feedback{Verdict: store.Unanswerable, DocumentID: "a"}}}},
		{ID: "3", Question: "When?", State: store.CaseAgreed, Unanswerable: true},
		{ID: "4", Question: "Gone?", State: store.CaseReviewed, Answers: []store.Span{{DocumentID: "gone", Answer: "x", End: 1}}},
		{ID: "5", Question: "Stale?", State: store.CaseReviewed, Answers: []store.Span{{DocumentID: "a", Answer: "x", End: 1}}},
		{ID: "6", Question: "Open?", State: store.CaseOpen, Candidates: []store.Span{spanIn(b, "feet", "b")}},
		{ID: "7", Question: "Disputed?", State: store.CaseDisputed, Candidates: []store.Span{spanIn(b, "feet", "b")}},
	}
	gold, err := monitor.Gold(t.Context(), cases, false, readFrom(map[string]string{"a": a, "b": b}))
	if err != nil {
		t.Fatal(err)
	}
	if len(gold.Questions) != 3 || gold.LeftOut != 4 {
		t.Errorf("got %d questions and %d left out, want 3 and 4", len(gold.Questions), gold.LeftOut)
	}
	set := gold.SQuAD()
	if len(set.Data) != 2 || set.LeftOut != 5 {
		t.Errorf("SQuAD: got %+v, want two articles, and the question without a document left out", set)
	}
	dataset := gold.Dataset()
	if n := len(dataset.Questions); n != 3 || !dataset.Questions[1].Impossible {
		t.Errorf("Dataset: got %+v", dataset.Questions)
	}
	if pending, err := monitor.Gold(t.Context(), cases, true, readFrom(map[string]string{"a": a, "b": b})); err != nil || len(pending.Questions) != 4 {
		t.Errorf("with pending: got %d questions, %v; want 4", len(pending.Questions), err)
	}
}

func TestCutKeepsOffsets(t *testing.T) {
	filler := strings.Repeat("größere Wörter füllen ", 200)
	text := filler + "the answer is forty-two indeed " + filler
	cases := []store.Case{{ID: "1", Question: "What?", State: store.CaseReviewed, Answers: []store.Span{spanIn(text, "forty-two", "d")}}}
	gold, err := monitor.Gold(t.Context(), cases, false, readFrom(map[string]string{"d": text}))
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{0, 5, 100, 500, 1 << 20} {
		cut := gold.Cut(width)
		p, answer := []rune(cut.Paragraphs[0].Text), cut.Questions[0].Answers[0]
		if got := string(p[answer.Start : answer.Start+9]); got != "forty-two" {
			t.Errorf("width %d: got %q at the offset", width, got)
		}
		if len(p) > max(width, 9) {
			t.Errorf("width %d: the stretch has %d code points", width, len(p))
		}
	}
	if d := gold.Cut(100); len(d.Questions) != 1 || d.Questions[0].ParagraphID != d.Paragraphs[0].ID {
		t.Errorf("got %+v", d)
	}
}

// TestJudged has right and wrong stretches near each other and far apart.
func TestJudged(t *testing.T) {
	filler := strings.Repeat("words that fill the page ", 40)
	text := "The tower is 300 m high and 100 m wide. " + filler + "The bridge is 20 m high."
	wrong := func(answer string) store.Span {
		s := spanIn(text, answer, "d")
		s.Refuted, s.For, s.Against = true, 0, 1
		return s
	}
	cases := []store.Case{
		{ID: "1", Question: "How high is the tower?", State: store.CaseReviewed, Answers: []store.Span{spanIn(text, "300 m", "d"), spanIn(text, "300", "d")}, Candidates: []store.Span{wrong("100 m"), wrong("20 m")}},
		{ID: "2", Question: "How long is the tower?", State: store.CaseAgreed, Candidates: []store.Span{wrong("300 m")}},
		{ID: "3", Question: "How old?", State: store.CaseOpen, Candidates: []store.Span{{DocumentID: "d", Answer: "300", Start: 13, End: 16, Against: 0.5}}},
	}
	judged := func(pending bool) string {
		gold, err := monitor.Gold(t.Context(), cases, pending, readFrom(map[string]string{"d": text}))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, j := range gold.Judged(60) {
			fmt.Fprintf(&b, "%s %t %q\n", j.Question, j.Relevant, strings.Fields(j.Text)[:3])
		}
		return b.String()
	}
	// 100 m stands beside the right answer, 20 m does not.
	want := "How high is the tower? true [\"The\" \"tower\" \"is\"]\nHow high is the tower? false [\"the\" \"page\" \"words\"]\nHow long is the tower? false [\"The\" \"tower\" \"is\"]\n"
	if got := judged(false); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if got := judged(true); !strings.HasPrefix(got, want) || !strings.Contains(got, "How old? false") {
		t.Errorf("with pending: got\n%s", got)
	}
}
