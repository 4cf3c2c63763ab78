package monitor

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/needle-search/needle/eval"
	"github.com/needle-search/needle/models/infer"
	"github.com/needle-search/needle/pipeline"
)

// An Asked is a question that a user asked and what became of it. It holds no
// text of documents, so that deleting a document leaves nothing behind here.
type Asked struct {
	At         time.Time `json:"at"`
	Index      string    `json:"index"`
	Question   string    `json:"question"`
	Answerable bool      `json:"answerable"`
	// Probability is that of the first answer, 0 without one.
	Probability         float64 `json:"probability"`
	NoAnswerProbability float64 `json:"no_answer_probability"`
	DocumentID          string  `json:"document_id,omitempty"`
	Model               string  `json:"model"`
	Generation          uint64  `json:"generation"`
	Milliseconds        float64 `json:"ms"`
}

// QuestionsConfig says what of the questions is kept, and how long.
type QuestionsConfig struct {
	// Retention is how long questions are kept. They are kept by day, and a day
	// is removed when all of it is older.
	Retention time.Duration
	// Redact replaces what may name a person: addresses of mail, and numbers of six digits
	// and more.
	Redact bool
}

// Questions keeps what is asked, one file a day, for whoever wants to know what
// people look for and do not find. It is a [pipeline.Observer] and safe for
// concurrent use; one process may write, any number may read.
//
// Entries reach the disk within a second or so, without fsync: this is a log,
// and no question waits for it.
type Questions struct {
	dir    string
	config QuestionsConfig
	logger *slog.Logger

	entries chan Asked
	done    chan struct{}
	close   sync.Once

	mu      sync.Mutex
	dropped int
}

var _ pipeline.Observer = (*Questions)(nil)

// queuedQuestions is how many entries may wait for the disk. Beyond it entries
// are dropped and counted, because users matter more than the log.
const queuedQuestions = 4096

// OpenQuestions keeps questions in a directory, which is made when it is
// missing. Close it.
func OpenQuestions(dir string, config QuestionsConfig, logger *slog.Logger) (*Questions, error) {
	if config.Retention <= 0 {
		return nil, fmt.Errorf("monitor: questions: a retention of %v; allowed is more than 0", config.Retention)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("monitor: questions: %w", err)
	}
	entries := make(chan Asked, queuedQuestions)
	q := &Questions{dir: dir, config: config, logger: logger, entries: entries, done: make(chan struct{})}
	go q.write(entries)
	return q, nil
}

// Stage does nothing: only whole questions are kept.
func (q *Questions) Stage(context.Context, pipeline.Stage, time.Time, time.Time, error) {}

// Inferred does nothing.
func (q *Questions) Inferred(infer.Call) {}

// Finished keeps a question that was answered or found to have no answer.
func (q *Questions) Finished(ctx context.Context, operation pipeline.Operation, result *pipeline.Result, begin, end time.Time, err error) {
	if operation != pipeline.OperationAsk || err != nil || result == nil || own(ctx) {
		return
	}
	asked := Asked{
		At: end.UTC(), Index: result.Index, Question: result.Question, Answerable: result.Answerable,
		NoAnswerProbability: result.NoAnswerProbability, Model: result.Model.Hash, Generation: result.Generation,
		Milliseconds: float64(end.Sub(begin).Microseconds()) / 1000,
	}
	if len(result.Answers) > 0 {
		asked.Probability, asked.DocumentID = result.Answers[0].Probability, result.Answers[0].DocumentID
	}
	if q.config.Redact {
		asked.Question = redact(asked.Question)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.entries == nil {
		return // closed
	}
	select {
	case q.entries <- asked:
	default:
		q.dropped++
	}
}

var (
	mailAddress = regexp.MustCompile(`[\p{L}\p{N}._%+-]+@[\p{L}\p{N}.-]+\.\p{L}{2,}`)
	longNumber  = regexp.MustCompile(`\+?\p{Nd}(?:[ ./-]?\p{Nd}){5,}`)
)

func redact(text string) string {
	return longNumber.ReplaceAllString(mailAddress.ReplaceAllString(text, "[mail]"), "[number]")
}

// Close writes what waits. Closing twice is allowed; what is asked later is not
// kept.
func (q *Questions) Close() error {
	q.close.Do(func() {
		q.mu.Lock()
		entries := q.entries
		q.entries = nil
		q.mu.Unlock()
		close(entries)
	})
	<-q.done
	return nil
}

// write puts entries into the file of their day until the channel is closed.
func (q *Questions) write(entries <-chan Asked) {
	defer close(q.done)
	var file *os.File
	var buffer *bufio.Writer
	day := ""
	finish := func() {
		if file == nil {
			return
		}
		if err := errors.Join(buffer.Flush(), file.Close()); err != nil {
			q.logger.Error("questions were not kept", "error", err)
		}
		file, day = nil, ""
	}
	defer finish()
	flush := time.NewTicker(time.Second)
	defer flush.Stop()
	for {
		select {
		case asked, open := <-entries:
			if !open {
				return
			}
			if now := asked.At.Format(time.DateOnly); now != day {
				finish()
				q.expire(asked.At)
				var err error
				if file, err = os.OpenFile(filepath.Join(q.dir, now+questionsSuffix), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640); err != nil {
					q.logger.Error("questions were not kept", "error", err)
					file = nil
					continue
				}
				buffer, day = bufio.NewWriter(file), now
			}
			data, err := json.Marshal(asked)
			if err == nil {
				_, err = buffer.Write(append(data, '\n'))
			}
			if err != nil {
				q.logger.Error("a question was not kept", "error", err)
			}
		case <-flush.C:
			q.mu.Lock()
			dropped := q.dropped
			q.dropped = 0
			q.mu.Unlock()
			if dropped > 0 {
				q.logger.Warn("questions were not kept, because the disk is slower than they come", "dropped", dropped)
			}
			if file != nil {
				if err := buffer.Flush(); err != nil {
					q.logger.Error("questions were not kept", "error", err)
					finish()
				}
			}
		}
	}
}

const questionsSuffix = ".jsonl"

// expire removes the days that are older than the retention.
func (q *Questions) expire(now time.Time) {
	days, err := questionDays(q.dir)
	if err != nil {
		q.logger.Error("old questions were not removed", "error", err)
		return
	}
	for _, day := range days {
		if now.Sub(day.Add(24*time.Hour)) > q.config.Retention {
			if err := os.Remove(filepath.Join(q.dir, day.Format(time.DateOnly)+questionsSuffix)); err != nil {
				q.logger.Error("old questions were not removed", "error", err)
			}
		}
	}
}

func questionDays(dir string) ([]time.Time, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var days []time.Time
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), questionsSuffix)
		if day, err := time.Parse(time.DateOnly, name); ok && err == nil {
			days = append(days, day)
		}
	}
	return days, nil
}

