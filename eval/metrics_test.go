package eval

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBestMatch(t *testing.T) {
	for _, c := range []struct {
		name       string
		prediction string
		golds      []string
		em, f1     float64
	}{
		{"exact", "The tower.", []string{"a tower"}, 1, 1},
		{"half of the words", "red car", []string{"red house"}, 0, 0.5},
		{"bags count words", "cat cat dog", []string{"cat dog dog"}, 0, 2.0 / 3},
		{"best of several", "blue", []string{"red", "blue car", "dark blue"}, 0, 2.0 / 3},
		{"empty where nothing is right", "", nil, 1, 1},
		{"something where nothing is right", "blue", nil, 0, 0},
		{"empty where something is right", "", []string{"blue"}, 0, 0},
		{"golds without words do not count", "the", []string{"blue", "the"}, 0, 0},
		{"only golds without words", "...", []string{"the", "!"}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if em, f1 := BestMatch(c.prediction, c.golds); em != c.em || !near(f1, c.f1, 1e-12) {
				t.Errorf("got %v and %v, want %v and %v", em, f1, c.em, c.f1)
			}
		})
	}
}

func TestScoreAnswers(t *testing.T) {
	questions := []Question{
		{ID: "right", Answers: []Answer{{Text: "blue"}}},
		{ID: "withheld", Answers: []Answer{{Text: "green car"}}},
		{ID: "none, found out", Impossible: true},
		{ID: "none, missed", Impossible: true},
	}
	predictions := map[string]Prediction{
		"right": {"Blue", 0.1}, "withheld": {"car", 0.8}, "none, found out": {"x", 0.9}, "none, missed": {"y", 0.5}, "other": {"z", 0},
	}
	s, err := ScoreAnswers(questions, predictions, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"EM of the forced spans", s.EM, 0.5},
		{"F1 of the forced spans", s.F1, (1 + 2.0/3) / 2},
		{"EM of all", s.EMAll, 0.5}, // a score equal to the threshold is answered
		{"F1 of all", s.F1All, 0.5},
		{"accuracy without an answer", s.NoAnswerAccuracy, 0.5},
		{"best EM", s.BestEM, 0.75}, // answer "right" alone
		{"its threshold", s.BestEMThreshold, 0.1},
		{"AUC", s.NoAnswerAUC, 0.75},
	} {
		if !near(c.got, c.want, 1e-12) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
	if s.Total != 4 || s.Answered != 2 || len(s.Questions) != 4 || s.Questions[1].F1All != 0 || !near(s.Questions[1].F1, 2.0/3, 1e-12) {
		t.Errorf("counts or single scores are wrong: %+v", s)
	}

	delete(predictions, "withheld")
	if _, err := ScoreAnswers(questions, predictions, 0.5); !errors.Is(err, ErrMissingPrediction) || !strings.Contains(err.Error(), `"withheld"`) {
		t.Errorf("a missing prediction: got error %v", err)
	}
	predictions["withheld"] = Prediction{"car", math.NaN()}
	if _, err := ScoreAnswers(questions, predictions, 0.5); err == nil {
		t.Error("a no-answer score that is not a number was accepted")
	}
	if s, err := ScoreAnswers(nil, nil, 0.5); err != nil || s.Total != 0 || s.F1All != 0 {
		t.Errorf("no questions: got %+v, %v", s, err)
	}
}

