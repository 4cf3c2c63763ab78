package eval

import "math"

// The stages of an evaluation.
const (
	StageRetriever = "retriever"
	StageRanker    = "ranker"
	StageReader    = "reader"
	StageEndToEnd  = "end-to-end"
)

// The names of the metrics in a [Report]. Recall is named by [RecallName].
const (
	MetricF1          = "f1"
	MetricEM          = "em"
	MetricF1All       = "f1_all"
	MetricEMAll       = "em_all"
	MetricBestF1      = "best_f1"
	MetricBestEM      = "best_exact"
	MetricBestF1At    = "best_f1_thresh"
	MetricBestEMAt    = "best_exact_thresh"
	MetricMRR         = "mrr"
	MetricMAP         = "map"
	MetricNDCG10      = "ndcg@10"
	MetricNoAnswerAUC = "no_answer_auc"
	MetricECE         = "ece"
	MetricNoAnswerECE = "no_answer_ece"
	// MetricCandidates97 is how many candidates must be read so that 97 % of the
	// gold documents are among them.
	MetricCandidates97 = "candidates_for_97"
	// MetricNoAnswerPrecision is the share of the questions that were left
	// without an answer which have none; MetricNoAnswerRecall the share of the
	// questions without an answer that were left so.
	MetricNoAnswerPrecision = "no_answer_precision"
	MetricNoAnswerRecall    = "no_answer_recall"
)

// A Report is the outcome of one evaluation, as `needle eval --json` prints it.
type Report struct {
	// Dataset names what was evaluated on.
	Dataset string `json:"dataset"`
	// Stage is one of StageRetriever, StageRanker, StageReader and
	// StageEndToEnd.
	Stage string `json:"stage"`
	// N is the number of questions or queries evaluated.
	N int `json:"n"`
	// Metrics are fractions from 0 to 1, thresholds included; see the Metric
	// constants. Those of the stage ranker that are counts or milliseconds say so
	// in their names, and what is of BM25 alone begins with bm25_. A metric that the data cannot give is absent.
	Metrics map[string]float64 `json:"metrics"`
	// Seconds is the wall time of the evaluation without loading the data.
	Seconds float64 `json:"seconds"`
	// Model is the bundle that read or ranked, nil when no model took part.
	Model *Model `json:"model"`
	// Index names the index that was searched, empty when none was.
	Index string `json:"index"`
}

// A Model identifies a bundle in a [Report].
type Model struct {
	Name string `json:"name"`
	Hash string `json:"hash"`
}

// AnswerRecallName returns the metric name of the share of answered questions
// with a right answer (exact match) among the first k, for example
// "answer_recall@3".
func AnswerRecallName(k int) string { return "answer_" + RecallName(k) }

// Set stores a metric. A value that is not a finite number is left out, since
// it says that the metric is undefined on this data and JSON has no word for
// it.
func (r *Report) Set(name string, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	if r.Metrics == nil {
		r.Metrics = make(map[string]float64)
	}
	r.Metrics[name] = value
}

// SetAnswers stores the answer metrics. Metrics over a kind of question that
// the data does not have are left out.
func (r *Report) SetAnswers(s AnswerScores) {
	if s.Answered > 0 {
		r.Set(MetricF1, s.F1)
		r.Set(MetricEM, s.EM)
	}
	if s.Total > 0 {
		r.Set(MetricF1All, s.F1All)
		r.Set(MetricEMAll, s.EMAll)
	}
	if s.Answered > 0 && s.Answered < s.Total {
		r.Set(MetricNoAnswerPrecision, s.NoAnswerPrecision)
		r.Set(MetricNoAnswerRecall, s.NoAnswerAccuracy)
		r.Set(MetricBestF1, s.BestF1)
		r.Set(MetricBestF1At, s.BestF1Threshold)
		r.Set(MetricBestEM, s.BestEM)
		r.Set(MetricBestEMAt, s.BestEMThreshold)
		r.Set(MetricNoAnswerAUC, s.NoAnswerAUC)
	}
}

// SetRankings stores the ranking metrics.
func (r *Report) SetRankings(s RankingScores) {
	if s.Queries == 0 {
		return
	}
	for _, k := range RecallDepths() {
		r.Set(RecallName(k), s.Recall[k])
	}
	r.Set(MetricMRR, s.MRR)
	r.Set(MetricMAP, s.MAP)
	r.Set(MetricNDCG10, s.NDCG10)
}
