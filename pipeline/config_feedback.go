package pipeline

import "github.com/needle-search/needle/store"

// Feedback says how much of it is taken, and how it is weighed; see
// docs/quality.md.
type Feedback struct {
	// MaxPerHour is how many judgements a key may send in an hour; more are
	// refused.
	MaxPerHour int `yaml:"max_per_hour"`
	// QuarantinePerHour is how many a voice may give in an hour before those of
	// that hour wait for a review.
	QuarantinePerHour int `yaml:"quarantine_per_hour"`
	// Voices says who has a voice: key, or user, which lets every person that a
	// key names have one.
	Voices string `yaml:"voices"`
}

// The values of Feedback.Voices.
const (
	VoicesKey  = "key"
	VoicesUser = "user"
)

func defaultFeedback() Feedback {
	return Feedback{MaxPerHour: 1000, QuarantinePerHour: 60, Voices: VoicesKey}
}

// Judging returns how the store weighs feedback.
func (f Feedback) Judging() store.Judging {
	return store.Judging{PerHour: f.QuarantinePerHour, Users: f.Voices == VoicesUser}
}

func (f Feedback) validate(fault func(key string, value any, allowed string)) {
	if f.MaxPerHour < 1 {
		fault("monitor.feedback.max_per_hour", f.MaxPerHour, "1 or more")
	}
	if f.QuarantinePerHour < 1 {
		fault("monitor.feedback.quarantine_per_hour", f.QuarantinePerHour, "1 or more")
	}
	if f.Voices != VoicesKey && f.Voices != VoicesUser {
		fault("monitor.feedback.voices", f.Voices, VoicesKey+", "+VoicesUser)
	}
}
