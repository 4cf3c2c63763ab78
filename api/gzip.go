package api

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// minGzip is the shortest answer that is worth compressing.
const minGzip = 1024

// errNotGzip says that a body is not what its Content-Encoding says.
var errNotGzip = errors.New("the body is not valid gzip")

// unzip gives the handlers of a request with a compressed body the body as it
// was. Limits count what comes out, so a small body that grows without end gets
// no further than a large one.
func (s *Server) unzip(c *gin.Context) {
	if strings.EqualFold(c.GetHeader("Content-Encoding"), "gzip") && c.Request.Body != nil {
		c.Request.Header.Del("Content-Encoding")
		c.Request.Header.Del("Content-Length")
		c.Request.ContentLength = -1
		c.Request.Body = &gzipBody{compressed: &counter{ReadCloser: c.Request.Body}}
	}
	c.Next()
}

// A body that has grown to bombBytes may not be more than bombRatio times what
// was sent. Text shrinks by 3 to 30 times, what is made to cost a server its time
// by 1000. Streams of lines and files have no limit as a whole, so this is what
// bounds them.
const (
	bombBytes = 16 << 20
	bombRatio = 200
)

// errBomb says that a body grows too much.
var errBomb = fmt.Errorf("the body is compressed by more than %d times", bombRatio)

// gzipBody begins to read when it is read, since the header of the format may
// be slow to come.
type gzipBody struct {
	compressed *counter
	reader     *gzip.Reader
	out        int64
}

// A counter counts what was read.
type counter struct {
	io.ReadCloser
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

func (b *gzipBody) Read(p []byte) (n int, err error) {
	if b.reader == nil {
		if b.reader, err = gzip.NewReader(b.compressed); err != nil {
			return 0, gzipError(err)
		}
	}
	n, err = b.reader.Read(p)
	b.out += int64(n)
	if b.out > bombBytes && b.out/bombRatio > b.compressed.n {
		return n, errBomb
	}
	return n, gzipError(err)
}

func (b *gzipBody) Close() error { return b.compressed.Close() }

func gzipError(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		return fmt.Errorf("%w: %w", errNotGzip, err)
	}
	return err
}

// gzipWriters are kept, because each takes some hundred KB. They hold nothing
// of an answer that was sent.
var gzipWriters = sync.Pool{New: func() any { //nolint:gochecknoglobals // a pool
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return w
}}

// zip compresses an answer if that is worth it and the client takes it. Answers
// with a validator stay as they are, because a compressed one would be another
// representation and need another validator.
func zip(r *http.Request, header http.Header, data []byte) []byte {
	if len(data) < minGzip || header.Get("ETag") != "" || header.Get("Content-Encoding") != "" {
		return data
	}
	header.Add("Vary", "Accept-Encoding")
	if !takesGzip(r) {
		return data
	}
	var out bytes.Buffer
	w, ok := gzipWriters.Get().(*gzip.Writer)
	if !ok {
		return data
	}
	defer gzipWriters.Put(w)
	w.Reset(&out)
	if _, err := w.Write(data); err != nil || w.Close() != nil || out.Len() >= len(data) {
		return data
	}
	header.Set("Content-Encoding", "gzip")
	return out.Bytes()
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func takesGzip(r *http.Request) bool {
	takes := false
	for _, line := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(part, ";")
			coding = strings.TrimSpace(coding)
			if !strings.EqualFold(coding, "gzip") && coding != "*" {
				continue
			}
			wanted := true
			if name, value, ok := strings.Cut(strings.TrimSpace(parameters), "="); ok && strings.EqualFold(name, "q") {
				q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				wanted = err == nil && q > 0
			}
			if coding != "*" {
				return wanted // by name it beats the star
			}
			takes = wanted
		}
	}
	return takes
}
