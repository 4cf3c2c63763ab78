package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

type evalOptions struct {
	dataset     string
	path        string
	corpus      []string
	stage       string
	limit       int
	predictions string
}

func (a *app) evalCommand() *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Measure retrieval, reading and both on questions with known answers",
		Args:  cobra.NoArgs,
		Example: `  needle eval --dataset squad --path dev-v2.0.json --stage end-to-end --corpus more-paragraphs.json
  needle eval --dataset beir --path scifact`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := a.evaluate(cmd.Context(), o)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd.OutOrStdout(), report)
			}
			printReport(cmd.OutOrStdout(), report)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dataset, "dataset", "squad", "format of the data: squad or beir")
	flags.StringVar(&o.path, "path", "", "the data set: a SQuAD file or a BEIR directory")
	flags.StringArrayVar(&o.corpus, "corpus", nil, "SQuAD file, or directory of them, whose paragraphs are searched too (may be repeated)")
	flags.StringVar(&o.stage, "stage", "", "retriever, reader (gold paragraph given) or end-to-end (default: retriever for beir, else end-to-end)")
	flags.IntVar(&o.limit, "limit", 0, "ask only every n-th question so that about this many are asked; 0 asks all")
	flags.StringVar(&o.predictions, "predictions", "", "write predictions and no-answer probabilities to this file, for the official SQuAD script")
	return cmd
}

func (a *app) evaluate(ctx context.Context, o evalOptions) (*eval.Report, error) {
	if o.path == "" {
		return nil, fmt.Errorf("eval: --path is missing: name a SQuAD file or a BEIR directory")
	}
	switch {
	case o.dataset == "beir" && cmp.Or(o.stage, eval.StageRetriever) == eval.StageRetriever:
		return a.evalBEIR(ctx, o)
	case o.dataset == "beir":
		return nil, fmt.Errorf("eval: --stage %s: a BEIR data set has no answers; allowed is %s", o.stage, eval.StageRetriever)
	case o.dataset != "squad":
		return nil, fmt.Errorf("eval: --dataset %s; allowed are squad, beir", o.dataset)
	}
	c, err := loadCollection(o.path, o.corpus)
	if err != nil {
		return nil, err
	}
	questions := sample(c.dataset.Questions, o.limit)
	switch stage := cmp.Or(o.stage, eval.StageEndToEnd); stage {
	case eval.StageRetriever:
		return a.evalRetriever(ctx, c, questions)
	case eval.StageReader:
		return a.evalReader(ctx, c, questions, o)
	case eval.StageEndToEnd:
		return a.evalEndToEnd(ctx, c, questions, o)
	default:
		return nil, fmt.Errorf("eval: --stage %s; allowed are retriever, reader, end-to-end", stage)
	}
}

// sample takes evenly spaced questions, so that every article is represented.
func sample(questions []eval.Question, limit int) []eval.Question {
	if limit <= 0 || limit >= len(questions) {
		return questions
	}
	taken := make([]eval.Question, limit)
	for i := range taken {
		taken[i] = questions[i*len(questions)/limit]
	}
	return taken
}

// retrievalDepth is how many passages are fetched to rank documents: a document
// may have several passages, and recall is reported up to 50 documents.
const retrievalDepth = 200

