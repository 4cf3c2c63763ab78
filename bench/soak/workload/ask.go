package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// A question is a request and the fact that it is about.
type question struct {
	fact    fact
	keeper  bool // it asks for the keeper's name
	request pipeline.Request
}

// question makes up one. There are few enough for the caches to be of use.
func (r *run) question(random *rand.Rand, f fact) question {
	which := random.IntN(len(f.questions()))
	q := question{fact: f, keeper: which == 0, request: pipeline.Request{Question: f.questions()[which]}}
	switch random.IntN(8) {
	case 0:
		q.request.TopK = 1 + random.IntN(5)
	case 1:
		q.request.IncludeRejected = true
	case 2:
		q.request.Explain = true
	case 3:
		q.request.Filter = &retriever.Filter{Field: "kind", Equals: f.kind}
	case 4:
		// All texts are plain ASCII, so that the numbers are the same.
		q.request.OffsetUnit = []string{pipeline.Bytes, pipeline.UTF16, pipeline.CodePoints}[random.IntN(3)]
	}
	return q
}

// ask asks a question and holds all that comes back against the ledger.
func (r *run) ask(ctx context.Context, kind string, q question) *pipeline.Result {
	s := seen{from: time.Now(), least: r.ledger.acknowledged()}
	if kind == "stream" {
		q.request.Progress = func(p pipeline.Progress) { r.progress(s, p) }
	}
	result, err := r.server.client.Ask(ctx, q.request)
	if !r.count(kind, err, false) {
		return nil
	}
	s.to = time.Now()
	r.result(kind, s, result)
	r.mu.Lock()
	r.report.latencies = append(r.report.latencies, float64(s.to.Sub(s.from).Microseconds())/1000)
	r.mu.Unlock()
	if q.keeper && r.ledger.lives(q.fact.number, s.from, s.to) {
		r.judge(q, s, result)
	}
	if q.request.Progress == nil {
		r.record(q.request, result)
	}
	return result
}

// judge counts whether the first answer is the name of the keeper in a version
// that was current. Whether another stretch should have been chosen is for the
// oracle to say.
func (r *run) judge(q question, s seen, result *pipeline.Result) {
	names := r.ledger.names(q.fact, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Asked++
	if len(result.Answers) > 0 && result.Answers[0].DocumentID == q.fact.id() && slices.Contains(names, result.Answers[0].Text) {
		r.report.Right++
	}
}

// result holds a result against the ledger: its generation, its model and every
// stretch of text in it.
func (r *run) result(what string, s seen, result *pipeline.Result) {
	s.generation = result.Generation
	if s.generation < s.least {
		r.wrong(what, fmt.Errorf("it is of generation %d; %d was acknowledged before it was asked", s.generation, s.least))
	}
	r.model(what, s, result.Model.Hash)
	for _, a := range slices.Concat(result.Answers, result.Rejected) {
		r.checked(what, s, answerPieces(a)...)
	}
	for _, c := range result.Candidates {
		r.checked(what, s, candidatePiece(c))
	}
}

func (r *run) model(what string, s seen, hash string) {
	r.mu.Lock()
	r.report.Checked++
	r.mu.Unlock()
	if which := slices.Index(r.models[:], hash); which < 0 || !r.ledger.mayRead(which, s.from, s.to) {
		r.wrong(what, fmt.Errorf("model %s (number %d) read it, which did not read at that time", hash, which))
	}
}

// progress holds what a stream says on its way against the ledger.
func (r *run) progress(s seen, p pipeline.Progress) {
	s.to = time.Now()
	if p.Result != nil {
		r.result("stream, on its way", s, p.Result)
		return
	}
	// The candidates come without a generation.
	for _, c := range p.Candidates {
		r.checked("stream, candidates", s, candidatePiece(c))
	}
}

// answerPieces are the answer and what is shown around it.
func answerPieces(a pipeline.Answer) []shown {
	from := a.Start - a.ContextStart
	return []shown{
		{a.DocumentID, a.Text, a.Start, a.End},
		{a.DocumentID, a.Context, from, from + len(a.Context)},
	}
}

func candidatePiece(c pipeline.Candidate) shown {
	return shown{c.DocumentID, c.Text, c.Start, c.End}
}

// search looks a fact up, which must be among the hits while it is there.
func (r *run) search(ctx context.Context, f fact) {
	s := seen{from: time.Now(), least: r.ledger.acknowledged()}
	result, err := r.server.client.Search(ctx, pipeline.SearchRequest{Query: f.questions()[0]})
	if !r.count("search", err, false) {
		return
	}
	s.to, s.generation = time.Now(), result.Generation
	if s.generation < s.least {
		r.wrong("search", fmt.Errorf("it is of generation %d; %d was acknowledged before", s.generation, s.least))
	}
	found := false
	for _, h := range result.Hits {
		r.checked("search", s, candidatePiece(h))
		found = found || h.DocumentID == f.id()
	}
	if !found && r.ledger.lives(f.number, s.from, s.to) {
		r.wrong("search", fmt.Errorf("%q does not find %s, which is there", result.Query, f.id()))
	}
}

// A recording is what was answered at a checkpoint, before the oracle is asked.
type recording struct {
	request pipeline.Request
	model   string
	answer  string
}

// record keeps an answer for the oracle, while nobody writes.
func (r *run) record(request pipeline.Request, result *pipeline.Result) {
	if !r.recording.Load() || result.VectorCoverage != nil {
		return
	}
	answer := canonical(result)
	key, _ := json.Marshal(request) // it came as JSON
	r.mu.Lock()
	defer r.mu.Unlock()
	id := result.Model.Hash + string(key)
	before, again := r.recorded[id]
	r.recorded[id] = recording{request, result.Model.Hash, answer}
	if again && before.answer != answer {
		r.report.Wrong++
		r.report.Faults = append(r.report.Faults, fmt.Sprintf("asked twice, while nobody wrote:\n%s\n%s", before.answer, answer))
	}
}

// canonical is a result without what may differ between two servers that hold the
// same: how long it took, and how often each was written to.
func canonical(result *pipeline.Result) string {
	bare := *result
	bare.TimingsMS, bare.Generation = nil, 0
	data, err := json.Marshal(bare)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
