package train

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/models/heads/weights"
)

// ErrExamples says that the examples do not suffice or do not fit; the message
// says which.
var ErrExamples = errors.New("unusable examples")

// An item is one encoding with what the head should say of it.
type item struct {
	encoding models.Encoding
	// rows are the tokens that count; none means that they are pooled.
	rows []int
	// target is the right label, or the places in rows where the answer starts
	// and ends.
	target [2]int
	// group keeps items that share text on one side of the split.
	group string
}

// A Task is what a head is fitted for.
type Task struct {
	kind    string
	labels  []string // of a classification
	pooling weights.Pooling
	outputs int
	items   []item
	// start, when set, is the layer that fitting begins from.
	start *startLayer
	// Skipped counts examples that cannot be learned from, such as answers that
	// no tokens cover.
	Skipped int
}

type startLayer struct{ weight, bias []float32 }

// Items is how many encodings there are to learn from and to hold out.
func (t *Task) Items() int { return len(t.items) }

// Kind is the kind of head that comes of it.
func (t *Task) Kind() string { return t.kind }

// A LabelledText is an example of a classification.
type LabelledText struct{ Text, Label string }

// NewClassificationTask makes a task of texts with labels. At least two labels
// with two examples each are needed; longer texts are cut.
func NewClassificationTask(examples []LabelledText, tokenizer models.Tokenizer, maxLength int, pooling weights.Pooling) (*Task, error) {
	t := &Task{kind: models.HeadClassification, pooling: pooling}
	if err := pooling.Validate(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	counts := map[string]int{}
	for _, x := range examples {
		if counts[x.Label]++; counts[x.Label] == 1 {
			t.labels = append(t.labels, x.Label)
		}
	}
	slices.Sort(t.labels)
	for _, label := range t.labels {
		if label == "" || counts[label] < 2 {
			return nil, fmt.Errorf("train: %w: label %q has %d examples; labels have a name and at least 2", ErrExamples, label, counts[label])
		}
	}
	if len(t.labels) < 2 {
		return nil, fmt.Errorf("train: %w: there are %d labels; at least 2 are needed", ErrExamples, len(t.labels))
	}
	t.outputs = len(t.labels)
	for _, x := range examples {
		e, err := tokenizer.Single(tokenizer.Tokenize(x.Text), maxLength)
		if err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
		t.items = append(t.items, item{encoding: e, target: [2]int{slices.Index(t.labels, x.Label)}, group: x.Text})
	}
	return t, nil
}

// A JudgedPair is an example of relevance.
type JudgedPair struct {
	Question, Passage string
	Relevant          bool
}

// NewRelevanceTask makes a task of questions with passages that answer them or
// do not. At least two of each are needed; longer passages are cut.
func NewRelevanceTask(examples []JudgedPair, tokenizer models.Tokenizer, maxLength int, pooling weights.Pooling) (*Task, error) {
	t := &Task{kind: models.HeadRelevance, pooling: pooling, outputs: 1}
	if err := pooling.Validate(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	relevant := 0
	for _, x := range examples {
		windows, err := tokenizer.Pair(tokenizer.Tokenize(x.Question), tokenizer.Tokenize(x.Passage), maxLength, 0)
		if err != nil {
			return nil, fmt.Errorf("train: question %q: %w", x.Question, err)
		}
		it := item{encoding: windows[0], group: x.Question}
		if x.Relevant {
			relevant++
			it.target[0] = 1
		}
		t.items = append(t.items, it)
	}
	if relevant < 2 || len(examples)-relevant < 2 {
		return nil, fmt.Errorf("train: %w: %d pairs are relevant and %d are not; at least 2 of each are needed", ErrExamples, relevant, len(examples)-relevant)
	}
	return t, nil
}

// An AnsweredQuestion is an example of a span: Answer is the code points
// [Start, End) of the passage; an empty one means that there is none.
type AnsweredQuestion struct {
	Question, Passage string
	Start, End        int
}

// SpanOptions are what the reader will read with.
type SpanOptions struct {
	MaxSeqLength, Stride int
	// Start reads the weight file of the bundle's present span head, from which
	// fitting begins; nil begins at zero.
	Start func() ([]byte, error)
}

// NewSpanTask makes a task of questions with their answers. Windows without the
// answer teach the null answer, which stands at the first token.
func NewSpanTask(examples []AnsweredQuestion, tokenizer models.Tokenizer, o SpanOptions) (*Task, error) {
	t := &Task{kind: models.HeadSpan, outputs: 2}
	for _, x := range examples {
		windows, err := tokenizer.Pair(tokenizer.Tokenize(x.Question), tokenizer.Tokenize(x.Passage), o.MaxSeqLength, o.Stride)
		if err != nil {
			return nil, fmt.Errorf("train: question %q: %w", x.Question, err)
		}
		found := false
		var items []item
		for _, e := range windows {
			it := item{encoding: e, rows: []int{0}, group: x.Passage}
			first, last := -1, -1
			for token := e.First; token < e.Last; token++ {
				if o := e.Offsets[token]; int(o.Start) < x.End && int(o.End) > x.Start && o.Start < o.End {
					if first < 0 {
						first = len(it.rows)
					}
					last = len(it.rows)
				}
				it.rows = append(it.rows, token)
			}
			// An answer that the window cuts through counts as not in it.
			whole := first >= 0 && int(e.Offsets[it.rows[first]].Start) <= x.Start && int(e.Offsets[it.rows[last]].End) >= x.End
			if whole {
				it.target, found = [2]int{first, last}, true
			}
			items = append(items, it)
		}
		if x.Start < x.End && !found {
			t.Skipped++
			continue
		}
		t.items = append(t.items, items...)
	}
	if len(t.items) < 4 {
		return nil, fmt.Errorf("train: %w: %d windows are usable; at least 4 are needed", ErrExamples, len(t.items))
	}
	if o.Start == nil {
		return t, nil
	}
	data, err := o.Start()
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	tensors, err := weights.Read(data)
	if err != nil {
		return nil, fmt.Errorf("train: the present span head: %w", err)
	}
	t.start = &startLayer{tensors["weight"].Data, tensors["bias"].Data}
	return t, nil
}

// features returns [rows, width] of an item.
func (t *Task) features(it item, outputs models.Outputs, width int) ([]float32, error) {
	if it.rows == nil {
		return t.pooling.Pool(outputs, it.encoding.Len(), width)
	}
	hidden, err := weights.Hidden(outputs, it.encoding.Len(), width)
	if err != nil {
		return nil, err
	}
	out := make([]float32, 0, len(it.rows)*width)
	for _, row := range it.rows {
		out = append(out, hidden[row*width:(row+1)*width]...)
	}
	return out, nil
}

// output is the graph's output that the features are made of.
func (t *Task) output() string {
	if t.pooling != "" {
		return t.pooling.Requires()
	}
	return models.OutputHidden
}

// loss returns the cross-entropy of logits [rows, outputs] and whether the
// prediction is right, and turns the logits into their gradient.
func (t *Task) loss(logits []float64, target [2]int) (loss float64, right bool) {
	switch t.kind {
	case models.HeadRelevance:
		p := 1 / (1 + math.Exp(-logits[0]))
		y := float64(target[0])
		right = (p > 0.5) == (y == 1)
		// log(1+exp(-z)) without overflow.
		z := logits[0] * (2*y - 1)
		loss = math.Max(-z, 0) + math.Log1p(math.Exp(-math.Abs(z)))
		logits[0] = p - y
		return loss, right
	case models.HeadClassification:
		return crossEntropy(logits, 0, 1, len(logits), target[0])
	}
	rows := len(logits) / 2
	start, rightStart := crossEntropy(logits, 0, 2, rows, target[0])
	end, rightEnd := crossEntropy(logits, 1, 2, rows, target[1])
	return (start + end) / 2, rightStart && rightEnd
}

// crossEntropy works on every step-th logit from first on.
func crossEntropy(logits []float64, first, step, n, target int) (loss float64, right bool) {
	top, best := math.Inf(-1), 0
	for i := range n {
		if v := logits[first+i*step]; v > top {
			top, best = v, i
		}
	}
	sum := 0.0
	for i := range n {
		sum += math.Exp(logits[first+i*step] - top)
	}
	loss = math.Log(sum) + top - logits[first+target*step]
	for i := range n {
		p := math.Exp(logits[first+i*step]-top) / sum
		if i == target {
			p--
		}
		logits[first+i*step] = p
	}
	return loss, best == target
}
