package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/monitor"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// evaluation is one run of `needle eval` before it becomes a record.
type evaluation struct {
	report     *eval.Report
	outcomes   []eval.Outcome
	bins       []eval.Bin
	request    monitor.EvalRequest
	config     *pipeline.Config
	generation uint64
	calibrated bool
}

// begin opens the collection and starts the clock of a run.
func (a *app) begin(ctx context.Context, c *collection, questions int, options ...pipeline.Option) (*evaluation, *pipeline.Pipeline, func(), error) {
	p, done, err := a.openCollection(ctx, c, options...)
	if err != nil {
		return nil, nil, nil, err
	}
	// The record must not name the temporary place.
	given, err := a.config()
	if err != nil {
		done()
		return nil, nil, nil, err
	}
	config := *p.Config()
	config.Data = given.Data
	run := &evaluation{config: &config, report: &eval.Report{
		Dataset: c.name, N: questions, Metrics: map[string]float64{}, Index: cmp.Or(a.indexName, "(temporary)"),
	}}
	if m := p.Model(); m.Hash != "" {
		run.report.Model = &eval.Model{Name: m.Name, Hash: m.Hash}
	}
	if a.indexName != "" {
		stats, err := p.Stats(ctx, a.indexName)
		if err != nil {
			done()
			return nil, nil, nil, err
		}
		run.generation = stats.Generation
	}
	return run, p, done, nil
}

// retrievalDepth is how many passages are fetched to rank documents: a document
// may have several passages, and recall is reported up to 50 documents.
const retrievalDepth = 200

func (a *app) evalRetriever(ctx context.Context, c *collection, questions []eval.Question) (*evaluation, error) {
	var queries []ranking
	for _, q := range questions {
		if !q.Impossible {
			queries = append(queries, ranking{q.ID, q.Text, q.Title, q.ParagraphID, eval.Grades{q.ParagraphID: 1}})
		}
	}
	return a.evalRankings(ctx, c, queries)
}

func (a *app) evalBEIR(ctx context.Context, o evalOptions) (*evaluation, error) {
	data, err := eval.ReadBEIR(os.DirFS(o.path), "test")
	if err != nil {
		return nil, fmt.Errorf("eval: %s: %w", o.path, err)
	}
	c := newCollection(o.path)
	for _, d := range data.Documents {
		if strings.TrimSpace(d.Text) == "" {
			d.Text = d.Title
		}
		if strings.TrimSpace(d.Text) != "" {
			c.documents = append(c.documents, retriever.Document{ID: d.ID, Title: d.Title, Text: d.Text})
		}
	}
	texts := make(map[string]string, len(data.Queries))
	for _, q := range data.Queries {
		texts[q.ID] = q.Text
	}
	var queries []ranking
	for _, q := range data.Ranked(nil) {
		queries = append(queries, ranking{id: q.ID, text: texts[q.ID], grades: q.Grades})
	}
	return a.evalRankings(ctx, c, sample(queries, o.limit))
}

// ranking is a query to be ranked for.
type ranking struct {
	id, text, title, gold string
	grades                eval.Grades
}

