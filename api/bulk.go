package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// A batch of a bulk request is stored with one write, so larger ones are
// faster; results wait until their batch is full.
const (
	batchLines = 128
	batchBytes = 4 << 20
)

// bulk stores documents, one a line, as they come in and answers with one
// result a line. However many there are, it holds one batch in memory.
func (s *Server) bulk(c *gin.Context) error {
	name, err := indexName(c)
	if err != nil {
		return err
	}
	if err := checkContentType(c.Request, "application/x-ndjson", "application/ndjson", "application/jsonl"); err != nil {
		return err
	}
	release, err := s.reserve(c, s.config.MaxBodyBytes)
	if err != nil {
		return err
	}
	defer release()
	control := http.NewResponseController(c.Writer)
	// Results are sent while lines still come in. HTTP/2 and tests can do that
	// anyway and say that they do not know the question.
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("api: bulk: %w", err)
	}
	b := &bulkRequest{
		server: s, c: c, control: control, index: name,
		ids: make(map[string]bool),
		in: lineReader{
			limit: int(s.config.MaxBodyBytes),
			in:    bufio.NewReaderSize(&patientReader{c.Request.Body, control, s.config.BodyTimeout}, 64<<10),
		},
	}
	return b.run(c.Request.Context())
}

// bulkRequest is the state of one bulk request.
type bulkRequest struct {
	server  *Server
	c       *gin.Context
	control *http.ResponseController
	index   string
	in      lineReader

	// The batch: one result for every line in it, and the documents of those
	// lines that hold one. A result without a status waits for its document.
	results   []wire.BulkResult
	documents []retriever.Document
	ids       map[string]bool
	size      int
	started   bool
}

func (b *bulkRequest) run(ctx context.Context) error {
	for {
		line, err := b.in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLongLine) {
			// A connection that broke off has ended the request's context too,
			// so what is in the batch cannot be stored any more.
			return b.abort(bodyError(ctx, err))
		}
		if err == nil && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		document, lineErr := retriever.Document{}, tooLarge(int64(b.in.limit))
		if err == nil {
			document, lineErr = bulkDocument(line)
		}
		// An id that is in the batch already goes into the next one, so that
		// the later line wins and each has its own result.
		if lineErr == nil && b.ids[document.ID] {
			if err := b.flush(ctx); err != nil {
				return b.abort(err)
			}
		}
		b.add(document, lineErr, len(line))
		if len(b.results) >= batchLines || b.size >= batchBytes {
			if err := b.flush(ctx); err != nil {
				return b.abort(err)
			}
		}
	}
	if err := b.flush(ctx); err != nil {
		return b.abort(err)
	}
	// A body without lines gets an empty answer.
	return b.send(nil)
}

func bulkDocument(line []byte) (retriever.Document, error) {
	var body wire.Document
	if err := decodeJSON(line, &body, true); err != nil {
		return retriever.Document{}, err
	}
	if body.ID == "" {
		return retriever.Document{}, fmt.Errorf("%w: the id is missing", retriever.ErrInvalidDocument)
	}
	return body.Document()
}

func (b *bulkRequest) add(document retriever.Document, err error, size int) {
	result := wire.BulkResult{Line: b.in.line, ID: document.ID}
	b.size += size
	if err != nil {
		b.refuse(&result, err)
	} else {
		b.ids[document.ID] = true
		b.documents = append(b.documents, document)
	}
	b.results = append(b.results, result)
}

// refuse writes an error into a result.
func (b *bulkRequest) refuse(result *wire.BulkResult, err error) {
	problem := problemOf(err)
	result.Status, result.Problem = wire.Refused, &problem
	if problem.Status >= http.StatusInternalServerError {
		b.server.logger.Error("bulk line refused", "request_id", requestID(b.c), "line", result.Line, "code", problem.Code, "cause", err)
	}
}

// flush stores the batch and sends its results. An error means that the request
// cannot go on.
func (b *bulkRequest) flush(ctx context.Context) error {
	if len(b.results) == 0 {
		return nil
	}
	var fatal error
	if len(b.documents) > 0 {
		stored, err := b.server.view(b.c).Put(ctx, b.index, b.documents)
		counted(b.c, len(stored))
		refused, rest := documentErrors(err)
		if rest != nil && !b.started && len(stored) == 0 {
			// Nothing was sent or stored, so the whole request can fail.
			return rest
		}
		fatal = b.fill(stored, refused, rest)
	}
	if err := b.send(b.results); err != nil {
		return err
	}
	b.results, b.documents, b.size = b.results[:0], nil, 0
	clear(b.ids)
	return fatal
}

