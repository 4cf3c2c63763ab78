package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/needle-search/needle/ingest"
)

// partBytes is how much of an object is asked for at once.
const partBytes = 4 << 20

// Open implements [ingest.Tree]. An object of one part is fetched at once, so
// that one that cannot be read is known as such.
func (t *Tree) Open(ctx context.Context, file ingest.TreeFile) (ingest.Content, error) {
	c := &content{ctx: ctx, tree: t, file: file}
	if file.Size <= partBytes {
		c.small = make([]byte, file.Size)
		if err := c.fetch(c.small, 0); err != nil {
			return nil, err
		}
		return c, nil
	}
	spool, err := os.CreateTemp("", "needle-object-*")
	if err != nil {
		return nil, err
	}
	c.spool = spool
	c.here = make([]bool, (file.Size+partBytes-1)/partBytes)
	return c, nil
}

// content is an object that is being read.
type content struct {
	ctx  context.Context // of the sync; an open file has no other way to get it
	tree *Tree
	file ingest.TreeFile

	small []byte // the whole object, if it is small

	mu      sync.Mutex
	spool   *os.File // the parts that are here
	here    []bool
	changed bool
}

var _ ingest.Content = (*content)(nil)

// ReadAt implements [io.ReaderAt].
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= c.file.Size {
		return 0, io.EOF
	}
	if c.spool == nil {
		n := copy(p, c.small[off:])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	end := min(off+int64(len(p)), c.file.Size)
	for part := off / partBytes; part*partBytes < end; part++ {
		if err := c.take(part); err != nil {
			return 0, err
		}
	}
	n, err := c.spool.ReadAt(p[:end-off], off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// take makes sure that a part is in the temporary file.
func (c *content) take(part int64) error {
	if c.here[part] {
		return nil
	}
	start := part * partBytes
	data := make([]byte, min(partBytes, c.file.Size-start))
	if err := c.fetch(data, start); err != nil {
		return err
	}
	if _, err := c.spool.WriteAt(data, start); err != nil {
		return err
	}
	c.here[part] = true
	return nil
}

// fetch fills data with what the object holds from start on. A connection that
// breaks in the middle is tried again.
func (c *content) fetch(data []byte, start int64) error {
	if len(data) == 0 {
		return nil
	}
	for attempt := 1; ; attempt++ {
		err := c.fetchOnce(data, start)
		if err == nil || errors.Is(err, ingest.ErrChanged) || attempt == attempts || c.ctx.Err() != nil || minio.ToErrorResponse(err).Code != "" {
			c.changed = c.changed || errors.Is(err, ingest.ErrChanged)
			if err != nil && !errors.Is(err, ingest.ErrChanged) {
				return c.tree.explain(err)
			}
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * 200 * time.Millisecond):
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}

func (c *content) fetchOnce(data []byte, start int64) error {
	var options minio.GetObjectOptions
	if c.file.Version != "" {
		if err := options.SetMatchETag(c.file.Version); err != nil {
			return err
		}
	}
	if err := options.SetRange(start, start+int64(len(data))-1); err != nil {
		return err
	}
	core := minio.Core{Client: c.tree.client}
	body, info, _, err := core.GetObject(c.ctx, c.tree.bucket, c.tree.prefix+c.file.Name, options)
	if err != nil {
		switch answer := minio.ToErrorResponse(err); {
		case answer.StatusCode == http.StatusPreconditionFailed, answer.StatusCode == http.StatusRequestedRangeNotSatisfiable,
			answer.Code == minio.NoSuchKey:
			return ingest.ErrChanged
		}
		return err
	}
	defer func() { _ = body.Close() }()
	// Servers that do not know If-Match say what they gave.
	if c.file.Version != "" && info.ETag != "" && strings.Trim(info.ETag, `"`) != c.file.Version {
		return ingest.ErrChanged
	}
	if _, err := io.ReadFull(body, data); err != nil {
		return fmt.Errorf("s3: the connection ended early: %w", err)
	}
	return nil
}

// Close frees the temporary file.
func (c *content) Close() error {
	if c.spool == nil {
		return nil
	}
	return errors.Join(c.spool.Close(), os.Remove(c.spool.Name()))
}

// Stat returns what was listed, and an error after it turned out to be that no
// more, so that whoever read the content knows.
func (c *content) Stat() (fs.FileInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed {
		return nil, ingest.ErrChanged
	}
	return info{c.file}, nil
}

// info is the state of an object.
type info struct{ file ingest.TreeFile }

func (i info) Name() string       { return path.Base(i.file.Name) }
func (i info) Size() int64        { return i.file.Size }
func (i info) Mode() fs.FileMode  { return 0o444 }
func (i info) ModTime() time.Time { return i.file.ModTime }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
