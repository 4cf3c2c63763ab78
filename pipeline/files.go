package pipeline

import "github.com/needle-search/needle/ingest"

// A FileResult says what became of a file that was sent to a server.
type FileResult struct {
	// File is its name.
	File string `json:"file"`
	// Documents are those that it gave and that are stored now, in order.
	Documents []PutResult `json:"documents"`
	// Faults say what of it was left out, and why.
	Faults []ingest.Fault `json:"faults"`
}

// Failed reports whether something was wrong with the file, rather than left
// out by rule.
func (r FileResult) Failed() bool {
	for _, f := range r.Faults {
		if !f.Skipped {
			return true
		}
	}
	return false
}