// fill writes what became of the documents into the waiting results. Ids are
// unique within a batch.
func (b *bulkRequest) fill(stored []pipeline.PutResult, refused []*pipeline.DocumentError, rest error) error {
	byID := make(map[string]pipeline.PutResult, len(stored))
	for _, r := range stored {
		byID[r.ID] = r
	}
	faults := make(map[int]error, len(refused))
	for _, e := range refused {
		faults[e.Position] = e.Err
	}
	position := -1
	for i := range b.results {
		result := &b.results[i]
		if result.Status != "" {
			continue
		}
		position++
		switch r, ok := byID[result.ID]; {
		case faults[position] != nil:
			b.refuse(result, faults[position])
		case ok:
			result.Status, result.Passages, result.Generation = r.Status, r.Passages, r.Generation
		case rest != nil:
			b.refuse(result, rest)
		default:
			rest = fmt.Errorf("api: bulk: the service said nothing about document %q", result.ID)
			b.refuse(result, rest)
		}
	}
	return rest
}

// documentErrors takes the refused documents out of the error of a write; rest
// is what concerns all of them.
func documentErrors(err error) (refused []*pipeline.DocumentError, rest error) {
	var one *pipeline.DocumentError
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case err == nil:
	case ok:
		var others []error
		for _, e := range joined.Unwrap() {
			r, o := documentErrors(e)
			refused = append(refused, r...)
			others = append(others, o)
		}
		rest = errors.Join(others...)
	case errors.As(err, &one):
		refused = []*pipeline.DocumentError{one}
	default:
		rest = err
	}
	return refused, rest
}

// send writes results and pushes them out.
func (b *bulkRequest) send(results []wire.BulkResult) error {
	var out bytes.Buffer
	for i := range results {
		data, err := encodeJSON(&results[i])
		if err != nil {
			return fmt.Errorf("api: bulk: encode a result: %w", err)
		}
		out.Write(data)
	}
	_ = b.control.SetWriteDeadline(time.Now().Add(b.server.config.WriteTimeout))
	if !b.started {
		b.started = true
		b.c.Header("Content-Type", "application/x-ndjson")
		b.c.Status(http.StatusOK)
		b.c.Writer.WriteHeaderNow()
	}
	if _, err := b.c.Writer.Write(out.Bytes()); err != nil {
		return fmt.Errorf("api: bulk: send results: %w", err)
	}
	if err := b.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("api: bulk: send results: %w", err)
	}
	return nil
}

// abort ends a request early: as an ordinary problem if nothing was sent, else
// with a last line that says so.
func (b *bulkRequest) abort(err error) error {
	if !b.started {
		return err
	}
	problem := problemOf(err)
	problem.RequestID = requestID(b.c)
	b.c.Set(keyCode, problem.Code)
	b.c.Set(keyCause, err)
	return b.send([]wire.BulkResult{{Status: wire.Aborted, Problem: &problem}})
}

var errLongLine = errors.New("the line is too long")

// lineReader reads lines of bounded length.
type lineReader struct {
	in    *bufio.Reader
	limit int
	line  int // number of the line last read, from 1
	buf   []byte
}

// next returns the next line, valid until the next call. A line that is too
// long is skipped and gives errLongLine.
func (r *lineReader) next() ([]byte, error) {
	r.line++
	if cap(r.buf) > batchBytes {
		r.buf = nil // do not keep what one giant line took
	}
	r.buf = r.buf[:0]
	long := false
	for {
		part, err := r.in.ReadSlice('\n')
		if !long && len(r.buf)+len(part) > r.limit+1 {
			long = true
			r.buf = nil
		}
		if !long {
			r.buf = append(r.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (long || len(r.buf) > 0):
		case err != nil:
			return nil, err
		}
		if long {
			return nil, errLongLine
		}
		return bytes.TrimSuffix(r.buf, []byte("\n")), nil
	}
}

// patientReader lets a body take any time as long as it does not fall silent.
type patientReader struct {
	body    io.Reader
	control *http.ResponseController
	silence time.Duration
}

func (r *patientReader) Read(p []byte) (int, error) {
	_ = r.control.SetReadDeadline(time.Now().Add(r.silence))
	n, err := r.body.Read(p)
	if errors.Is(err, io.EOF) {
		_ = r.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
