package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Verdict is what somebody says of an answer.
type Verdict string

// The verdicts. Correct and Wrong are about an answer that was shown; Better
// names a better stretch of the same document; Missing says that the documents
// hold an answer (which the feedback may name) and none was shown; Unanswerable
// that they hold none.
const (
	Correct      Verdict = "correct"
	Wrong        Verdict = "wrong"
	Better       Verdict = "better"
	Missing      Verdict = "missing"
	Unanswerable Verdict = "unanswerable"
)

// Verdicts returns all verdicts.
func Verdicts() []Verdict { return []Verdict{Correct, Wrong, Better, Missing, Unanswerable} }

// A Feedback is what somebody said of an answer. Offsets are code points of
// the document's text; DocumentID is empty where no document is meant.
type Feedback struct {
	ID         string  `json:"id"`
	Index      string  `json:"index"`
	Question   string  `json:"question"`
	Verdict    Verdict `json:"verdict"`
	DocumentID string  `json:"document_id,omitempty"`
	Answer     string  `json:"answer,omitempty"`
	Start      int     `json:"start,omitempty"`
	End        int     `json:"end,omitempty"`
	// ReplacesStart and ReplacesEnd are where the answer stood that was shown, if
	// the verdict is Better; both are 0 where that is not known.
	ReplacesStart int    `json:"replaces_start,omitempty"`
	ReplacesEnd   int    `json:"replaces_end,omitempty"`
	Comment       string `json:"comment,omitempty"`
	// Model and Generation are those of the result that was judged.
	Model      string `json:"model,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
	// By is the key or token that it came with, User a hash of whom that named
	// as the person behind it.
	By   string    `json:"by,omitempty"`
	User string    `json:"user,omitempty"`
	At   time.Time `json:"at"`
	// Decision is what a reviewer made of it; the rest says who, when and why.
	Decision   Decision  `json:"decision,omitempty"`
	ReviewedBy string    `json:"reviewed_by,omitempty"`
	ReviewedAt time.Time `json:"reviewed_at,omitzero"`
	Note       string    `json:"note,omitempty"`
	// Erased says that the document was deleted, and what was said of it too.
	Erased bool `json:"erased,omitempty"`
}

// feedbackPrefix starts the ids of all feedback about a document. Document ids
// may be longer than those of records, so they are hashed.
func feedbackPrefix(index, documentID string) string {
	document := "-"
	if documentID != "" {
		sum := sha256.Sum256([]byte(documentID))
		document = hex.EncodeToString(sum[:])
	}
	return index + "/" + document + "/"
}

// AddFeedback stores a feedback and returns it with its id and time. Index,
// Question and Verdict are needed; errors wrap [ErrInvalidRecord].
func (s *Store) AddFeedback(ctx context.Context, f Feedback) (Feedback, error) {
	switch {
	case f.Index == "" || strings.Contains(f.Index, "/"):
		return f, fmt.Errorf("%w: index: %q", ErrInvalidRecord, f.Index)
	case strings.TrimSpace(f.Question) == "":
		return f, fmt.Errorf("%w: question: is empty", ErrInvalidRecord)
	case !slices.Contains(Verdicts(), f.Verdict):
		return f, fmt.Errorf("%w: verdict: %q; allowed are correct, wrong, better, missing and unanswerable", ErrInvalidRecord, f.Verdict)
	case f.DocumentID == "" && (f.Answer != "" || aboutAnswer(f.Verdict)):
		return f, fmt.Errorf("%w: document_id: is missing; an answer is in a document", ErrInvalidRecord)
	case f.Answer == "" && aboutAnswer(f.Verdict):
		return f, fmt.Errorf("%w: answer: is missing", ErrInvalidRecord)
	case f.Answer != "" && f.Verdict == Unanswerable:
		return f, fmt.Errorf("%w: answer: does not go with the verdict unanswerable; wrong says that this answer is none", ErrInvalidRecord)
	case (f.ReplacesStart != 0 || f.ReplacesEnd != 0) && (f.Verdict != Better || f.ReplacesStart < 0 || f.ReplacesEnd <= f.ReplacesStart):
		return f, fmt.Errorf("%w: replaces_start, replaces_end: %d, %d; they go with the verdict better, and the end comes after the start", ErrInvalidRecord, f.ReplacesStart, f.ReplacesEnd)
	case f.Verdict == Better && f.ReplacesStart == f.Start && f.ReplacesEnd == f.End:
		return f, fmt.Errorf("%w: answer: is the one that it replaces", ErrInvalidRecord)
	}
	f.At, f.Erased = s.now().UTC(), false
	f.Decision, f.ReviewedBy, f.ReviewedAt, f.Note = "", "", time.Time{}, ""
	// The time comes first, so that the feedback about a document is in order.
	f.ID = feedbackPrefix(f.Index, f.DocumentID) + f.At.Format("20060102T150405.000000000Z") + "-" + strings.ToLower(rand.Text()[:8])
	if _, err := s.put(ctx, kindFeedback, f.ID, f, time.Time{}, Condition{Absent: true}); err != nil {
		return f, fmt.Errorf("store: add feedback: %w", err)
	}
	return f, nil
}

// aboutAnswer reports whether a verdict is about an answer that must be named.
func aboutAnswer(v Verdict) bool { return v == Correct || v == Wrong || v == Better }

// EachFeedback calls a function with all feedback about an index, ordered by
// document and time, until it returns an error.
func (s *Store) EachFeedback(ctx context.Context, index string, do func(Feedback) error) error {
	return s.each(ctx, kindFeedback, index+"/", func(r Record) error {
		var f Feedback
		if err := decode(kindFeedback, r, &f); err != nil {
			return err
		}
		return do(f)
	})
}

// EraseDocuments removes from all feedback what came out of these documents:
// answers, offsets and comments, from the storage too where the driver is a
// [Scrubber]. What remains is the question, the verdict and that something was
// erased.
func (s *Store) EraseDocuments(ctx context.Context, index string, ids []string) error {
	erased := false
	for _, id := range ids {
		if id == "" {
			continue
		}
		err := s.each(ctx, kindFeedback, feedbackPrefix(index, id), func(r Record) error {
			_, err := change(ctx, s, kindFeedback, r.ID, func(f *Feedback) bool {
				if f.Erased {
					return false
				}
				f.Answer, f.Start, f.End, f.Comment, f.Erased = "", 0, 0, "", true
				f.ReplacesStart, f.ReplacesEnd, f.Note = 0, 0, ""
				erased = true
				return true
			})
			return ignoreAbsent(err)
		})
		if err != nil {
			return fmt.Errorf("store: erase feedback: %w", err)
		}
	}
	if erased {
		return s.scrub(ctx)
	}
	return nil
}

// EraseIndex removes all feedback about an index and what is known of its
// sources, from the storage too where the driver is a [Scrubber].
func (s *Store) EraseIndex(ctx context.Context, index string) error {
	err := s.each(ctx, kindFeedback, index+"/", func(r Record) error {
		_, err := s.driver.Delete(ctx, kindFeedback, r.ID)
		return err
	})
	if err == nil {
		_, err = s.driver.Delete(ctx, kindSource, index)
	}
	if err != nil {
		return fmt.Errorf("store: erase index: %w", err)
	}
	return s.scrub(ctx)
}
