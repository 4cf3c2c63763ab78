package store

import (
	"context"
	"errors"
	"time"
)

// The errors of the store, for errors.Is.
var (
	// ErrNotFound says that there is no such record.
	ErrNotFound = errors.New("not in the store")
	// ErrConflict says that the condition of a write does not hold: the record
	// exists already, or was changed by somebody else.
	ErrConflict = errors.New("the record in the store has changed")
	// ErrUnavailable says that the store cannot be reached, also after retries.
	ErrUnavailable = errors.New("the store is not available")
	// ErrLocked says that another process, such as a server, has the store open.
	ErrLocked = errors.New("the store is in use by another process")
	// ErrCorrupt says that what is stored cannot be read.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrVersion says that the store was written by a newer version.
	ErrVersion = errors.New("the store has a newer format")
	// ErrNoSpace says that the disk is full; nothing stored was lost.
	ErrNoSpace = errors.New("no space left on disk")
	// ErrInvalidRecord says that something cannot be stored; the message says
	// why.
	ErrInvalidRecord = errors.New("invalid record")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// A Record is one value of a kind.
type Record struct {
	// ID is unique within the kind: 1 to [MaxRecordID] bytes of UTF-8 without
	// NUL.
	ID   string
	Data []byte
	// Version changes with every write of the record and is never empty for a
	// stored one. A deleted record that comes back has a version it never had.
	Version string
	// Expires is when the record may vanish; zero means never. Expired records
	// are as good as absent. Drivers keep whole milliseconds.
	Expires time.Time
}

// MaxRecordID is the longest id of a record in bytes.
const MaxRecordID = 400

// A Condition says when a write may happen. The zero value is always.
type Condition struct {
	// Absent demands that there is no such record, or an expired one.
	Absent bool
	// Version, unless empty, demands that the record has this version.
	Version string
}

// A Driver keeps records by kind and id. It is safe for concurrent use, and
// each write happens as a whole or not at all, also for other processes that
// use the same store. A write that returned nil survives a crash.
type Driver interface {
	// Get returns a record, or ErrNotFound. A write that returned is seen.
	Get(ctx context.Context, kind, id string) (Record, error)
	// Put writes a record, or fails with ErrConflict if the condition does not
	// hold. The version of the record is ignored; the new one is returned.
	Put(ctx context.Context, kind string, record Record, condition Condition) (version string, err error)
	// Delete removes a record and reports whether it was there.
	Delete(ctx context.Context, kind, id string) (bool, error)
	// List returns up to limit records whose ids start with prefix and are
	// greater than after, in order of the bytes of their ids. Every write that
	// returned is seen.
	List(ctx context.Context, kind, prefix, after string, limit int) ([]Record, error)
	// Sweep removes all records of a kind that have expired, and returns how
	// many.
	Sweep(ctx context.Context, kind string, now time.Time) (int, error)
	// Close releases the driver; closing twice is allowed.
	Close() error
}

// A Scrubber is a [Driver] whose deleted and replaced records can be made to
// vanish from its storage too, not only from its answers.
type Scrubber interface {
	// Scrub overwrites what was deleted or replaced before the call.
	Scrub(ctx context.Context) error
}

// The kinds of records.
const (
	kindKey         = "key"
	kindIdempotency = "idempotency"
	kindFeedback    = "feedback"
	kindSource      = "source"
)

// maxPage is how many records are read at once.
const maxPage = 500
