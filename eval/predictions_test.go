package eval

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestRealPredictions scores what a real model said about a real data set. The
// predictions are stored as offsets; see testdata/make_predictions.py.
func TestRealPredictions(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "official.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]any)
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	name, _ := want["dataset"].(string)
	threshold, _ := want["threshold"].(float64)
	figures := make(officialFigures)
	for key, value := range want {
		if f, ok := value.(float64); ok && key != "threshold" {
			figures[key] = f
		}
	}

	data := readShared(t, filepath.Join("squad2", name))
	s, err := ScoreAnswers(data.Questions, readPredictions(t, data), threshold)
	if err != nil {
		t.Fatal(err)
	}
	checkOfficial(t, s, figures)
	if s.NoAnswerAUC <= 0.5 || s.NoAnswerAUC >= 1 {
		t.Errorf("no_answer_auc of a real model: got %v, want between 0.5 and 1", s.NoAnswerAUC)
	}
}

func readPredictions(t *testing.T, data *Dataset) map[string]Prediction {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "predictions.tsv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	paragraphs := make(map[string][]rune)
	for _, p := range data.Paragraphs {
		paragraphs[p.ID] = []rune(p.Text)
	}
	lines := bufio.NewScanner(unzipped)
	predictions := make(map[string]Prediction)
	for _, q := range data.Questions {
		if !lines.Scan() {
			t.Fatalf("predictions end after %d questions: %v", len(predictions), lines.Err())
		}
		var start, end int
		var p float64
		if _, err := fmt.Sscanf(lines.Text(), "%d\t%d\t%g", &start, &end, &p); err != nil {
			t.Fatalf("prediction %q: %v", lines.Text(), err)
		}
		predictions[q.ID] = Prediction{Text: string(paragraphs[q.ParagraphID][start:end]), NoAnswer: p}
	}
	if lines.Scan() {
		t.Fatalf("more predictions than questions: %q", lines.Text())
	}
	return predictions
}