func TestRankingMetrics(t *testing.T) {
	ranking := []string{"a", "b", "c", "d"}
	grades := Grades{"b": 3, "d": 1, "x": 2, "c": 0, "a": -1}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"recall at 0", RecallAt(ranking, grades, 0), 0},
		{"recall at 1", RecallAt(ranking, grades, 1), 0},
		{"recall at 2", RecallAt(ranking, grades, 2), 1.0 / 3},
		{"recall beyond the end", RecallAt(ranking, grades, 50), 2.0 / 3},
		{"reciprocal rank", ReciprocalRank(ranking, grades), 0.5},
		{"average precision", AveragePrecision(ranking, grades), (1.0/2 + 2.0/4) / 3},
		{"nDCG", NDCGAt(ranking, grades, 10), (3/math.Log2(3) + 1/math.Log2(5)) / (3 + 2/math.Log2(3) + 1/math.Log2(4))},
		{"nDCG at 2", NDCGAt(ranking, grades, 2), (3 / math.Log2(3)) / (3 + 2/math.Log2(3))},
		{"nDCG without grades", NDCGAt(ranking, Grades{"a": 0}, 10), 0},
		{"recall without grades", RecallAt(ranking, nil, 5), 0},
		{"average precision without grades", AveragePrecision(ranking, nil), 0},
		{"reciprocal rank without a hit", ReciprocalRank([]string{"c"}, grades), 0},
	} {
		if !near(c.got, c.want, 1e-12) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestScoreRankings(t *testing.T) {
	s := ScoreRankings([]RankedQuery{
		{ID: "passages of one document", Grades: Grades{"b": 1}, Ranking: []string{"a", "a", "a", "b"}},
		{ID: "not found", Grades: Grades{"b": 1}},
		{ID: "nothing relevant", Grades: Grades{"b": 0}, Ranking: []string{"b"}},
	})
	want := RankingScores{Queries: 2, Skipped: 1, MRR: 0.25, MAP: 0.25, NDCG10: 0.5 / math.Log2(3),
		Recall: map[int]float64{1: 0, 5: 0.5, 10: 0.5, 20: 0.5, 50: 0.5}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("ScoreRankings (-want +got):\n%s", diff)
	}
}

func TestAUC(t *testing.T) {
	for _, c := range []struct {
		name     string
		scores   []float64
		positive []bool
		want     float64
	}{
		{"perfect", []float64{0.1, 0.9}, []bool{false, true}, 1},
		{"reversed", []float64{0.9, 0.1}, []bool{false, true}, 0},
		{"all tied", []float64{1, 1, 1}, []bool{false, true, true}, 0.5},
		{"one tie", []float64{0.2, 0.5, 0.5, 0.9}, []bool{false, false, true, true}, 0.875},
		{"infinite scores", []float64{math.Inf(-1), math.Inf(1)}, []bool{false, true}, 1},
		{"one class", []float64{1, 2}, []bool{true, true}, math.NaN()},
		{"none", nil, nil, math.NaN()},
		{"different lengths", []float64{1}, nil, math.NaN()},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := AUC(c.scores, c.positive)
			if !near(got, c.want, 1e-12) && !(math.IsNaN(got) && math.IsNaN(c.want)) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// The area under the curve is a probability over pairs, which a small sample
// allows to count.
func TestAUCCountsPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		n := 2 + random.IntN(30)
		scores, positive := make([]float64, n), make([]bool, n)
		for i := range n {
			scores[i], positive[i] = float64(random.IntN(6)), random.IntN(2) == 0
		}
		positive[0], positive[1] = true, false
		wins, pairs := 0.0, 0.0
		for i := range n {
			for j := range n {
				if positive[i] && !positive[j] {
					pairs++
					if scores[i] > scores[j] {
						wins++
					} else if scores[i] == scores[j] {
						wins += 0.5
					}
				}
			}
		}
		if got := AUC(scores, positive); !near(got, wins/pairs, 1e-12) {
			t.Errorf("round %d: got %v, want %v", round, got, wins/pairs)
		}
	}
}

func TestCalibration(t *testing.T) {
	// Two bins of two: |0.15-0.5| and |0.85-1|, each with half of the mass.
	ece, table, err := Calibration([]float64{0.9, 0.1, 0.8, 0.2}, []bool{true, false, true, true}, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []Bin{{0.1, 0.2, 2, 0.15, 0.5}, {0.8, 0.9, 2, 0.85, 1}}
	for i, b := range table {
		if b.Count != want[i].Count || b.Lower != want[i].Lower || b.Upper != want[i].Upper ||
			!near(b.Probability, want[i].Probability, 1e-12) || !near(b.Accuracy, want[i].Accuracy, 1e-12) {
			t.Errorf("bin %d: got %+v, want %+v", i, b, want[i])
		}
	}
	if len(table) != 2 || !near(ece, 0.25, 1e-12) {
		t.Errorf("got %v over %d bins, want 0.25 over 2", ece, len(table))
	}
}

func TestCalibrationTies(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	probabilities, correct := make([]float64, 100), make([]bool, 100)
	for i := range probabilities {
		probabilities[i], correct[i] = float64(random.IntN(5))/4, random.IntN(2) == 0
	}
	first, table, err := Calibration(probabilities, correct, CalibrationBins)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for i, b := range table {
		total += b.Count
		if i > 0 && b.Lower <= table[i-1].Upper {
			t.Errorf("bins %d and %d share the probability %v", i-1, i, b.Lower)
		}
	}
	if total != 100 || len(table) != 5 {
		t.Errorf("%d predictions in %d bins, want 100 in 5", total, len(table))
	}
	for range 20 {
		random.Shuffle(100, func(i, j int) {
			probabilities[i], probabilities[j] = probabilities[j], probabilities[i]
			correct[i], correct[j] = correct[j], correct[i]
		})
		if again, _, _ := Calibration(probabilities, correct, CalibrationBins); !near(again, first, 1e-12) {
			t.Errorf("another order gives %v, want %v", again, first)
		}
	}
}

func TestCalibrationEqualMass(t *testing.T) {
	probabilities, correct := make([]float64, 151), make([]bool, 151)
	for i := range probabilities {
		probabilities[i] = float64(i) / 150
	}
	_, table, err := Calibration(probabilities, correct, CalibrationBins)
	if err != nil || len(table) != CalibrationBins {
		t.Fatalf("got %d bins and error %v, want %d", len(table), err, CalibrationBins)
	}
	for i, b := range table {
		if b.Count < 10 || b.Count > 11 {
			t.Errorf("bin %d holds %d of 151, want 10 or 11", i, b.Count)
		}
	}
}

func TestCalibrationErrors(t *testing.T) {
	for _, c := range []struct {
		name          string
		probabilities []float64
		correct       []bool
		bins          int
	}{
		{"above 1", []float64{1.1}, []bool{true}, 15},
		{"not a number", []float64{math.NaN()}, []bool{true}, 15},
		{"lengths", []float64{1}, nil, 15},
		{"no bins", []float64{1}, []bool{true}, 0},
	} {
		if _, _, err := Calibration(c.probabilities, c.correct, c.bins); err == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
	if ece, table, err := Calibration(nil, nil, 15); !math.IsNaN(ece) || table != nil || err != nil {
		t.Errorf("no predictions: got %v, %v, %v, want NaN", ece, table, err)
	}
}

func TestReport(t *testing.T) {
	r := Report{Dataset: "dev", Stage: StageReader, N: 2, Seconds: 1.5, Model: &Model{Name: "m", Hash: "h"}, Index: "default"}
	r.Set(MetricF1, 0.5)
	r.Set("undefined", math.NaN())
	r.Set("infinite", math.Inf(1))
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"dataset":"dev","stage":"reader","n":2,"metrics":{"f1":0.5},"seconds":1.5,"model":{"name":"m","hash":"h"},"index":"default"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReportLeavesOutWhatDoesNotApply(t *testing.T) {
	names := func(fill func(*Report)) map[string]bool {
		var r Report
		fill(&r)
		out := make(map[string]bool)
		for name := range r.Metrics {
			out[name] = true
		}
		return out
	}
	answered := []Question{{ID: "1", Answers: []Answer{{Text: "x"}}}}
	both := append(answered, Question{ID: "2", Impossible: true})
	predictions := map[string]Prediction{"1": {"x", 0}, "2": {"y", 1}}
	for _, c := range []struct {
		name      string
		questions []Question
		want      string
	}{
		{"only answered", answered, "em em_all f1 f1_all"},
		{"both kinds", both, "best_exact best_exact_thresh best_f1 best_f1_thresh em em_all f1 f1_all no_answer_auc no_answer_precision no_answer_recall"},
		{"only impossible", both[1:], "em_all f1_all"},
		{"none", nil, ""},
	} {
		s, err := ScoreAnswers(c.questions, predictions, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string]bool)
		for _, name := range strings.Fields(c.want) {
			want[name] = true
		}
		if diff := cmp.Diff(want, names(func(r *Report) { r.SetAnswers(s) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	ranked := names(func(r *Report) { r.SetRankings(ScoreRankings([]RankedQuery{{Grades: Grades{"a": 1}}})) })
	for _, name := range []string{"recall@1", "recall@5", "recall@10", "recall@20", "recall@50", "mrr", "map", "ndcg@10"} {
		if !ranked[name] {
			t.Errorf("SetRankings left out %s", name)
		}
	}
	if got := names(func(r *Report) { r.SetRankings(RankingScores{}) }); len(got) > 0 {
		t.Errorf("metrics of no queries: %v", got)
	}
}

func ExampleScoreAnswers() {
	questions := []Question{
		{ID: "tower", Text: "Who designed the tower?", Answers: []Answer{{Text: "Stephen Sauvestre"}, {Text: "Sauvestre"}}},
		{ID: "colour", Text: "What colour is the wind?", Impossible: true},
	}
	scores, err := ScoreAnswers(questions, map[string]Prediction{
		"tower":  {Text: "the architect Stephen Sauvestre", NoAnswer: 0.1},
		"colour": {Text: "blue", NoAnswer: 0.8},
	}, 0.5)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("f1 %.2f, f1_all %.2f, em_all %.2f\n", scores.F1, scores.F1All, scores.EMAll)
	// Output: f1 0.80, f1_all 0.90, em_all 0.50
}
