package wire

import "github.com/needle-search/needle/pipeline"

// EventStream is the media type of server-sent events.
const EventStream = "text/event-stream"

// The events of a streamed answer.
const (
	// EventCandidates comes first, with [Candidates].
	EventCandidates = "candidates"
	// EventAnswers comes while answers improve, with a pipeline.Result that is
	// not complete.
	EventAnswers = "answers"
	// EventComplete comes last, with the pipeline.Result.
	EventComplete = "complete"
	// EventError comes last in its place, with a [Problem].
	EventError = "error"
)

// Candidates are the passages that will be read.
type Candidates struct {
	Candidates []pipeline.Candidate `json:"candidates"`
}
