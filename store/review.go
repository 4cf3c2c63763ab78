package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A Decision is what a reviewer made of a feedback; empty means that nobody
// has looked at it.
type Decision string

// The decisions. Accepted says that the feedback is right, Rejected that it is
// not.
const (
	Undecided Decision = ""
	Accepted  Decision = "accepted"
	Rejected  Decision = "rejected"
)

// ErrFeedbackNotFound says that an index has no such feedback.
var ErrFeedbackNotFound = errors.New("there is no such feedback")

// minHandle is the length of the random end of an id, which is enough to name a
// feedback.
const minHandle = 8

// ReviewFeedback keeps what a reviewer decided about feedback of an index, and
// returns it as it is now. Undecided takes a decision back. Each id may be
// whole or its last eight letters. If one is not there, or names several,
// nothing is changed. Errors: [ErrFeedbackNotFound], [ErrInvalidRecord].
func (s *Store) ReviewFeedback(ctx context.Context, index string, ids []string, decision Decision, by, note string) ([]Feedback, error) {
	if decision != Undecided && decision != Accepted && decision != Rejected {
		return nil, fmt.Errorf("%w: decision: %q; allowed are accepted, rejected and none", ErrInvalidRecord, decision)
	}
	full, err := s.resolveFeedback(ctx, index, ids)
	if err != nil {
		return nil, err
	}
	reviewed := make([]Feedback, 0, len(full))
	for _, id := range full {
		f, err := change(ctx, s, kindFeedback, id, func(f *Feedback) bool {
			if f.Decision == decision && f.Note == note {
				return false
			}
			f.Decision, f.ReviewedBy, f.ReviewedAt, f.Note = decision, by, s.now().UTC(), note
			return true
		})
		if err != nil {
			return reviewed, fmt.Errorf("store: review feedback: %w", err)
		}
		reviewed = append(reviewed, f)
	}
	return reviewed, nil
}

// resolveFeedback returns the whole ids, each once.
func (s *Store) resolveFeedback(ctx context.Context, index string, ids []string) ([]string, error) {
	found := make([]string, len(ids))
	for _, id := range ids {
		if len(id) < minHandle || strings.ContainsRune(id, 0) {
			return nil, fmt.Errorf("store: review feedback: %w: %q", ErrFeedbackNotFound, id)
		}
	}
	err := s.each(ctx, kindFeedback, index+"/", func(r Record) error {
		for i, id := range ids {
			if !namesFeedback(r.ID, id) {
				continue
			}
			if found[i] != "" {
				return fmt.Errorf("%w: %q names several feedbacks; give the whole id", ErrInvalidRecord, id)
			}
			found[i] = r.ID
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: review feedback: %w", err)
	}
	seen := make(map[string]bool, len(ids))
	var unique []string
	for i, id := range found {
		if id == "" {
			return nil, fmt.Errorf("store: review feedback: %w: %q", ErrFeedbackNotFound, ids[i])
		}
		if !seen[id] {
			seen[id] = true
			unique = append(unique, id)
		}
	}
	return unique, nil
}

// namesFeedback reports whether a whole id, or its random end, is meant.
func namesFeedback(id, given string) bool {
	return id == given || len(given) == minHandle && strings.HasSuffix(id, "-"+given)
}

// Handle returns the end of the id, which names the feedback within its index.
func (f Feedback) Handle() string { return f.ID[max(0, len(f.ID)-minHandle):] }
