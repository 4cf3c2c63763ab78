package retriever

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// ErrReadOnly says that an index can be searched but not changed.
var ErrReadOnly = errors.New("index is read-only")

// A Snapshotter is an index that can be read as it was at one moment while
// others change it.
type Snapshotter interface {
	// Snapshot holds on to the index as it is now. The caller closes it.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// A Snapshot is an index at one moment. It may be used by one goroutine at a
// time. An index that is closed while a snapshot is open waits for it.
type Snapshot interface {
	// Stats describes the index at that moment; the size on disk is not known.
	Stats() Statistics
	// Entries returns all documents with their passages in order of id, each
	// one whole. The sequence ends after an error.
	Entries(ctx context.Context) iter.Seq2[Entry, error]
	// Close lets go of the moment; closing twice is allowed.
	Close() error
}

// An EntryReader is an index that gives back documents as they were given.
type EntryReader interface {
	// Entry returns a stored document with its passages, or
	// ErrDocumentNotFound.
	Entry(ctx context.Context, id string) (Entry, error)
}

// A Compacter is an index that can give back the space of what was deleted and
// replaced.
type Compacter interface {
	// Compact rewrites what is stored without the deleted. Searches and writes
	// go on meanwhile; it may need as much free space as the index takes.
	Compact(ctx context.Context) error
}

// A Swapper is a back end whose indexes can exchange names.
type Swapper interface {
	// Swap gives the index that is called with the name name, and the other way
	// round if there was an index of that name. It happens at once: at every
	// moment, also after a crash, both names stand for whole indexes. Indexes
	// that are open stay open and follow their new names.
	Swap(ctx context.Context, name, with string) error
}

// The purposes of stand-ins.
const (
	// Restoring is the purpose of an index that a backup is read into.
	Restoring = "restore"
	// Rebuilding is the purpose of an index that is made anew from another.
	Rebuilding = "rebuild"
)

// StandIn returns the name of an index that is being made to take the place of
// another. A [Backend] can create, open, drop and swap stand-ins; its Names
// leaves them out.
func StandIn(name, purpose string) string { return name + "." + purpose }

// ValidStoredName is [ValidIndexName] for a back end: it allows the names of
// stand-ins too.
func ValidStoredName(name string) error {
	for _, purpose := range [...]string{Restoring, Rebuilding} {
		if of, ok := strings.CutSuffix(name, "."+purpose); ok {
			return ValidIndexName(of)
		}
	}
	return ValidIndexName(name)
}

// A FieldDeclarer is an index whose metadata fields can be given types before a
// document carries them.
type FieldDeclarer interface {
	// DeclareFields adds fields to those that the index has. A field that has
	// another type already gives an error that names it and wraps
	// [ErrFieldConflict]; then nothing is declared.
	DeclareFields(ctx context.Context, fields map[string]FieldType) error
}

// ParseFieldType returns the type of a name such as "keyword".
func ParseFieldType(name string) (FieldType, error) {
	switch t := FieldType(name); t {
	case Keyword, Number, Date, Boolean:
		return t, nil
	}
	return "", fmt.Errorf("%q is no field type; use keyword, number, date or boolean", name)
}
