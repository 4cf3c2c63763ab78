package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/reader"
	"github.com/needle-search/needle/retriever"
)

// checkText validates a question or query.
func checkText(text string) error {
	switch {
	case len(text) > MaxQuestionBytes:
		return fmt.Errorf("%w: it has %d bytes; at most %d are allowed. Ask in one sentence", ErrQuestionTooLong, len(text), MaxQuestionBytes)
	case !utf8.ValidString(text):
		return fmt.Errorf("%w: the question is not UTF-8", ErrInvalidText)
	case strings.IndexByte(text, 0) >= 0:
		return fmt.Errorf("%w: the question holds a NUL byte", ErrInvalidText)
	case strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) == "":
		return fmt.Errorf("%w: write what you want to know", ErrEmptyQuestion)
	}
	return nil
}

func checkOptions(topK int, unit string) error {
	if topK < 0 || topK > MaxTopK {
		return fmt.Errorf("%w: top_k: %d; allowed is 1 to %d", ErrInvalidRequest, topK, MaxTopK)
	}
	switch unit {
	case "", CodePoints, Bytes, UTF16:
		return nil
	}
	return fmt.Errorf("%w: offset_unit: %q; allowed are %s, %s, %s", ErrInvalidRequest, unit, CodePoints, Bytes, UTF16)
}

