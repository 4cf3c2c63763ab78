package wire

// Feedback is the body of POST /v1/feedback.
type Feedback struct {
	Question string `json:"question"`
	Index    string `json:"index,omitempty"`
	// Verdict is correct, wrong, better, missing or unanswerable.
	Verdict    string `json:"verdict"`
	DocumentID string `json:"document_id,omitempty"`
	// Answer is document.text[start:end], in code points.
	Answer string `json:"answer,omitempty"`
	Start  int    `json:"start,omitempty"`
	End    int    `json:"end,omitempty"`
	// ReplacesStart and ReplacesEnd are where the answer stood that was shown,
	// in the same document; they go with the verdict better.
	ReplacesStart int    `json:"replaces_start,omitempty"`
	ReplacesEnd   int    `json:"replaces_end,omitempty"`
	Comment       string `json:"comment,omitempty"`
	// User names the person behind the caller, in the caller's own words; only a
	// hash is kept.
	User       string `json:"user,omitempty"`
	Model      string `json:"model,omitempty"`
	Generation int64  `json:"generation,omitempty"`
}

// FeedbackStored answers it.
type FeedbackStored struct {
	ID string `json:"id"`
}
