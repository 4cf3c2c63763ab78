package reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/retriever"
)

// A Span is a possible answer.
type Span struct {
	// Candidate is the index of the passage in the slice that was read.
	Candidate int
	// Start and End delimit the span in the document's text, in code points.
	Start, End int
	// Text is the span as it stands in the document.
	Text string
	// Logit is start logit + end logit; Null is the same of the null answer of
	// the window that the span was found in.
	Logit, Null float64
	// Relevance is the logit of the relevance head for that window, 0 if the
	// reader has none.
	Relevance float64
}

// Margin is the evidence for the span against "no answer here"; above 0 the
// model prefers the span.
func (s Span) Margin() float64 { return s.Logit - s.Null }

// A Reading is what the reader found.
type Reading struct {
	// Spans are all spans kept, ordered by falling margin, ties by document id
	// and start. Spans of one document never overlap.
	Spans []Span
	// Forced is the span with the greatest logits over all windows, whatever
	// the null answers say: the prediction of a model that must answer, as the
	// SQuAD scripts decode it. It has no text if there are no spans.
	Forced Span
	// Candidates is how many passages were read, Windows how many encodings.
	Candidates, Windows int
	// Complete is false when a budget ended the reading early.
	Complete bool
	// Truncated says that some text was not seen by the model.
	Truncated bool
	// Tokenize and Infer are the time spent cutting text and waiting for the
	// model.
	Tokenize, Infer time.Duration
}

// Options of one reading.
type Options struct {
	// Deadline ends reading early with what was found so far; zero reads all.
	Deadline time.Time
	// Round is how many windows are read between two looks at the clock; 0
	// means 4. Without a deadline or Progress all windows are handed over at
	// once.
	Round int
	// Progress, when set, is given what was found so far after every round but
	// the last, from the goroutine that reads. Complete is false in it.
	Progress func(Reading)
	// Tokens, when set, cuts the text of a passage in place of the tokenizer, as
	// the tokenizer would: for callers that remember what was cut.
	Tokens func(passage retriever.Passage) models.Tokens
	// Visit, when set, is given the outputs of every window and the number of
	// its passage, so that another head of the same language model needs no run
	// of its own. It is called by one goroutine at a time, in any order. Its error
	// ends the reading.
	Visit func(candidate int, encoding models.Encoding, outputs models.Outputs) error
}

// A Reader extracts answers. It is safe for concurrent use.
type Reader struct {
	tokenizer models.Tokenizer
	model     models.Inferencer
	head      models.SpanHead
	relevance models.RelevanceHead
	config    Config
}

// New returns a reader. A relevance head of the same language model may be nil;
// with it spans carry the relevance of their window, at no run of the model. New
// fails if the configuration does not fit the model.
func New(tokenizer models.Tokenizer, model models.Inferencer, head models.SpanHead, relevance models.RelevanceHead, config Config) (*Reader, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("reader: %w", err)
	}
	if limit := model.Info().MaxLength; limit > 0 && config.MaxSeqLength > limit {
		return nil, fmt.Errorf("reader: max_seq_length: %d; the model %q reads at most %d tokens", config.MaxSeqLength, model.Info().Name, limit)
	}
	return &Reader{tokenizer: tokenizer, model: model, head: head, relevance: relevance, config: config}, nil
}

// Tokenizer returns the tokenizer that the reader was made with.
func (r *Reader) Tokenizer() models.Tokenizer { return r.tokenizer }

// Tokenize cuts a question, so that callers can check its length.
func (r *Reader) Tokenize(question string) models.Tokens { return r.tokenizer.Tokenize(question) }

// window is one encoding with the passage that it shows.
type window struct {
	candidate int
	encoding  models.Encoding
}

// Read extracts spans from the passages, which should be ordered best first: if
// the deadline of opts passes, the rest stays unread, but the first round is
// always read. Errors are those of the tokenizer and the model.
func (r *Reader) Read(ctx context.Context, question string, passages []retriever.Passage, opts Options) (Reading, error) {
	reading := Reading{Complete: true}
	begin := time.Now()
	questionTokens := r.tokenizer.Tokenize(question)
	cut := opts.Tokens
	if cut == nil {
		cut = func(p retriever.Passage) models.Tokens { return r.tokenizer.Tokenize(p.Text) }
	}
	var windows []window
	for i, p := range passages {
		pairs, err := r.tokenizer.Pair(questionTokens, cut(p), r.config.MaxSeqLength, r.config.Stride)
		if err != nil {
			return Reading{}, fmt.Errorf("reader: passage %q: %w", p.ID(), err)
		}
		for _, e := range pairs {
			reading.Truncated = reading.Truncated || e.Truncated
			windows = append(windows, window{i, e})
		}
		if i%16 == 15 && ctx.Err() != nil {
			return Reading{}, ctx.Err()
		}
	}
	reading.Tokenize = time.Since(begin)

	step := max(len(windows), 1)
	if !opts.Deadline.IsZero() || opts.Progress != nil {
		step = cmp.Or(opts.Round, 4)
	}
	begin = time.Now()
	var slowest time.Duration
	for from := 0; from < len(windows); from += step {
		round := time.Now()
		if from > 0 && !opts.Deadline.IsZero() && round.Add(slowest).After(opts.Deadline) {
			reading.Complete = false
			break
		}
		part := windows[from:min(from+step, len(windows))]
		if err := r.score(ctx, part, passages, opts.Visit, &reading); err != nil {
			return Reading{}, err
		}
		reading.Windows += len(part)
		reading.Candidates = part[len(part)-1].candidate + 1
		slowest = max(slowest, time.Since(round))
		if opts.Progress != nil && reading.Windows < len(windows) {
			partial := reading
			partial.Complete = false
			if windows[partial.Windows].candidate < partial.Candidates {
				partial.Candidates--
			}
			partial.Spans = Distinct(slices.Clone(partial.Spans), passages, Span.Margin)
			opts.Progress(partial)
		}
	}
	reading.Infer = time.Since(begin)
	if !reading.Complete && windows[reading.Windows].candidate < reading.Candidates {
		reading.Candidates-- // the last passage was read in part only
	}
	reading.Spans = Distinct(reading.Spans, passages, Span.Margin)
	return reading, nil
}

