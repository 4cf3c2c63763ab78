package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/needle-search/needle/retriever"
)

// A Processor turns files of one format into documents. It is safe for
// concurrent use.
type Processor interface {
	// Name names the format, for example "markdown".
	Name() string
	// Match says how well the processor fits a file, judged by its first bytes
	// (up to [HeadBytes]) and, where these leave it open, by its name.
	Match(name string, head []byte) Confidence
	// Process reads the content and gives its documents to the sink, in order.
	// The content ends where the file ended when it was opened. Faults of
	// single records go to the sink; an error means that the file as a whole
	// could not be read, or is an error that the sink returned.
	Process(ctx context.Context, file File, content *io.SectionReader, sink Sink) error
}

// Confidence says how well a [Processor] fits a file; the greatest wins.
type Confidence int

// The degrees of confidence.
const (
	NoMatch  Confidence = iota
	Fallback            // readable this way, if nothing else fits
	Likely              // the name says so and the content does not disagree
	Certain             // the content says so
)

// HeadBytes is how much of a file [Processor.Match] gets to see.
const HeadBytes = 16 << 10

// A File is one file that was found or uploaded.
type File struct {
	// ID is the id of the file's document, or the prefix of the ids of its
	// documents where it holds several: source/relative-path, with slashes.
	ID string
	// Path names the file in messages and in the source of its documents.
	Path    string
	Size    int64
	ModTime time.Time
	// Version changes with the content where the source knows, as a bucket does;
	// else it is empty.
	Version string
	// Given says that the user named this very file, so that skipping it would
	// be a surprise.
	Given bool
	// Open opens the content. If it can tell its state ([os.File] can), it is
	// checked for changes after reading.
	Open func() (Content, error)
}

// Source returns where a document of the file came from.
func (f File) Source(mediaType string) retriever.Source {
	return retriever.Source{URI: f.Path, MediaType: mediaType, ModifiedAt: f.ModTime}
}

// Title makes a title of the file's name, for documents that have none.
func (f File) Title() string {
	name := f.ID[strings.LastIndexByte(f.ID, '/')+1:]
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		name = name[:dot]
	}
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' || r == ' ' }), " ")
}

// Content is an open file.
type Content interface {
	io.ReaderAt
	io.Closer
}

// A Sink takes what a processor finds in a file.
type Sink interface {
	// Document takes the next document. An error must end [Processor.Process].
	Document(doc Extracted) error
	// Fault notes a record that cannot be taken; line is 1-based, 0 when
	// unknown.
	Fault(line int, err error)
	// MaxDocumentBytes is the longest text of one document.
	MaxDocumentBytes() int64
}

// Extracted is a document as a processor found it.
type Extracted struct {
	retriever.Document
	// Line is where the record starts in its file, 0 when unknown.
	Line int
}

// A Section is a stretch of text under a heading.
type Section = retriever.Section

// A Fault says why something was not taken.
type Fault struct {
	// Path is the file, or empty for a document that was given directly.
	Path string `json:"path,omitempty"`
	// Line is the 1-based line of the record, 0 when unknown. For a document
	// that was given directly it is its position among them.
	Line int `json:"line,omitempty"`
	// DocumentID is the document, where there is one.
	DocumentID string `json:"document_id,omitempty"`
	// Skipped says that this was left out by rule (hidden, empty, binary), not
	// because something is wrong with it.
	Skipped bool `json:"skipped,omitempty"`
	// Reason says what is wrong and, where possible, what to do about it.
	Reason string `json:"reason"`
	// Err is the cause, for errors.Is; nil where a rule left something out.
	Err error `json:"-"`
}

// String returns the fault as one line: path:line: reason.
func (f Fault) String() string {
	switch {
	case f.Path != "" && f.Line > 0:
		return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Reason)
	case f.Path != "":
		return f.Path + ": " + f.Reason
	}
	return fmt.Sprintf("document %d (%q): %s", f.Line, f.DocumentID, f.Reason)
}

// The reasons for which a whole file is not taken, for errors.Is.
var (
	// ErrEmpty says that a file holds no text.
	ErrEmpty = errors.New("it holds no text")
	// ErrBinary says that a file is not text.
	ErrBinary = errors.New("it is a binary file")
	// ErrEncoding says that the encoding of a text file could not be found out.
	ErrEncoding = errors.New("it is not valid UTF-8")
	// ErrTooLarge says that one document would be longer than allowed.
	ErrTooLarge = errors.New("it is too large for one document")
	// ErrChanged says that a file changed while it was read.
	ErrChanged = errors.New("it changed while it was read; it will be taken next time")
	// ErrDuplicate says that an id was there before in the same run.
	ErrDuplicate = errors.New("duplicate id")
	// ErrUnsupported says that no processor reads this kind of file.
	ErrUnsupported = errors.New("no processor reads this kind of file")
)
