package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/ingest"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// What one upload may hold beside the size of its files.
const (
	maxUploadFiles = 1000
	maxFieldBytes  = 64 << 10
)

// uploadFiles processes the files of a form as index add does and stores their
// documents. One file at a time is on disk; what is wrong with it is in its
// result, and the others go in.
func (s *Server) uploadFiles(c *gin.Context) error {
	name, err := indexName(c)
	if err != nil {
		return err
	}
	if s.config.Files == nil {
		return problemError{wire.CodeUnsupportedMediaType, "This server reads no files; send documents to /bulk."}
	}
	kind, parameters, err := mime.ParseMediaType(c.Request.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || parameters["boundary"] == "" {
		return problemError{wire.CodeUnsupportedMediaType, "Send the files as multipart/form-data."}
	}
	control := http.NewResponseController(c.Writer)
	u := &upload{server: s, view: s.view(c), index: name}
	if err := u.run(c.Request.Context(), multipart.NewReader(&patientReader{c.Request.Body, control, s.config.BodyTimeout}, parameters["boundary"])); err != nil {
		return err
	}
	return s.writeJSON(c, http.StatusOK, wire.Files{Files: list(u.results)})
}

// An upload is one request.
type upload struct {
	server  *Server
	view    guarded
	index   string
	groups  []string
	results []pipeline.FileResult
}

func (u *upload) run(ctx context.Context, form *multipart.Reader) error {
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return bodyError(ctx, err)
		}
		file := part.FileName()
		switch {
		case file != "":
			if len(u.results) == maxUploadFiles {
				return problemError{wire.CodeBodyTooLarge, fmt.Sprintf("At most %d files are allowed in one request; those in front of the last are stored.", maxUploadFiles)}
			}
			err = u.file(ctx, file, part)
		case part.FormName() == "groups":
			err = u.group(ctx, part)
		default:
			err = invalidBody(fmt.Sprintf("The field %q is neither a file nor \"groups\".", clip(part.FormName())))
		}
		if err != nil {
			return err
		}
	}
	if len(u.results) == 0 {
		return invalidBody("The form holds no file.")
	}
	return nil
}

// group takes the name of a group that may see the files after it.
func (u *upload) group(ctx context.Context, part io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	switch {
	case err != nil:
		return bodyError(ctx, err)
	case len(data) > maxFieldBytes:
		return tooLarge(maxFieldBytes)
	case len(data) == 0 || !utf8.Valid(data):
		return invalidBody("A group is empty or not valid UTF-8.")
	case len(u.results) > 0:
		return invalidBody("The field \"groups\" must come before the files.")
	}
	u.groups = append(u.groups, string(data))
	return nil
}

// file stores what is in one file.
func (u *upload) file(ctx context.Context, given string, body io.Reader) error {
	name := path.Base(strings.ReplaceAll(given, `\`, "/"))
	result := pipeline.FileResult{File: name, Documents: []pipeline.PutResult{}, Faults: []ingest.Fault{}}
	if !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 || name == "." || name == "/" {
		return invalidBody("The name of a file is empty or not valid UTF-8.")
	}
	spooled, size, err := u.spool(ctx, body)
	if err != nil {
		return err
	}
	defer os.Remove(spooled.Name())
	defer spooled.Close()
	if limit := u.server.config.MaxFileBytes; size > limit {
		result.Faults = append(result.Faults, ingest.Fault{Path: name, Reason: fmt.Sprintf("it has more than %d bytes (server.max_file_bytes)", limit)})
		u.results = append(u.results, result)
		return nil
	}
	target := &uploadTarget{upload: u, stored: map[string]bool{}}
	report, err := u.server.config.Files.AddFiles(ctx, target, []ingest.File{{
		ID: name, Path: name, Size: size, Given: true,
		Open: func() (ingest.Content, error) { return keptOpen{spooled}, nil },
	}}, ingest.Events{})
	if err != nil {
		if target.fatal != nil {
			err = target.fatal // without the words of a run on the command line
		}
		return err
	}
	result.Documents = append(result.Documents, target.results...)
	result.Faults = append(result.Faults, report.Faults...)
	u.results = append(u.results, result)
	return nil
}

// spool writes a file to disk, up to one byte more than is allowed; the rest is
// read and dropped.
func (u *upload) spool(ctx context.Context, body io.Reader) (*os.File, int64, error) {
	f, err := os.CreateTemp("", "needle-upload-*")
	if err != nil {
		return nil, 0, spoolError(err)
	}
	size, err := io.Copy(f, io.LimitReader(body, u.server.config.MaxFileBytes+1))
	if err == nil {
		_, err = io.Copy(io.Discard, body)
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		var onDisk *os.PathError
		if errors.As(err, &onDisk) {
			return nil, 0, spoolError(err)
		}
		return nil, 0, bodyError(ctx, err)
	}
	return f, size, nil
}

// spoolError says why a file could not be kept on disk.
func spoolError(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("api: upload: %w: %w", retriever.ErrNoSpace, err)
	}
	return fmt.Errorf("api: upload: %w", err)
}

// keptOpen is content whose file is closed by others. It does not tell its
// state, for nobody else can change it.
type keptOpen struct{ f *os.File }

func (k keptOpen) ReadAt(p []byte, off int64) (int, error) { return k.f.ReadAt(p, off) }

func (keptOpen) Close() error { return nil }

// An uploadTarget stores documents as the caller, with the rights and locks of
// every other write.
type uploadTarget struct {
	upload *upload

	mu      sync.Mutex // several batches are written at once
	results []pipeline.PutResult
	stored  map[string]bool
	fatal   error
}

// Infos says that nothing is known: storing tells what is new.
func (*uploadTarget) Infos(context.Context, []string) (map[string]retriever.DocumentInfo, error) {
	return nil, nil
}

// Delete is never called by an upload.
func (*uploadTarget) Delete(context.Context, []string) (int, error) {
	return 0, errors.New("api: an upload deletes nothing")
}

func (t *uploadTarget) Upsert(ctx context.Context, entries []retriever.Entry) error {
	documents := make([]retriever.Document, len(entries))
	for i, e := range entries {
		documents[i] = e.Document
		if len(documents[i].Groups) == 0 {
			documents[i].Groups = slices.Clone(t.upload.groups)
		}
	}
	results, err := t.upload.view.Put(ctx, t.upload.index, documents)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range results {
		// A batch that was refused in part is written again, one by one: what
		// counts is the first time.
		if !t.stored[r.ID] {
			t.stored[r.ID] = true
			t.results = append(t.results, r)
		}
	}
	if err == nil {
		return nil
	}
	refused, rest := documentErrors(err)
	if rest != nil {
		t.fatal = rest
		return rest
	}
	faults := make([]error, len(refused))
	for i, e := range refused {
		faults[i] = &retriever.DocumentError{DocumentID: e.ID, Err: fmt.Errorf("%w: %w", retriever.ErrInvalidDocument, e.Err)}
	}
	return errors.Join(faults...)
}
