package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// holdBytes is how much of a file is held back while it is being read, so that
// nothing of a file that changed meanwhile gets in, and so that a file can be
// read while one before it is not finished.
const holdBytes = 1 << 20

// readFile reads one file. Its documents and faults are handed on once turn is
// closed, which is when all files before it are done.
func (g *Ingester) readFile(ctx context.Context, b *batcher, file File, turn <-chan struct{}) error {
	s := &sink{
		maxBytes: g.options.MaxDocumentBytes,
		await:    func() error { return await(ctx, turn) },
		add:      func(path string, doc Extracted) error { return b.add(ctx, path, doc) },
		fault:    b.recorder.fault,
	}
	meter := &meter{stopped: ctx.Err, count: b.recorder.read, limit: file.Size}
	err := g.process(ctx, file, meter, s)
	if ctxErr := await(ctx, turn); ctxErr != nil {
		return ctxErr
	}
	// A processor may pass on a failure of the index or one of its own.
	if s.failed != nil {
		return s.failed
	}
	if errors.Is(err, ErrChanged) {
		s.held = nil
	}
	if flushErr := s.release(); flushErr != nil {
		return flushErr
	}
	if err != nil {
		b.recorder.fault(Fault{Path: file.Path, Skipped: !file.Given && skippable(err), Reason: pathReason(err), Err: err})
	}
	b.recorder.fileDone(s.read, file.Size-meter.high)
	return nil
}

// skippable reports whether a file was left out for what it is. A file that
// the user named is a fault all the same.
func skippable(err error) bool {
	return errors.Is(err, ErrEmpty) || errors.Is(err, ErrBinary) || errors.Is(err, ErrUnsupported)
}

func (g *Ingester) process(ctx context.Context, file File, m *meter, s *sink) (err error) {
	content, err := file.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	before, size := state(content), file.Size
	if before != nil {
		// The file may have changed since it was found; what counts is now.
		size, file.Size, file.ModTime = before.Size(), before.Size(), before.ModTime().UTC()
	}
	m.content = content
	section := io.NewSectionReader(m, 0, size)
	head := make([]byte, min(size, HeadBytes))
	if n, err := io.ReadFull(section, head); err != nil && size > 0 {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w (%d of %d bytes were there)", ErrChanged, n, size)
		}
		return err
	}
	processor, err := choose(g.processors, file.ID, head)
	if err != nil {
		return err
	}
	if _, err := section.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s.read = true
	members := &memberSink{sink: s, file: file, budget: &unpacking{ingester: g, limits: g.options.Members}}
	err = guarded(ctx, processor, file, section, members)
	if after := state(content); before != nil && (after == nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		return ErrChanged
	}
	return err
}

// guarded turns a panic into an error: parsers of formats that strangers
// invented meet files that their authors did not, and one such file must not
// end the run.
func guarded(ctx context.Context, p Processor, file File, content *io.SectionReader, s Sink) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the %s processor broke on this file, which is a bug: %v", p.Name(), v)
		}
	}()
	return p.Process(ctx, file, content, s)
}

// state returns the state of an open file, nil if it cannot tell.
func state(content Content) fs.FileInfo {
	f, ok := content.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	return info
}

// A meter counts what is read of a file and ends reading on cancellation. It
// is used by one goroutine.
type meter struct {
	stopped func() error
	count   func(bytes int64)
	content io.ReaderAt
	limit   int64 // the size that the total was made of
	high    int64 // everything before was counted
}

func (m *meter) ReadAt(p []byte, off int64) (int, error) {
	if err := m.stopped(); err != nil {
		return 0, err
	}
	n, err := m.content.ReadAt(p, off)
	if end := min(off+int64(n), m.limit); end > m.high {
		m.count(end - m.high)
		m.high = end
	}
	return n, err
}

// A sink takes what is found in one file and the files within it, in order,
// and holds it back until it is the file's turn; see [memberSink].
type sink struct {
	maxBytes int64
	await    func() error // returns when it is the file's turn
	add      func(path string, doc Extracted) error
	fault    func(Fault)
	read     bool

	held   []finding
	bytes  int
	failed error
}

// A finding is a document or a fault.
type finding struct {
	path  string
	doc   Extracted
	fault *Fault
}

// MaxDocumentBytes implements [Sink].
func (s *sink) MaxDocumentBytes() int64 { return s.maxBytes }

func (s *sink) hold(f finding, bytes int) {
	// What is held already is handed on first, so that the last document of a
	// file is never out of hand before the file is known to be unchanged.
	if s.failed == nil && s.bytes+bytes > holdBytes && len(s.held) > 0 {
		if s.failed = s.await(); s.failed == nil {
			s.failed = s.release()
		}
	}
	if s.failed == nil {
		s.held = append(s.held, f)
		s.bytes += bytes
	}
}

// release hands on what is held; it is this file's turn.
func (s *sink) release() error {
	for _, f := range s.held {
		if f.fault != nil {
			s.fault(*f.fault)
		} else if err := s.add(f.path, f.doc); err != nil {
			return err
		}
	}
	s.held, s.bytes = nil, 0
	return nil
}

// idKey stands for an id in the set of those seen.
func idKey(id string) [16]byte {
	sum := sha256.Sum256([]byte(id))
	return [16]byte(sum[:16])
}