func (r *Reader) score(ctx context.Context, windows []window, passages []retriever.Passage, visit func(int, models.Encoding, models.Outputs) error, reading *Reading) error {
	batch := make([]models.Encoding, len(windows))
	for i, w := range windows {
		batch[i] = w.encoding
	}
	found := make([][]Span, len(windows))
	var visiting sync.Mutex
	err := r.each(ctx, batch, func(i int, outputs models.Outputs) error {
		w, passage := windows[i], passages[windows[i].candidate]
		if visit != nil {
			visiting.Lock()
			err := visit(w.candidate, w.encoding, outputs)
			visiting.Unlock()
			if err != nil {
				return fmt.Errorf("passage %q: %w", passage.ID(), err)
			}
		}
		spans, err := r.spans(w, passage, outputs)
		if err != nil {
			return fmt.Errorf("passage %q: %w", passage.ID(), err)
		}
		found[i] = spans
		return nil
	})
	if err != nil {
		return fmt.Errorf("reader: %w", err)
	}
	// In the order of the windows, whatever order they were run in.
	for _, spans := range found {
		for _, span := range spans {
			if reading.Forced.Text == "" || span.Logit > reading.Forced.Logit {
				reading.Forced = span
			}
			reading.Spans = append(reading.Spans, span)
		}
	}
	return nil
}

// An eacher hands over outputs as they come, from several goroutines at a time.
// Hidden states of a question are some megabytes, and questions that wait for
// each other would all hold theirs.
type eacher interface {
	Each(ctx context.Context, batch []models.Encoding, visit func(i int, outputs models.Outputs) error) error
}

func (r *Reader) each(ctx context.Context, batch []models.Encoding, visit func(i int, outputs models.Outputs) error) error {
	if model, ok := r.model.(eacher); ok {
		return model.Each(ctx, batch, visit)
	}
	outputs, err := r.model.Run(ctx, batch)
	if err != nil {
		return err
	}
	if len(outputs) != len(batch) {
		return errors.New("the model lost encodings")
	}
	for i := range outputs {
		if err := visit(i, outputs[i]); err != nil {
			return err
		}
	}
	return nil
}

// spans decodes the spans of one window.
func (r *Reader) spans(w window, passage retriever.Passage, outputs models.Outputs) ([]Span, error) {
	logits, err := r.head.Spans(outputs, w.encoding)
	if err != nil {
		return nil, err
	}
	best, err := bestSpans(w.encoding, logits, r.config.MaxAnswerTokens, r.config.SpansPerPassage)
	if err != nil {
		return nil, err
	}
	var relevance float32
	if r.relevance != nil {
		if relevance, err = r.relevance.Relevance(outputs, w.encoding); err != nil {
			return nil, err
		}
		if relevance != relevance {
			return nil, errors.New("the relevance head gave a logit that is not a number")
		}
	}
	found := make([]Span, 0, len(best))
	runes := newRuneIndex(passage.Text)
	for _, s := range best {
		start, end := int(w.encoding.Offsets[s.start].Start), int(w.encoding.Offsets[s.end].End)
		if start >= end {
			continue // a token without text of its own
		}
		found = append(found, Span{
			Candidate: w.candidate,
			Start:     passage.Start + start,
			End:       passage.Start + end,
			Text:      passage.Text[runes.byteOffset(start):runes.byteOffset(end)],
			Logit:     float64(s.logit),
			Null:      float64(nullLogit(logits)),
			Relevance: float64(relevance),
		})
	}
	return found, nil
}

// Distinct orders spans by falling score, ties by document id, start and end,
// and keeps of overlapping spans of one document the best. At most n spans of
// every passage survive in the input, so the work is bounded.
func Distinct(spans []Span, passages []retriever.Passage, score func(Span) float64) []Span {
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(
			-cmp.Compare(score(a), score(b)),
			cmp.Compare(passages[a.Candidate].DocumentID, passages[b.Candidate].DocumentID),
			cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	kept := make(map[string][]Span)
	return slices.DeleteFunc(spans, func(s Span) bool {
		id := passages[s.Candidate].DocumentID
		for _, k := range kept[id] {
			if s.Start < k.End && k.Start < s.End {
				return true
			}
		}
		kept[id] = append(kept[id], s)
		return false
	})
}

// runeIndex finds the byte offset of code points in one text; it remembers
// nothing for texts of ASCII only.
type runeIndex struct {
	text  string
	ascii bool
}

func newRuneIndex(text string) runeIndex {
	return runeIndex{text, utf8.RuneCountInString(text) == len(text)}
}

func (x runeIndex) byteOffset(n int) int {
	if x.ascii {
		return n
	}
	for i := range x.text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(x.text)
}