// Ask answers a question. The errors are [ErrEmptyQuestion],
// [ErrQuestionTooLong], [ErrInvalidText], [ErrInvalidRequest], [ErrNoReader],
// [retriever.ErrIndexNotFound], [retriever.ErrInvalidFilter],
// [models.ErrOverloaded] and the context's. If the model fails after the
// retrieval, the result lists the unread candidates, is not complete and
// carries a warning.
func (p *Pipeline) Ask(ctx context.Context, request Request) (result *Result, err error) {
	request.Access, request.Groups = request.Access.Narrow(request.Groups), nil
	begin := time.Now()
	defer p.vectors.asking()()
	defer func() { p.observer.Finished(ctx, OperationAsk, result, begin, time.Now(), err) }()
	if err := errors.Join(checkText(request.Question), checkOptions(request.TopK, request.OffsetUnit)); err != nil {
		return nil, err
	}
	if request.Budget < 0 {
		return nil, fmt.Errorf("%w: budget: %v; allowed is 0 (none) or more", ErrInvalidRequest, request.Budget)
	}
	m, release, err := p.slot.lease()
	if err != nil {
		return nil, err
	}
	defer release()
	if err := p.checkQuestion(m, request.Question); err != nil {
		return nil, err
	}
	ctx, cancel := p.withTimeout(ctx)
	defer cancel()
	want := retrieval{
		index: request.Index, text: request.Question, topK: p.candidates(),
		filter: request.Filter, access: request.Access, explain: request.Explain, fresh: request.Fresh,
	}
	known := p.lookupAnswer(m, want, request, begin)
	if result := known.early(ctx, p, request.Index); result != nil {
		return result, nil
	}
	leave := func() {}
	defer func() { leave() }()
	if !known.remote {
		// Whoever would have to wait too long is told before the index is asked.
		if ctx, leave, err = m.service.Enter(ctx); err != nil {
			return nil, err
		}
	}
	found, err := p.retrieve(ctx, want)
	if err != nil {
		return nil, err
	}
	defer found.release()
	if result := known.late(found); result != nil {
		return result, nil
	}
	if known.remote {
		if ctx, leave, err = m.service.Enter(ctx); err != nil {
			return nil, err
		}
	}
	ranked, err := p.rank(ctx, found, want, p.shareOf(m))
	if err != nil {
		return nil, err
	}
	profile, calibrated := p.profileFor(m, ranked.used)
	result = &Result{
		Question:   request.Question,
		Answers:    []Answer{},
		Complete:   true,
		Calibrated: calibrated,
		Warnings:   append([]string{}, slices.Concat(m.notes, found.warnings, ranked.warnings)...),
		Model:      m.ref,
		Index:      cmp.Or(request.Index, p.config.Index),
		Generation: found.Generation,
		TimingsMS:  map[string]float64{"retrieve": milliseconds(found.took)},
	}
	result.VectorCoverage = ranked.coverage
	if ranked.took > 0 {
		result.TimingsMS["rank"] = milliseconds(ranked.took)
	}
	if !calibrated {
		result.Warnings = append(result.Warnings, "no score profile was fitted for this combination of bundle, retriever and ranker: probabilities are rough")
	}
	if len(found.Terms) == 0 {
		result.Warnings = append(result.Warnings, "the question has only stop words, so nothing can be found")
	}
	if warning := m.questionWarning(request.Question); warning != "" {
		result.Warnings = append(result.Warnings, warning)
	}
	options := reader.Options{}
	if budget := cmp.Or(request.Budget, p.limits().Budget); budget > 0 {
		options.Deadline = begin.Add(budget)
		options.Round = 2 * m.service.Stats().Workers
	}
	if !request.Fresh {
		options.Tokens = p.cachedTokens(m, found)
	}
	p.cutForReading(&ranked)
	if request.Progress != nil {
		t := &teller{
			pipeline: p, profile: profile, request: request, base: result, hits: slices.Clone(ranked.hits), passages: passagesOf(ranked.hits),
			units: offsetConverter{index: found.index, unit: request.OffsetUnit},
		}
		if err := t.candidates(ctx); err != nil {
			return nil, err
		}
		options.Progress, options.Round = t.answers(ctx), 2*m.service.Stats().Workers
	}
	reading, passages, err := p.readRanked(ctx, m, request.Question, &ranked, options)
	switch {
	case err == nil:
		p.fillAnswers(ctx, profile, result, request, ranked.hits, passages, reading)
	case ctx.Err() != nil || errors.Is(err, models.ErrOverloaded) || errors.Is(err, models.ErrModelClosed) || errors.Is(err, models.ErrQuestionTooLong):
		return nil, p.cause(ctx, err)
	default:
		p.logger.ErrorContext(ctx, "reading failed", "error", err)
		result.Complete = false
		result.Warnings = append(result.Warnings, "the model failed, so the candidates are listed unread: "+err.Error())
	}
	if request.Explain || err != nil {
		for _, h := range ranked.hits {
			result.Candidates = append(result.Candidates, candidate(h))
		}
	}
	units := offsetConverter{index: found.index, unit: request.OffsetUnit}
	if err := units.result(ctx, result); err != nil {
		return nil, err
	}
	if !ranked.bypassed(p) && ranked.coverage == nil && len(found.warnings) == 0 && len(units.lost) == 0 {
		// When the vectors are ready the answer may be another, in the same
		// generation of the index.
		known.store(found, result)
	}
	result.TimingsMS["total"] = milliseconds(time.Since(begin))
	return result, nil
}

// cause prefers the reason why a context ended to the bare error.
func (p *Pipeline) cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// wordless reports whether a text is punctuation and space only. Symbols such as
// a currency's may be asked for.
func wordless(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPunct(r) && !unicode.IsSpace(r) }) < 0
}

