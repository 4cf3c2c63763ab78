package main

import (
	"context"
	"slices"
	"time"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/pipeline"
)

// wantedFound is the part of the gold paragraphs that should be among what is
// read.
const wantedFound = 0.97

// evalRanker measures what the configured ranker gains: recall of gold documents
// by BM25 alone and after ranking, how many candidates must be read to have
// 97 % of them, and the time of both. Questions are asked one after the other,
// so that the times are those of a question that is alone.
func (a *app) evalRanker(ctx context.Context, c *collection, questions []eval.Question) (*evaluation, error) {
	questions = slices.DeleteFunc(slices.Clone(questions), func(q eval.Question) bool { return q.Impossible })
	run, p, done, err := a.begin(ctx, c, len(questions))
	if err != nil {
		return nil, err
	}
	defer done()
	begin := time.Now()
	before := make([]eval.RankedQuery, len(questions))
	after := make([]eval.RankedQuery, len(questions))
	var retrieveMS, rankMS, tookMS []float64
	bar := newBar("ranking", int64(len(questions)))
	defer bar.Close()
	for i, q := range questions {
		observed, err := p.ObserveRanking(ctx, q.Text, q.ParagraphID)
		if err != nil {
			return nil, err
		}
		result, err := p.Search(ctx, pipeline.SearchRequest{Query: q.Text, TopK: retrievalDepth, Access: pipeline.FullAccess()})
		if err != nil {
			return nil, err
		}
		ids := make([]string, len(result.Hits))
		for n, h := range result.Hits {
			ids[n] = h.DocumentID
		}
		grades := eval.Grades{q.ParagraphID: 1}
		before[i] = eval.RankedQuery{ID: q.ID, Grades: grades, Ranking: observed.Ranking(0)}
		after[i] = eval.RankedQuery{ID: q.ID, Grades: grades, Ranking: ids}
		retrieveMS = append(retrieveMS, result.TimingsMS["retrieve"])
		rankMS = append(rankMS, result.TimingsMS["rank"])
		tookMS = append(tookMS, result.TimingsMS["total"])
		bar.Set(int64(i + 1))
	}
	report := run.report
	report.Stage, report.Seconds = eval.StageRanker, time.Since(begin).Seconds()
	report.Set(eval.MetricCandidates97, candidatesFor(after))
	report.Set("bm25_"+eval.MetricCandidates97, candidatesFor(before))
	report.Set("retrieve_ms_p50", median(retrieveMS))
	report.Set("rank_ms_p50", median(rankMS))
	for i := range questions {
		before[i].Ranking, after[i].Ranking = eval.Unique(before[i].Ranking), eval.Unique(after[i].Ranking)
	}
	old := &eval.Report{}
	old.SetRankings(eval.ScoreRankings(before))
	for name, value := range old.Metrics {
		report.Set("bm25_"+name, value)
	}
	report.SetRankings(eval.ScoreRankings(after))
	for i, q := range after {
		run.outcomes = append(run.outcomes, eval.Outcome{
			ID: q.ID, Question: questions[i].Text, Title: questions[i].Title, GoldDocument: questions[i].ParagraphID,
			Rank:         1 + slices.IndexFunc(q.Ranking, func(id string) bool { return q.Grades[id] > 0 }),
			Milliseconds: tookMS[i], Scores: eval.RankingMetrics(q),
		})
	}
	return run, nil
}

// candidatesFor is how many candidates of each question must be read so that
// 97 % of the gold documents are among them; more than there are candidates if
// that cannot be had.
func candidatesFor(queries []eval.RankedQuery) float64 {
	ranks := make([]int, 0, len(queries))
	for _, q := range queries {
		rank := retrievalDepth + 1
		if i := slices.IndexFunc(q.Ranking, func(id string) bool { return q.Grades[id] > 0 }); i >= 0 {
			rank = i + 1
		}
		ranks = append(ranks, rank)
	}
	if len(ranks) == 0 {
		return 0
	}
	slices.Sort(ranks)
	at := int(wantedFound*float64(len(ranks)) + 0.999999)
	return float64(ranks[max(at, 1)-1])
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
