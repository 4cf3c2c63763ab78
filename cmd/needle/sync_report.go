package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/needle-search/needle/ingest"
)

// A progressEvent is a line of --progress json.
type progressEvent struct {
	Event      string `json:"event"`
	FilesTotal int    `json:"files_total"`
	FilesDone  int    `json:"files_done"`
	BytesTotal int64  `json:"bytes_total"`
	BytesDone  int64  `json:"bytes_done"`
	Documents  int    `json:"documents"`
	Passages   int    `json:"passages"`
	Skipped    int    `json:"skipped"`
	Failed     int    `json:"failed"`
	Done       bool   `json:"done"`
}

// A reportLine is a line of --report: a document, or a fault.
type reportLine struct {
	// Outcome is one of [ingest.Outcome], "skipped" or "failed".
	Outcome    string `json:"outcome"`
	DocumentID string `json:"document_id,omitempty"`
	Passages   int    `json:"passages,omitempty"`
	Path       string `json:"path,omitempty"`
	Line       int    `json:"line,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// jsonLine writes a value of a type of ours, which always works.
func jsonLine(v any) []byte {
	line, err := json.Marshal(v)
	if err != nil {
		line = fmt.Appendf(nil, "{\"error\": %q}", err)
	}
	return append(line, '\n')
}

// A reportFile takes the lines of --report. A nil one takes none.
type reportFile struct {
	f   *os.File
	err error
}

func createReport(path string) (*reportFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &reportFile{f: f}, nil
}

func (r *reportFile) document(id string, outcome ingest.Outcome, passages int) {
	r.write(reportLine{Outcome: string(outcome), DocumentID: id, Passages: passages})
}

func (r *reportFile) fault(f ingest.Fault) {
	outcome := "failed"
	if f.Skipped {
		outcome = "skipped"
	}
	r.write(reportLine{Outcome: outcome, DocumentID: f.DocumentID, Path: f.Path, Line: f.Line, Reason: f.Reason})
}

// write remembers the first error, which Close returns.
func (r *reportFile) write(line reportLine) {
	if r == nil || r.err != nil {
		return
	}
	_, r.err = r.f.Write(jsonLine(line))
}

// Close ends the report and says whether it is whole.
func (r *reportFile) Close() error {
	if err := r.f.Close(); r.err == nil {
		r.err = err
	}
	if r.err != nil {
		return fmt.Errorf("index sync: the report is not complete: %w", r.err)
	}
	return nil
}
