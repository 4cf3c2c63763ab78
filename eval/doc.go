// Package eval holds the metrics that Needle is judged by and the data-set
// formats that they are computed on, and nothing else: it reads no index and
// runs no model.
//
// Data sets are read by [ReadSQuAD] and [ReadBEIR]. Answers are scored by
// [ScoreAnswers] exactly as the official SQuAD 2.0 script does, rankings by
// [ScoreRankings] with the conventions of trec_eval, probabilities by
// [Calibration] and [AUC]. [Interval] and [PairedPermutation] say how far a
// difference may be chance. A [Report] carries the figures of one evaluation.
//
// The smallest use:
//
//	data, err := eval.ReadSQuAD(file, "dev")
//	scores, err := eval.ScoreAnswers(data.Questions, predictions, 0.5)
//	fmt.Println(scores.F1All)
//
// All scores are fractions from 0 to 1. Every function is pure apart from the
// readers, which consume their argument; values may be shared between
// goroutines as long as nobody changes them.
package eval
