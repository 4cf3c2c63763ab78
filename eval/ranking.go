package eval

import (
	"math"
	"slices"
	"strconv"
)

// RecallDepths returns the depths at which recall is reported.
func RecallDepths() []int { return []int{1, 5, 10, 20, 50} }

// RecallName returns the metric name of recall at a depth, for example
// "recall@10".
func RecallName(k int) string { return "recall@" + strconv.Itoa(k) }

// Grades are the relevance judgements of one query by document id. A grade
// above 0 is relevant; a document that is not listed has grade 0.
type Grades map[string]int

// relevant returns the number of relevant documents.
func (g Grades) relevant() int {
	n := 0
	for _, grade := range g {
		if grade > 0 {
			n++
		}
	}
	return n
}

// Unique returns the ids without later repetitions, in the same order. It
// turns a ranking of passages into one of documents.
func Unique(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// RecallAt returns the share of the relevant documents among the first k of
// the ranking, which has no repetitions. With one relevant document it is 1
// or 0. Without any it is 0.
func RecallAt(ranking []string, grades Grades, k int) float64 {
	total := grades.relevant()
	if total == 0 {
		return 0
	}
	found := 0
	for _, id := range ranking[:min(max(k, 0), len(ranking))] {
		if grades[id] > 0 {
			found++
		}
	}
	return float64(found) / float64(total)
}

// ReciprocalRank returns 1 over the rank of the first relevant document, and 0
// if there is none: trec_eval's recip_rank.
func ReciprocalRank(ranking []string, grades Grades) float64 {
	for i, id := range ranking {
		if grades[id] > 0 {
			return 1 / float64(i+1)
		}
	}
	return 0
}

// AveragePrecision returns the mean, over all relevant documents, of the
// precision at the rank of each; one that was not found counts 0: trec_eval's
// map for a single query.
func AveragePrecision(ranking []string, grades Grades) float64 {
	total := grades.relevant()
	if total == 0 {
		return 0
	}
	found, sum := 0, 0.0
	for i, id := range ranking {
		if grades[id] > 0 {
			found++
			sum += float64(found) / float64(i+1)
		}
	}
	return sum / float64(total)
}

// NDCGAt returns the normalised discounted cumulative gain of the first k: the
// gain is the grade itself (linear, not 2^grade-1), the discount is the binary
// logarithm of rank+1, and the ideal ranking is made of all judged documents:
// trec_eval's ndcg_cut. Negative grades gain nothing.
func NDCGAt(ranking []string, grades Grades, k int) float64 {
	var ideal []int
	for _, grade := range grades {
		if grade > 0 {
			ideal = append(ideal, grade)
		}
	}
	slices.Sort(ideal)
	slices.Reverse(ideal)
	best := discounted(len(ideal), k, func(i int) int { return ideal[i] })
	if best == 0 {
		return 0
	}
	return discounted(len(ranking), k, func(i int) int { return grades[ranking[i]] }) / best
}

func discounted(n, k int, grade func(int) int) float64 {
	sum := 0.0
	for i := range min(n, max(k, 0)) {
		if g := grade(i); g > 0 {
			sum += float64(g) / math.Log2(float64(i+2))
		}
	}
	return sum
}

// A RankedQuery is one query with its judgements and the ranking that a system
// gave: document ids, best first.
type RankedQuery struct {
	ID      string
	Grades  Grades
	Ranking []string
}

// RankingScores are means over queries.
type RankingScores struct {
	// Queries is the number of queries in the means: those with at least one
	// relevant document. Skipped counts the others, for which no ranking can be
	// right or wrong.
	Queries, Skipped int
	// Recall holds recall by depth; see [RecallDepths].
	Recall map[int]float64
	// MRR is the mean reciprocal rank, MAP the mean average precision, both
	// over the full rankings; NDCG10 is the mean of nDCG at 10.
	MRR, MAP, NDCG10 float64
}

// ScoreRankings scores rankings. Repetitions in a ranking are dropped, so that
// passages may be given by document id. A query whose ranking is empty counts
// 0, as with trec_eval -c.
func ScoreRankings(queries []RankedQuery) RankingScores {
	s := RankingScores{Recall: make(map[int]float64)}
	for _, q := range queries {
		if q.Grades.relevant() == 0 {
			s.Skipped++
			continue
		}
		s.Queries++
		scores := RankingMetrics(q)
		for _, k := range RecallDepths() {
			s.Recall[k] += scores[RecallName(k)]
		}
		s.MRR += scores[MetricMRR]
		s.MAP += scores[MetricMAP]
		s.NDCG10 += scores[MetricNDCG10]
	}
	if s.Queries > 0 {
		n := float64(s.Queries)
		for k := range s.Recall {
			s.Recall[k] /= n
		}
		s.MRR /= n
		s.MAP /= n
		s.NDCG10 /= n
	}
	return s
}

// RankingMetrics returns the metrics of one query by the names that a [Report]
// uses. The query must have a relevant document.
func RankingMetrics(q RankedQuery) map[string]float64 {
	ranking := Unique(q.Ranking)
	scores := map[string]float64{
		MetricMRR:    ReciprocalRank(ranking, q.Grades),
		MetricMAP:    AveragePrecision(ranking, q.Grades),
		MetricNDCG10: NDCGAt(ranking, q.Grades, 10),
	}
	for _, k := range RecallDepths() {
		scores[RecallName(k)] = RecallAt(ranking, q.Grades, k)
	}
	return scores
}
