// Package pdf reads PDF files, each as one document with pages.
//
// The text layer is read by PDFium, which runs as WebAssembly inside the
// process: no C code is linked, and a hostile file that breaks PDFium breaks a
// sandbox that has no access to files, a bounded memory and a time limit. A
// sandbox is thrown away after a number of files, and after every file that
// could not be read or was large.
//
// What PDFium gives is lines with their places. From these come columns in
// reading order, paragraphs, headings (by the size of the letters) and rows of
// tables; running headers and footers, which repeat from page to page, are
// left out; words that were hyphenated at the end of a line are joined.
// Offsets are those of the resulting text, and each of its pages starts where
// the page of the file does.
//
// A file that needs a password is refused; an empty one is tried. Pages
// without any text layer are reported, and a whole file without one is
// refused, unless [Config].OCR names a command that adds one.
//
// A [Processor] is safe for concurrent use. It holds the compiled WebAssembly
// (some 20 MB) from the first file on.
package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/needle-search/needle/ingest"
)

// MediaType is the media type of documents from PDF files.
const MediaType = "application/pdf"

// The reasons for which a PDF file is not taken, for errors.Is.
var (
	// ErrEncrypted says that a file cannot be opened without a password.
	ErrEncrypted = errors.New("it is encrypted and needs a password; store a copy without one")
	// ErrScanned says that a file holds pictures of pages but no text.
	ErrScanned = errors.New("it has no text layer, as if it were scanned; run OCR over it, or set ingest.pdf.ocr")
	// ErrMalformed says that a file is damaged beyond reading.
	ErrMalformed = errors.New("it is damaged, or no PDF file")
	// ErrTimeout says that reading took longer than allowed.
	ErrTimeout = errors.New("reading it takes too long")
)

// Config sets up a [Processor].
type Config struct {
	// Timeout bounds the reading of one file, OCR aside.
	Timeout time.Duration `yaml:"timeout"`
	// MemoryMiB bounds the memory of the sandbox that reads one file.
	MemoryMiB int `yaml:"memory_mib"`
	// SandboxFiles is how many files are read in one sandbox, one after the
	// other, before it is thrown away. With 1 no two files share a memory.
	SandboxFiles int `yaml:"sandbox_files"`
	// OCR is a command that adds a text layer to files with pages that have
	// none. The arguments {input} and {output} become paths of PDF files.
	OCR []string `yaml:"ocr"`
	// OCRTimeout bounds the command.
	OCRTimeout time.Duration `yaml:"ocr_timeout"`
	// CacheDir is where compiled code is kept, so that starting takes a tenth
	// of a second instead of some; empty means in the user's cache folder.
	CacheDir string `yaml:"-"`
}

// DefaultConfig returns the defaults: 5 minutes, 256 MiB, 50 files in
// a sandbox, no OCR.
func DefaultConfig() Config {
	return Config{Timeout: 5 * time.Minute, MemoryMiB: 256, SandboxFiles: 50, OCRTimeout: 30 * time.Minute}
}

// Validate checks the values. The error has one line for every fault, with the
// key, the value and what is allowed.
func (c Config) Validate() error {
	var faults []error
	if c.Timeout < time.Second {
		faults = append(faults, fmt.Errorf("timeout: %s; allowed is 1s or more", c.Timeout))
	}
	if c.MemoryMiB < 64 || c.MemoryMiB > 4096 {
		faults = append(faults, fmt.Errorf("memory_mib: %d; allowed is 64 to 4096", c.MemoryMiB))
	}
	if c.SandboxFiles < 1 {
		faults = append(faults, fmt.Errorf("sandbox_files: %d; allowed is 1 or more", c.SandboxFiles))
	}
	if c.OCRTimeout < time.Second {
		faults = append(faults, fmt.Errorf("ocr_timeout: %s; allowed is 1s or more", c.OCRTimeout))
	}
	if err := validCommand(c.OCR); err != nil {
		faults = append(faults, fmt.Errorf("ocr: %w", err))
	}
	return errors.Join(faults...)
}