// EachAsked calls a function with the questions that a directory keeps, from a
// moment on, the oldest first, until it returns an error. A last line that is
// still being written is left out.
func EachAsked(dir string, since time.Time, do func(Asked) error) error {
	days, err := questionDays(dir)
	if err != nil {
		return fmt.Errorf("monitor: questions: %w", err)
	}
	for _, day := range days {
		if day.Add(24 * time.Hour).Before(since) {
			continue
		}
		if err := eachAskedOf(filepath.Join(dir, day.Format(time.DateOnly)+questionsSuffix), since, do); err != nil {
			return err
		}
	}
	return nil
}

func eachAskedOf(path string, since time.Time, do func(Asked) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has expired
	}
	if err != nil {
		return fmt.Errorf("monitor: questions: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("monitor: questions: %w", err)
		}
		var asked Asked
		if err := json.Unmarshal(line, &asked); err != nil {
			return fmt.Errorf("monitor: questions: %s:%d: %w", filepath.Base(path), number, err)
		}
		if asked.At.Before(since) {
			continue
		}
		if err := do(asked); err != nil {
			return err
		}
	}
}

// A Topic is a question that was asked, with all that read the same but for
// case, articles and punctuation.
type Topic struct {
	Question   string    `json:"question"`
	Count      int       `json:"count"`
	Unanswered int       `json:"unanswered"`
	Last       time.Time `json:"last"`
}

// Topics counts what was asked since a moment: the questions that went without
// an answer most often come first, at most limit of them.
func Topics(dir, index string, since time.Time, limit int) (topics []Topic, asked, unanswered int, err error) {
	byText := make(map[string]*Topic)
	err = EachAsked(dir, since, func(a Asked) error {
		if index != "" && a.Index != index {
			return nil
		}
		key := eval.Normalize(a.Question)
		topic := byText[key]
		if topic == nil {
			topic = &Topic{}
			byText[key] = topic
		}
		topic.Question, topic.Last = a.Question, a.At
		topic.Count++
		asked++
		if !a.Answerable {
			topic.Unanswered++
			unanswered++
		}
		return nil
	})
	if err != nil {
		return nil, 0, 0, err
	}
	for _, topic := range byText {
		if topic.Unanswered > 0 {
			topics = append(topics, *topic)
		}
	}
	slices.SortFunc(topics, func(a, b Topic) int {
		return cmp.Or(cmp.Compare(b.Unanswered, a.Unanswered), b.Last.Compare(a.Last), cmp.Compare(a.Question, b.Question))
	})
	return topics[:min(limit, len(topics))], asked, unanswered, nil
}

// WriteCSV writes questions as comma-separated values with a header. A value
// that a spreadsheet would take for a formula gets an apostrophe in front.
func WriteCSV(w io.Writer, dir, index string, since time.Time) error {
	out := csv.NewWriter(w)
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	err := out.Write([]string{"at", "index", "question", "answerable", "probability", "no_answer_probability", "document_id", "model", "generation", "ms"})
	if err != nil {
		return err
	}
	err = EachAsked(dir, since, func(a Asked) error {
		if index != "" && a.Index != index {
			return nil
		}
		return out.Write([]string{
			a.At.Format(time.RFC3339Nano), a.Index, plainCell(a.Question), strconv.FormatBool(a.Answerable), number(a.Probability),
			number(a.NoAnswerProbability), plainCell(a.DocumentID), a.Model, strconv.FormatUint(a.Generation, 10), number(a.Milliseconds),
		})
	})
	out.Flush()
	return errors.Join(err, out.Error())
}

func plainCell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