func (a *app) evalRankings(ctx context.Context, c *collection, queries []ranking) (*evaluation, error) {
	run, p, done, err := a.begin(ctx, c, len(queries), pipeline.WithoutReader(), pipeline.WithoutRanker())
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	ranked := make([]eval.RankedQuery, len(queries))
	outcomes := make([]eval.Outcome, len(queries))
	err = each(ctx, "retrieving", queries, func(ctx context.Context, i int, q ranking) error {
		begin := time.Now()
		ids, err := rankDocuments(ctx, p, q.text)
		if err != nil {
			return fmt.Errorf("query %s: %w", q.id, err)
		}
		ranked[i] = eval.RankedQuery{ID: q.id, Grades: q.grades, Ranking: ids}
		outcomes[i] = eval.Outcome{
			ID: q.id, Question: q.text, Title: q.title, GoldDocument: q.gold, PassageWords: len(strings.Fields(c.text[q.gold])),
			Rank:         1 + slices.IndexFunc(ids, func(id string) bool { return q.grades[id] > 0 }),
			Milliseconds: float64(time.Since(begin).Microseconds()) / 1000,
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	scores := eval.ScoreRankings(ranked)
	run.report.Stage, run.report.Seconds, run.report.N = eval.StageRetriever, time.Since(begin).Seconds(), scores.Queries
	run.report.SetRankings(scores)
	for i, q := range ranked {
		if !relevant(q.Grades) {
			continue // no ranking can be right or wrong
		}
		outcomes[i].Scores = eval.RankingMetrics(q)
		run.outcomes = append(run.outcomes, outcomes[i])
	}
	return run, nil
}

func relevant(grades eval.Grades) bool {
	for _, grade := range grades {
		if grade > 0 {
			return true
		}
	}
	return false
}

func rankDocuments(ctx context.Context, p *pipeline.Pipeline, text string) ([]string, error) {
	result, err := p.Search(ctx, pipeline.SearchRequest{Query: text, TopK: retrievalDepth, Access: pipeline.FullAccess()})
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(result.Hits))
	for i, h := range result.Hits {
		ids[i] = h.DocumentID
	}
	return eval.Unique(ids), nil
}

// evalReader gives the reader the gold paragraph, in windows, and forces the
// span with the best logits, as the SQuAD leaderboard does.
func (a *app) evalReader(ctx context.Context, c *collection, questions []eval.Question, o evalOptions) (*evaluation, error) {
	run, p, done, err := a.begin(ctx, &collection{name: c.name}, len(questions))
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	predicted, err := readGold(ctx, c, p, questions)
	if err != nil {
		return nil, err
	}
	run.report.Stage, run.report.Seconds = eval.StageReader, time.Since(begin).Seconds()
	run.outcomes = outcomes(c, questions)
	return run, run.answers(questions, predicted.Predictions, predicted.Threshold, o.predictions)
}

// outcomes begins the outcomes of questions with what the data set tells.
func outcomes(c *collection, questions []eval.Question) []eval.Outcome {
	list := make([]eval.Outcome, len(questions))
	for i, q := range questions {
		list[i] = eval.Outcome{
			ID: q.ID, Question: q.Text, Title: q.Title, Gold: texts(q.Answers), GoldDocument: q.ParagraphID,
			PassageWords: len(strings.Fields(c.text[q.ParagraphID])), Scores: map[string]float64{},
		}
	}
	return list
}

// readGold predicts from the gold paragraph of each question.
func readGold(ctx context.Context, c *collection, p *pipeline.Pipeline, questions []eval.Question) (eval.Predicted, error) {
	predicted := eval.Predicted{
		Predictions:   make([]eval.Prediction, len(questions)),
		Probabilities: make([]float64, len(questions)),
		Threshold:     p.NoAnswerThreshold(),
	}
	err := each(ctx, "reading", questions, func(ctx context.Context, i int, q eval.Question) error {
		text := c.text[q.ParagraphID]
		reading, err := p.ReadPassages(ctx, q.Text, []retriever.Passage{{DocumentID: q.ParagraphID, End: len([]rune(text)), Text: text}})
		if err != nil {
			return fmt.Errorf("question %s: %w", q.ID, err)
		}
		predicted.Predictions[i], predicted.Probabilities[i] = p.Judge(reading)
		return nil
	})
	return predicted, err
}

// answerDepths are the depths at which answer recall is reported.
func answerDepths() []int { return []int{1, 3, 5} }

func (a *app) evalEndToEnd(ctx context.Context, c *collection, questions []eval.Question, o evalOptions) (*evaluation, error) {
	run, p, done, err := a.begin(ctx, c, len(questions))
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	run.outcomes = outcomes(c, questions)
	predicted := make([]eval.Prediction, len(questions))
	correct := make([]bool, len(questions))
	var calibrated atomic.Bool
	err = each(ctx, "asking", questions, func(ctx context.Context, i int, q eval.Question) error {
		depth := slices.Max(answerDepths())
		result, err := p.Ask(ctx, pipeline.Request{Question: q.Text, TopK: depth, IncludeRejected: true, Explain: true, Access: pipeline.FullAccess()})
		if err != nil {
			return fmt.Errorf("question %s: %w", q.ID, err)
		}
		observe(&run.outcomes[i], result)
		calibrated.Store(result.Calibrated)
		predicted[i].NoAnswer = result.NoAnswerProbability
		given := slices.Concat(result.Answers, result.Rejected)
		if len(given) > 0 {
			predicted[i].Text = given[0].Text
		}
		correct[i] = run.outcomes[i].Scores[eval.AnswerRecallName(1)] == 1
		return nil
	})
	if err != nil {
		return nil, err
	}
	run.report.Stage, run.report.Seconds, run.calibrated = eval.StageEndToEnd, time.Since(begin).Seconds(), calibrated.Load()
	if err := run.answers(questions, predicted, p.NoAnswerThreshold(), o.predictions); err != nil {
		return nil, err
	}
	for _, k := range answerDepths() {
		run.report.Set(eval.AnswerRecallName(k), eval.Mean(eval.Values(run.outcomes, eval.AnswerRecallName(k))))
	}
	probabilities := make([]float64, len(questions))
	for i, o := range run.outcomes {
		probabilities[i] = o.Probability
	}
	ece, bins, err := eval.Calibration(probabilities, correct, eval.CalibrationBins)
	if err != nil {
		return nil, err
	}
	run.report.Set(eval.MetricECE, ece)
	run.bins = bins
	return run, nil
}

// observe adds to an outcome what a request gave.
func observe(o *eval.Outcome, result *pipeline.Result) {
	o.Milliseconds = result.TimingsMS["total"]
	documents := make([]string, len(result.Candidates))
	for i, c := range result.Candidates {
		documents[i] = c.DocumentID
	}
	if o.GoldDocument != "" {
		o.Rank = 1 + slices.Index(eval.Unique(documents), o.GoldDocument)
	}
	given := slices.Concat(result.Answers, result.Rejected)
	if len(given) > 0 {
		o.PredictedDocument, o.Probability = given[0].DocumentID, given[0].Probability
	}
	if !o.Answered() {
		return
	}
	for _, k := range answerDepths() {
		found := 0.0
		for _, answer := range given[:min(k, len(given))] {
			em, _ := eval.BestMatch(answer.Text, o.Gold)
			found = max(found, em)
		}
		o.Scores[eval.AnswerRecallName(k)] = found
	}
}

// answers scores the predictions and adds the scores to the outcomes.
func (run *evaluation) answers(questions []eval.Question, predicted []eval.Prediction, threshold float64, file string) error {
	predictions := make(map[string]eval.Prediction, len(questions))
	for i, q := range questions {
		predictions[q.ID] = predicted[i]
	}
	scores, err := eval.ScoreAnswers(questions, predictions, threshold)
	if err != nil {
		return err
	}
	run.report.SetAnswers(scores)
	for i, s := range scores.Questions {
		o := &run.outcomes[i]
		o.Predicted, o.NoAnswer = predicted[i].Text, predicted[i].NoAnswer
		o.Scores[eval.MetricEMAll], o.Scores[eval.MetricF1All] = s.EMAll, s.F1All
		if s.Answered {
			o.Scores[eval.MetricEM], o.Scores[eval.MetricF1] = s.EM, s.F1
		}
	}
	if file == "" {
		return nil
	}
	return writePredictions(file, predictions)
}

// writePredictions writes what the official SQuAD 2.0 script reads: answers by
// question id, and beside it the no-answer probabilities.
func writePredictions(path string, predictions map[string]eval.Prediction) error {
	answers, nulls := make(map[string]string), make(map[string]float64)
	for id, p := range predictions {
		answers[id], nulls[id] = p.Text, p.NoAnswer
	}
	for file, value := range map[string]any{path: answers, strings.TrimSuffix(path, ".json") + ".na_prob.json": nulls} {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := cmp.Or(printJSON(f, value), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func texts(answers []eval.Answer) []string {
	list := make([]string, len(answers))
	for i, a := range answers {
		list[i] = a.Text
	}
	return list
}
