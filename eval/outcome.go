package eval

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// An Outcome is what became of one question of an evaluation, with what is
// needed to find out for which kinds of questions a system fails.
type Outcome struct {
	ID       string `json:"id"`
	Question string `json:"question"`
	// Title is that of the article or document of the gold paragraph.
	Title string `json:"title,omitempty"`
	// Gold are the accepted answers; there are none for a question without one.
	Gold []string `json:"gold,omitempty"`
	// Predicted is the best span, whatever the threshold.
	Predicted string `json:"predicted,omitempty"`
	// GoldDocument holds the answer, PredictedDocument gave the prediction.
	GoldDocument      string `json:"gold_document,omitempty"`
	PredictedDocument string `json:"predicted_document,omitempty"`
	// Rank is the rank of the gold document among the retrieved, from 1; 0
	// says that it was not found, or that nothing was retrieved.
	Rank int `json:"rank,omitempty"`
	// Scores are the values of this question by metric name, 0 to 1: the mean
	// over all questions that have a metric is the reported one.
	Scores map[string]float64 `json:"scores"`
	// Probability and NoAnswer are P(this answer is correct) and P(no answer).
	Probability float64 `json:"probability"`
	NoAnswer    float64 `json:"no_answer"`
	// PassageWords is the length of the gold paragraph in words.
	PassageWords int `json:"passage_words,omitempty"`
	// Milliseconds is the time of the whole request.
	Milliseconds float64 `json:"ms"`
}

// Answered says that the question has a gold answer.
func (o Outcome) Answered() bool { return len(o.Gold) > 0 }

// Values returns the scores of one metric in the order of the outcomes, of
// those that have it.
func Values(outcomes []Outcome, metric string) []float64 {
	var values []float64
	for _, o := range outcomes {
		if v, ok := o.Scores[metric]; ok {
			values = append(values, v)
		}
	}
	return values
}

// Paired returns the scores of one metric of two systems for the questions, by
// id, that both were asked, in the order of a.
func Paired(a, b []Outcome, metric string) (first, second []float64) {
	other := make(map[string]float64, len(b))
	for _, o := range b {
		if v, ok := o.Scores[metric]; ok {
			other[o.ID] = v
		}
	}
	for _, o := range a {
		v, ok := o.Scores[metric]
		w, both := other[o.ID]
		if ok && both {
			first, second = append(first, v), append(second, w)
		}
	}
	return first, second
}

// A Group is a row of a breakdown.
type Group struct {
	Name string `json:"name"`
	N    int    `json:"n"`
	// Mean is the mean of the metric, and Interval its 95 % bootstrap interval.
	Mean     float64 `json:"mean"`
	Interval Range   `json:"interval"`
}

// breakdownResamples is fewer than [Resamples], for a breakdown has many rows
// and its intervals only say which of them are too small to be read.
const breakdownResamples = 1000

// Breakdown groups the outcomes that have a metric by a property of theirs.
// Outcomes whose property is empty are left out. The greatest groups come
// first, at most limit of them; 0 means all.
func Breakdown(outcomes []Outcome, metric string, property func(Outcome) string, limit int) []Group {
	values := make(map[string][]float64)
	for _, o := range outcomes {
		name := property(o)
		if v, ok := o.Scores[metric]; ok && name != "" {
			values[name] = append(values[name], v)
		}
	}
	groups := make([]Group, 0, len(values))
	for name, its := range values {
		g := Group{Name: name, N: len(its), Mean: Mean(its)}
		// It cannot fail: there are values, a level and resamples.
		g.Interval, _ = Interval(its, 0.95, breakdownResamples, 1)
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name))
	})
	if limit > 0 && len(groups) > limit {
		groups = groups[:limit]
	}
	return groups
}

// QuestionType names the kind of an English question by its question word:
// who, when, where, why, which, what, how many (and how much), how, yes/no, or
// other. The question word need not come first ("In which year").
func QuestionType(question string) string {
	words := strings.FieldsFunc(strings.ToLower(question), func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\n' || r == ',' || r == '?' || r == '\'' || r == '’'
	})
	if len(words) == 0 {
		return "other"
	}
	if slices.Contains([]string{"is", "are", "was", "were", "do", "does", "did", "can", "could", "has", "have", "had", "will", "would", "should"}, words[0]) {
		return "yes/no"
	}
	for i, w := range words {
		switch w {
		case "who", "when", "where", "why", "which", "what":
			return w
		case "whom", "whose":
			return "who"
		case "how":
			if i+1 < len(words) && (words[i+1] == "many" || words[i+1] == "much") {
				return "how many"
			}
			return w
		}
	}
	return "other"
}

// LengthBucket names a range of a length in words, for example "6-10".
func LengthBucket(words int, borders ...int) string {
	lower := 1
	for _, border := range borders {
		if words <= border {
			return strconv.Itoa(lower) + "-" + strconv.Itoa(border)
		}
		lower = border + 1
	}
	return "over " + strconv.Itoa(lower-1)
}
