package wire

import (
	"context"
	"errors"
	"time"

	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// The codes of problems. They are stable: programs tell problems apart by
// them.
const (
	CodeInvalidBody          = "invalid_body"
	CodeInvalidParameter     = "invalid_parameter"
	CodeUnsupportedMediaType = "unsupported_media_type"
	CodeBodyTooLarge         = "body_too_large"
	CodeBodyTimeout          = "body_timeout"
	CodeNotFound             = "not_found"
	CodeMethodNotAllowed     = "method_not_allowed"
	CodeHostNotAllowed       = "host_not_allowed"
	CodeCrossOrigin          = "cross_origin"
	CodeNotReady             = "not_ready"
	CodeCancelled            = "cancelled"
	CodeInternal             = "internal"

	CodeUnauthenticated      = "unauthenticated"
	CodeForbidden            = "forbidden"
	CodeRateLimited          = "rate_limited"
	CodeInvalidRecord        = "invalid_record"
	CodeKeyNotFound          = "key_not_found"
	CodeFeedbackNotFound     = "feedback_not_found"
	CodePreconditionFailed   = "precondition_failed"
	CodeIdempotencyKeyReused = "idempotency_key_reused"
	CodeIdempotencyInFlight  = "idempotency_in_flight"
	CodeNoStore              = "no_store"
	CodeStoreUnavailable     = "store_unavailable"
	CodeAuthUnavailable      = "auth_unavailable"

	CodeEmptyQuestion     = "empty_question"
	CodeQuestionTooLong   = "question_too_long"
	CodeInvalidText       = "invalid_text"
	CodeInvalidRequest    = "invalid_request"
	CodeInvalidFilter     = "invalid_filter"
	CodeInvalidFacet      = "invalid_facet"
	CodeInvalidQuery      = "invalid_query"
	CodeInvalidDocument   = "invalid_document"
	CodeInvalidIndexName  = "invalid_index_name"
	CodeFieldConflict     = "field_conflict"
	CodeIndexExists       = "index_exists"
	CodeIndexNotFound     = "index_not_found"
	CodeDocumentNotFound  = "document_not_found"
	CodeOverloaded        = "overloaded"
	CodeNoSpace           = "no_space"
	CodeRuntimeMissing    = "runtime_missing"
	CodeNoReader          = "no_reader"
	CodeDeadlineExceeded  = "deadline_exceeded"
	CodeIndexDamaged      = "index_damaged"
	CodeIndexNewerVersion = "index_newer_version"
	CodeIndexLocked       = "index_locked"
	CodeIndexUnavailable  = "index_unavailable"
	CodeIndexReadOnly     = "index_read_only"
	CodeInvalidBackup     = "invalid_backup"
	CodeRebuilding        = "rebuilding"
	CodeInvalidBundle     = "invalid_bundle"
	CodeModelRefused      = "model_refused"
	CodeClosed            = "closed"
)

// A Pair says which errors a code stands for.
type Pair struct {
	Code string
	Errs []error
}

// Pairs returns every code that stands for a sentinel error. An error that
// wraps several sentinels gets the first code in this order.
func Pairs() []Pair {
	return []Pair{
		{CodeUnauthenticated, []error{auth.ErrUnauthenticated}},
		{CodeForbidden, []error{auth.ErrForbidden}},
		{CodeRateLimited, []error{auth.ErrRateLimited}},
		{CodePreconditionFailed, []error{ErrPreconditionFailed}},
		{CodeInvalidRecord, []error{store.ErrInvalidRecord, auth.ErrInvalidGrant}},
		{CodeIdempotencyKeyReused, []error{store.ErrKeyReused}},
		{CodeIdempotencyInFlight, []error{store.ErrInFlight}},
		{CodeKeyNotFound, []error{store.ErrNotFound}},
		{CodeFeedbackNotFound, []error{store.ErrFeedbackNotFound}},
		{CodeAuthUnavailable, []error{auth.ErrUnavailable}},
		{CodeNoStore, []error{ErrNoStore}},
		{CodeStoreUnavailable, []error{store.ErrUnavailable, store.ErrClosed, store.ErrLocked, store.ErrCorrupt}},
		{CodeModelRefused, []error{pipeline.ErrModelRefused}},
		{CodeEmptyQuestion, []error{pipeline.ErrEmptyQuestion}},
		{CodeQuestionTooLong, []error{pipeline.ErrQuestionTooLong, models.ErrQuestionTooLong}},
		{CodeInvalidText, []error{pipeline.ErrInvalidText}},
		{CodeInvalidRequest, []error{pipeline.ErrInvalidRequest, retriever.ErrUnsupported, pipeline.ErrInvalidConfig, pipeline.ErrNoCandidate}},
		{CodeInvalidBackup, []error{pipeline.ErrInvalidBackup}},
		{CodeRebuilding, []error{pipeline.ErrRebuilding}},
		{CodeIndexReadOnly, []error{retriever.ErrReadOnly}},
		{CodeInvalidFilter, []error{retriever.ErrInvalidFilter}},
		{CodeInvalidFacet, []error{retriever.ErrInvalidFacet}},
		{CodeInvalidQuery, []error{retriever.ErrInvalidQuery}},
		{CodeInvalidDocument, []error{retriever.ErrInvalidDocument}},
		{CodeInvalidIndexName, []error{retriever.ErrInvalidIndexName}},
		{CodeFieldConflict, []error{retriever.ErrFieldConflict}},
		{CodeIndexExists, []error{retriever.ErrIndexExists}},
		{CodeIndexNotFound, []error{retriever.ErrIndexNotFound}},
		{CodeDocumentNotFound, []error{retriever.ErrDocumentNotFound}},
		{CodeOverloaded, []error{models.ErrOverloaded}},
		{CodeNoSpace, []error{retriever.ErrNoSpace, store.ErrNoSpace}},
		{CodeRuntimeMissing, []error{models.ErrRuntimeMissing}},
		{CodeNoReader, []error{pipeline.ErrNoReader}},
		{CodeIndexDamaged, []error{retriever.ErrCorrupt}},
		{CodeIndexNewerVersion, []error{retriever.ErrVersion}},
		{CodeIndexLocked, []error{retriever.ErrLocked}},
		{CodeIndexUnavailable, []error{retriever.ErrUnavailable}},
		{CodeInvalidBundle, []error{models.ErrInvalidBundle}},
		{CodeClosed, []error{pipeline.ErrClosed, retriever.ErrClosed, models.ErrModelClosed}},
		{CodeDeadlineExceeded, []error{context.DeadlineExceeded}},
		{CodeCancelled, []error{context.Canceled}},
	}
}

// CodeOf returns the code of an error, CodeInternal if it wraps no sentinel.
func CodeOf(err error) string {
	for _, pair := range Pairs() {
		for _, sentinel := range pair.Errs {
			if errors.Is(err, sentinel) {
				return pair.Code
			}
		}
	}
	return CodeInternal
}

// Sentinels returns the errors that a code stands for, none for a code that is
// the server's own.
func Sentinels(code string) []error {
	for _, pair := range Pairs() {
		if pair.Code == code {
			return pair.Errs
		}
	}
	return nil
}

// A Problem is the body of every error (RFC 9457).
type Problem struct {
	// Type is a URN made from the code.
	Type string `json:"type"`
	// Title says in words what the code means; it is the same for every
	// problem of the code.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Detail says what is wrong with this request and what to do about it.
	Detail string `json:"detail"`
	// Instance is the path of the request.
	Instance string `json:"instance,omitempty"`
	// Code is stable and made for programs.
	Code string `json:"code"`
	// RequestID finds the request in the server's log.
	RequestID string `json:"request_id,omitempty"`
}

// A BulkResult is one line of the answer to a bulk request. Either the members
// of a PutResult are set, or Problem. Line 0 with a problem means that the
// request ended early: the lines without a result were not stored.
type BulkResult struct {
	Line       int                     `json:"line"`
	ID         string                  `json:"id,omitempty"`
	Status     pipeline.DocumentStatus `json:"status"`
	Passages   int                     `json:"passages,omitempty"`
	Generation uint64                  `json:"generation,omitempty"`
	Problem    *Problem                `json:"error,omitempty"`
}

// Refused is the status of a line that was not stored; Aborted that of the
// last line of a request that ended early.
const (
	Refused pipeline.DocumentStatus = "refused"
	Aborted pipeline.DocumentStatus = "aborted"
)

// DefaultIndex stands in paths for the configured index. It is no valid index
// name, so it can hide none.
const DefaultIndex = "_default"

// Indexes is the answer to a list of indexes.
type Indexes struct {
	Indexes []retriever.Statistics `json:"indexes"`
}

// Documents is one page of a list of documents.
type Documents struct {
	Documents []retriever.DocumentInfo `json:"documents"`
	// Next is the value of "after" for the next page, empty on the last one.
	Next string `json:"next,omitempty"`
}

// Ask is the body of POST /v1/ask.
type Ask struct {
	pipeline.Request
	BudgetMS int64 `json:"budget_ms,omitempty"`
	Stream   bool  `json:"stream,omitempty"`
}

// MaxBudget is the greatest time budget of a request.
const MaxBudget = time.Hour

// DeleteDocuments is the body of POST /v1/indexes/{index}/delete.
type DeleteDocuments struct {
	IDs []string `json:"ids"`
}

// Deleted answers it.
type Deleted struct {
	Deleted int `json:"deleted"`
}

// MaxDeleteIDs is the greatest number of ids of one delete request.
const MaxDeleteIDs = 10000

// Status answers the health checks.
type Status struct {
	Status string `json:"status"`
	// Version is that of the program, where a health check asks.
	Version string `json:"version,omitempty"`
}
