package pipeline

import (
	"context"
	"time"
)

// A ShadowUse says which candidate answers a sample of live questions beside
// the pipeline that users get.
type ShadowUse struct {
	// Config is YAML with the keys in which the candidate differs.
	Config string `json:"config"`
	// Share is the share of questions that it answers, more than 0, at most 1.
	Share float64 `json:"share"`
}

// The outcomes of a question that both answered.
const (
	ShadowSame          = "same"           // the same answer, or none from either
	ShadowOther         = "other"          // two different answers
	ShadowOnlyCurrent   = "only_current"   // the candidate has none
	ShadowOnlyCandidate = "only_candidate" // the current one has none
)

// ShadowOutcomes returns all outcomes.
func ShadowOutcomes() []string {
	return []string{ShadowSame, ShadowOther, ShadowOnlyCurrent, ShadowOnlyCandidate}
}

// A ShadowAnswer is the first answer of one side. It holds no text.
type ShadowAnswer struct {
	DocumentID          string  `json:"document_id,omitempty"`
	Start               int     `json:"start,omitempty"`
	End                 int     `json:"end,omitempty"`
	Probability         float64 `json:"probability"`
	NoAnswerProbability float64 `json:"no_answer_probability"`
	Milliseconds        float64 `json:"ms"`
}

// A ShadowDifference is a question that the two answered differently.
type ShadowDifference struct {
	At time.Time `json:"at"`
	// Question is empty unless the configuration keeps questions.
	Question  string       `json:"question,omitempty"`
	Index     string       `json:"index"`
	Outcome   string       `json:"outcome"`
	Current   ShadowAnswer `json:"current"`
	Candidate ShadowAnswer `json:"candidate"`
}

// A ShadowStatus says how far a candidate is and what it did.
type ShadowStatus struct {
	Running bool      `json:"running"`
	Since   time.Time `json:"since,omitzero"`
	Share   float64   `json:"share"`
	Model   ModelRef  `json:"model"`
	// Changed are the settings in which it differs.
	Changed []string `json:"changed"`
	// Sampled questions were chosen; Dropped ones among them were not asked,
	// because too many waited or users had the model all the time; Failed ones
	// gave an error.
	Sampled int `json:"sampled"`
	Asked   int `json:"asked"`
	Dropped int `json:"dropped"`
	Failed  int `json:"failed"`
	// Outcomes counts the asked ones.
	Outcomes map[string]int `json:"outcomes"`
	// ProbabilityChange is the mean of the candidate's probability of its first
	// answer less the current one's.
	ProbabilityChange float64 `json:"probability_change"`
	// CurrentMS and CandidateMS are medians over the last questions.
	CurrentMS   float64 `json:"current_ms"`
	CandidateMS float64 `json:"candidate_ms"`
	// Differences are the last ones, the newest first.
	Differences []ShadowDifference `json:"differences"`
}

// A ShadowManager has a candidate answer beside. A server is one, and so is its
// client.
type ShadowManager interface {
	// StartShadow opens a candidate, in place of one that is running.
	StartShadow(ctx context.Context, use ShadowUse) (ShadowStatus, error)
	// StopShadow closes it and returns what it did.
	StopShadow(ctx context.Context) (ShadowStatus, error)
	// ShadowStatus tells how far it is; the zero status means that there was none.
	ShadowStatus(ctx context.Context) (ShadowStatus, error)
}

// Changed lists the settings in which another configuration differs.
func (c *Config) Changed(other *Config) []string { return changedKeys(c, other) }
