package pipeline

import "time"

// Monitor is about how `needle serve` watches its own quality; see
// `needle canary`.
type Monitor struct {
	// Interval is the longest time between two runs of the canaries.
	Interval time.Duration `yaml:"interval"`
	// Settle is how long an index must have stayed the same before a change of
	// it is looked at.
	Settle time.Duration `yaml:"settle"`
	// WebhookEnv names the environment variable with the URL that is told of
	// alarms and of their end; such URLs are often secrets. Empty means none.
	WebhookEnv string `yaml:"webhook_env"`
	// Rollback puts the model before back when the canaries raise an alarm
	// after an exchange.
	Rollback bool `yaml:"rollback"`
	// Feedback is about what users say of answers.
	Feedback Feedback `yaml:"feedback"`
	// Drift holds live questions and results against a reference, by their
	// numbers only.
	Drift bool `yaml:"drift"`
	// DriftWindow is how many questions make the reference and every window
	// that is held against it.
	DriftWindow int `yaml:"drift_window"`
	// Shadow has another configuration answer a sample of live questions
	// beside.
	Shadow ShadowSection `yaml:"shadow"`
	// KeepQuestions keeps the texts of the questions that users ask, for
	// `needle questions`. It is off unless somebody decides otherwise.
	KeepQuestions bool `yaml:"keep_questions"`
	// Retention is how long they are kept.
	Retention time.Duration `yaml:"retention"`
	// Redact replaces mail addresses and long numbers in them.
	Redact bool `yaml:"redact"`
}

// ShadowSection names a candidate that answers beside; see docs/quality.md.
type ShadowSection struct {
	// Config is a file with the keys in which the candidate differs; empty means
	// that there is none.
	Config string `yaml:"config"`
	// Share is the share of live questions that it answers.
	Share float64 `yaml:"share"`
}

func defaultMonitor() Monitor {
	return Monitor{Interval: time.Hour, Settle: 10 * time.Second, Drift: true, DriftWindow: 500, Retention: 30 * 24 * time.Hour, Redact: true, Feedback: defaultFeedback(), Shadow: ShadowSection{Share: 0.1}}
}

func (m Monitor) validate(fault func(key string, value any, allowed string)) {
	if m.Interval < time.Second {
		fault("monitor.interval", m.Interval, "a duration of 1s or more")
	}
	if m.Settle < 100*time.Millisecond {
		fault("monitor.settle", m.Settle, "a duration of 100ms or more")
	}
	m.Feedback.validate(fault)
	if !(m.Shadow.Share > 0 && m.Shadow.Share <= 1) {
		fault("monitor.shadow.share", m.Shadow.Share, "more than 0, at most 1")
	}
	if m.DriftWindow < 50 {
		fault("monitor.drift_window", m.DriftWindow, "50 questions or more")
	}
	if m.Retention < time.Hour {
		fault("monitor.retention", m.Retention, "a duration of 1h or more")
	}
}
