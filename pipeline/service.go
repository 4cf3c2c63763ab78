package pipeline

import (
	"context"

	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/retriever"
)

// A Service is what a [Pipeline] offers to those who stand in front of it: the
// HTTP server, and the command line, which talks to a pipeline of its own or to
// a running server with the same results. Every method is safe for concurrent
// use. An empty index name means the configured index.
type Service interface {
	// Ask answers a question; see [Pipeline.Ask] for the errors.
	Ask(ctx context.Context, request Request) (*Result, error)
	// Search returns candidates without reading them.
	Search(ctx context.Context, request SearchRequest) (*SearchResult, error)
	// Read answers a question from the documents of the request; see
	// [Pipeline.Read].
	Read(ctx context.Context, request ReadRequest) (*Result, error)
	// Rerank orders the documents of the request; see [Pipeline.Rerank].
	Rerank(ctx context.Context, request RerankRequest) (*RerankResult, error)
	// Indexes describes all indexes in order of name.
	Indexes(ctx context.Context) ([]retriever.Statistics, error)
	// CreateIndex makes a new, empty index.
	CreateIndex(ctx context.Context, index string) error
	// DropIndex deletes an index and all it holds.
	DropIndex(ctx context.Context, index string) error
	// Stats describes one index.
	Stats(ctx context.Context, index string) (retriever.Statistics, error)
	// Put adds or replaces documents; the index is created if it is missing.
	// There is one result for every document that was stored, in order; the
	// error joins a [DocumentError] for every one that was refused.
	Put(ctx context.Context, index string, documents []retriever.Document) ([]PutResult, error)
	// Document returns a stored document.
	Document(ctx context.Context, index, id string) (retriever.Document, error)
	// List returns up to limit documents with an id greater than after.
	List(ctx context.Context, index, after string, limit int) ([]retriever.DocumentInfo, error)
	// Delete removes documents and returns how many were there.
	Delete(ctx context.Context, index string, ids []string) (int, error)
	// Ready reports why questions cannot be answered at full speed yet.
	Ready(ctx context.Context) error
}

// A PathAdder indexes files. A server adds files of its own machine only, so
// this is apart from [Service].
type PathAdder interface {
	AddPaths(ctx context.Context, paths []string, options AddOptions) (ingest.Report, error)
}

// A DocumentError says why one document of several was refused.
type DocumentError struct {
	Position int    // in the documents given, from 0
	ID       string // may be empty
	Err      error
}

func (e *DocumentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DocumentError) Unwrap() error { return e.Err }