// Processor reads PDF files. Make one with New.
type Processor struct {
	config Config
	engine *engine
}

var _ ingest.Processor = (*Processor)(nil)

// New returns a processor. PDFium is started with the first file.
func New(config Config) *Processor {
	return &Processor{config: config, engine: newEngine(config)}
}

// Close frees what the processor holds. It must not be in use.
func (p *Processor) Close() error { return p.engine.close() }

// Name implements [ingest.Processor].
func (*Processor) Name() string { return "pdf" }

// headBytes is how far from the start readers look for the mark of a PDF file.
const headBytes = 1024

// Match implements [ingest.Processor]. The mark may stand behind a few other
// bytes; behind text it does so only under the usual name, for a text may
// speak of it.
func (*Processor) Match(name string, head []byte) ingest.Confidence {
	at := bytes.Index(head[:min(len(head), headBytes)], []byte("%PDF-"))
	switch {
	case at < 0:
		return ingest.NoMatch
	case len(bytes.Trim(head[:at], " \t\r\n\x00\xEF\xBB\xBF")) == 0:
		return ingest.Certain
	case ingest.Extension(name) == ".pdf", ingest.IsBinary(head):
		return ingest.Likely
	}
	return ingest.NoMatch
}

// Process implements [ingest.Processor].
func (p *Processor) Process(ctx context.Context, file ingest.File, content *io.SectionReader, sink ingest.Sink) error {
	read, err := p.read(ctx, content, sink.MaxDocumentBytes())
	if err != nil {
		return err
	}
	if len(p.config.OCR) > 0 && len(read.bare) > 0 {
		if read, err = p.recognise(ctx, content, sink.MaxDocumentBytes()); err != nil {
			return err
		}
	}
	if read.empty() {
		if len(read.bare) > 0 {
			return fmt.Errorf("%w (pages: %d)", ErrScanned, len(read.pages))
		}
		return ingest.ErrEmpty
	}
	doc := ingest.Extracted{}
	doc.ID = file.ID
	doc.Source = file.Source(MediaType)
	read.info.apply(&doc)
	doc.SetMeta(ingest.MetaPages, int64(len(read.pages)))
	b := ingest.Builder{MaxBytes: sink.MaxDocumentBytes()}
	compose(&b, read.pages)
	if err := b.Err(); err != nil {
		return err
	}
	b.Fill(&doc, file.Title())
	if len(read.bare) > 0 {
		sink.Fault(0, fmt.Errorf("%s without a text layer, as if scanned; the other pages were taken. Run OCR over the file, or set ingest.pdf.ocr", pageList(read.bare)))
	}
	return sink.Document(doc)
}

// read reads a file within the time allowed.
func (p *Processor) read(ctx context.Context, content *io.SectionReader, maxBytes int64) (*document, error) {
	limited, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, fmt.Errorf("%w: more than %s (ingest.pdf.timeout)", ErrTimeout, p.config.Timeout))
	defer cancel()
	doc, err := p.engine.read(limited, content, maxBytes)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && limited.Err() != nil {
		return nil, context.Cause(limited)
	}
	return doc, err
}

// pageList names pages: "page 3", "pages 1 to 4, 9".
func pageList(pages []int) string {
	const most = 8
	list, ranges := "", 0
	for i := 0; i < len(pages); {
		j := i
		for j+1 < len(pages) && pages[j+1] == pages[j]+1 {
			j++
		}
		if ranges++; ranges > most {
			list += ", ..."
			break
		}
		if list != "" {
			list += ", "
		}
		if list += fmt.Sprint(pages[i]); j > i {
			list += fmt.Sprintf(" to %d", pages[j])
		}
		i = j + 1
	}
	if len(pages) == 1 {
		return "page " + list + " is"
	}
	return "pages " + list + " are"
}