func (a *app) evalRetriever(ctx context.Context, c *collection, questions []eval.Question) (*eval.Report, error) {
	questions = slices.DeleteFunc(slices.Clone(questions), func(q eval.Question) bool { return q.Impossible })
	p, done, err := a.openCollection(ctx, c, pipeline.WithoutReader())
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	ranked := make([]eval.RankedQuery, len(questions))
	err = each(ctx, "retrieving", questions, func(ctx context.Context, i int, q eval.Question) error {
		ids, err := rankDocuments(ctx, p, q.Text)
		ranked[i] = eval.RankedQuery{ID: q.ID, Grades: eval.Grades{q.ParagraphID: 1}, Ranking: ids}
		return err
	})
	if err != nil {
		return nil, err
	}
	report := a.newReport(c.name, eval.StageRetriever, len(questions), begin, nil)
	report.SetRankings(eval.ScoreRankings(ranked))
	return report, nil
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

func (a *app) evalBEIR(ctx context.Context, o evalOptions) (*eval.Report, error) {
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
	p, done, err := a.openCollection(ctx, c, pipeline.WithoutReader())
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	rankings := make(map[string][]string, len(data.Queries))
	for _, q := range data.Queries {
		if rankings[q.ID], err = rankDocuments(ctx, p, q.Text); err != nil {
			return nil, fmt.Errorf("query %s: %w", q.ID, err)
		}
	}
	scores := eval.ScoreRankings(data.Ranked(rankings))
	report := a.newReport(c.name, eval.StageRetriever, scores.Queries, begin, nil)
	report.SetRankings(scores)
	return report, nil
}

// evalReader gives the reader the gold paragraph, in windows, and forces the
// span with the best logits, as the SQuAD leaderboard does.
func (a *app) evalReader(ctx context.Context, c *collection, questions []eval.Question, o evalOptions) (*eval.Report, error) {
	p, done, err := a.openCollection(ctx, &collection{}, nil...)
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	predicted, err := readGold(ctx, c, p, questions)
	if err != nil {
		return nil, err
	}
	return a.answerReport(c, questions, predicted, p, eval.StageReader, begin, o)
}

// readGold predicts from the gold paragraph of each question.
func readGold(ctx context.Context, c *collection, p *pipeline.Pipeline, questions []eval.Question) ([]eval.Prediction, error) {
	predicted := make([]eval.Prediction, len(questions))
	err := each(ctx, "reading", questions, func(ctx context.Context, i int, q eval.Question) error {
		text := c.text[q.ParagraphID]
		reading, err := p.ReadPassages(ctx, q.Text, []retriever.Passage{{DocumentID: q.ParagraphID, End: len([]rune(text)), Text: text}})
		if err != nil {
			return err
		}
		predicted[i].NoAnswer = 1
		if len(reading.Spans) > 0 {
			predicted[i].Text = reading.Forced.Text
			predicted[i].NoAnswer = p.NoAnswerProbability(reading.Spans[0].Margin())
		}
		return nil
	})
	return predicted, err
}

func (a *app) evalEndToEnd(ctx context.Context, c *collection, questions []eval.Question, o evalOptions) (*eval.Report, error) {
	p, done, err := a.openCollection(ctx, c)
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	predicted := make([]eval.Prediction, len(questions))
	probabilities := make([]float64, len(questions))
	err = each(ctx, "asking", questions, func(ctx context.Context, i int, q eval.Question) error {
		result, err := p.Ask(ctx, pipeline.Request{Question: q.Text, TopK: 1, IncludeRejected: true, Access: pipeline.FullAccess()})
		if err != nil {
			return err
		}
		predicted[i].NoAnswer = result.NoAnswerProbability
		if best := slices.Concat(result.Answers, result.Rejected); len(best) > 0 {
			predicted[i].Text = best[0].Text
			probabilities[i] = best[0].Probability
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	report, err := a.answerReport(c, questions, predicted, p, eval.StageEndToEnd, begin, o)
	if err != nil {
		return nil, err
	}
	correct := make([]bool, len(questions))
	for i, q := range questions {
		em, _ := eval.BestMatch(predicted[i].Text, texts(q.Answers))
		correct[i] = em == 1 && !q.Impossible
	}
	ece, _, err := eval.Calibration(probabilities, correct, eval.CalibrationBins)
	if err != nil {
		return nil, err
	}
	report.Set(eval.MetricECE, ece)
	return report, nil
}

func texts(answers []eval.Answer) []string {
	list := make([]string, len(answers))
	for i, a := range answers {
		list[i] = a.Text
	}
	return list
}

func (a *app) answerReport(c *collection, questions []eval.Question, predicted []eval.Prediction, p *pipeline.Pipeline, stage string, begin time.Time, o evalOptions) (*eval.Report, error) {
	report := a.newReport(c.name, stage, len(questions), begin, p)
	predictions := make(map[string]eval.Prediction, len(questions))
	for i, q := range questions {
		predictions[q.ID] = predicted[i]
	}
	scores, err := eval.ScoreAnswers(questions, predictions, p.NoAnswerThreshold())
	if err != nil {
		return nil, err
	}
	report.SetAnswers(scores)
	if o.predictions == "" {
		return report, nil
	}
	return report, writePredictions(o.predictions, predictions)
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

func (a *app) newReport(dataset, stage string, n int, begin time.Time, p *pipeline.Pipeline) *eval.Report {
	r := &eval.Report{Dataset: dataset, Stage: stage, N: n, Metrics: map[string]float64{}, Seconds: time.Since(begin).Seconds(), Index: cmp.Or(a.indexName, "(temporary)")}
	if p != nil {
		m := p.Model()
		r.Model = &eval.Model{Name: m.Name, Hash: m.Hash}
	}
	return r
}

func printReport(w io.Writer, r *eval.Report) {
	fmt.Fprintf(w, "%s, %s, %d questions in %.1f s\n", r.Dataset, r.Stage, r.N, r.Seconds)
	if r.Model != nil {
		fmt.Fprintf(w, "model %s %s\n", r.Model.Name, short(r.Model.Hash))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		fmt.Fprintf(w, "  %-20s %.4f\n", name, r.Metrics[name])
	}
}
