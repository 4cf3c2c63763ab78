package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// A Container is a [Sink] that takes files within the file being processed,
// such as the members of an archive or the attachments of a mail. The sinks of
// an [Ingester] are such.
type Container interface {
	Sink
	// Member finds the processor for a file within the file and lets it process
	// the content, which is read to its end. The id of the member's document is
	// that of the file, "!/" and the name. What is wrong with the member is a
	// fault under its own path; an error must end [Processor.Process]: it wraps
	// [ErrBomb] if the file as a whole unpacks to more than is allowed.
	Member(ctx context.Context, name string, modified time.Time, content io.Reader) error
	// SkipMember notes that a member was left out by rule.
	SkipMember(name, reason string)
}

// MemberSeparator stands between the id of a file and the name of a member.
const MemberSeparator = "!/"

// MemberLimits bound what one file may unpack to, over all levels. Zero values
// mean the defaults.
type MemberLimits struct {
	// Depth is how deep files may lie in each other; by default 4.
	Depth int
	// Files is how many members there may be; by default 100,000.
	Files int
	// Bytes is how much all members together may have; by default 4 GiB.
	Bytes int64
}

func (l MemberLimits) withDefaults() MemberLimits {
	if l.Depth < 1 {
		l.Depth = 4
	}
	if l.Files < 1 {
		l.Files = 100_000
	}
	if l.Bytes < 1 {
		l.Bytes = 4 << 30
	}
	return l
}

// ErrBomb says that a file unpacks to more than is allowed. ErrProtected says
// that a file is encrypted and cannot be read without its password.
var (
	ErrBomb      = errors.New("it unpacks to more than is allowed")
	ErrProtected = errors.New("it is protected by a password; save it without one")
)

// errMemberName says that a name cannot be part of an id.
var errMemberName = errors.New("its name leads out of the file that holds it, so it is not taken")

// spoolBytes is up to where a member is held in memory; larger ones go to a
// temporary file, because most formats cannot be read from front to back.
const spoolBytes = 4 << 20

// unpacking is what a file on disk may still unpack to. It is used by one
// goroutine.
type unpacking struct {
	ingester *Ingester
	limits   MemberLimits
	files    int
	bytes    int64
}

func (u *unpacking) spent() bool { return u.files > u.limits.Files || u.bytes > u.limits.Bytes }

// A memberSink is the sink of one file, be it on disk or within another.
type memberSink struct {
	*sink
	file   File
	depth  int
	budget *unpacking
}

var _ Container = (*memberSink)(nil)

// Document implements [Sink].
func (s *memberSink) Document(doc Extracted) error {
	s.hold(finding{path: s.file.Path, doc: doc}, len(doc.Text)+512)
	return s.failed
}

// Fault implements [Sink]. A failure of the run shows at the next document.
func (s *memberSink) Fault(line int, err error) {
	s.note(Fault{Path: s.file.Path, Line: line, Reason: err.Error(), Err: err})
}

func (s *memberSink) note(f Fault) { s.hold(finding{fault: &f}, 512) }

// SkipMember implements [Container].
func (s *memberSink) SkipMember(name, reason string) {
	s.note(Fault{Path: s.file.Path + MemberSeparator + strings.ToValidUTF8(name, "\uFFFD"), Skipped: true, Reason: reason})
}

// Member implements [Container].
func (s *memberSink) Member(ctx context.Context, name string, modified time.Time, content io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.failed != nil {
		return s.failed
	}
	b := s.budget
	if b.files++; b.files > b.limits.Files {
		return fmt.Errorf("%w: more than %d files (limits.archive_files)", ErrBomb, b.limits.Files)
	}
	clean, err := memberName(name)
	member := File{ID: s.file.ID + MemberSeparator + clean, Path: s.file.Path + MemberSeparator + clean, ModTime: modified}
	fault := func(err error) {
		s.note(Fault{Path: member.Path, Skipped: skippable(err), Reason: pathReason(err), Err: err})
	}
	if err != nil {
		fault(err)
		return nil
	}
	for part := range strings.SplitSeq(clean, "/") {
		if reason := ignored(part); reason != "" {
			s.SkipMember(clean, reason)
			return nil
		}
	}
	if s.depth >= b.limits.Depth {
		fault(fmt.Errorf("%w: files lie more than %d deep in each other (limits.archive_depth)", ErrBomb, b.limits.Depth))
		return nil
	}
	spooled, size, err := spool(&budgetReader{ctx: ctx, r: content, budget: b})
	switch {
	case b.spent(), ctx.Err() != nil:
		return err
	case err != nil:
		fault(err)
		return nil
	}
	defer spooled.Close()
	member.Size = size
	member.Open = func() (Content, error) { return spooled, nil }
	err = b.ingester.processMember(ctx, member, spooled, &memberSink{sink: s.sink, file: member, depth: s.depth + 1, budget: b})
	switch {
	case s.failed != nil:
		return s.failed
	case err != nil && b.spent(), ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case err != nil:
		fault(err)
	}
	return nil
}

// processMember reads a file whose content is at hand.
func (g *Ingester) processMember(ctx context.Context, file File, content io.ReaderAt, s Sink) error {
	section := io.NewSectionReader(content, 0, file.Size)
	head := make([]byte, min(file.Size, HeadBytes))
	if _, err := io.ReadFull(section, head); err != nil && file.Size > 0 {
		return err
	}
	processor, err := choose(g.processors, file.ID, head)
	if err != nil {
		return err
	}
	if _, err := section.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return guarded(ctx, processor, file, section, s)
}

// memberName makes a relative path with slashes of the name of a member.
func memberName(name string) (string, error) {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, `\`, "/")
	}
	clean := path.Clean(name)
	if name == "" || clean == "." || !fs.ValidPath(clean) || strings.Contains(name, "../") {
		return strings.ToValidUTF8(name[:min(len(name), 200)], ""), errMemberName
	}
	return clean, nil
}

// A budgetReader takes what is read from what a file may unpack to.
type budgetReader struct {
	ctx    context.Context
	r      io.Reader
	budget *unpacking
}

func (r *budgetReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	if r.budget.bytes += int64(n); r.budget.bytes > r.budget.limits.Bytes {
		return n, fmt.Errorf("%w: more than %d bytes (limits.archive_bytes)", ErrBomb, r.budget.limits.Bytes)
	}
	return n, err
}

// memory is content that is held in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// temporary is content in a file that goes when it is closed.
type temporary struct{ *os.File }

func (t temporary) Close() error {
	return errors.Join(t.File.Close(), os.Remove(t.Name()))
}

// spool reads everything, to memory or, if it is much, to a temporary file.
func spool(r io.Reader) (Content, int64, error) {
	var start bytes.Buffer
	n, err := io.CopyN(&start, r, spoolBytes)
	if errors.Is(err, io.EOF) {
		return memory{bytes.NewReader(start.Bytes())}, n, nil
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := os.CreateTemp("", "needle-member-*")
	if err != nil {
		return nil, 0, err
	}
	content := temporary{f}
	n, err = io.Copy(f, io.MultiReader(&start, r))
	if err != nil {
		return nil, 0, errors.Join(err, content.Close())
	}
	return content, n, nil
}
