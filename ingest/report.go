package ingest

import (
	"sync"
	"time"
)

// A Report sums up a run. Added, Updated and Unchanged count documents whose
// storage was acknowledged; together with Failed they account for every record
// that was found.
type Report struct {
	Added     int `json:"added"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	// Skipped counts files and directories left out by rule: hidden, empty,
	// binary, of a kind that nothing reads.
	Skipped int `json:"skipped"`
	// Failed counts files and records that something was wrong with.
	Failed int `json:"failed"`
	// Files counts files that were read.
	Files int `json:"files"`
	// Passages counts the passages of added and updated documents.
	Passages int `json:"passages"`
	// Languages counts the added and updated documents by the language that
	// they state or that was guessed, "" where it is unknown.
	Languages map[string]int `json:"languages,omitempty"`
	// Warnings say what is not wrong but should be known.
	Warnings []string `json:"warnings,omitempty"`
	// Faults tells what was skipped or failed, in order, up to [MaxFaults].
	Faults []Fault `json:"faults,omitempty"`
	// FaultsOmitted counts those beyond; [Events.Fault] gets them all.
	FaultsOmitted int           `json:"faults_omitted,omitempty"`
	Duration      time.Duration `json:"duration_ns"`
}

// MaxFaults is how many faults a [Report] keeps.
const MaxFaults = 1000

// Documents returns how many documents of the run are in the index.
func (r Report) Documents() int { return r.Added + r.Updated + r.Unchanged }

// Progress says how far a run has come. The totals are counted before the run
// starts; they are zero for documents that are given directly.
type Progress struct {
	FilesTotal, FilesDone int
	BytesTotal, BytesDone int64
	// Documents counts those acknowledged or found unchanged.
	Documents int
	Passages  int
	Skipped   int
	Failed    int
	// Done marks the last call of a run.
	Done bool
}

// An Outcome says what became of a document.
type Outcome string

// The outcomes.
const (
	Added     Outcome = "added"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
)

// Events are told about a run while it goes on; nil functions are left out.
// Calls come one at a time. A function must not call the Ingester.
type Events struct {
	// Progress is called at most about ten times a second, and at the end.
	Progress func(Progress)
	// Fault is called for everything that is skipped or fails.
	Fault func(Fault)
	// Document is called once a document is acknowledged or found unchanged.
	Document func(id string, outcome Outcome, passages int)
}

// progressInterval keeps drawing a bar from costing more than the work.
const progressInterval = 100 * time.Millisecond

// A recorder keeps the counters of one run and tells about them.
type recorder struct {
	mu       sync.Mutex
	events   Events
	report   Report
	progress Progress
	started  time.Time
	told     time.Time
}

func newRecorder(events Events) *recorder { return &recorder{events: events, started: time.Now()} }

func (r *recorder) fault(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Skipped {
		r.report.Skipped++
	} else {
		r.report.Failed++
	}
	if len(r.report.Faults) < MaxFaults {
		r.report.Faults = append(r.report.Faults, f)
	} else {
		r.report.FaultsOmitted++
	}
	if r.events.Fault != nil {
		r.events.Fault(f)
	}
	r.tell()
}

func (r *recorder) document(id string, outcome Outcome, passages int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch outcome {
	case Added:
		r.report.Added++
		r.report.Passages += passages
	case Updated:
		r.report.Updated++
		r.report.Passages += passages
	case Unchanged:
		r.report.Unchanged++
	}
	if r.events.Document != nil {
		r.events.Document(id, outcome, passages)
	}
	r.tell()
}

// language notes the language of a document that was added or updated.
func (r *recorder) language(tag string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.report.Languages == nil {
		r.report.Languages = map[string]int{}
	}
	r.report.Languages[tag]++
}

func (r *recorder) total(files int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.FilesTotal, r.progress.BytesTotal = files, bytes
	r.tell()
}

func (r *recorder) read(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.BytesDone += n
	r.tell()
}

// fileDone counts a file; rest is what of it was not read.
func (r *recorder) fileDone(read bool, rest int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if read {
		r.report.Files++
	}
	r.progress.FilesDone++
	r.progress.BytesDone += rest
	r.tell()
}

// tell calls for progress unless it did so just before. The lock is held.
func (r *recorder) tell() {
	if r.events.Progress == nil {
		return
	}
	now := time.Now()
	if !r.progress.Done && now.Sub(r.told) < progressInterval {
		return
	}
	r.told = now
	r.progress.Documents, r.progress.Passages = r.report.Documents(), r.report.Passages
	r.progress.Skipped, r.progress.Failed = r.report.Skipped, r.report.Failed
	r.events.Progress(r.progress)
}

func (r *recorder) finish() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Duration = time.Since(r.started)
	r.progress.Done = true
	r.tell()
	return r.report
}