// fillAnswers fuses the scores, decides and writes the answers.
func (p *Pipeline) fillAnswers(ctx context.Context, profile Profile, result *Result, request Request, hits []retriever.Hit, passages []retriever.Passage, reading reader.Reading) {
	decode := time.Now()
	bestBM25 := 0.0
	for _, h := range hits {
		bestBM25 = max(bestBM25, h.Scores.BM25)
	}
	score := func(s reader.Span) float64 {
		return profile.fused(evidence(s, hits[s.Candidate], bestBM25))
	}
	// A full stop is no answer, however little else there is to choose from.
	worded := slices.DeleteFunc(slices.Clone(reading.Spans), func(s reader.Span) bool { return wordless(s.Text) })
	spans := reader.Distinct(worded, passages, score)
	fused := make([]float64, len(spans))
	for i, s := range spans {
		fused[i] = score(s)
	}
	result.CandidatesRead = reading.Candidates
	result.Complete = reading.Complete
	result.Truncated = reading.Truncated
	result.NoAnswerProbability = 1
	if len(spans) > 0 {
		result.NoAnswerProbability = profile.NoAnswer.probability(fused[0], evidence(spans[0], hits[spans[0].Candidate], bestBM25))
	}
	result.Answerable = len(spans) > 0 && result.NoAnswerProbability < profile.NoAnswerThreshold

	shares := logShares(fused)
	topK := min(cmp.Or(request.TopK, p.config.Reader.TopK), len(spans))
	answers := make([]Answer, 0, topK)
	for i, s := range spans[:topK] {
		a := answer(s, hits[s.Candidate])
		a.Probability = profile.Answer.probability(fused[i], shares[i])
		a.Scores.Fused = fused[i]
		answers = append(answers, a)
	}
	switch {
	case result.Answerable:
		result.Answers = answers
	case request.IncludeRejected:
		result.Rejected = answers
	}
	result.TimingsMS["tokenize"] = milliseconds(reading.Tokenize)
	result.TimingsMS["infer"] = milliseconds(reading.Infer)
	end := time.Now()
	result.TimingsMS["decode"] = milliseconds(end.Sub(decode))
	p.observer.Stage(ctx, StageDecode, decode, end, nil)
}

// relative is the BM25 score of a passage as part of the question's best.
// Without a retrieval there is none, and every passage counts as the best.
func relative(value, best float64) float64 {
	if best <= 0 {
		return 1
	}
	return value / best
}

// contextRunes is how much text around an answer is shown on either side.
const contextRunes = 160

func answer(s reader.Span, h retriever.Hit) Answer {
	text := []rune(h.Text)
	from, to := s.Start-h.Start, s.End-h.Start
	left := wordBorder(text, max(0, from-contextRunes), from, 1)
	right := wordBorder(text, min(len(text), to+contextRunes), to, -1)
	scores := Scores{Scores: h.Scores, SpanLogit: s.Logit, NullLogit: s.Null}
	if scores.Relevance == nil && s.Relevance != 0 {
		scores.Relevance = &s.Relevance
	}
	return Answer{
		Text:         s.Text,
		DocumentID:   h.DocumentID,
		Title:        h.Title,
		Start:        s.Start,
		End:          s.End,
		Context:      string(text[left:right]),
		ContextStart: from - left,
		ContextEnd:   to - left,
		Source:       source(h, s.Start, s.End),
		Scores:       scores,
	}
}

// wordBorder moves a cut inside a word towards limit until it stands between
// words; cuts at the ends of the text stay.
func wordBorder(text []rune, at, limit, step int) int {
	start := at
	for at > 0 && at < len(text) && at != limit {
		if unicode.IsSpace(text[at]) != unicode.IsSpace(text[at-1]) {
			return at
		}
		at += step
	}
	if at == limit && limit != start && start > 0 && start < len(text) {
		return start // one long word: cut it where it was
	}
	return at
}

func source(h retriever.Hit, start, end int) SourceRef {
	ref := SourceRef{URI: h.Source.URI, MediaType: h.Source.MediaType, Page: h.PageAt(start), Headings: h.Headings}
	if from := h.PageStartAt(start); from >= 0 {
		inPage, endInPage := start-from, end-from
		ref.StartInPage, ref.EndInPage = &inPage, &endInPage
	}
	if h.Source.Verbatim {
		start, end = start+h.Source.TextOffset, end+h.Source.TextOffset
		ref.Start, ref.End = &start, &end
	}
	return ref
}

// candidates is how many passages to retrieve: without a ranker those that are
// not read need not be fetched.
func (p *Pipeline) candidates() int {
	if p.config.Ranker.Type == RankerNone {
		return min(p.config.Retriever.TopK, p.config.Ranker.Reads(RankerNone))
	}
	return p.config.Retriever.TopK
}
