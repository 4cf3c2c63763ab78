package eval

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// officialFigures are the names of the official script, in percent.
type officialFigures map[string]float64

// golden is written by testdata/make_golden.py.
type golden struct {
	Normalized []struct{ Text, Want string }
	Pairs      []struct {
		Prediction, Gold string
		EM, F1           float64
	}
	Dataset struct {
		Questions []struct {
			ID         string
			Golds      []string
			Prediction string
			NoAnswer   float64 `json:"no_answer"`
		}
		Results []struct {
			Threshold float64
			Official  officialFigures
		}
	}
}

func readGolden(t testing.TB) golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Normalized) < 100 || len(g.Pairs) < 200 || len(g.Dataset.Results) < 3 {
		t.Fatalf("golden.json is not whole: %d strings, %d pairs, %d results", len(g.Normalized), len(g.Pairs), len(g.Dataset.Results))
	}
	return g
}

func TestNormalizeAsPython(t *testing.T) {
	for _, c := range readGolden(t).Normalized {
		if got := Normalize(c.Text); got != c.Want {
			t.Errorf("Normalize(%+q): got %+q, want %+q", c.Text, got, c.Want)
		}
	}
}

func TestExactMatchAndF1AsPython(t *testing.T) {
	for _, c := range readGolden(t).Pairs {
		if got := ExactMatch(c.Prediction, c.Gold); got != c.EM {
			t.Errorf("ExactMatch(%+q, %+q): got %v, want %v", c.Prediction, c.Gold, got, c.EM)
		}
		if got := F1(c.Prediction, c.Gold); !near(got, c.F1, 1e-9) {
			t.Errorf("F1(%+q, %+q): got %v, want %v", c.Prediction, c.Gold, got, c.F1)
		}
	}
}

// checkOfficial compares with every figure that the official script prints.
func checkOfficial(t *testing.T, s AnswerScores, want officialFigures) {
	t.Helper()
	unanswered := float64(s.Total - s.Answered)
	figures := map[string]float64{
		"exact": 100 * s.EMAll, "f1": 100 * s.F1All, "total": float64(s.Total),
		"HasAns_exact": 100 * s.HasAnswerEM, "HasAns_f1": 100 * s.HasAnswerF1, "HasAns_total": float64(s.Answered),
		"NoAns_exact": 100 * s.NoAnswerAccuracy, "NoAns_f1": 100 * s.NoAnswerAccuracy, "NoAns_total": unanswered,
		"best_exact": 100 * s.BestEM, "best_exact_thresh": s.BestEMThreshold,
		"best_f1": 100 * s.BestF1, "best_f1_thresh": s.BestF1Threshold,
	}
	if len(want) != len(figures) {
		t.Errorf("the script gave %d figures, want %d: %v", len(want), len(figures), want)
	}
	for name, got := range figures {
		if w, ok := want[name]; !ok || !near(got, w, 1e-8) {
			t.Errorf("%s: got %.10f, want %.10f", name, got, w)
		}
	}
}

func TestScoreAnswersAsOfficialScript(t *testing.T) {
	g := readGolden(t)
	var questions []Question
	predictions := make(map[string]Prediction)
	for _, q := range g.Dataset.Questions {
		question := Question{ID: q.ID, Impossible: len(q.Golds) == 0}
		for _, text := range q.Golds {
			question.Answers = append(question.Answers, Answer{Text: text})
		}
		questions = append(questions, question)
		predictions[q.ID] = Prediction{Text: q.Prediction, NoAnswer: q.NoAnswer}
	}
	for _, result := range g.Dataset.Results {
		t.Run(fmt.Sprint("threshold ", result.Threshold), func(t *testing.T) {
			s, err := ScoreAnswers(questions, predictions, result.Threshold)
			if err != nil {
				t.Fatal(err)
			}
			checkOfficial(t, s, result.Official)
		})
	}
}

func FuzzNormalize(f *testing.F) {
	for _, c := range readGolden(f).Normalized {
		f.Add(c.Text)
	}
	f.Add("\xff\xfe the")
	f.Fuzz(func(t *testing.T, s string) {
		once := Normalize(s)
		if strings.ContainsFunc(once, func(r rune) bool { return strings.ContainsRune("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\t\n", r) }) {
			t.Errorf("Normalize(%+q) = %+q keeps punctuation or a line break", s, once)
		}
		if once != strings.Join(Tokens(s), " ") {
			t.Errorf("Normalize and Tokens of %+q disagree", s)
		}
		if em, f1 := ExactMatch(s, s), F1(s, s); em != 1 || !near(f1, 1, 1e-12) {
			t.Errorf("%+q against itself: em %v, f1 %v, want 1 and 1", s, em, f1)
		}
	})
}
