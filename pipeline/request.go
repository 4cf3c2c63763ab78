package pipeline

import (
	"errors"
	"time"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

// Errors of the pipeline, for errors.Is. Errors of retrieval and models pass
// through: [retriever.ErrIndexNotFound], [retriever.ErrInvalidFilter], [retriever.ErrInvalidFacet],
// [models.ErrOverloaded], [models.ErrRuntimeMissing] and so on.
var (
	// ErrEmptyQuestion says that a question or query has no text.
	ErrEmptyQuestion = errors.New("the question is empty")
	// ErrQuestionTooLong says that a question has more tokens than
	// limits.max_question_tokens, or more bytes than [MaxQuestionBytes].
	ErrQuestionTooLong = errors.New("the question is too long")
	// ErrInvalidText says that a question is not UTF-8 or holds a NUL byte.
	ErrInvalidText = errors.New("the text is not valid")
	// ErrInvalidRequest says that an option is out of range; the message names
	// it and what is allowed.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrClosed says that the pipeline was closed.
	ErrClosed = errors.New("the pipeline is closed")
	// ErrNoReader says that the pipeline was opened without a reader.
	ErrNoReader = errors.New("the pipeline was opened without a reader")
)

// MaxQuestionBytes is the longest question or query in bytes, whatever its
// tokens.
const MaxQuestionBytes = 16 << 10

// MaxTopK is the greatest top_k of a request.
const MaxTopK = 1000

// Units of offsets in results.
const (
	CodePoints = "codepoint"
	Bytes      = "byte"
	UTF16      = "utf16"
)

// A Request asks a question. Only Question is needed.
type Request struct {
	Question string `json:"question"`
	// Index names the index; empty means the configured one.
	Index string `json:"index,omitempty"`
	// TopK is how many answers are wanted; 0 means the configured number.
	TopK int `json:"top_k,omitempty"`
	// Filter narrows the documents.
	Filter *retriever.Filter `json:"filter,omitempty"`
	// Budget ends reading early with the best answers so far; 0 means the
	// configured budget.
	Budget time.Duration `json:"-"`
	// OffsetUnit is codepoint (default), byte or utf16.
	OffsetUnit string `json:"offset_unit,omitempty"`
	// IncludeRejected fills Result.Rejected when nothing is answerable.
	IncludeRejected bool `json:"include_rejected,omitempty"`
	// Explain fills Result.Candidates and the terms of their scores.
	Explain bool `json:"explain,omitempty"`

	// Progress, when set, is told what was found before the reading is
	// complete, from the goroutine that asks. An answer from the cache comes
	// without. It does not change the result.
	Progress func(Progress) `json:"-"`
	// Groups narrows what is seen to documents of these groups and of none; see
	// [Access.Narrow]. Nil means all that Access sees.
	Groups []string `json:"groups,omitzero"`

	// Fresh asks past the caches, and leaves nothing in them: for a question
	// that is to show whether everything works now.
	Fresh bool `json:"-"`

	// Access is the caller's; it never comes from a request body.
	Access Access `json:"-"`
}

// A SearchRequest asks for candidates only.
type SearchRequest struct {
	Query      string            `json:"query"`
	Index      string            `json:"index,omitempty"`
	TopK       int               `json:"top_k,omitempty"` // 0 means 10
	Filter     *retriever.Filter `json:"filter,omitempty"`
	OffsetUnit string            `json:"offset_unit,omitempty"`
	Explain    bool              `json:"explain,omitempty"`
	// Facets asks how the documents that match are spread over values of
	// metadata; see [SearchResult].
	Facets []retriever.FacetRequest `json:"facets,omitempty"`
	// Groups narrows what is seen; see [Request].
	Groups []string `json:"groups,omitzero"`

	Access Access `json:"-"`
}

// ModelRef names a bundle by its content.
type ModelRef struct {
	Name      string `json:"name"`
	Hash      string `json:"hash"`
	Precision string `json:"precision,omitempty"`
}

// A Result answers a [Request]. Its JSON form is that of `needle ask --json`
// and POST /v1/ask.
type Result struct {
	Question string `json:"question"`
	// Answerable is the decision; when false, Answers is empty.
	Answerable bool `json:"answerable"`
	// NoAnswerProbability is P(the index holds no answer), 0 to 1.
	NoAnswerProbability float64  `json:"no_answer_probability"`
	Answers             []Answer `json:"answers"`
	// Rejected holds what would have been answered, on request.
	Rejected []Answer `json:"rejected,omitempty"`
	// Candidates are what was retrieved and read, on request (explain).
	Candidates     []Candidate `json:"candidates,omitempty"`
	CandidatesRead int         `json:"candidates_read"`
	// Complete is false when a budget ended the reading early.
	Complete bool `json:"complete"`
	// VectorCoverage is the part of the index's passages that have their
	// vectors, while it is less than 1 and the ranker uses them.
	VectorCoverage *float64 `json:"vector_coverage,omitempty"`
	// Calibrated is false when no score profile was fitted for this very
	// combination of bundle, retriever and ranker.
	Calibrated bool `json:"calibrated"`
	// Truncated says that some text was not seen by the model.
	Truncated  bool               `json:"truncated"`
	Warnings   []string           `json:"warnings"`
	TimingsMS  map[string]float64 `json:"timings_ms"`
	Model      ModelRef           `json:"model"`
	Index      string             `json:"index"`
	Generation uint64             `json:"generation"`
}

// An Answer is a stretch of a document: Text == document.Text[Start:End].
type Answer struct {
	Text string `json:"text"`
	// Probability is P(this answer is correct), 0 to 1.
	Probability float64 `json:"probability"`
	DocumentID  string  `json:"document_id"`
	Title       string  `json:"title,omitempty"`
	// Start and End are offsets in the document's text, in the unit that the
	// request named; End is exclusive.
	Start int `json:"start"`
	End   int `json:"end"`
	// Context is the text around the answer; ContextStart and ContextEnd
	// delimit the answer within it, in the same unit.
	Context      string    `json:"context"`
	ContextStart int       `json:"context_start"`
	ContextEnd   int       `json:"context_end"`
	Source       SourceRef `json:"source"`
	Scores       Scores    `json:"scores"`
}

// SourceRef leads from an answer or passage back to the original.
type SourceRef struct {
	URI       string   `json:"uri,omitempty"`
	MediaType string   `json:"media_type,omitempty"`
	Page      int      `json:"page,omitempty"`
	Headings  []string `json:"headings,omitempty"`
	// StartInPage and EndInPage count from where the text of that page starts, in
	// the unit of the request; nil where the format has no pages.
	StartInPage *int `json:"start_in_page,omitempty"`
	EndInPage   *int `json:"end_in_page,omitempty"`
	// Start and End are offsets in the original file, where it is text and was
	// taken verbatim; nil elsewhere.
	Start *int `json:"start,omitempty"`
	End   *int `json:"end,omitempty"`
}

// Scores is the provenance of an answer.
type Scores struct {
	retriever.Scores
	// SpanLogit and NullLogit are those of the span head for this window.
	SpanLogit float64 `json:"span_logit"`
	NullLogit float64 `json:"null_logit"`
	// Fused is the weighted sum that orders the answers.
	Fused float64 `json:"fused"`
}

// A Candidate is a passage in a search result, or one that was read.
type Candidate struct {
	PassageID  string           `json:"passage_id"`
	DocumentID string           `json:"document_id"`
	Title      string           `json:"title,omitempty"`
	Start      int              `json:"start"`
	End        int              `json:"end"`
	Text       string           `json:"text"`
	Source     SourceRef        `json:"source"`
	Metadata   map[string]any   `json:"metadata,omitempty"`
	Scores     retriever.Scores `json:"scores"`
	// Terms explain the BM25 score, on request.
	Terms []retriever.TermScore `json:"terms,omitempty"`
}

// A SearchResult answers a [SearchRequest].
type SearchResult struct {
	Query string      `json:"query"`
	Hits  []Candidate `json:"hits"`
	// Terms are the analysed terms of the query, without stop words.
	Terms []string `json:"terms"`
	// Facets are the counts asked for, in the order of the request. They are
	// made of all documents that match and may be seen, not only of the hits;
	// MatchedDocuments is how many those are.
	Facets           []retriever.Facet `json:"facets,omitempty"`
	MatchedDocuments *uint64           `json:"matched_documents,omitempty"`
	// VectorCoverage is that of [Result].
	VectorCoverage *float64           `json:"vector_coverage,omitempty"`
	Warnings       []string           `json:"warnings"`
	TimingsMS      map[string]float64 `json:"timings_ms"`
	Index          string             `json:"index"`
	Generation     uint64             `json:"generation"`
}

// A DocumentStatus says what a write did.
type DocumentStatus string

// What a write did.
const (
	Created   DocumentStatus = "created"
	Updated   DocumentStatus = "updated"
	Unchanged DocumentStatus = "unchanged"
)

// A PutResult answers a document write.
type PutResult struct {
	ID         string         `json:"id"`
	Status     DocumentStatus `json:"status"`
	Passages   int            `json:"passages"`
	Generation uint64         `json:"generation"`
}

// AddOptions drive [Pipeline.AddPaths].
type AddOptions struct {
	// Index names the index; empty means the configured one. It is created if
	// it is missing.
	Index string
	// Events are told about the run.
	Events ingest.Events
}
