package retriever

import (
	"context"
	"errors"
)

// The errors of retrieval and indexing, for errors.Is.
var (
	// ErrIndexNotFound says that no index has the given name.
	ErrIndexNotFound = errors.New("index not found")
	// ErrIndexExists says that an index of the given name is there already.
	ErrIndexExists = errors.New("index exists already")
	// ErrInvalidIndexName says that a name cannot be an index name; see
	// [ValidIndexName].
	ErrInvalidIndexName = errors.New("invalid index name")
	// ErrLocked says that another process has the index open.
	ErrLocked = errors.New("index is in use by another process")
	// ErrCorrupt says that what is stored cannot be read.
	ErrCorrupt = errors.New("index is damaged")
	// ErrVersion says that an index was written by a newer version.
	ErrVersion = errors.New("index has a newer format")
	// ErrDocumentNotFound says that the index has no such document.
	ErrDocumentNotFound = errors.New("document not found")
	// ErrInvalidDocument says that a document cannot be stored.
	ErrInvalidDocument = errors.New("invalid document")
	// ErrFieldConflict says that a metadata value has another type than the
	// field has in the index.
	ErrFieldConflict = errors.New("metadata field has another type")
	// ErrInvalidFilter says that a filter is malformed, names an unknown field
	// or compares with a value of the wrong type.
	ErrInvalidFilter = errors.New("invalid filter")
	// ErrInvalidQuery says that a query has no text or a top_k below 1.
	ErrInvalidQuery = errors.New("invalid query")
	// ErrNoSpace says that the disk is full; nothing stored was lost.
	ErrNoSpace = errors.New("no space left on disk")
	// ErrUnsupported says that the index cannot do what it is asked for.
	ErrUnsupported = errors.New("the index cannot do this")
	// ErrUnavailable says that the server that keeps the indexes cannot be
	// reached or is overloaded, also after retries.
	ErrUnavailable = errors.New("the index server is not available")
	// ErrClosed says that the index was closed.
	ErrClosed = errors.New("index is closed")
)

// A Retriever finds candidates. It is safe for concurrent use.
type Retriever interface {
	// Retrieve returns the best passages for a query. An empty index gives an
	// empty result, no error.
	Retrieve(ctx context.Context, query Query) (Results, error)
}

// An Entry is a document ready for indexing.
type Entry struct {
	Document Document
	// Passages are the document's passages, at least one, ordered by Start.
	Passages []Passage
	// ContentHash identifies the content and the way it was split; equal hashes
	// mean that nothing needs to be written.
	ContentHash string
}

// An Indexer changes an index. It is safe for concurrent use.
type Indexer interface {
	// Upsert adds or replaces documents. When it returns nil, all of them are
	// on disk (or acknowledged by the server). On an error none or some of
	// them are stored, each one whole; the error says which were refused.
	Upsert(ctx context.Context, entries []Entry) error
	// Delete removes documents and returns how many were there.
	Delete(ctx context.Context, ids []string) (int, error)
}

// Documents reads what is stored. It is safe for concurrent use.
type Documents interface {
	// Document returns a stored document with its full text, or
	// ErrDocumentNotFound.
	Document(ctx context.Context, id string) (Document, error)
	// Infos returns what is known of the given documents; absent ones are
	// missing in the map.
	Infos(ctx context.Context, ids []string) (map[string]DocumentInfo, error)
	// List returns up to limit documents with an id greater than after, in
	// order of id.
	List(ctx context.Context, after string, limit int) ([]DocumentInfo, error)
}

// An Index is one open index. It is safe for concurrent use.
type Index interface {
	Retriever
	Indexer
	Documents
	// Stats describes the index.
	Stats(ctx context.Context) (Statistics, error)
	// Generation grows with every committed change and never shrinks.
	Generation() uint64
	// Close waits for running calls and releases the index. Later calls return
	// ErrClosed; closing twice is allowed.
	Close() error
}

// A Backend keeps the indexes of one data directory or server. Indexes that it
// opened must be closed before it is. It is safe for concurrent use.
type Backend interface {
	// Open opens an existing index, or fails with ErrIndexNotFound, ErrLocked,
	// ErrCorrupt or ErrVersion.
	Open(ctx context.Context, name string) (Index, error)
	// Create makes a new, empty index and opens it. It fails with
	// ErrIndexExists if there is one, and leaves nothing behind on failure.
	Create(ctx context.Context, name string) (Index, error)
	// Names returns the names of all indexes in order.
	Names(ctx context.Context) ([]string, error)
	// Drop deletes an index and all it holds. The index must not be open.
	Drop(ctx context.Context, name string) error
	// Close releases the back end; closing twice is allowed.
	Close() error
}

// A Verifier is an index that can check what it stores.
type Verifier interface {
	// Verify reads everything and returns an error wrapping ErrCorrupt that
	// joins all faults found.
	Verify(ctx context.Context) error
}

// MaxIndexName is the longest index name in bytes.
const MaxIndexName = 64

// ValidIndexName reports whether a name may name an index: 1 to [MaxIndexName]
// bytes of a-z, 0-9, "-" and "_", starting with a letter or a digit. The error
// wraps [ErrInvalidIndexName].
func ValidIndexName(name string) error {
	ok := len(name) > 0 && len(name) <= MaxIndexName
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '_')
	}
	if !ok {
		return &IndexNameError{Name: name}
	}
	return nil
}

// DocumentError names a document that was refused, among others that may have
// been stored. An Indexer joins one for each; find them with errors.As on the
// parts of the joined error or with [RefusedDocuments].
type DocumentError struct {
	DocumentID string
	Err        error
}

func (e *DocumentError) Error() string { return e.Err.Error() }

// Unwrap returns why the document was refused.
func (e *DocumentError) Unwrap() error { return e.Err }

// RefusedDocuments returns every [DocumentError] inside an error, and whether
// there is nothing else in it: then all other documents of the call are stored.
func RefusedDocuments(err error) (refused []*DocumentError, only bool) {
	switch e := err.(type) {
	case nil:
		return nil, true
	case *DocumentError:
		return []*DocumentError{e}, true
	case interface{ Unwrap() []error }:
		only = true
		for _, part := range e.Unwrap() {
			r, o := RefusedDocuments(part)
			refused = append(refused, r...)
			only = only && o
		}
		return refused, only
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return RefusedDocuments(inner)
		}
	}
	return nil, false
}

// IndexNameError names the index name that was refused.
type IndexNameError struct{ Name string }

func (e *IndexNameError) Error() string {
	return ErrInvalidIndexName.Error() + ": \"" + e.Name + "\"; use 1 to 64 of a-z, 0-9, - and _, starting with a letter or a digit"
}

// Unwrap returns ErrInvalidIndexName.
func (e *IndexNameError) Unwrap() error { return ErrInvalidIndexName }
